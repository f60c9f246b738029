"""The store's memory of itself: named JSON values, changed only by compare-and-swap.

Each value has a revision that counts its changes. Any number of processes may race: one of
them wins each revision, and the others learn of it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa
from lancedb.table import Table

from agentmem.storage.border import commit, store_errors
from agentmem.storage.quoting import literal
from agentmem.storage.schema import PRIMARY_KEY

__all__ = ["META_SCHEMA", "Meta", "Value"]

FIELDS: Final[list[pa.Field[Any]]] = [
    pa.field("key", pa.string(), nullable=False, metadata=PRIMARY_KEY),
    pa.field("value", pa.string(), nullable=False),
    pa.field("rev", pa.int64(), nullable=False),
]
META_SCHEMA: Final = pa.schema(FIELDS)


@dataclass(frozen=True, slots=True)
class Value:
    """A JSON value and how often it was changed since it was put."""

    value: Any
    rev: int


class Meta:
    """The named values of one store."""

    def __init__(self, table: Table, *, uri: str) -> None:
        self._table = table
        self._uri = uri

    def get(self, key: str) -> Value | None:
        """Return the value of that name, or None where there is none."""
        with store_errors(self._uri, "read the store's description"):
            query = self._table.search().where(f"key = {literal(key)}").select(["value", "rev"])
            rows = query.to_arrow().to_pylist()
        return Value(json.loads(rows[0]["value"]), rows[0]["rev"]) if rows else None

    def put_if_absent(self, key: str, value: Any) -> bool:
        """Put a value where there is none; return whether this call did."""
        row = pa.Table.from_pylist([{"key": key, "value": _text(value), "rev": 0}], META_SCHEMA)
        merge = self._table.merge_insert("key").when_not_matched_insert_all()
        result = commit(lambda: merge.execute(row), uri=self._uri, action="describe the store")
        return bool(result.num_inserted_rows == 1)

    def compare_and_swap(self, key: str, value: Any, *, rev: int) -> bool:
        """Put a new value if the stored one still has that revision; return whether it had."""
        where = f"key = {literal(key)} AND rev = {rev:d}"
        values = {"value": literal(_text(value)), "rev": literal(rev + 1)}
        result = commit(
            lambda: self._table.update(where=where, values_sql=values),
            uri=self._uri,
            action="describe the store",
        )
        return bool(result.rows_updated == 1)


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True)
