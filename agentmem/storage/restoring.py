"""Putting rows back: how a holding differs from a snapshot, and the commit that undoes it.

Equal revisions mean equal rows. Rows of other revisions are compared whole, because rows that were
put back get a new one: so that their copies in other generations are made anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final, TypeAlias, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from agentmem.errors import StoreError
from agentmem.storage.arrow import matrix, strings
from agentmem.storage.catalogue import TOOLS
from agentmem.storage.guard import Guard
from agentmem.storage.handle import Handle
from agentmem.storage.keyed import replace_keyed
from agentmem.storage.opening import TURNS, Opened, has_table, open_or_make
from agentmem.storage.schema import turns_schema
from agentmem.storage.tool_schema import tools_schema
from agentmem.types import Held
from agentmem.types.backup import Restored

__all__ = ["Forgotten", "PutBack", "puts_back"]

Forgotten: TypeAlias = Callable[[pa.Table], "pa.Array[Any]"]
"""Says of rows of turns, given without their vectors, which must not come back: booleans."""

ACTION: Final = "restore the snapshot"
KEYS_AT_ONCE: Final = 10_000  # 30 MB of rows with their vectors, of both sides
ROW_KEYS: Final[dict[Held, str]] = {"turns": "chunk_key", "tools": "view_key"}
SCHEMAS: Final = {TURNS: turns_schema, TOOLS: tools_schema}


@dataclass(frozen=True, slots=True)
class _Difference:
    """Keys that only the snapshot has, that both have and differ, and that only the store has."""

    added: list[str]
    changed: list[str]
    removed: list[str]


class PutBack:
    """One holding of a store, and the same in a snapshot of it.

    Args:
        opened: The store, in the generation that is to be changed.
        then: The snapshot.
        held: Turns or tools.
        guard: What may be done with the store.
    """

    def __init__(self, opened: Opened, then: Opened, *, held: Held, guard: Guard) -> None:
        self._held = held
        self._row_key = ROW_KEYS[held]
        self._schema = SCHEMAS[held](opened.passport.dimension)
        self._opened = opened
        self._guard = guard
        self._live = _handle(opened, held, guard=guard)
        self._past = _handle(then, held, guard=Guard(then.uri, read_only=True))
        self._then = self._now = self._seen(None)

    def preview(self, *, forgotten: Forgotten | None) -> Restored:
        """Say what would change, and change nothing.

        Raises:
            StoreError: The store or the snapshot could not be read.
        """
        found = self._difference()
        left_out = self._left_out([*found.added, *found.changed], forgotten)
        return self._told(found, left_out)

    def run(self, *, forgotten: Forgotten | None, rev: int) -> Restored:
        """Make the rows what they were, in one commit.

        Args:
            forgotten: Says which rows must not come back.
            rev: Of this write.

        Raises:
            ConcurrentWrite: Others came first at every attempt.
            StoreError: The write failed; nothing was changed.
        """
        found = self._difference()
        candidates = [*found.added, *found.changed]
        left_out = self._left_out(candidates, forgotten)
        back = [key for key in candidates if key not in left_out]
        if back or found.removed:
            rows = self._rows(back, rev=rev)
            gone = [*(key for key in found.changed if key not in left_out), *found.removed]
            replace_keyed(self._made(), gone, rows=rows, row_key=self._row_key, action=ACTION)
        return self._told(found, left_out)

    def _told(self, found: _Difference, left_out: set[str]) -> Restored:
        return Restored(
            held=self._held,
            added=sum(key not in left_out for key in found.added),
            changed=sum(key not in left_out for key in found.changed),
            removed=len(found.removed),
            forgotten=len(left_out),
        )

    def _difference(self) -> _Difference:
        self._then, self._now = self._seen(self._past), self._seen(self._live)
        past, live = self._then, self._now
        then, now = dict.fromkeys(strings(past["key"])), dict.fromkeys(strings(live["key"]))
        suspects = [key for key in _of_other_revisions(past, live, self._row_key) if key in now]
        return _Difference(
            added=[key for key in then if key not in now],
            changed=list(self._changed(key for key in suspects if key in then)),
            removed=[key for key in now if key not in then],
        )

    def _changed(self, keys: Iterable[str]) -> Iterator[str]:
        """Give those of the keys whose rows say something else, not only another revision."""
        remaining = iter(keys)
        columns = [name for name in self._schema.names if name != "rev"]
        while (some := list(islice(remaining, KEYS_AT_ONCE))) and self._live and self._past:
            past = _read(self._past, self._then, some, columns=columns)
            live = _read(self._live, self._now, some, columns=columns)
            row_key = self._row_key
            yield from _differing(past.sort_by(row_key), live.sort_by(row_key), row_key=row_key)

    def _left_out(self, keys: Sequence[str], forgotten: Forgotten | None) -> set[str]:
        """Return the keys of which a row must not come back."""
        if forgotten is None or self._past is None or self._held != TURNS:
            return set()
        columns = [name for name in self._schema.names if name != "vector"]
        found: set[str] = set()
        for start in range(0, len(keys), KEYS_AT_ONCE):
            some = keys[start : start + KEYS_AT_ONCE]
            rows = _read(self._past, self._then, some, columns=columns)
            found.update(strings(rows.filter(forgotten(rows))["key"]))
        return found

    def _rows(self, keys: Sequence[str], *, rev: int) -> pa.Table:
        if self._past is None or not keys:
            return self._schema.empty_table()
        rows = _read(self._past, self._then, keys, columns=self._schema.names)
        rows = rows.cast(self._schema)
        place = self._schema.get_field_index("rev")
        revs = pa.array(np.full(rows.num_rows, rev, np.int64))
        return rows.set_column(place, self._schema.field("rev"), revs)

    def _made(self) -> Handle:
        """Return the table of the store, which is made where there is none."""
        if self._live is None:
            name = self._opened.table(self._held)
            open_or_make(self._opened.db, name, schema=self._schema)
            self._live = _handle(self._opened, self._held, guard=self._guard)
        if self._live is None:
            raise StoreError(f"the table of {self._held} was dropped meanwhile. Repair: try again.")
        return self._live

    def _seen(self, handle: Handle | None) -> pa.Table:
        columns = ["key", self._row_key, "rev", "_rowid"]
        if handle is None:
            fields = [self._schema.field(name) for name in columns[:-1]]
            return pa.schema([*fields, pa.field("_rowid", pa.uint64())]).empty_table()
        with handle.pinned() as table:
            return table.search().select(columns).to_arrow().select(columns)


def puts_back(opened: Opened, then: Opened, *, guard: Guard) -> list[PutBack]:
    """Return what is to be put back of a snapshot: the holdings that it or the store has."""
    return [
        PutBack(opened, then, held=held, guard=guard)
        for held in ROW_KEYS
        if any(has_table(one, one.table(held)) for one in (opened, then))
    ]


def _handle(opened: Opened, held: Held, *, guard: Guard) -> Handle | None:
    name = opened.table(held)
    if not has_table(opened, name):
        return None
    return Handle(opened, table=name, holding=held, guard=guard, compacts=False)


def _read(
    handle: Handle, seen: pa.Table, keys: Sequence[str], *, columns: Sequence[str]
) -> pa.Table:
    """Return the rows of keys as they were seen; by their row ids, which takes no search."""
    of_keys: Any = pc.is_in(seen["key"], value_set=pa.array(keys, pa.string()))
    ids = seen.filter(of_keys)["_rowid"].to_numpy().tolist()
    with handle.reading() as table:
        return table.take_row_ids(ids).select(list(columns)).to_arrow().select(list(columns))


def _of_other_revisions(past: pa.Table, live: pa.Table, row_key: str) -> list[str]:
    """Return the keys of rows that one side lacks, or has of another write."""
    joined = past.join(live, row_key, join_type="full outer", right_suffix="_now")
    same: Any = pc.equal(joined["rev"], joined["rev_now"])
    differing = joined.filter(pc.invert(pc.coalesce(same, pa.scalar(value=False))))
    keys: Any = pc.coalesce(differing["key"], differing["key_now"])
    return list(dict.fromkeys(strings(keys)))


def _differing(past: pa.Table, live: pa.Table, *, row_key: str) -> list[str]:
    """Return the keys of which the sides differ in a row, or in the number of rows."""
    shared: Any = pc.is_in(past[row_key], value_set=live[row_key].combine_chunks())
    back: Any = pc.is_in(live[row_key], value_set=past[row_key].combine_chunks())
    found = dict.fromkeys(strings(past.filter(pc.invert(shared))["key"]))
    found.update(dict.fromkeys(strings(live.filter(pc.invert(back))["key"])))
    ours, theirs = past.filter(shared), live.filter(back)
    same = np.ones(ours.num_rows, bool)
    for name in ours.schema.names:
        same &= _equal(ours[name], theirs[name])
    found.update(dict.fromkeys(strings(ours.filter(pa.array(~same))["key"])))
    return list(found)


def _equal(ours: pa.ChunkedArray[Any], theirs: pa.ChunkedArray[Any]) -> NDArray[np.bool_]:
    """Return where two columns agree; nothing agrees with nothing."""
    if pa.types.is_fixed_size_list(ours.type):
        return np.asarray((matrix(ours) == matrix(theirs)).all(axis=1))
    if isinstance(ours.type, pa.BaseExtensionType):
        ours, theirs = _stored(ours), _stored(theirs)
    equal: Any = pc.equal(ours, theirs)
    neither: Any = pc.and_(pc.is_null(ours), pc.is_null(theirs))
    agreed: Any = pc.or_(pc.coalesce(equal, pa.scalar(value=False)), neither)
    return np.asarray(agreed.to_numpy(), bool)


def _stored(column: pa.ChunkedArray[Any]) -> pa.ChunkedArray[Any]:
    """Return a column of JSON as the text that it is."""
    chunks = [cast("pa.ExtensionArray[Any]", chunk).storage for chunk in column.chunks]
    kind: Any = column.type
    return pa.chunked_array(chunks, type=kind.storage_type)
