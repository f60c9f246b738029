"""The embedder over sentence-transformers: any of its models, by hub name or folder.

Takes texts, gives unit float32 rows and the passport of their space. Constructing one costs
nothing; the passport of an ordinary model needs only its files; the first split or embedding
loads the model. Several threads may use one embedder at a time.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from agentmem.background import start
from agentmem.embedding.engines import (
    ENGINES,
    Engine,
    Loaded,
    Running,
    load_engine,
    require_engine,
)
from agentmem.embedding.facts import ModelFacts, module_folders, read_facts, tokenizer_settings
from agentmem.embedding.source import Located, locate, model_errors
from agentmem.embedding.splitting import Splitter
from agentmem.embedding.vectors import clean_all, unit_rows
from agentmem.embedding.weights import (
    DEFAULT_MODEL,
    DEFAULT_REVISION,
    DEFAULT_WEIGHTS,
    tokenizer_sha256,
    weights_sha256,
)
from agentmem.errors import AgentmemError, EmbeddingFailed, InvalidInput
from agentmem.types import Kind, Passport

__all__ = ["SentenceTransformerEmbedder"]


WARM_UP: Final = "ready"

logger = logging.getLogger("agentmem")


class SentenceTransformerEmbedder:
    """Embeds with a sentence-transformers model.

    Args:
        model: Name on the Hugging Face hub, or a folder. None is all-MiniLM-L6-v2: the bundled
            weights where the extra `offline` is installed, else the same from the hub.
        revision: Commit, tag or branch on the hub; pin a commit to stay in one space.
        device: `"cpu"`, `"cuda"`, `"mps"` or any torch device; None takes the best there is.
        truncate_dim: Keep only the first components (Matryoshka models), scaled to unit length.
        query_prompt: Text put before a query; None takes the model's own.
        document_prompt: Text put before a document; None takes the model's own.
        batch_size: Most documents of a forward pass.
        local_files_only: Never ask the hub; use what was downloaded before.
        engine: `"onnx"` (the extra `onnx`, on the processor), `"torch"`, or `"auto"`: ONNX Runtime
            where it is installed and gives the same vectors, else torch. The space is the same.
        threads: Forward passes at once, each on a thread; None takes the cores there are.

    Raises:
        MissingDependency: `engine` is `"onnx"`, and ONNX Runtime is not installed.
    """

    def __init__(
        self,
        model: str | Path | None = None,
        *,
        revision: str | None = None,
        device: str | None = None,
        truncate_dim: int | None = None,
        query_prompt: str | None = None,
        document_prompt: str | None = None,
        batch_size: int = 32,
        local_files_only: bool = False,
        engine: Engine = "auto",
        threads: int | None = None,
    ) -> None:
        counts = {"truncate_dim": truncate_dim, "batch_size": batch_size, "threads": threads}
        for name, value in counts.items():
            if value is not None and value < 1:
                raise InvalidInput(f"{name} is {value}, but has to be at least 1.")
        if engine not in ENGINES:
            raise InvalidInput(f"engine is {engine!r}. Repair: pass one of {', '.join(ENGINES)}.")
        require_engine(engine)
        self._source = model
        self._revision = revision
        self._truncate_dim = truncate_dim
        self._prompts = (query_prompt, document_prompt)
        self._running = Running(engine, device, batch_size=batch_size, threads=threads)
        self._local_files_only = local_files_only
        self._lock = threading.RLock()
        self._loading = threading.Lock()  # within it the other one is not taken
        self._located: Located | None = None
        self._passport: Passport | None = None
        self._ready: Loaded | None = None
        self._splits: Splitter | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Return how it was made: another process loads its own model."""
        made = {"_lock": None, "_loading": None, "_ready": None, "_splits": None}
        return {**self.__dict__, **made}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take on how another one was made."""
        self.__dict__.update(state, _lock=threading.RLock(), _loading=threading.Lock())

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self._source or DEFAULT_MODEL)!r})"

    @property
    def passport(self) -> Passport:
        """The identity of the space.

        Read from the model's files where it has the usual shape; other models are loaded.

        Raises:
            EmbeddingFailed: The model could not be found or read.
            InvalidInput: `truncate_dim` exceeds the model's dimension.
        """
        with self._lock:
            if self._passport is None:
                self._passport = self._read_passport()
            return self._passport

    @property
    def engine(self) -> Literal["onnx", "torch"]:
        """The library that runs the model, which is loaded to know it.

        Raises:
            EmbeddingFailed: The model could not be loaded.
        """
        return self._loaded().engine

    def warm_up(self, *, background: bool = False) -> None:
        """Load the model now, so that no first call waits for it.

        Args:
            background: Return at once and load in a thread. What fails there is raised by the
                first call that needs the model.

        Raises:
            EmbeddingFailed: The model could not be loaded.
        """
        if not background:
            self.embed([WARM_UP], kind="query")
            return

        def load() -> None:
            try:
                self.warm_up()
            except AgentmemError as error:
                logger.debug("%r could not be loaded in the background: %s", self, error)

        start(load, name="agentmem-warm-up")

    def embed(self, texts: Sequence[str], *, kind: Kind) -> NDArray[np.float32]:
        """Embed texts, a query on one thread and many texts on as many as torch may use.

        See `protocols.Embedder`. Of a text longer than the window the model reads the beginning;
        `split` first.
        """
        ready, passport = clean_all(texts), self.passport
        if not ready:
            return np.zeros((0, passport.dimension), dtype=np.float32)
        with model_errors(repr(self)):
            prompt = passport.query_prompt if kind == "query" else passport.document_prompt
            rows = self._loaded().encoder.encode(ready, kind=kind, prompt=prompt)
        vectors = rows[:, : self._truncate_dim]
        if vectors.shape != (len(ready), passport.dimension):
            raise EmbeddingFailed(
                f"{self!r} gave vectors of shape {vectors.shape} for {len(ready)} texts, but its "
                f"configuration promises {passport.dimension} components. Repair: download "
                "the model again."
            )
        return unit_rows(vectors)

    def split(self, texts: Sequence[str], *, prefixes: Sequence[str]) -> list[list[str]]:
        """Split texts that exceed the model's window; see `protocols.Embedder`.

        Pieces are exact substrings, overlap by about an eighth, cover the text, and are cut at
        a sentence's end or a space where one is near.
        """
        return self._splitter().split(texts, prefixes=prefixes)

    def tokens(self, texts: Sequence[str]) -> int | None:
        """Count the tokens of texts as the model reads them, its prompts left out.

        None where the model has no fast tokenizer.
        """
        return self._splitter().tokens(texts)

    def _locate(self) -> Located:
        with self._lock:
            if self._located is None:
                self._located = locate(
                    self._source,
                    revision=self._revision,
                    local_files_only=self._local_files_only,
                )
            return self._located

    def _loaded(self) -> Loaded:
        folder = self._locate().folder
        with self._loading:
            if self._ready is None:
                with model_errors(str(folder)):
                    self._ready = load_engine(folder, running=self._running)
            return self._ready

    def _splitter(self) -> Splitter:
        ready = self._loaded()
        with self._lock:
            if self._splits is None:
                _, prompt = self._chosen_prompts(ready.facts)
                self._splits = Splitter(ready.tokenizer, window=ready.facts.window, prompt=prompt)
            return self._splits

    def _chosen_prompts(self, facts: ModelFacts) -> tuple[str, str]:
        query, document = self._prompts
        return (
            facts.query_prompt if query is None else query,
            facts.document_prompt if document is None else document,
        )

    def _read_passport(self) -> Passport:
        located = self._locate()
        with model_errors(str(located.folder)):
            facts = read_facts(located.folder) or self._loaded().facts
            parts = module_folders(located.folder)
            root = located.folder / parts[0]
            weights = weights_sha256(located.folder, parts=parts)
            tokenizer = tokenizer_sha256(root, settings=tokenizer_settings(root))
        if self._truncate_dim is not None and self._truncate_dim > facts.dimension:
            raise InvalidInput(
                f"truncate_dim is {self._truncate_dim}, but {self!r} has only {facts.dimension} "
                "components. Repair: pass a smaller truncate_dim, or none."
            )
        dimension = self._truncate_dim or facts.dimension
        query_prompt, document_prompt = self._chosen_prompts(facts)
        name, revision = _identity(located, weights=weights)
        return Passport(
            provider="sentence-transformers",
            model=name,
            revision=revision,
            weights=weights,
            tokenizer=tokenizer,
            dimension=dimension,
            full_dimension=facts.dimension if dimension < facts.dimension else None,
            window=facts.window,
            pooling=facts.pooling,
            query_prompt=query_prompt,
            document_prompt=document_prompt,
            precision=facts.precision,
        )


def _identity(located: Located, *, weights: str | None) -> tuple[str, str | None]:
    """Name a model so that the same weights have the same name, wherever they lie.

    A revision is named only where the weights cannot be hashed: the hash says more, and a new
    commit of a model card must not lock a store. A folder is named by its content, because its
    path is of one machine and may change.
    """
    if weights == DEFAULT_WEIGHTS:
        return DEFAULT_MODEL, DEFAULT_REVISION
    if located.name is not None:
        return located.name, located.revision if weights is None else None
    return f"{_architecture(located.folder)}-{(weights or 'unknown')[:12]}", None


def _architecture(folder: Path) -> str:
    config = folder / "config.json"
    if not config.is_file():
        return "model"
    names = json.loads(config.read_text(encoding="utf-8")).get("architectures") or ["model"]
    return str(names[0])
