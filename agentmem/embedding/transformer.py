"""The embedder over sentence-transformers: any of its models, by hub name or folder.

Takes texts, gives unit float32 rows and the passport of their space. Constructing one costs
nothing; the passport of an ordinary model needs only its files; the first split or embedding
loads the model. Several threads may use one embedder at a time.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from agentmem.embedding.encoding import Encoder
from agentmem.embedding.facts import (
    ModelFacts,
    loaded_facts,
    module_folders,
    read_facts,
    tokenizer_settings,
)
from agentmem.embedding.source import Located, load, locate, model_errors
from agentmem.embedding.splitting import Splitter
from agentmem.embedding.vectors import clean_all, unit_rows
from agentmem.embedding.weights import (
    DEFAULT_MODEL,
    DEFAULT_REVISION,
    DEFAULT_WEIGHTS,
    tokenizer_sha256,
    weights_sha256,
)
from agentmem.errors import EmbeddingFailed, InvalidInput
from agentmem.types import Kind, Passport

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer
    from tokenizers import Tokenizer

__all__ = ["SentenceTransformerEmbedder"]


@dataclass(frozen=True, slots=True)
class _Ready:
    """A loaded model and what works with it."""

    model: SentenceTransformer
    encoder: Encoder
    splitter: Splitter


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
        batch_size: Documents a forward pass.
        local_files_only: Never ask the hub; use what was downloaded before.
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
    ) -> None:
        for name, value in (("truncate_dim", truncate_dim), ("batch_size", batch_size)):
            if value is not None and value < 1:
                raise InvalidInput(f"{name} is {value}, but has to be at least 1.")
        self._source = model
        self._revision = revision
        self._device = device
        self._truncate_dim = truncate_dim
        self._prompts = (query_prompt, document_prompt)
        self._batch_size = batch_size
        self._local_files_only = local_files_only
        self._lock = threading.RLock()
        self._located: Located | None = None
        self._passport: Passport | None = None
        self._ready: _Ready | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Return how it was made: another process loads its own model."""
        return {**self.__dict__, "_lock": None, "_ready": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take on how another one was made."""
        self.__dict__.update(state, _lock=threading.RLock())

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
        return self._loaded().splitter.split(texts, prefixes=prefixes)

    def tokens(self, texts: Sequence[str]) -> int | None:
        """Count the tokens of texts as the model reads them, its prompts left out.

        None where the model has no fast tokenizer.
        """
        return self._loaded().splitter.tokens(texts)

    def _locate(self) -> Located:
        with self._lock:
            if self._located is None:
                self._located = locate(
                    self._source,
                    revision=self._revision,
                    local_files_only=self._local_files_only,
                )
            return self._located

    def _loaded(self) -> _Ready:
        with self._lock:
            if self._ready is None:
                self._ready = self._load()
            return self._ready

    def _load(self) -> _Ready:
        model = load(self._locate().folder, device=self._device)
        facts = loaded_facts(model)
        _, document_prompt = self._chosen_prompts(facts)
        splitter = Splitter(_own_tokenizer(model), window=facts.window, prompt=document_prompt)
        return _Ready(model, Encoder(model, batch_size=self._batch_size), splitter)

    def _chosen_prompts(self, facts: ModelFacts) -> tuple[str, str]:
        query, document = self._prompts
        return (
            facts.query_prompt if query is None else query,
            facts.document_prompt if document is None else document,
        )

    def _read_passport(self) -> Passport:
        located = self._locate()
        with model_errors(str(located.folder)):
            facts = read_facts(located.folder) or loaded_facts(self._loaded().model)
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


def _own_tokenizer(model: SentenceTransformer) -> Tokenizer | None:
    """Copy the model's fast tokenizer, without truncation and padding, for the splitter alone."""
    from tokenizers import Tokenizer

    backend = getattr(model.tokenizer, "backend_tokenizer", None)
    if backend is None:
        return None
    own = Tokenizer.from_str(backend.to_str())
    own.no_truncation()
    own.no_padding()
    return own


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
