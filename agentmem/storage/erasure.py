"""Erasure: rows leave the files, not only the newest version of a table.

LanceDB's delete marks rows in a new version; their bytes stay in old files. Here the rows that
share a file with them are written anew, and every version that knew the old files is dropped.
What others write meanwhile is kept: each step is a commit that is made again when it lost a race.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final, TypeVar

import pyarrow as pa
from lancedb.table import Table

from agentmem.errors import ConcurrentWrite
from agentmem.storage.arrow import integers
from agentmem.storage.border import commit, persisting, store_errors
from agentmem.storage.census import below
from agentmem.storage.guard import Guard
from agentmem.storage.opening import Opened, has_table
from agentmem.storage.quoting import literal

__all__ = ["Fragments", "Rewriter", "unreferenced"]

ERASE: Final = "erase turns"
BITS: Final = 32  # of a row address below its fragment's number
NOW: Final = timedelta(0)
ROUNDS: Final = 3  # of dropping versions: each lost one is another's compaction

T = TypeVar("T")
Fragments = frozenset[int]


@dataclass(frozen=True, slots=True)
class Rewriter:
    """Erases from one table of a store.

    Attributes:
        opened: The store.
        name: Of the table.
        guard: What may be done with the store.
    """

    opened: Opened
    name: str
    guard: Guard

    @property
    def folder(self) -> Path | None:
        """Where its files are; None where that is no local folder."""
        folder = self.opened.folder
        return None if folder is None else folder / f"{self.name}.lance"

    @property
    def is_there(self) -> bool:
        """Whether the store has the table."""
        with store_errors(self.opened.uri, ERASE):
            return has_table(self.opened, self.name)

    def remove(self, where: str) -> int:
        """Delete rows, and write those that share a file with them anew.

        Args:
            where: Which rows.

        Returns:
            How many were deleted.

        Raises:
            ConcurrentWrite: Others came first at every attempt; call again.
            StoreError: The store is read-only, or could not be written.
        """
        self.guard.check_writable(ERASE)
        beside, count = self._read(lambda table: _fragments(table, where))
        if count:
            table = self._table()
            self._commit(lambda: table.delete(where))
            self.rewrite(beside)
        return count

    def replace(self, column: str, text: str, *, by: str) -> int:
        """Put another text in the place of one in a column; return in how many rows.

        Raises:
            ConcurrentWrite: Others came first at every attempt; call again.
            StoreError: The store is read-only, or could not be written.
        """
        self.guard.check_writable(ERASE)
        where = f"contains({column}, {literal(text)})"
        beside, count = self._read(lambda table: _fragments(table, where))
        if count:
            table = self._table()
            values = {column: f"replace({column}, {literal(text)}, {literal(by)})"}
            self._commit(lambda: table.update(where=where, values_sql=values))
            self.rewrite(beside)
        return count

    def rewrite(self, fragments: Fragments | None = None) -> None:
        """Write the rows of some files, or of all, into new ones."""
        if fragments is not None and not fragments:
            return
        where = "true" if fragments is None else " OR ".join(map(_within, sorted(fragments)))
        table = self._table()
        name = table.schema.names[0]
        same = {name: name}  # nothing changes but the file that it is in
        self._commit(lambda: table.update(where=where, values_sql=same))

    def drop_past(self) -> int:
        """Drop every version but the newest, with the files that only they knew.

        Returns:
            How many versions were dropped.

        Raises:
            ConcurrentWrite: Others came first at every attempt; call again.
            StoreError: The store could not be written.
        """
        table = self._table()
        before = self._versions()

        def drop() -> None:
            with warnings.catch_warnings():  # that others may read past versions: see `forgetting`
                warnings.simplefilter("ignore", UserWarning)
                table.optimize(cleanup_older_than=NOW)

        for last in (*[False] * (ROUNDS - 1), True):
            try:
                self._commit(drop)
                break
            except ConcurrentWrite:
                if last:
                    raise
        return max(before - self._versions(), 0)

    def _versions(self) -> int:
        """Return how many versions are kept."""
        return self._read(lambda table: len(table.list_versions()))

    def holding(self, column: str, text: str) -> bool:
        """Return whether a row of the newest version has a text within a column."""
        where = f"contains({column}, {literal(text)})"
        return self._read(lambda table: bool(table.count_rows(where)))

    def rows(self, where: str, *, columns: Sequence[str]) -> pa.Table:
        """Return columns of the rows that meet a condition."""
        wanted = list(columns)
        return self._read(lambda table: table.search().where(where).select(wanted).to_arrow())

    def batches(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Stream columns of the newest version."""
        with store_errors(self.opened.uri, ERASE):
            table = self._table()
            table.checkout(table.version)
            yield from table.search().select(list(columns)).to_batches(20_000)

    def _table(self) -> Table:
        return self._read(lambda table: table)

    def _read(self, reading: Callable[[Table], T]) -> T:
        """Read the newest version; again where others drop it, or some of its files, meanwhile."""

        def read() -> T:
            with store_errors(self.opened.uri, ERASE):
                return reading(self.opened.db.open_table(self.name))

        return persisting(read)

    def _commit(self, operation: Callable[[], object]) -> None:
        commit(operation, uri=self.opened.uri, action=ERASE)


def unreferenced(table: Path) -> list[Path]:
    """Return the data files of a table's folder that no version of it names.

    A manifest names its files in plain text. A writer's files are unreferenced until it commits.
    """
    files = list(below(table / "data"))
    named = b""
    for manifest in below(table / "_versions"):
        with suppress(FileNotFoundError):  # another process dropped the version meanwhile
            named += manifest.read_bytes()
    return [path for path in files if path.is_file() and path.name.encode() not in named]


def _fragments(table: Table, where: str) -> tuple[Fragments, int]:
    found = integers(table.search().where(where).select(["_rowaddr"]).to_arrow()["_rowaddr"])
    return frozenset((found >> BITS).tolist()), len(found)


def _within(fragment: int) -> str:
    return f"(_rowaddr >= {fragment << BITS:d} AND _rowaddr < {(fragment + 1) << BITS:d})"
