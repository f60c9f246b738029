"""Bounded samples of turns: which sessions a store has, and a few turns of some of them.

Of every turn only whose it is and when it was said are read, a batch at a time; vectors and
texts are read of the turns that are drawn, which are as few in a store of millions.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from agentmem.checks import EPOCH
from agentmem.filters import Filter, field
from agentmem.statistics import ROWS_A_SESSION
from agentmem.statistics.sessions import session_sample
from agentmem.storage.arrow import integers
from agentmem.storage.reads import Reads
from agentmem.storage.schema import turns_schema
from agentmem.types import ALL

__all__ = ["Drawn", "Sessions", "draw_turns", "sessions_by_time"]

WHOSE: Final = ("user_id", "agent_id", "session_id")
BATCH_ROWS: Final = 65_536  # 4 MB of the narrow columns
MICROSECONDS_A_DAY: Final = 86_400_000_000
NOWHERE: Final = -1  # the session of a turn that lies in none of those drawn from

Codes = NDArray[np.int64]
Ids: TypeAlias = "tuple[str | None, str | None, str | None, int | None]"


@dataclass(frozen=True, slots=True, eq=False)
class Sessions:
    """S sessions of a store, in the order of their last turns.

    Turns that name no session count as one session a day (UTC) of their user and agent.

    Attributes:
        ids: user_id, agent_id, session_id of each, and the day since 1970 where it has no id.
        last: When its last turn was said, microseconds since 1970 UTC, shape (S,).
        turns: How many it has, shape (S,).
    """

    ids: list[Ids]
    last: Codes
    turns: Codes

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True, slots=True, eq=False)
class Drawn:
    """Some turns of some sessions.

    Attributes:
        rows: One row a turn, with the columns that were asked for.
        sessions: Place of each turn's session in `Sessions`, shape (rows,).
    """

    rows: pa.Table
    sessions: Codes


def sessions_by_time(store: Reads) -> Sessions:
    """Return the sessions of a store, the one whose last turn is the oldest first.

    Raises:
        StoreError: The store could not be read.
    """
    whole: pa.Table | None = None
    for batch in store.scan([*WHOSE, "event_time"], scope=ALL, batch_rows=BATCH_ROWS):
        rows = pa.Table.from_batches([batch])
        counted = _with_day(rows).append_column("turns", pa.array(np.ones(rows.num_rows, np.int64)))
        some = _grouped(counted)
        whole = some if whole is None else _grouped(pa.concat_tables([whole, some]))
    if whole is None:
        return Sessions([], np.zeros(0, np.int64), np.zeros(0, np.int64))
    last, turns = integers(whole["event_time"]), integers(whole["turns"])
    ids = list(zip(*(whole[name].to_pylist() for name in (*WHOSE, "day")), strict=True))
    order = sorted(range(len(ids)), key=lambda place: (last[place], *map(str, ids[place])))
    return Sessions([ids[place] for place in order], last[order], turns[order])


def draw_turns(
    store: Reads,
    sessions: Sessions,
    *,
    places: Iterable[int],
    columns: Sequence[str],
    rng: np.random.Generator,
    turns: int = ROWS_A_SESSION,
) -> Drawn:
    """Draw a few turns of each of some sessions; none whose vector the model failed to make.

    Args:
        store: Where they are.
        sessions: All of them.
        places: Of those to draw from.
        columns: To read of the turns that are drawn.
        rng: What draws.
        turns: The most to draw of a session.

    Raises:
        StoreError: The store could not be read.
    """
    row_ids, codes = _turns_of(store, {sessions.ids[place]: place for place in places})
    if not len(row_ids):
        return Drawn(turns_schema(store.passport.dimension).empty_table().select(columns), codes)
    order = np.argsort(row_ids)  # in no particular order as read, and drawn the same each time
    row_ids, codes = row_ids[order], codes[order]
    kept = session_sample(codes, rows=turns, rng=rng)
    with store.pinned() as table:
        taken = table.take_row_ids(row_ids[kept].tolist()).select([*columns, "_rowid"])
        rows = taken.to_arrow().sort_by("_rowid")
    found = integers(rows["_rowid"])  # fewer, where turns were deleted since
    return Drawn(rows.drop_columns(["_rowid"]), codes[np.searchsorted(row_ids, found)])


def _turns_of(store: Reads, wanted: Mapping[Ids, int]) -> tuple[Codes, Codes]:
    """Return the row ids of the turns of sessions, and the place of each one's session."""
    columns = ["_rowid", *WHOSE, "event_time", "passport"]
    row_ids, codes = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for batch in store.scan(columns, scope=ALL, where=_roughly(wanted), batch_rows=BATCH_ROWS):
        rows = _with_day(pa.Table.from_batches([batch]), "_rowid", "passport")
        usable = rows.filter(pc.equal(rows["passport"], pa.scalar(store.passport.id)))
        ids = zip(*(usable[name].to_pylist() for name in (*WHOSE, "day")), strict=True)
        row_ids.append(integers(usable["_rowid"]))
        codes.append(np.array([wanted.get(one, NOWHERE) for one in ids], np.int64))
    found = np.concatenate(codes)
    return np.concatenate(row_ids)[found != NOWHERE], found[found != NOWHERE]


def _roughly(wanted: Iterable[Ids]) -> Filter:
    """Return a condition that the turns of these sessions meet, and few others."""
    ids = list(wanted)
    named = field("session_id").in_({session for *_, session, _ in ids if session is not None})
    days = [day for *_, day in ids if day is not None]
    if not days:
        return named
    first, end = (EPOCH + timedelta(days=day) for day in (min(days), max(days) + 1))
    moment = field("event_time")
    return named | ((field("session_id") == None) & (moment >= first) & (moment < end))  # noqa: E711 - a filter


def _with_day(rows: pa.Table, *others: str) -> pa.Table:
    """Add the day where there is no session."""
    days = integers(rows["event_time"]) // MICROSECONDS_A_DAY
    day: Any = pc.if_else(
        pc.is_null(rows["session_id"]), pa.array(days), pa.scalar(None, pa.int64())
    )
    return rows.select([*others, *WHOSE, "event_time"]).append_column("day", day)


def _grouped(rows: pa.Table) -> pa.Table:
    grouped = rows.group_by([*WHOSE, "day"]).aggregate([("event_time", "max"), ("turns", "sum")])
    names = {"event_time_max": "event_time", "turns_sum": "turns"}
    renamed = grouped.rename_columns([names.get(name, name) for name in grouped.column_names])
    return renamed.select([*WHOSE, "event_time", "day", "turns"])
