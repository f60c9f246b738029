"""A scope's turns as numpy columns: what ranking reads instead of rows.

`Columns` is an immutable snapshot. `ColumnsBuilder` grows by appending rows and cuts snapshots
that share its memory: what a snapshot sees is never written again.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from agentmem.ranking.lexical import InvertedIndex
from agentmem.ranking.vectors import Vectors
from agentmem.storage.arrow import integers, strings
from agentmem.storage.growing import Growing, GrowingVectors, Rows
from agentmem.storage.schema import TURN_COLUMNS, turn_from_row
from agentmem.types import AllScopes, Scope, Turn

__all__ = ["COLUMNS_OF_TURNS", "COLUMNS_READ", "SCOPE_FIELDS", "Columns", "ColumnsBuilder", "Life"]

COLUMNS_READ: Final = (
    *(
        "_rowid",
        "_row_created_at_version",
        "key",
        "chunk",
        "user_id",
        "agent_id",
        "session_id",
        "role",
        "name",
    ),
    *("event_time", "ingested_at", "importance", "valid_until", "superseded_at", "expires_at"),
    *("pinned", "lexemes", "vector"),
)
COLUMNS_OF_TURNS: Final = tuple(name for name in TURN_COLUMNS if name not in COLUMNS_READ)
SCOPE_FIELDS: Final = ("user_id", "agent_id", "session_id")
BYTES_A_KEY: Final = 150  # of a 32-character text and its slot in a dictionary
BYTES_A_SORTED_TURN: Final = 60  # what a snapshot holds of each turn beside the shared arrays
MERGED: Final = 256  # turns: to find the place of each costs 20 us, to sort 100,000 costs 8 ms
NOWHERE: Final = -1  # code of an id that no row has
NEVER: Final = np.iinfo(np.int64).max  # later than any moment


@dataclass(frozen=True, slots=True)
class Life:
    """From when to when T turns are to be found, in microseconds since 1970 UTC, `NEVER` if never.

    Attributes:
        ingested_at: When the store first kept each.
        valid_until: From when on each is no longer true.
        superseded_at: When the store learnt that, at the latest.
        expires_at: From when on each is forgotten; never where it is pinned.
    """

    ingested_at: NDArray[np.int64]
    valid_until: NDArray[np.int64]
    superseded_at: NDArray[np.int64]
    expires_at: NDArray[np.int64]

    def __getitem__(self, turns: NDArray[np.int64]) -> Life:
        """Return it of some of the turns, in their order."""
        return Life(
            self.ingested_at[turns],
            self.valid_until[turns],
            self.superseded_at[turns],
            self.expires_at[turns],
        )

    @property
    def ends(self) -> bool:
        """Whether any turn ever ends."""
        return bool((self.valid_until < NEVER).any() or (self.expires_at < NEVER).any())

    def is_true(self, at: int, *, known_at: int | None = None) -> NDArray[np.bool_]:
        """Return which turns are true at a moment, (T,).

        Args:
            at: The moment.
            known_at: Only what the store had learnt by then counts; everything if None.
        """
        ended = self.valid_until <= at
        return ~ended if known_at is None else ~(ended & (self.superseded_at <= known_at))


@dataclass(frozen=True, slots=True)
class Columns:
    """C chunks, turn after turn as they arrived, and T turns by session, event and ingestion.

    Attributes:
        row_ids: Row id of each chunk, (C,).
        vectors: Unit vectors of the chunks, C rows of D.
        chunk_turn: Index of each chunk's turn, (C,).
        head_row: Row id of each turn's first chunk, (T,).
        arrival: Place of each turn in order of arrival, (T,).
        rows: The turns by that place; empty where memory allows no texts.
        session: Code of each turn's session, distinct by user, agent and session, (T,).
        event_time: Microseconds since 1970 UTC, (T,).
        speaker: Index into `speakers`, (T,).
        importance: NaN where the turn had none, (T,).
        life: From when to when each turn is to be found, (T,).
        speakers: The name of each speaker, or the role of a nameless one.
        sessions: Codes of user, agent and session id of each session, (S, 3).
        ids: For user, agent and session the code of each id.
        lexical: Terms by chunk. May hold more chunks than C: those came later.
        version: Of the table that was read.
        nbytes: Memory held by the arrays and the index, shared with other snapshots.
    """

    row_ids: NDArray[np.uint64]
    vectors: Vectors
    chunk_turn: NDArray[np.int64]
    head_row: NDArray[np.uint64]
    arrival: NDArray[np.int64]
    rows: Rows
    session: NDArray[np.int32]
    event_time: NDArray[np.int64]
    speaker: NDArray[np.int32]
    importance: NDArray[np.float32]
    life: Life
    speakers: tuple[str, ...]
    sessions: NDArray[np.int32]
    ids: tuple[dict[str | None, int], ...]
    lexical: InvertedIndex
    version: int
    nbytes: int

    def mask(self, scope: Scope | AllScopes) -> NDArray[np.bool_]:
        """Return which turns lie in a scope, (T,)."""
        inside = np.ones(len(self.sessions), np.bool_)
        if isinstance(scope, Scope):
            for field, name in enumerate(SCOPE_FIELDS):
                wanted = getattr(scope, name)
                if wanted is not None:
                    inside &= self.sessions[:, field] == self.ids[field].get(wanted, NOWHERE)
        return inside[self.session]

    def turns(self, places: Sequence[int]) -> list[Turn] | None:
        """Return some turns; None where memory allows no texts."""
        if len(self.rows) < len(self.arrival):
            return None
        return [turn_from_row(row) for row in self.rows.take(self.arrival[places].tolist())]

    def at(self, version: int) -> Columns:
        """Return the same columns, found unchanged at a later version."""
        return replace(self, version=version)


class ColumnsBuilder:
    """The growing columns of one partition. Not safe for several threads.

    Args:
        dimension: D.
        precise: Whether to keep vectors in float16 as well, and the texts.
    """

    def __init__(self, dimension: int, *, precise: bool = True) -> None:
        self.precise = precise
        self._lexical = InvertedIndex()
        self._vectors = GrowingVectors(dimension, precise=precise)
        self._rows = Rows()
        self._order: NDArray[np.int64] = np.zeros(0, np.int64)  # of turns, as they were sorted last
        self._row_ids = Growing(np.uint64)
        self._turn = Growing(np.int64)  # of each chunk, as turns arrived
        self._head = Growing(np.uint64)
        self._session = Growing(np.int32)
        self._event = Growing(np.int64)
        self._ingested = Growing(np.int64)
        self._speaker = Growing(np.int32)
        self._importance = Growing(np.float32)
        self._valid = Growing(np.int64)
        self._superseded = Growing(np.int64)
        self._expires = Growing(np.int64)
        self._sessions = Growing(np.int32, len(SCOPE_FIELDS))
        self._turns: dict[str, int] = {}
        self._speakers: dict[str | None, int] = {}
        self._ids: tuple[dict[str | None, int], ...] = ({}, {}, {})
        self._session_codes: dict[tuple[int, ...], int] = {}

    @property
    def nbytes(self) -> int:
        """Memory held, spare capacity included."""
        kinds = (Growing, GrowingVectors, InvertedIndex, Rows)
        held = sum(value.nbytes for value in vars(self).values() if isinstance(value, kinds))
        return held + BYTES_A_KEY * (len(self._turns) + sum(map(len, self._ids)))

    def extend(self, rows: pa.Table, vectors: Vectors) -> None:
        """Append rows in order of arrival, a turn with all of its chunks.

        Args:
            rows: The other columns of `COLUMNS_READ`, of `COLUMNS_OF_TURNS` too where precise.
            vectors: One row each.
        """
        chunk = rows["chunk"].to_numpy()
        self._extend_turns(rows.filter(pa.array(chunk == 0)))
        turns = [self._turns.get(key, NOWHERE) for key in strings(rows["key"])]
        owner = np.asarray(turns, np.int64)
        order = np.lexsort((chunk, owner))  # an upsert may store the chunks of a turn in any order
        order = order[owner[order] != NOWHERE]  # without chunks of a turn just being deleted
        if not np.array_equal(order, np.arange(len(owner))):
            rows, owner, vectors = rows.take(pa.array(order)), owner[order], vectors.take(order)
        self._turn.extend(owner)
        self._row_ids.extend(rows["_rowid"].to_numpy())
        self._vectors.extend(vectors)
        self._lexical.extend(strings(rows["lexemes"]))

    def _extend_turns(self, heads: pa.Table) -> None:
        for key in strings(heads["key"]):
            self._turns[key] = len(self._turns)
        named = pc.and_kleene(
            pc.is_valid(heads["name"]), pc.not_equal(heads["name"], pa.scalar(""))
        )
        speakers = pc.if_else(named, heads["name"], heads["role"])
        self._speaker.extend(_coded(speakers, self._speakers))
        self._session.extend(self._sessions_of(heads))
        self._head.extend(heads["_rowid"].to_numpy())
        self._event.extend(integers(heads["event_time"]))
        self._ingested.extend(integers(heads["ingested_at"]))
        self._importance.extend(heads["importance"].to_numpy())  # a null becomes NaN
        self._valid.extend(_or_never(heads["valid_until"]))
        learnt = pc.coalesce(heads["superseded_at"], heads["ingested_at"])  # with it, if not later
        self._superseded.extend(integers(learnt))
        expires = _or_never(heads["expires_at"])
        self._expires.extend(np.where(heads["pinned"].to_numpy(), NEVER, expires))
        if self.precise:
            self._rows = self._rows.extended(heads.select(list(TURN_COLUMNS)))

    def _sessions_of(self, heads: pa.Table) -> NDArray[np.int32]:
        """Return the code of each turn's session, making those that are new."""
        fields = [
            _coded(heads[name], codes) for name, codes in zip(SCOPE_FIELDS, self._ids, strict=True)
        ]
        triples = list(zip(*(codes.tolist() for codes in fields), strict=True))
        known = self._session_codes
        before = len(known)
        codes = [known.setdefault(triple, len(known)) for triple in triples]
        if len(known) > before:
            self._sessions.extend(np.array(list(known)[before:], np.int32))
        return np.asarray(codes, np.int32)

    def snapshot(self, version: int) -> Columns:
        """Return what there is now, as immutable columns."""
        session, event = self._session.view(), self._event.view()
        order = self._sorted()
        place = np.empty_like(order)
        place[order] = np.arange(len(order))
        chunk_turn = place[self._turn.view()]
        growing = (self._ingested, self._valid, self._superseded, self._expires)
        return Columns(
            row_ids=self._row_ids.view(),
            vectors=self._vectors.view(),
            chunk_turn=chunk_turn,
            head_row=self._head.view()[order],
            arrival=order,
            rows=self._rows,
            session=session[order],
            event_time=event[order],
            speaker=self._speaker.view()[order],
            importance=self._importance.view()[order],
            life=Life(*(one.view()[order] for one in growing)),
            speakers=tuple(name or "" for name in self._speakers),
            sessions=self._sessions.view(),
            ids=self._ids,
            lexical=self._lexical,
            version=version,
            nbytes=self.nbytes + chunk_turn.nbytes + BYTES_A_SORTED_TURN * len(order),
        )

    def _sorted(self) -> NDArray[np.int64]:
        """Return the turns in order of session, event and ingestion; those of a tie as they came.

        A few that are new are put into the order there was.
        """
        keys = (self._ingested.view(), self._event.view(), self._session.view())
        before, turns = self._order, len(keys[0])
        new = np.arange(len(before), turns)
        if len(new) > MERGED:
            self._order = np.lexsort(keys)
        elif len(new):
            new = new[np.lexsort([key[new] for key in keys])]
            places = [_place(before, one, keys=keys) for one in new.tolist()]
            self._order = np.insert(before, places, new)
        return self._order


def _place(
    order: NDArray[np.int64], one: int, *, keys: Sequence[NDArray[np.int64 | np.int32]]
) -> int:
    """Return where in an order a turn belongs: behind all that are not greater."""
    low, high = 0, len(order)
    for key in reversed(keys):
        left = bisect_left(order, key[one], low, high, key=key.__getitem__)
        low, high = left, bisect_right(order, key[one], left, high, key=key.__getitem__)
    return high


def _or_never(column: Any) -> NDArray[np.int64]:
    filled: NDArray[np.int64] = pc.fill_null(column.cast(pa.int64()), NEVER).to_numpy()
    return filled


def _coded(column: Any, codes: dict[str | None, int]) -> NDArray[np.int32]:
    """Return the code of each value, making those that are new."""
    encoded = column.combine_chunks().dictionary_encode("encode")
    values: Iterable[str | None] = encoded.dictionary.to_pylist()
    table = np.array([codes.setdefault(value, len(codes)) for value in values], np.int32)
    coded: NDArray[np.int32] = table[encoded.indices.to_numpy()] if len(table) else table
    return coded
