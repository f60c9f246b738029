"""What changes of a turn after it was stored: until when it is true and found; and its successor.

Each change is one commit, and gives the rows a new revision, so that a copy of them in another
generation is made anew.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Final

import pyarrow as pa
from lancedb.table import Table

from agentmem.storage.handle import Handle
from agentmem.storage.keyed import read_keyed
from agentmem.storage.quoting import literal
from agentmem.storage.schema import turns_schema
from agentmem.storage.sql import HEADS

__all__ = ["Ending", "change_rows", "supersede_rows"]

ACTION: Final = "update turns"
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
        The id of its successor, maybe another writer's; None where the turn is gone. Where that
        is another one, `rows` are stored nevertheless.

    Raises:
        ConcurrentWrite: Others came first at every attempt.
        StoreError: The write failed; nothing was changed.
    """
    schema = turns_schema(dimension)
    old = read_keyed(handle, [key], columns=schema.names).select(schema.names).cast(schema)
    if not old.num_rows:
        return None
    for name, value in {**ending, "rev": rev}.items():
        place, told = schema.get_field_index(name), schema.field(name)
        old = old.set_column(place, told, pa.array([value] * old.num_rows, told.type))
    source = pa.concat_tables([old, rows.cast(schema)]) if rows.num_rows else old

    def merge(table: Table) -> None:
        builder = table.merge_insert("chunk_key").when_matched_update_all(where=NOT_SUPERSEDED)
        builder.when_not_matched_insert_all().execute(source)

    handle.commit(merge, action=ACTION)
    there = read_keyed(handle, [key], columns=["superseded_by"], where=HEADS)
    found: list[str | None] = there["superseded_by"].to_pylist()
    return found[0] if found else None
