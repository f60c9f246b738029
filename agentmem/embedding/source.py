"""Where a model comes from: the bundled weights, a folder, or the Hugging Face hub.

Every source ends as a local folder, so that the passport, the split and the vectors are of the
same files. What other libraries raise on the way becomes `EmbeddingFailed`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from agentmem.embedding.weights import DEFAULT_MODEL, DEFAULT_REVISION, bundled_folder
from agentmem.errors import AgentmemError, EmbeddingFailed

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

__all__ = ["Located", "load", "locate", "model_errors", "quiet_loading"]

_SNAPSHOT = re.compile(r"models--(?P<name>.+)/snapshots/(?P<commit>[0-9a-f]{40})$")
_MODEL_FILES = ("*.json", "*.txt", "*.model", "*.jinja", "*.safetensors")
_OTHER_BACKENDS = ("onnx/*", "openvino/*", "coreml/*")  # large, and never read by torch


@dataclass(frozen=True, slots=True)
class Located:
    """A model's folder, and its name at the hub where it has one."""

    folder: Path
    name: str | None
    revision: str | None = None


def locate(model: str | Path | None, *, revision: str | None, local_files_only: bool) -> Located:
    """Find a model's files, downloading them from the hub if they are not here.

    Args:
        model: Hub name, folder, or None for the default model. The default model's name means
            the bundled weights too, where they are installed.
        revision: Commit, tag or branch of the hub.
        local_files_only: Use only what was downloaded before.

    Raises:
        EmbeddingFailed: There is no such folder, or the hub could not give the model.
    """
    if isinstance(model, Path) or (model is not None and _is_path(model)):
        return _in_folder(Path(model).expanduser())
    name = DEFAULT_MODEL if model is None else _full_name(model)
    if name == DEFAULT_MODEL and revision in {None, DEFAULT_REVISION}:
        folder = bundled_folder()
        if folder is not None:
            return Located(folder, name)
        revision = DEFAULT_REVISION if model is None else revision
    return _from_hub(name, revision=revision, local_files_only=local_files_only)


def load(folder: Path, *, device: str | None) -> SentenceTransformer:
    """Load a model from its folder with sentence-transformers.

    Raises:
        EmbeddingFailed: The folder is gone or holds no model, or the device is not there.
    """
    _in_folder(folder)
    with model_errors(str(folder)):
        from sentence_transformers import SentenceTransformer

        with quiet_loading():
            model = SentenceTransformer(str(folder), device=device, local_files_only=True)
    model.eval()
    return model


@contextmanager
def model_errors(what: str) -> Iterator[None]:
    """Turn whatever a model library raises into `EmbeddingFailed` with the repair."""
    try:
        yield
    except AgentmemError:
        raise
    except Exception as error:  # torch, transformers and the hub share no base class
        raise EmbeddingFailed(
            f"the model {what} could not be used: {type(error).__name__}: "
            f"{str(error).rstrip('.')}. Nothing was stored. Repair: check the name and the device; "
            "without a network, install the bundled default model with  "
            "pip install 'agentmem[offline]'  or pass the path of a downloaded model folder."
        ) from error


@contextmanager
def quiet_loading() -> Iterator[None]:
    """Keep transformers from drawing a progress bar over the terminal for a tenth of a second."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()  # type: ignore[no-untyped-call]


def _is_path(model: str) -> bool:
    return Path(model).expanduser().exists() or model.startswith(("/", ".", "~")) or "\\" in model


def _full_name(model: str) -> str:
    """Complete a bare name as sentence-transformers does."""
    return model if "/" in model else f"sentence-transformers/{model}"


def _in_folder(folder: Path) -> Located:
    if not folder.is_dir():
        raise EmbeddingFailed(
            f"there is no model folder at {folder}. It was moved or deleted, or the path is wrong. "
            "Nothing already stored is harmed. Repair: put the folder back, pass its new path, or "
            "pass the model's name on the hub."
        )
    snapshot = _SNAPSHOT.search(folder.resolve().as_posix())
    if snapshot is None:
        return Located(folder, None)
    return Located(folder, snapshot["name"].replace("--", "/", 1), snapshot["commit"])


def _from_hub(name: str, *, revision: str | None, local_files_only: bool) -> Located:
    with model_errors(name):
        from huggingface_hub import snapshot_download

        def fetch(*patterns: str) -> Path:
            return Path(
                snapshot_download(
                    name,
                    revision=revision,
                    local_files_only=local_files_only,
                    allow_patterns=list(patterns),
                    ignore_patterns=list(_OTHER_BACKENDS),
                )
            )

        folder = fetch(*_MODEL_FILES)
        if next(folder.rglob("*.safetensors"), None) is None:
            folder = fetch(*_MODEL_FILES, "*.bin")
    return Located(folder, name, revision)
