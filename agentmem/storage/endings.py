"""What changes of a turn after it was stored: until when it is true and found; and its successor.

Each change is one commit, and gives the rows a new revision, so that a copy of them in another
generation is made anew.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Final

import pyarrow as pa
from lancedb.table import Table

from agentmem.errors import ConcurrentWrite
from agentmem.storage.arrow import strings
from agentmem.storage.handle import Handle
from agentmem.storage.keyed import read_keyed
from agentmem.storage.quoting import literal
from agentmem.storage.schema import turns_schema
from agentmem.storage.sql import both, keys_sql

__all__ = ["Ending", "change_rows", "supersede_rows"]

ACTION: Final = "update turns"
ATTEMPTS: Final = 8  # as many changes of one turn within milliseconds are no accident
NOT_SUPERSEDED: Final = "target.superseded_by IS NULL"

Ending = Mapping[str, str | datetime | bool | None]
"""New values of columns of `schema.LIFE`, by name."""


def change_rows(handle: Handle, selected: str, *, ending: Ending, rev: int) -> None:
    """Change all rows of turns that meet a condition.

    Raises:
        ConcurrentWrite: Others came first at every attempt.
        StoreError: The write failed; nothing was changed.
    """
    values = {name: literal(value) for name, value in ending.items()} | {"rev": literal(rev)}
    handle.commit(lambda table: table.update(where=selected, values_sql=values), action=ACTION)


def supersede_rows(
    handle: Handle, key: str, *, ending: Ending, rev: int, rows: pa.Table, dimension: int
) -> str | None:
    """End a turn and store its successor, in one commit, unless it has another one by then.

    Args:
        handle: The table.
        key: Of the turn.
        ending: Its new values, `superseded_by` among them.
        rev: Of this write.
        rows: Of the successor; none where that is stored already.
        dimension: Of the vectors.

    Returns:
        The id of its successor, maybe another writer's; None where the turn is gone. Where it is
        not the one that was wanted, `rows` may be stored nevertheless.

    Raises:
        ConcurrentWrite: Others came first at every attempt.
        StoreError: The write failed; nothing was changed.
    """
    schema, new = turns_schema(dimension), ending["superseded_by"]
    rows = rows.select(schema.names).cast(schema)
    _make_room(handle, rows)
    for _ in range(ATTEMPTS):
        old = read_keyed(handle, [key], columns=schema.names).select(schema.names).cast(schema)
        if not old.num_rows:
            return None
        winner: str | None = old["superseded_by"][0].as_py()
        if winner not in (None, new):
            return winner
        ended = _ended(old, {**ending, "rev": rev}).slice(0, old.num_rows if winner is None else 0)
        source, seen = pa.concat_tables([ended, rows]), old["rev"][0].as_py()
        inserted, updated = _merge(handle, source, seen=seen)
        if inserted > rows.num_rows:  # it was deleted since it was read
            _delete(handle, both(keys_sql([key]), f"rev = {rev:d}"))
            return None
        if winner == new or updated:
            return str(new)
        rows = rows.slice(0, 0)  # they are stored; the old turn was changed since it was read
    raise ConcurrentWrite(
        f"could not {ACTION} in {handle.uri}: others changed the turn at every attempt. Repair: "
        "call again."
    )


def _ended(old: pa.Table, changes: Mapping[str, object]) -> pa.Table:
    """Return rows with other values in some columns."""
    for name, value in changes.items():
        place, told = old.schema.get_field_index(name), old.schema.field(name)
        old = old.set_column(place, told, pa.array([value] * old.num_rows, told.type))
    return old


def _merge(handle: Handle, source: pa.Table, *, seen: int) -> tuple[int, int]:
    """Write rows, of those that are there only the ones that are as they were seen.

    Returns:
        How many were new, and how many took the place of another.
    """
    unchanged = f"{NOT_SUPERSEDED} AND target.rev = {seen:d}"

    def merge(table: Table) -> tuple[int, int]:
        builder = table.merge_insert("chunk_key").when_matched_update_all(where=unchanged)
        made = builder.when_not_matched_insert_all().execute(source)
        return int(made.num_inserted_rows), int(made.num_updated_rows)

    return handle.commit(merge, action=ACTION)


def _make_room(handle: Handle, rows: pa.Table) -> None:
    """Delete turns that are forgotten by their date, where rows take their place."""
    if rows.num_rows:
        forgotten = f"NOT pinned AND expires_at <= {literal(datetime.now(timezone.utc))}"
        doomed = both(keys_sql(strings(rows["key"])), forgotten)
        with handle.reading() as table:
            there = table.count_rows(doomed)
        if there:
            _delete(handle, doomed)


def _delete(handle: Handle, doomed: str) -> None:
    handle.commit(lambda table: table.delete(doomed), action=ACTION)
