"""Writes that come at the same time: embedded in one batch, and stored in one commit.

Each is durable before it returns, and fails for itself alone. A lone write waits for nobody; a
large one goes by itself, so that small ones need not wait for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from agentmem.embedding.gathering import gathering_rows
from agentmem.embedding.service import EmbeddingUnavailable
from agentmem.errors import ConcurrentWrite
from agentmem.gathering import Gathering
from agentmem.protocols import Embedder
from agentmem.storage.arrow import strings
from agentmem.storage.turns import Store

__all__ = ["Grouping"]

MOST_TEXTS: Final = 64  # of a batch: two batches of the model, and half a second on one core
MOST_CHARS: Final = 64 << 10  # of those texts: as long, however few they are
MOST_ROWS: Final = 256  # of a commit: what it costs is the same up to here
MOST_BYTES: Final = 4 << 20  # of those rows
BATCHES: Final = 2  # at once, so that a slow one does not hold up all others


@dataclass(slots=True, eq=False)
class _Write:
    """The rows of one write.

    Attributes:
        rows: From `rows.rows_of`.
        keys: Of their turns.
        fresh: Whether it is known that no key is taken. Not after a commit was tried: that may
            have failed after it was made.
    """

    rows: pa.Table
    keys: frozenset[str]
    fresh: bool


class Grouping:
    """Embeds and stores what several threads write into one store. Safe for all of them.

    Args:
        store: Where to.
        embedder: Of the space the store is written in.
    """

    def __init__(self, store: Store, *, embedder: Embedder) -> None:
        self._store = store
        self._embedder = embedder
        self._batches = gathering_rows(
            self._embed, fits=_is_small, passes=BATCHES, shared=(EmbeddingUnavailable,)
        )
        self._commits: Gathering[_Write, list[str]] = Gathering(
            self._commit, fits=_fit, passes=1, shared=(ConcurrentWrite,)
        )

    def embed(self, texts: list[str]) -> NDArray[np.float32]:
        """Embed the texts of one write, a row each.

        Raises:
            EmbeddingFailed: The model gave no usable vectors for them.
        """
        return self._batches.ask(texts) if _is_small(texts) else self._embed(texts)

    def store(self, rows: pa.Table, *, fresh: bool) -> list[str]:
        """Store the rows of one write, unless their keys are taken.

        Args:
            rows: From `rows.rows_of`.
            fresh: Whether it is known that no key is taken, because they were made here.

        Returns:
            The keys that are taken by a turn of another content, and so were not stored.

        Raises:
            ConcurrentWrite: Others came first at every attempt.
            StoreError: The write failed; nothing was stored.
        """
        write = _Write(rows, frozenset(strings(rows["key"])), fresh)
        return self._commits.ask(write) if _fit([write]) else self._commit([write])[0]

    def _embed(self, texts: list[str]) -> NDArray[np.float32]:
        return self._embedder.embed(texts, kind="document")

    def _commit(self, writes: Sequence[_Write]) -> list[list[str]]:
        rows = pa.concat_tables([one.rows for one in writes])
        fresh = all(one.fresh for one in writes)
        for one in writes:
            one.fresh = False
        if fresh:
            self._store.append(rows)
            return [[] for _ in writes]
        late = self._store.insert_absent(rows)
        return [[key for key in late if key in one.keys] for one in writes]


def _is_small(texts: Sequence[str]) -> bool:
    return len(texts) <= MOST_TEXTS and sum(map(len, texts)) <= MOST_CHARS


def _fit(writes: Sequence[_Write]) -> bool:
    """Whether writes may share a commit: small together, and none of the same turn twice."""
    keys = set(chain.from_iterable(one.keys for one in writes))
    return (
        sum(one.rows.num_rows for one in writes) <= MOST_ROWS
        and sum(one.rows.nbytes for one in writes) <= MOST_BYTES
        and len(keys) == sum(len(one.keys) for one in writes)
    )
