"""A cache in front of any embedder: the same text is not encoded twice while it is remembered.

Bounded by bytes, in two regions, so that a bulk import of documents does not push out the
queries that come again. Encoding happens outside the lock. Every embedder is used through it,
so what one gives is checked here, once.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterable, Sequence
from operator import itemgetter
from typing import Final, TypeAlias

import numpy as np
from cachetools import LRUCache
from numpy.typing import NDArray

from agentmem.embedding.contract import checked_embed, checked_split
from agentmem.embedding.vectors import clean_all
from agentmem.errors import InvalidInput
from agentmem.protocols import Embedder
from agentmem.types import Kind, Passport

__all__ = ["CachedEmbedder"]

DEFAULT_BYTES: Final = 64 << 20  # about 25,000 turns at 384 dimensions; less than the model itself
QUERY_SHARE: Final = 1 / 4  # queries are few and short and come again: room for about 7,000
ENTRY_BYTES: Final = 400  # LRU links, dictionary slots, tuple and array header of one entry

_Row: TypeAlias = NDArray[np.float32]
_Region: TypeAlias = LRUCache[str, tuple[_Row, int]]


class CachedEmbedder:
    """Remembers the vectors of an embedder. Several threads may use it at a time.

    Args:
        inner: The embedder that is asked for texts not remembered.
        max_bytes: Bound of texts and vectors together; the least recently used go first.

    Attributes:
        inner: The embedder given.
        hits: Texts answered without encoding, repeats within one call included.
        misses: Texts that were encoded.
    """

    def __init__(self, inner: Embedder, *, max_bytes: int = DEFAULT_BYTES) -> None:
        if max_bytes < 0:
            raise InvalidInput(f"max_bytes is {max_bytes}. Repair: pass 0 (no cache) or more.")
        self.inner = inner
        self.hits = 0
        self.misses = 0
        self._lock = threading.Lock()
        queries = int(max_bytes * QUERY_SHARE)
        self._regions: dict[Kind, _Region] = {
            "query": LRUCache(queries, getsizeof=itemgetter(1)),
            "document": LRUCache(max_bytes - queries, getsizeof=itemgetter(1)),
        }

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.inner!r})"

    @property
    def passport(self) -> Passport:
        """The identity of the inner embedder's space."""
        return self.inner.passport

    @property
    def nbytes(self) -> int:
        """Bytes now held, texts and bookkeeping included."""
        return int(sum(region.currsize for region in self._regions.values()))

    def embed(self, texts: Sequence[str], *, kind: Kind) -> NDArray[np.float32]:
        """Embed texts, encoding only those not remembered; see `protocols.Embedder`.

        Raises:
            EmbeddingFailed: The inner embedder raised, or gave vectors that cannot be used.
        """
        wanted = clean_all(texts)
        if not wanted:
            return np.zeros((0, self.passport.dimension), dtype=np.float32)
        known, missing = self._recall(wanted, kind=kind)
        if len(missing) == len(wanted):
            fresh = checked_embed(self.inner, wanted, kind=kind)
            self._remember(zip(wanted, fresh, strict=True), kind=kind)
            return fresh
        if missing:
            fresh = checked_embed(self.inner, missing, kind=kind)
            known.update(zip(missing, fresh, strict=True))
            self._remember(zip(missing, fresh, strict=True), kind=kind)
        return np.stack([known[text] for text in wanted])

    def split(self, texts: Sequence[str], *, prefixes: Sequence[str]) -> list[list[str]]:
        """Split texts as the inner embedder does.

        Raises:
            EmbeddingFailed: The inner embedder raised, or left a text without pieces.
        """
        return checked_split(self.inner, texts, prefixes=prefixes)

    def tokens(self, texts: Sequence[str]) -> int | None:
        """Count the tokens of texts as the inner embedder does; None if it counts none."""
        count = getattr(self.inner, "tokens", None)
        return count(texts) if callable(count) else None

    def warm_up(self, *, background: bool = False) -> None:
        """Load the inner embedder's model now, where it has one to load.

        Args:
            background: Return at once.

        Raises:
            EmbeddingFailed: The model could not be loaded.
        """
        load = getattr(self.inner, "warm_up", None)
        if callable(load):
            load(background=background)

    def clear(self) -> None:
        """Forget every vector: the model behind the passport is not the one that made them."""
        with self._lock:
            for region in self._regions.values():
                region.clear()

    def _recall(self, texts: list[str], *, kind: Kind) -> tuple[dict[str, _Row], list[str]]:
        """Return the remembered rows by text, and the other texts, each once."""
        region = self._regions[kind]
        unique = dict.fromkeys(texts)
        with self._lock:
            known = {text: region[text][0] for text in unique if text in region}
            missing = [text for text in unique if text not in known]
            self.misses += len(missing)
            self.hits += len(texts) - len(missing)
        return known, missing

    def _remember(self, rows: Iterable[tuple[str, _Row]], *, kind: Kind) -> None:
        """Keep copies, so that a caller who changes its array does not change the cache."""
        region = self._regions[kind]
        entries = [
            (text, (row.copy(), row.nbytes + sys.getsizeof(text) + ENTRY_BYTES))
            for text, row in rows
        ]
        with self._lock:
            for text, entry in entries:
                if entry[1] <= region.maxsize:
                    region[text] = entry
