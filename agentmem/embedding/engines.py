"""Which library runs a model: ONNX Runtime where it gives the same vectors, else torch.

A graph is made once and compared with torch before anything is embedded with it. A graph that was
made before is run without torch and sentence-transformers, which take seconds to import.
"""

from __future__ import annotations

import importlib.util
import logging
from dataclasses import dataclass
from functools import cached_property, lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from agentmem.embedding.canaries import QUERY_PLACES, canary_texts
from agentmem.embedding.encoding import Encoder, TorchEncoder
from agentmem.embedding.exporting import export, refusal
from agentmem.embedding.exports import CACHE_VARIABLE, Export, export_key, find, put
from agentmem.embedding.facts import ModelFacts, loaded_facts, module_folders
from agentmem.embedding.onnx import TOKENIZER, OnnxEncoder, runtime
from agentmem.embedding.source import load
from agentmem.embedding.weights import weights_sha256
from agentmem.errors import EmbeddingFailed, MissingDependency

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer
    from tokenizers import Tokenizer

__all__ = ["ENGINES", "Engine", "Loaded", "Running", "load_engine", "require_engine"]

Engine: TypeAlias = Literal["auto", "onnx", "torch"]

ENGINES: Final = ("auto", "onnx", "torch")
LEAST_COSINE: Final = 0.99999  # of the same weights in float32: MiniLM's is .9999998
TRIAL_BATCH: Final = 32  # canaries of a pass while engines are compared

logger = logging.getLogger("agentmem")


@dataclass(frozen=True, slots=True)
class Running:
    """How a model is to be run: the arguments of the embedder."""

    engine: Engine
    device: str | None
    batch_size: int
    threads: int | None


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model that runs.

    Attributes:
        engine: The library that runs it.
        encoder: From texts to vectors.
        tokenizer: The model's, without truncation and padding, for the splitter alone; None if it
            has no fast one.
        facts: Its shape and habits.
    """

    engine: Literal["onnx", "torch"]
    encoder: Encoder
    tokenizer: Tokenizer | None
    facts: ModelFacts


class _Unsuited(Exception):
    """Why ONNX Runtime does not run a model, and whether somebody should do something about it."""

    def __init__(self, reason: str, *, is_fault: bool = False, repair: str = "") -> None:
        super().__init__(reason)
        self.is_fault = is_fault
        self.repair = repair


def require_engine(engine: Engine) -> None:
    """Refuse an engine that is asked for by name and is not installed.

    Raises:
        MissingDependency: ONNX Runtime.
    """
    if engine == "onnx" and not _is_installed():
        raise MissingDependency("onnxruntime", extra="onnx", purpose="engine='onnx'")


def load_engine(folder: Path, *, running: Running) -> Loaded:
    """Load a model with the engine that is asked for; `auto` takes the fastest that is suited.

    Raises:
        EmbeddingFailed: The model cannot be loaded, or not by ONNX Runtime where that is asked for.
        MissingDependency: ONNX Runtime is asked for and not installed.
    """
    require_engine(running.engine)
    model = _Model(folder, running)
    if running.engine == "torch":
        return model.in_torch()
    try:
        return model.in_onnx_runtime()
    except _Unsuited as unsuited:
        if running.engine == "onnx":
            raise EmbeddingFailed(
                f"ONNX Runtime cannot run the model in {folder}: {unsuited}. Nothing was stored. "
                f"Repair: {unsuited.repair or 'pass'} engine='auto' or 'torch': the vectors are of "
                "the same space."
            ) from unsuited
        if unsuited.is_fault:
            _warn(f"torch runs the model in {folder}, slower than ONNX Runtime could: {unsuited}")
        else:
            logger.debug("torch runs the model in %s: %s", folder, unsuited)
    return model.in_torch()


class _Model:
    """A model in its folder, loaded in torch at most once, and only if it must be."""

    def __init__(self, folder: Path, running: Running) -> None:
        self._folder = folder
        self._running = running

    @cached_property
    def _in_torch(self) -> SentenceTransformer:
        return load(self._folder, device=self._running.device)

    def in_torch(self) -> Loaded:
        model = self._in_torch
        encoder = TorchEncoder(
            model, batch_size=self._running.batch_size, threads=self._running.threads
        )
        backend = getattr(model.tokenizer, "backend_tokenizer", None)
        tokenizer = None if backend is None else _bare_tokenizer(backend.to_str())
        return Loaded("torch", encoder, tokenizer, loaded_facts(model))

    def in_onnx_runtime(self) -> Loaded:
        if not _is_installed():
            raise _Unsuited("ONNX Runtime is not installed")
        if not _is_on_processor(self._running):
            raise _Unsuited(f"it runs on {self._running.device or 'an accelerator'}")
        found = self._exported()
        if found.refused is not None:
            raise _Unsuited(found.refused, is_fault=found.least is not None)
        tokenizer = _bare_tokenizer((found.folder / TOKENIZER).read_text(encoding="utf-8"))
        return Loaded("onnx", self._encoder(found.folder), tokenizer, found.facts)

    def _encoder(self, folder: Path) -> OnnxEncoder:
        try:
            return OnnxEncoder(
                folder, batch_size=self._running.batch_size, threads=self._running.threads
            )
        except Exception as error:  # ONNX Runtime's errors share no base class
            raise _Unsuited(f"the graph cannot be loaded: {_said(error)}", is_fault=True) from error

    def _exported(self) -> Export:
        if weights_sha256(self._folder, parts=module_folders(self._folder)) is None:
            raise _Unsuited("its weights cannot be hashed, so no graph could be told to be theirs")
        try:
            key = export_key(self._folder, runtime=_runtime())
            found = find(key)
            if found is not None:
                return found
            self._check_can_be_made()
            return put(key, self._make)
        except OSError as error:
            raise _Unsuited(
                f"its graph cannot be kept: {_said(error)}",
                is_fault=True,
                repair=f"name a folder that can be written in {CACHE_VARIABLE}, or pass",
            ) from error

    def _check_can_be_made(self) -> None:
        if importlib.util.find_spec("onnx") is None:
            repair = "pip install 'agentmem[onnx]', or pass"
            raise _Unsuited("onnx, which graphs are made with, is not installed", repair=repair)
        why = refusal(self._in_torch)
        if why is not None:
            raise _Unsuited(why)

    def _make(self, folder: Path) -> Export:
        model = self._in_torch
        facts = loaded_facts(model)
        try:
            export(model, folder)
            torch_encoder = TorchEncoder(model, batch_size=TRIAL_BATCH)
            least = _least_cosine(torch_encoder, self._encoder(folder), facts=facts)
        except (OSError, MemoryError, _Unsuited):
            raise
        except Exception as error:  # noqa: BLE001 - whatever torch cannot trace, or the graph run
            why = f"no graph of it: {_said(error)}"
            return Export(facts, least=None, refused=why, folder=folder)
        far = f"its vectors come no nearer to torch's than a cosine of {least:.6f}"
        return Export(facts, least, refused=None if least >= LEAST_COSINE else far, folder=folder)


def _least_cosine(torch: Encoder, onnx: Encoder, *, facts: ModelFacts) -> float:
    """Compare engines on the canaries, together, alone and beyond the window; 0: not finite."""
    texts = canary_texts()
    documents = [*texts, " ".join(texts)]
    queries = [texts[place] for place in QUERY_PLACES]
    prompt = facts.document_prompt
    cosines = _cosines(
        torch.encode(documents, kind="document", prompt=prompt),
        onnx.encode(documents, kind="document", prompt=prompt),
    )
    alone = [onnx.encode([one], kind="query", prompt=facts.query_prompt) for one in queries]
    expected = torch.encode(queries, kind="query", prompt=facts.query_prompt)
    return min(cosines, _cosines(expected, np.concatenate(alone)))


def _cosines(expected: NDArray[np.float32], found: NDArray[np.float32]) -> float:
    before, now = expected.astype(np.float64), found.astype(np.float64)
    lengths = np.linalg.norm(before, axis=1) * np.linalg.norm(now, axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        cosines = np.einsum("ij,ij->i", before, now) / lengths
    return float(np.nan_to_num(cosines, nan=0.0).min())


def _is_on_processor(running: Running) -> bool:
    """Whether the model would run on the processor anyway, asking torch only if it could not."""
    if running.device is not None or running.engine == "onnx":
        return running.device in {None, "cpu"}
    if version("torch").endswith("+cpu"):
        return True
    import torch

    return not (torch.cuda.is_available() or torch.backends.mps.is_available())


def _is_installed() -> bool:
    return importlib.util.find_spec("onnxruntime") is not None


def _runtime() -> str:
    try:
        onnxruntime = runtime()
    except ImportError as error:
        reason = f"ONNX Runtime cannot be imported: {_said(error)}"
        raise _Unsuited(reason, is_fault=True) from error
    return str(onnxruntime.__version__)


def _bare_tokenizer(saved: str) -> Tokenizer:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_str(saved)
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def _said(error: Exception) -> str:
    first = str(error).strip().splitlines()[:1]
    return ": ".join([type(error).__name__, *first])[:300].rstrip(".")


@lru_cache(maxsize=64)
def _warn(message: str) -> None:
    """Warn once a process."""
    logger.warning(message)
