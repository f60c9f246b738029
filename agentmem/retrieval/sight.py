"""The turns that one read may see, as columns the ranking understands.

A sight is cut from a store's columns by the scope of the read, so that everything counted over
it (document frequencies, means, sessions) comes from those turns alone. It is kept while the
columns stay as they are, because neighbours and coherence do not depend on the question.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any, Final

import numpy as np
from cachetools import LRUCache
from numpy.typing import NDArray

from agentmem.analysis import ASKS, words
from agentmem.ranking import Ranking
from agentmem.ranking.lexical import Postings
from agentmem.ranking.neighbours import Kernel, coherence
from agentmem.ranking.score import KEPT as KEPT_ROWS
from agentmem.ranking.score import Conversation
from agentmem.storage.columns import Life
from agentmem.storage.reads import Reads
from agentmem.storage.resident import Columns
from agentmem.types import AllScopes, Scope, Turn

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
        chunks: Indices of the chunks in sight, turn after turn, the first one of each first.
        starts: Where the chunks of each turn begin among these, (T,).
        aligned: Whether each chunk is the turn of the same index.
        conversation: What the ranking needs to know of the turns.
        life: From when to when each turn is to be found, (T,).
        ends: Whether any of them ever ends.
        years: The years in which they were said.
        frequent: Postings of frequent terms, at most `KEPT_ROWS`.
    """

    columns: Columns
    rows: NDArray[np.int64]
    turn_of_chunk: NDArray[np.int64]
    chunks: NDArray[np.int64]
    starts: NDArray[np.int64]
    aligned: bool
    conversation: Conversation
    life: Life
    ends: bool
    years: range
    frequent: dict[str, Postings] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def nbytes(self) -> int:
        """Bytes beyond those of the columns."""
        arrays: tuple[NDArray[Any], ...] = (
            self.rows,
            self.turn_of_chunk,
            self.chunks,
            self.starts,
            self.conversation.kernel.weights,
        )
        return sum(array.nbytes for array in arrays) + (64 + 3 * KEPT_ROWS) * len(self)

    @property
    def split(self) -> bool:
        """Whether any turn in sight has more than one chunk."""
        return len(self.chunks) > len(self.starts)

    @property
    def first_chunk(self) -> NDArray[np.int64]:
        """Index of each turn's first chunk, (T,)."""
        return self.chunks[self.starts] if self.split else self.chunks

    def cosines(self, query: NDArray[np.float32]) -> NDArray[np.float32]:
        """Similarity of each turn's best chunk to a unit vector, (T,), within 0.002 or so."""
        similarities = self.columns.vectors.cosines(query)[self.chunks]
        if not self.split:
            return similarities
        return np.maximum.reduceat(similarities, self.starts)

    def measured(
        self, query: NDArray[np.float32], places: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        """Similarity of the best chunks of a few turns, as exact as memory has them, (P,)."""
        chunks = [self.chunks_of(place) for place in places.tolist()]
        similarities = self.columns.vectors[np.concatenate(chunks)] @ query
        starts = np.cumsum([0, *(len(one) for one in chunks[:-1])])
        return np.maximum.reduceat(similarities, starts)

    def postings(self, term: str) -> Postings:
        """Turns in sight that hold a term, and how often their best chunk does."""
        kept = self.frequent.get(term)
        if kept is not None:
            return kept
        found = self._postings(term)
        if not self.aligned and self.conversation.is_frequent(found):
            if len(self.frequent) >= KEPT_ROWS:
                self.frequent.clear()
            self.frequent[term] = found
        return found

    def _postings(self, term: str) -> Postings:
        chunks, counts = self.columns.lexical.postings(term, size=len(self.turn_of_chunk))
        if self.aligned:
            return chunks, counts
        turns = self.turn_of_chunk[chunks]
        seen = turns >= 0
        if not self.split:
            return turns[seen].astype(np.int32), counts[seen]
        most = np.zeros(len(self), np.float32)
        np.maximum.at(most, turns[seen], counts[seen])
        holding = np.flatnonzero(most).astype(np.int32)
        return holding, most[holding]

    def turns(self, places: NDArray[np.int64], *, store: Reads) -> list[Turn]:
        """Return the turns at some places.

        Args:
            places: Where they are.
            store: At the version of the columns, where memory allows no texts.
        """
        rows = self.rows[places]
        turns = self.columns.turns(rows.tolist())
        if turns is None:
            row_ids = self.columns.head_row[rows].tolist()
            found = store.turns_by_row(row_ids)
            turns = [found[row_id] for row_id in row_ids]
        return turns

    def chunks_of(self, turn: int) -> NDArray[np.int64]:
        """Indices of a turn's chunks."""
        end = self.starts[turn + 1] if turn + 1 < len(self) else len(self.chunks)
        return self.chunks[self.starts[turn] : end]

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
    owners = turn_of_chunk[chunks]
    starts = np.arange(len(rows))
    if len(chunks) > len(rows):
        order = np.argsort(owners, kind="stable")
        chunks, owners = chunks[order], owners[order]
        starts = np.searchsorted(owners, starts)
    else:
        chunks[owners] = chunks.copy()
    turns = _Turns(columns, rows, turn_of_chunk, chunks[starts])
    conversation = turns.conversation(chunks, ranking=ranking)
    times, life = conversation.event_time, columns.life[rows]
    return Sight(
        columns=columns,
        rows=rows,
        turn_of_chunk=turn_of_chunk,
        chunks=chunks,
        starts=starts,
        aligned=np.array_equal(turn_of_chunk, np.arange(len(rows))),
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
        present, speaker = _recoded(columns.speaker[rows])
        session = _recoded(columns.session[rows])[1]
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


def _recoded(codes: NDArray[np.int32]) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Return the codes that occur, ascending, and each code's place among them."""
    present = np.flatnonzero(np.bincount(codes))
    places = np.zeros(int(codes.max(initial=-1)) + 1, np.int32)
    places[present] = np.arange(len(present))
    return present, places[codes]


def _year(microseconds: np.int64) -> int:
    return datetime.fromtimestamp(int(microseconds) / 1e6, tz=timezone.utc).year
