"""The columns of the scopes that were read last, kept in memory and advanced as the table grows.

LanceDB stays the truth: each read asks for its version, which costs 0.1 ms, and fetches only
what was added since. Several threads may read while one of them advances.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Final

import pyarrow as pa
from lancedb.table import Table

from agentmem.storage.columns import COLUMNS_READ, Columns, ColumnsBuilder
from agentmem.storage.reads import Reads
from agentmem.storage.sql import both, scope_sql
from agentmem.types import ALL, AllScopes, Scope

__all__ = ["Columns", "Residents"]

MAX_BYTES: Final = 1 << 30  # half a million turns at 384 dimensions
WRITTEN_AT: Final = "_row_last_updated_at_version"  # survives compaction, as row ids do
BYTES_A_PARTITION: Final = 4096  # of its objects, so that empty scopes do not pile up unseen


class Residents:
    """Columns of scopes, within a budget of memory.

    Args:
        store: Where the rows are.
        max_bytes: What is kept between reads. A larger scope is read anew each time.
    """

    def __init__(self, store: Reads, *, max_bytes: int = MAX_BYTES) -> None:
        self._store = store
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._partitions: OrderedDict[Scope | AllScopes, _Partition] = OrderedDict()

    def columns(self, scope: Scope | AllScopes) -> Columns:
        """Return the columns of a scope as of now, or of a wider one: narrow them by `mask`.

        Raises:
            ScopeRequired: The scope names nothing.
            StoreError: The store could not be read.
        """
        key = _partition_of(scope)
        with self._lock:
            partition = self._partitions.get(key)
            if partition is None:
                partition = self._partitions[key] = _Partition(self._store, scope_sql(key))
            self._partitions.move_to_end(key)
        columns = partition.columns()
        self._trim(key)
        return columns

    @property
    def nbytes(self) -> int:
        """Memory held for scopes that are not being read."""
        with self._lock:
            return sum(partition.nbytes for partition in self._partitions.values())

    def _trim(self, key: Scope | AllScopes) -> None:
        """Forget this partition if it alone is too large, else those read longest ago."""
        with self._lock:
            partition = self._partitions.get(key)
            if partition is not None and partition.nbytes > self._max_bytes:
                del self._partitions[key]
            held = sum(partition.nbytes for partition in self._partitions.values())
            while held > self._max_bytes:
                _, oldest = self._partitions.popitem(last=False)
                held -= oldest.nbytes


def _partition_of(scope: Scope | AllScopes) -> Scope | AllScopes:
    """Return the widest scope around this one that names a single id."""
    if isinstance(scope, AllScopes):
        return ALL
    if scope.user_id is not None:
        return Scope(user_id=scope.user_id)
    if scope.agent_id is not None:
        return Scope(agent_id=scope.agent_id)
    return Scope(session_id=scope.session_id)


class _Partition:
    """The columns of one partition: an immutable snapshot, and the builder that grows them."""

    def __init__(self, store: Reads, where: str) -> None:
        self._store = store
        self._where = where
        self._lock = threading.Lock()
        self._builder = ColumnsBuilder(store.passport.dimension)
        self._rows = 0  # that were read, and the row id of the last of them
        self._last = -1
        self._columns: Columns | None = None
        self.nbytes = BYTES_A_PARTITION

    def columns(self) -> Columns:
        """Return the columns of the newest version of the table."""
        version, columns = self._store.version, self._columns
        if columns is not None and columns.version == version:
            return columns
        with self._lock:
            columns = self._columns
            if columns is None or columns.version < version:
                self._columns = None  # so that a failure half-way starts over
                with self._store.at(version).pinned() as table:
                    columns = self._columns = self._advanced(table, columns)
                self.nbytes = BYTES_A_PARTITION + columns.nbytes
            return columns

    def _advanced(self, table: Table, columns: Columns | None) -> Columns:
        """Bring the columns to the version of the table.

        Rows that only arrived are appended. A row id that is not above all others was changed,
        and a sum that is wrong tells of rows deleted; then everything is read anew.
        """
        version = int(table.version)
        if columns is not None:
            changed = self._read(table, both(self._where, f"{WRITTEN_AT} > {columns.version}"))
            arrived = changed.num_rows
            if self._rows + arrived == table.count_rows(self._where):
                if not arrived:
                    return columns.at(version)
                if changed["_rowid"][0].as_py() > self._last:
                    return self._grown(changed, version)
        self._builder = ColumnsBuilder(self._store.passport.dimension)
        self._rows, self._last = 0, -1
        return self._grown(self._read(table, self._where), version)

    def _grown(self, rows: pa.Table, version: int) -> Columns:
        if rows.num_rows:
            self._rows += rows.num_rows
            self._last = rows["_rowid"][-1].as_py()
            self._builder.extend(rows)
        return self._builder.snapshot(version)

    @staticmethod
    def _read(table: Table, where: str) -> pa.Table:
        """Return rows in order of arrival, which is the order of their ids."""
        rows = table.search().where(where).select(list(COLUMNS_READ)).to_arrow()
        ids = rows["_rowid"].to_numpy()
        return rows if (ids[1:] > ids[:-1]).all() else rows.sort_by("_rowid")
