"""Repairs of a table that lose nothing: equal rows made one, a lost primary key marked again."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any, Final

from lancedb.table import Table

from agentmem.storage.border import commit, store_errors
from agentmem.storage.generations import Whole
from agentmem.storage.quoting import any_of
from agentmem.storage.rows import PRIMARY_KEY

__all__ = ["drop_twins", "mark_key"]

ACTION: Final = "repair the store"
ROW: Final = "_rowid"


def drop_twins(whole: Whole, name: str, *, keys: Sequence[str]) -> tuple[int, int]:
    """Of rows with the same `chunk_key`, remove those that equal another one in every value.

    Args:
        whole: The store.
        name: Of a table of turns.
        keys: Values of `chunk_key` that several rows have.

    Returns:
        How many rows were removed, and how many stay although they share a key.

    Raises:
        StoreError: The table could not be read or written.
    """
    whole.guard.check_writable(ACTION)
    uri = whole.opened.uri
    with store_errors(uri, ACTION):
        table = whole.opened.db.open_table(name)
        columns = [*table.schema.names, ROW]
        found = table.search().where(any_of("chunk_key", keys)).select(columns).to_arrow()
    kept: dict[str, list[Any]] = defaultdict(list)
    doomed = []
    for row in found.to_pylist():
        row_id, key = row.pop(ROW), row["chunk_key"]
        if row in kept[key]:
            doomed.append(int(row_id))
        else:
            kept[key].append(row)
    if doomed:
        listed = ", ".join(map(str, doomed))
        commit(lambda: table.delete(f"{ROW} IN ({listed})"), uri=uri, action=ACTION)
    return len(doomed), sum(len(rows) - 1 for rows in kept.values())


def mark_key(whole: Whole, name: str, *, column: str) -> None:
    """Mark a column as the primary key of a table, so that racing writers do not double rows.

    Raises:
        StoreError: The table could not be written.
    """
    whole.guard.check_writable(ACTION)
    table: Table = whole.opened.db.open_table(name)
    update = {"path": column, "metadata": dict(PRIMARY_KEY)}
    commit(lambda: table.update_field_metadata(update), uri=whole.opened.uri, action=ACTION)
