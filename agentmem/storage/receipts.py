"""The receipts of a store: what was erased and when, naming nobody."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

import pyarrow as pa

from agentmem.storage.arrow import strings
from agentmem.storage.guard import Guard
from agentmem.storage.late import LateTable
from agentmem.storage.opening import Opened
from agentmem.storage.rows import PRIMARY_KEY, json_text

__all__ = ["RECEIPTS", "Receipts"]

RECEIPTS: Final = "receipts"
KEEP: Final = "keep a receipt"
COLUMNS: Final[list[pa.Field[Any]]] = [
    pa.field("id", pa.string(), nullable=False, metadata=PRIMARY_KEY),
    pa.field("receipt", pa.string(), nullable=False),
]


class Receipts:
    """The receipts of one store, as JSON values."""

    def __init__(self, opened: Opened, *, guard: Guard) -> None:
        self._table = LateTable(
            opened, table=RECEIPTS, holding=RECEIPTS, schema=pa.schema(COLUMNS), guard=guard
        )

    def put(self, receipt: Mapping[str, Any]) -> None:
        """Keep a receipt.

        Raises:
            StoreError: The write failed.
        """
        text = json_text(dict(receipt), what="receipt")
        row = pa.Table.from_pylist([{"id": receipt["id"], "receipt": text}], pa.schema(COLUMNS))
        self._table.made(KEEP).commit(lambda table: table.add(row), action=KEEP)

    def all(self) -> list[dict[str, Any]]:
        """Return every receipt, the newest last.

        Raises:
            StoreError: The store could not be read.
        """
        handle = self._table.found()
        if handle is None:
            return []
        with handle.reading() as table:
            rows = table.search().select(["id", "receipt"]).to_arrow().sort_by("id")
        return [json.loads(one) for one in strings(rows["receipt"])]
