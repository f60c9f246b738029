"""`Fits`: what was computed of lessons and is dear to compute again, by the hash of what it is of.

Nothing here is more than a saving: a fit that is not there, or cannot be kept, is made anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timezone
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
from lancedb.table import Table
from numpy.typing import NDArray

from agentmem.errors import StoreError
from agentmem.storage.guard import Guard
from agentmem.storage.late import LateTable
from agentmem.storage.opening import Opened
from agentmem.storage.quoting import literal
from agentmem.storage.rows import PRIMARY_KEY, TIMES

__all__ = ["Fits", "KeptFit"]

FITS: Final = "tool_fits"
KEEP: Final = "keep a fit"
COLUMNS: Final[list[pa.Field[Any]]] = [
    pa.field("id", pa.string(), nullable=False, metadata=PRIMARY_KEY),
    pa.field("made_at", TIMES, nullable=False),
    pa.field("tools", pa.list_(pa.string()), nullable=False),
    pa.field("matrix", pa.large_binary(), nullable=False),
]


class KeptFit(NamedTuple):
    """A matrix that is kept, one row a tool.

    Attributes:
        tools: Their keys.
        matrix: Shape (len(tools), C).
        version: Of the table, which holds it; 0 where it could not be kept.
    """

    tools: list[str]
    matrix: NDArray[np.float32]
    version: int


class Fits:
    """The fits of a store, of which only the newest is kept. Safe for several threads."""

    def __init__(self, opened: Opened, *, guard: Guard) -> None:
        self._guard = guard
        self._table = LateTable(
            opened, table=FITS, holding="fits", schema=pa.schema(COLUMNS), guard=guard
        )

    def get(self, fit_id: str, *, at: int | None = None) -> KeptFit | None:
        """Return what is kept under an id, or None.

        None as well where it cannot be read: what cannot be read is made anew.

        Args:
            fit_id: Of what it is of.
            at: A past version of the table; None reads the newest.
        """
        with suppress(StoreError):
            handle = (self._table if at is None else self._table.at(at)).found()
            if handle is None:
                return None
            with handle.pinned() as table:
                query = table.search().where(f"id = {literal(fit_id)}").select(["tools", "matrix"])
                found, version = query.to_arrow(), int(table.version)
            if found.num_rows:
                tools: list[str] = found["tools"][0].as_py()
                flat = np.frombuffer(found["matrix"][0].as_py(), np.float32)
                return KeptFit(tools, flat.reshape(len(tools), -1), version) if tools else None
        return None

    def put(self, fit_id: str, matrix: NDArray[np.float32], *, tools: Sequence[str]) -> int:
        """Keep a matrix, one row a tool, in the place of all others, if the store can be written.

        Args:
            fit_id: Of what it is of.
            matrix: Shape (len(tools), C).
            tools: Keys of the tools.

        Returns:
            The version of the table that holds it; 0 where it could not be kept.
        """
        if self._guard.read_only:
            return 0
        columns: dict[str, list[Any]] = {
            "id": [fit_id],
            "made_at": [datetime.now(timezone.utc)],
            "tools": [list(tools)],
            "matrix": [np.ascontiguousarray(matrix, np.float32).tobytes()],
        }
        row = pa.table(columns, pa.schema(COLUMNS))

        def replace(table: Table) -> int:
            merge = table.merge_insert("id").when_matched_update_all().when_not_matched_insert_all()
            return int(merge.when_not_matched_by_source_delete().execute(row).version)

        with suppress(StoreError):
            return self._table.made(KEEP).commit(replace, action=KEEP)
        return 0
