"""`Embedders`: which embedder of a process makes the vectors of a store, or of its next generation.

The one whose passport is the store's. Where none was given, a sentence-transformers model is
built from what the passport says of it, if its files are on this machine. An embedder of another
space is never a substitute.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from agentmem.background import start
from agentmem.embedding.cache import CachedEmbedder
from agentmem.embedding.transformer import SentenceTransformerEmbedder
from agentmem.errors import AgentmemError, EmbedderMismatch, EmbeddingFailed, InvalidInput
from agentmem.protocols import Embedder
from agentmem.types import Passport

__all__ = ["Embedders"]

WARM_UP: Final = "ready"
_HUB_NAME: Final = re.compile(r"\w[\w.-]*/\w[\w.-]*", re.ASCII)


class Embedders:
    """The embedders of one process. Safe for several threads.

    Args:
        primary: What new stores are made with.
        standby: Further ones, for stores in other spaces.
    """

    def __init__(self, primary: Embedder, *, standby: Sequence[Embedder] = ()) -> None:
        self._given = [_cached(one) for one in (primary, *standby)]
        self._welcomed: list[CachedEmbedder] = []
        self._lock = threading.Lock()
        self._built: dict[str, CachedEmbedder] = {}
        self._numbers: dict[str, int] = {}

    @property
    def primary(self) -> CachedEmbedder:
        """What new stores are made with."""
        return self._given[0]

    def welcome(self, embedder: Embedder) -> CachedEmbedder:
        """Add an embedder, which comes before those that were given, unless it is one of them."""
        added = _cached(embedder)
        with self._lock:
            for known in (*self._welcomed, *self._given):
                if known.inner is added.inner:
                    return known
            self._welcomed.insert(0, added)
            self._built.clear()  # it may be of a space that one was built for
        return added

    def matching(self, passport: Passport) -> CachedEmbedder:
        """Return the given embedder of a space: of two, the one welcomed last, or given first.

        Those after it are not asked, because a passport may take loading a model or a request.

        Raises:
            EmbedderMismatch: None of those given is of it.
            EmbeddingFailed: The model of one could not be found, and no other is of it.
        """
        failure: EmbeddingFailed | None = None
        with self._lock:
            candidates = (*self._welcomed, *self._given)
        for embedder in candidates:
            try:
                if embedder.passport == passport:
                    return embedder
            except EmbeddingFailed as error:
                failure = failure or error
        if failure is not None:
            raise failure
        raise EmbedderMismatch(stored=passport, given=self.primary.passport)

    def at(self, number: int, passport: Passport) -> CachedEmbedder:
        """Return the embedder of a generation; see `of`.

        Where another generation of the same space was asked for before, the model behind it
        changed, and what the embedder remembers is forgotten.

        Args:
            number: Of the generation.
            passport: Of its space.
        """
        embedder = self.of(passport)
        with self._lock:
            before = self._numbers.get(passport.id, number)
            self._numbers[passport.id] = number
        if before != number:
            embedder.clear()
        return embedder

    def clear(self) -> None:
        """Forget every vector that was made."""
        with self._lock:
            known = {id(one): one for one in (*self._welcomed, *self._given, *self._built.values())}
        for embedder in known.values():
            embedder.clear()

    def warm(self, passport: Passport) -> None:
        """Load the model of a space in the background, if one was given for it.

        The store may soon be moved there, and no question should wait for the model then.
        """

        def load() -> None:
            with suppress(AgentmemError):
                self.matching(passport).embed([WARM_UP], kind="query")

        start(load, name="agentmem-warm-up")

    def of(self, passport: Passport) -> CachedEmbedder:
        """Return an embedder of a space: one that was given, or one made from the passport.

        Raises:
            EmbedderMismatch: There is none, and none could be made here.
        """
        known = self._built.get(passport.id)
        if known is not None:  # none of the others is of it, and none need be asked again
            return known
        try:
            return self.matching(passport)
        except (EmbedderMismatch, EmbeddingFailed):
            with self._lock:
                built = self._built.get(passport.id) or _built(passport)
                if built is None:
                    raise
                return self._built.setdefault(passport.id, built)


def _cached(embedder: Embedder) -> CachedEmbedder:
    return embedder if isinstance(embedder, CachedEmbedder) else CachedEmbedder(embedder)


def _built(passport: Passport) -> CachedEmbedder | None:
    """Build the model that a passport names, unless its files are not here or are others.

    The passport comes out of a store, which somebody else may have written: only a name on the
    hub is followed, never a path, and the files must be those that it promises.
    """
    if passport.provider != "sentence-transformers" or not _is_hub_name(passport.model):
        return None
    try:
        embedder = SentenceTransformerEmbedder(
            passport.model,
            revision=passport.revision,
            truncate_dim=None if passport.full_dimension is None else passport.dimension,
            query_prompt=passport.query_prompt,
            document_prompt=passport.document_prompt,
            local_files_only=True,
        )
        return CachedEmbedder(embedder) if embedder.passport == passport else None
    except (EmbeddingFailed, InvalidInput):
        return None


def _is_hub_name(model: str) -> bool:
    return _HUB_NAME.fullmatch(model) is not None and not Path(model).exists()
