"""`Gauges`: what a dashboard asks of an open store again and again, so read at most so often.

Every table of the store is counted, whoever opened it. What is known for `FRESH` seconds is not
read again, and nothing here touches the handles that searches read by.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from lancedb.table import Table

from agentmem.storage.border import store_errors
from agentmem.storage.census import folder_bytes
from agentmem.storage.guard import Guard
from agentmem.storage.handle import count_fragments
from agentmem.storage.opening import Opened

__all__ = ["Figures", "Gauges", "TableFigures"]

FRESH: Final = 15.0  # seconds: back ends ask every 15 to 60, and every gauge asks by itself
MOST_TABLES: Final = 1_000  # LanceDB lists ten unless told otherwise


@dataclass(frozen=True, slots=True)
class TableFigures:
    """What is counted of a table.

    Attributes:
        rows: Rows.
        fragments: Files that hold them.
        unindexed_rows: Rows that no index covers; all where there is none.
    """

    rows: int
    fragments: int
    unindexed_rows: int


@dataclass(frozen=True, slots=True)
class Figures:
    """What is counted of a store; `bytes` is None where it is no local folder."""

    bytes: int | None
    tables: Mapping[str, TableFigures]


class Gauges:
    """The figures of one open store. Safe for several threads.

    Args:
        opened: The store.
        guard: What may be done with it.
    """

    def __init__(self, opened: Opened, *, guard: Guard) -> None:
        self._opened = opened
        self._guard = guard
        self._lock = threading.Lock()
        self._known: tuple[float, Figures] | None = None

    @property
    def name(self) -> str:
        """The folder or address, as it was given."""
        return self._opened.uri

    def read(self) -> Figures:
        """Return the figures, at most `FRESH` seconds old.

        Raises:
            StoreError: The store is closed, was opened before a fork, or cannot be read.
        """
        self._guard.check()
        with self._lock:
            known = self._known
            if known is None or time.monotonic() - known[0] >= FRESH:
                known = time.monotonic(), self._read()
                self._known = known
        return known[1]

    def _read(self) -> Figures:
        db = self._opened.db
        with store_errors(self.name, "count its rows"):
            names = db.list_tables(limit=MOST_TABLES).tables
            tables = {name: _counted(db.open_table(name)) for name in names}
            return Figures(folder_bytes(self._opened.folder), tables)


def _counted(table: Table) -> TableFigures:
    rows = int(table.count_rows())
    found = [table.index_stats(index.name) for index in table.list_indices()]
    waiting = [stats.num_unindexed_rows for stats in found if stats is not None]
    fragments = count_fragments(table, kind="num_fragments")
    return TableFigures(rows, fragments, max(waiting) if waiting else rows)
