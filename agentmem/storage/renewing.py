"""Rows made anew where they are: the same turn, tool or example, with the vectors of today.

A row is replaced only while it is of the write that was read, by its revision, which it keeps:
what others replace or delete meanwhile stays as they left it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import pyarrow as pa
from lancedb.table import Table

from agentmem.storage.arrow import integers, strings
from agentmem.storage.border import store_errors
from agentmem.storage.guard import Guard
from agentmem.storage.handle import Handle
from agentmem.storage.keyed import read_keyed
from agentmem.storage.opening import Opened, has_table
from agentmem.storage.quoting import EVERYTHING, both, literal
from agentmem.storage.sql import HEADS
from agentmem.storage.tool_schema import HEAD
from agentmem.types import Held

__all__ = ["Renewal", "renewals"]

RENEW: Final = "embed stale rows anew"
SAME_WRITE: Final = "target.rev = source.rev"
LAST_WRITTEN: Final = "_row_last_updated_at_version"
BORN: Final = "_row_created_at_version"
REPLACED: Final = f"{LAST_WRITTEN} > {BORN}"  # both survive compaction, as row ids do


@dataclass(frozen=True, slots=True)
class _Shape:
    """How the rows of a holding are told apart."""

    row_key: str
    heads: str
    number: str | None


SHAPES: Final[dict[Held, _Shape]] = {
    "turns": _Shape("chunk_key", HEADS, "chunk"),
    "tools": _Shape("view_key", HEAD, "piece"),
    "tool_examples": _Shape("key", EVERYTHING, None),
}


class Renewal:
    """One holding of one generation, looked at by how fresh its vectors are.

    Attributes:
        held: Which holding.
        passport_id: Of the generation's space.
    """

    def __init__(self, opened: Opened, *, held: Held, guard: Guard) -> None:
        self.held = held
        self.passport_id = opened.passport.id
        self._shape = SHAPES[held]
        self._guard = guard
        self._handle = Handle(opened, table=opened.table(held), holding=held, guard=guard)

    def count(self, where: str = EVERYTHING) -> int:
        """Return how many turns, tools or examples meet a condition."""
        with self._handle.reading() as table:
            return int(table.count_rows(both(self._shape.heads, where)))

    def heads(self, columns: Sequence[str], *, where: str = EVERYTHING) -> pa.Table:
        """Return columns of the heads that meet a condition."""
        with self._handle.reading() as table:
            query = table.search().where(both(self._shape.heads, where))
            return query.select(list(columns)).to_arrow()

    def stale(self, columns: Sequence[str]) -> pa.Table:
        """Return the heads whose vector is not of the generation's space."""
        return self.heads(columns, where=f"passport <> {literal(self.passport_id)}")

    def replaced(self, columns: Sequence[str], *, since: int) -> pa.Table:
        """Return the heads that were changed since they were added, of that revision or later."""
        return self.heads(columns, where=f"{REPLACED} AND rev >= {since:d}")

    def read(self, keys: Sequence[str]) -> pa.Table:
        """Return the newest heads of these keys, without their vectors."""
        with self._handle.reading() as table:
            columns = [name for name in table.schema.names if name != "vector"]
        return read_keyed(self._handle, keys, columns=columns, where=self._shape.heads)

    def put(self, rows: pa.Table) -> list[str]:
        """Put rows in the place of those of the same key and write.

        Args:
            rows: All rows of each key, with the revision that was read.

        Returns:
            The keys that were replaced or deleted meanwhile, and so were left alone.

        Raises:
            ConcurrentWrite: Others came first at every attempt.
            StoreError: The store is read-only, or could not be written.
        """
        self._guard.check_writable(RENEW)
        if not rows.num_rows:
            return []

        def update(table: Table) -> None:
            merge = table.merge_insert(self._shape.row_key)
            merge.when_matched_update_all(where=SAME_WRITE).execute(rows)

        self._handle.commit(update, action=RENEW)
        lost = self._lost(rows)
        if self._shape.number is not None:
            kept = rows.filter(pa.array([key not in lost for key in strings(rows["key"])]))
            self._fit(kept, number=self._shape.number)
        return sorted(lost)

    def _fit(self, rows: pa.Table, *, number: str) -> None:
        """Add the rows that a key has more than before, and delete those that it has less."""
        counts: dict[str, int] = {}
        for key in strings(rows["key"]):
            counts[key] = counts.get(key, 0) + 1
        seen = read_keyed(self._handle, counts, columns=["key", number])
        before: dict[str, int] = {}
        for key, place in zip(strings(seen["key"]), integers(seen[number]).tolist(), strict=True):
            before[key] = max(before.get(key, 0), place + 1)
        grown = {key for key, count in counts.items() if count > before.get(key, count)}
        if grown:
            self._add(rows.filter(pa.array([key in grown for key in strings(rows["key"])])))
        for key, count in counts.items():
            if count < before.get(key, 0):
                self._delete(f"key = {literal(key)} AND {number} >= {count:d}", rows, key=key)

    def _add(self, rows: pa.Table) -> None:
        """Add rows beside their heads, and take back those whose head changed meanwhile."""

        def insert(table: Table) -> None:
            table.merge_insert(self._shape.row_key).when_not_matched_insert_all().execute(rows)

        self._handle.commit(insert, action=RENEW)
        for key in self._lost(rows):
            self._delete(f"key = {literal(key)}", rows, key=key)

    def _delete(self, where: str, rows: pa.Table, *, key: str) -> None:
        """Delete rows of one key as far as they are of the write that was read."""
        revs = dict(zip(strings(rows["key"]), integers(rows["rev"]).tolist(), strict=True))
        doomed = f"{where} AND rev = {revs[key]:d}"
        self._handle.commit(lambda table: table.delete(doomed), action=RENEW)

    def _lost(self, rows: pa.Table) -> set[str]:
        """Return the keys whose head is gone, or of another write."""
        ours = dict(zip(strings(rows["key"]), integers(rows["rev"]).tolist(), strict=True))
        there = read_keyed(self._handle, ours, columns=["key", "rev"], where=self._shape.heads)
        now = dict(zip(strings(there["key"]), integers(there["rev"]).tolist(), strict=True))
        return {key for key, rev in ours.items() if now.get(key) != rev}


def renewals(opened: Opened, *, guard: Guard) -> dict[Held, Renewal]:
    """Return every holding that a store has in the generation it was opened in."""
    with store_errors(opened.uri, "look for tables"):
        there = [held for held in SHAPES if has_table(opened, opened.table(held))]
    return {held: Renewal(opened, held=held, guard=guard) for held in there}
