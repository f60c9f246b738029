"""A scope's turns as numpy columns: what ranking reads instead of rows.

`Columns` is an immutable snapshot. `ColumnsBuilder` grows by appending rows and cuts snapshots
that share its memory: what a snapshot sees is never written again.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from agentmem.ranking.lexical import InvertedIndex
from agentmem.storage.arrow import integers, matrix, strings
from agentmem.types import AllScopes, Scope

__all__ = ["COLUMNS_READ", "Columns", "ColumnsBuilder", "Life"]

COLUMNS_READ: Final = (
    *("_rowid", "key", "chunk", "user_id", "agent_id", "session_id", "role", "name"),
    *("event_time", "ingested_at", "importance", "valid_until", "superseded_at", "expires_at"),
    *("pinned", "lexemes", "vector"),
)
SCOPE_FIELDS: Final = ("user_id", "agent_id", "session_id")
GROWTH: Final = 2  # capacity doubles, so that n appends copy each row about once
BYTES_A_KEY: Final = 150  # of a 32-character text and its slot in a dictionary
BYTES_A_SORTED_TURN: Final = 60  # what a snapshot holds of each turn beside the shared arrays
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
        vectors: Unit vector of each chunk, (C, D).
        chunk_turn: Index of each chunk's turn, (C,).
        head_row: Row id of each turn's first chunk, (T,).
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
    vectors: NDArray[np.float32]
    chunk_turn: NDArray[np.int64]
    head_row: NDArray[np.uint64]
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

    def at(self, version: int) -> Columns:
        """Return the same columns, found unchanged at a later version."""
        return replace(self, version=version)


class _Growing:
    """An array that grows at its end and hands out views of what it holds."""

    def __init__(self, dtype: type[np.generic], width: int | None = None) -> None:
        self._shape = () if width is None else (width,)
        self._array: NDArray[Any] = np.empty((0, *self._shape), dtype)
        self._size = 0

    @property
    def nbytes(self) -> int:
        return self._array.nbytes

    def extend(self, values: NDArray[Any]) -> None:
        """Append rows; moves to a larger array where this one is full, leaving views intact."""
        size = self._size + len(values)
        if size > len(self._array):
            capacity = max(size, GROWTH * len(self._array))
            grown = np.empty((capacity, *self._shape), self._array.dtype)
            grown[: self._size] = self._array[: self._size]
            self._array = grown
        self._array[self._size : size] = values
        self._size = size

    def view(self) -> NDArray[Any]:
        """Return what it holds, read-only."""
        view = self._array[: self._size]
        view.flags.writeable = False
        return view


class ColumnsBuilder:
    """The growing columns of one partition. Not safe for several threads."""

    def __init__(self, dimension: int) -> None:
        self._lexical = InvertedIndex()
        self._vectors = _Growing(np.float32, dimension)
        self._row_ids = _Growing(np.uint64)
        self._turn = _Growing(np.int64)  # of each chunk, as turns arrived
        self._head = _Growing(np.uint64)
        self._session = _Growing(np.int32)
        self._event = _Growing(np.int64)
        self._ingested = _Growing(np.int64)
        self._speaker = _Growing(np.int32)
        self._importance = _Growing(np.float32)
        self._valid = _Growing(np.int64)
        self._superseded = _Growing(np.int64)
        self._expires = _Growing(np.int64)
        self._sessions = _Growing(np.int32, len(SCOPE_FIELDS))
        self._turns: dict[str, int] = {}
        self._speakers: dict[str | None, int] = {}
        self._ids: tuple[dict[str | None, int], ...] = ({}, {}, {})
        self._session_codes: dict[tuple[int, ...], int] = {}

    @property
    def nbytes(self) -> int:
        """Memory held, spare capacity included."""
        arrays = [value for value in vars(self).values() if isinstance(value, _Growing)]
        held = sum(array.nbytes for array in arrays) + self._lexical.nbytes
        return held + BYTES_A_KEY * (len(self._turns) + sum(map(len, self._ids)))

    def extend(self, rows: pa.Table) -> None:
        """Append rows of `COLUMNS_READ` in order of arrival, a turn with all of its chunks."""
        chunk = rows["chunk"].to_numpy()
        self._extend_turns(rows.filter(pa.array(chunk == 0)))
        turns = [self._turns.get(key, NOWHERE) for key in strings(rows["key"])]
        owner = np.asarray(turns, np.int64)
        order = np.lexsort((chunk, owner))  # an upsert may store the chunks of a turn in any order
        order = order[owner[order] != NOWHERE]  # without chunks of a turn just being deleted
        if not np.array_equal(order, np.arange(len(owner))):
            rows, owner = rows.take(pa.array(order)), owner[order]
        self._turn.extend(owner)
        self._row_ids.extend(rows["_rowid"].to_numpy())
        self._vectors.extend(matrix(rows["vector"]))
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
        order = np.lexsort((self._ingested.view(), event, session))
        place = np.empty_like(order)
        place[order] = np.arange(len(order))
        chunk_turn = place[self._turn.view()]
        growing = (self._ingested, self._valid, self._superseded, self._expires)
        return Columns(
            row_ids=self._row_ids.view(),
            vectors=self._vectors.view(),
            chunk_turn=chunk_turn,
            head_row=self._head.view()[order],
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
