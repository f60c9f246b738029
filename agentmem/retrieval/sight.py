"""The turns that one read may see, as columns the ranking understands.

A sight is cut from a store's columns by the scope of the read, so that everything counted over
it (document frequencies, means, sessions) comes from those turns alone. It is kept while the
columns stay as they are, because neighbours and coherence do not depend on the question.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, Final

import numpy as np
from cachetools import LRUCache
from numpy.typing import NDArray

from agentmem.analysis import ASKS, words
from agentmem.ranking import Ranking
from agentmem.ranking.lexical import Postings
from agentmem.ranking.neighbours import Kernel, coherence
from agentmem.ranking.score import Conversation
from agentmem.storage.columns import Life
from agentmem.storage.resident import Columns
from agentmem.types import AllScopes, Scope

__all__ = ["Sight", "Sights"]

KEPT_BYTES: Final = 64 << 20  # about ten scopes of 100,000 turns, at 60 bytes a turn
MICROSECONDS_A_MINUTE: Final = 60_000_000


@dataclass(frozen=True, slots=True)
class Sight:
    """Columns of the T turns in sight.

    Attributes:
        columns: What it was cut from.
        rows: Index of each turn in the columns, (T,).
        turn_of_chunk: Index in sight of each chunk's turn, -1 out of sight, (C,).
        first_chunk: Index of each turn's first chunk, (T,).
        split: Whether any turn in sight has more than one chunk.
        conversation: What the ranking needs to know of the turns.
        life: From when to when each turn is to be found, (T,).
        ends: Whether any of them ever ends.
        years: The years in which they were said.
    """

    columns: Columns
    rows: NDArray[np.int64]
    turn_of_chunk: NDArray[np.int64]
    first_chunk: NDArray[np.int64]
    split: bool
    conversation: Conversation
    life: Life
    ends: bool
    years: range

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def nbytes(self) -> int:
        """Bytes beyond those of the columns."""
        arrays: tuple[NDArray[Any], ...] = (
            self.rows,
            self.turn_of_chunk,
            self.first_chunk,
            *self.conversation.kernel.weights,
        )
        return sum(array.nbytes for array in arrays) + 52 * len(self)

    def cosines(self, query: NDArray[np.float32]) -> NDArray[np.float32]:
        """Similarity of each turn's best chunk to a unit vector, (T,)."""
        similarities = self.columns.vectors @ query
        seen = self.turn_of_chunk >= 0
        best = np.full(len(self), -1, np.float32)
        if self.split:
            np.maximum.at(best, self.turn_of_chunk[seen], similarities[seen])
        else:
            best[self.turn_of_chunk[seen]] = similarities[seen]
        return best

    def postings(self, term: str) -> Postings:
        """Turns in sight that hold a term, and how often their best chunk does."""
        chunks, counts = self.columns.lexical.postings(term, size=len(self.turn_of_chunk))
        turns = self.turn_of_chunk[chunks]
        seen = turns >= 0
        if not self.split:
            return turns[seen].astype(np.int32), counts[seen]
        most = np.zeros(len(self), np.float32)
        np.maximum.at(most, turns[seen], counts[seen])
        holding = np.flatnonzero(most).astype(np.int32)
        return holding, most[holding]

    def chunks_of(self, turn: int) -> NDArray[np.int64]:
        """Indices of a turn's chunks."""
        return np.flatnonzero(self.turn_of_chunk == turn)

    def chunk_postings(self, term: str, chunks: NDArray[np.int64]) -> Postings:
        """Places among a few chunks, ascending, that hold a term, and how often each does."""
        found, counts = self.columns.lexical.postings(term, size=len(self.turn_of_chunk))
        inside = np.isin(found, chunks)
        return np.searchsorted(chunks, found[inside]).astype(np.int32), counts[inside]

    def chunk_lengths(self, chunks: NDArray[np.int64]) -> NDArray[np.float32]:
        """Terms of each of a few chunks."""
        return self.columns.lexical.lengths(len(self.turn_of_chunk))[chunks]


class Sights:
    """Makes sights, and keeps those of unchanged columns. Safe for several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: LRUCache[object, Sight] = LRUCache(KEPT_BYTES, getsizeof=lambda s: s.nbytes)

    def of(self, columns: Columns, *, scope: Scope | AllScopes, ranking: Ranking) -> Sight:
        """Cut the turns of a scope out of columns.

        Args:
            columns: A snapshot of at least that scope.
            scope: Whose turns may be seen.
            ranking: Gives the reach of neighbours.
        """
        key = (scope, ranking.reach, ranking.gap_minutes)
        with self._lock:
            kept = self._kept.get(key)
        if kept is not None and kept.columns.head_row is columns.head_row:
            return kept
        sight = _cut(columns, scope, ranking=ranking)
        with self._lock:
            if sight.nbytes <= KEPT_BYTES:
                self._kept[key] = sight
        return sight


def _cut(columns: Columns, scope: Scope | AllScopes, *, ranking: Ranking) -> Sight:
    rows = np.flatnonzero(columns.mask(scope))
    place = np.full(len(columns.head_row), -1, np.int64)
    place[rows] = np.arange(len(rows))
    turn_of_chunk = place[columns.chunk_turn]
    chunks = np.flatnonzero(turn_of_chunk >= 0)
    first = np.zeros(len(rows), np.int64)
    first[turn_of_chunk[chunks[::-1]]] = chunks[::-1]
    turns = _Turns(columns, rows, turn_of_chunk, first)
    conversation = turns.conversation(chunks, ranking=ranking)
    times, life = conversation.event_time, columns.life[rows]
    return Sight(
        columns=columns,
        rows=rows,
        turn_of_chunk=turn_of_chunk,
        first_chunk=first,
        split=len(chunks) > len(rows),
        conversation=conversation,
        life=life,
        ends=life.ends,
        years=range(_year(times.min()), _year(times.max()) + 1) if len(rows) else range(0),
    )


@dataclass(frozen=True, slots=True)
class _Turns:
    """The places of the turns in sight among the columns; see `Sight` for the fields."""

    columns: Columns
    rows: NDArray[np.int64]
    turn_of_chunk: NDArray[np.int64]
    first_chunk: NDArray[np.int64]

    def conversation(self, chunks: NDArray[np.int64], *, ranking: Ranking) -> Conversation:
        """Gather what the ranking needs to know of them, given their chunks' places."""
        columns, rows = self.columns, self.rows
        totals, means = self._lengths(chunks)
        present, coded = np.unique(columns.speaker[rows], return_inverse=True)
        speaker = coded.astype(np.int32)
        session = np.unique(columns.session[rows], return_inverse=True)[1].astype(np.int32)
        kernel = Kernel.build(
            session,
            totals,
            event_time=columns.event_time[rows],
            reach=ranking.reach,
            gap=ranking.gap_minutes * MICROSECONDS_A_MINUTE,
        )
        return Conversation(
            session=session,
            lengths=means,
            speaker=speaker,
            speakers=tuple(tuple(words(columns.speakers[one])) for one in present),
            event_time=columns.event_time[rows],
            importance=columns.importance[rows],
            asks=self._asking(),
            kernel=kernel,
            coherence=coherence(columns.vectors, kernel, rows=self.first_chunk, speaker=speaker),
        )

    def _lengths(
        self, chunks: NDArray[np.int64]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Terms of each turn, and of its average chunk: a book is no better than a page."""
        owners = self.turn_of_chunk[chunks]
        lengths = self.columns.lexical.lengths(len(self.turn_of_chunk))[chunks]
        totals = np.bincount(owners, lengths, minlength=len(self.rows)).astype(np.float32)
        counts = np.bincount(owners, minlength=len(self.rows)).astype(np.float32)
        return totals, totals / np.maximum(counts, np.float32(1))

    def _asking(self) -> NDArray[np.bool_]:
        """Which turns end in a question mark."""
        size = len(self.turn_of_chunk)
        asking = self.turn_of_chunk[self.columns.lexical.postings(ASKS, size=size)[0]]
        asks = np.zeros(len(self.rows), np.bool_)
        asks[asking[asking >= 0]] = True
        return asks


def _year(microseconds: np.int64) -> int:
    return datetime.fromtimestamp(int(microseconds) / 1e6, tz=timezone.utc).year
