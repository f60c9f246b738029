"""The columns of the scopes that were read last, kept in memory and advanced as the table grows.

LanceDB stays the truth: each read asks for its version, which costs 0.1 ms, and fetches only
what was added since. Several threads may read while one of them advances.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Final

import numpy as np
import pyarrow as pa
from lancedb.table import Table
from numpy.typing import NDArray

from agentmem.storage.columns import COLUMNS_READ, Columns, ColumnsBuilder
from agentmem.storage.sql import scope_sql
from agentmem.storage.turns import Store
from agentmem.types import ALL, AllScopes, Scope

__all__ = ["Columns", "Residents"]

MAX_BYTES: Final = 1 << 30  # half a million turns at 384 dimensions
STATE: Final = ["_rowid", "_row_last_updated_at_version"]
BYTES_A_PARTITION: Final = 4096  # of its objects, so that empty scopes do not pile up unseen
TAKE_AT_MOST: Final = 10_000  # rows by row id; beyond, reading the partition anew is faster


class Residents:
    """Columns of scopes, within a budget of memory.

    Args:
        store: Where the rows are.
        max_bytes: What is kept between reads. A larger scope is read anew each time.
    """

    def __init__(self, store: Store, *, max_bytes: int = MAX_BYTES) -> None:
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

    def __init__(self, store: Store, where: str) -> None:
        self._store = store
        self._where = where
        self._lock = threading.Lock()
        self._builder = ColumnsBuilder(store.passport.dimension)
        self._ids = np.zeros(0, np.uint64)  # of the rows read, ascending: the order of arrival
        self._updated = np.zeros(0, np.uint64)  # and the versions that wrote them last
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
                with self._store.pinned() as table:
                    columns = self._columns = self._advanced(table)
                self.nbytes = BYTES_A_PARTITION + columns.nbytes
            return columns

    def _advanced(self, table: Table) -> Columns:
        """Bring the columns to the version of the table."""
        if self._columns is None:
            return self._rebuilt(table)
        state = table.search().where(self._where).select(STATE).to_arrow()
        ids, updated = _arrived(state)
        known = len(self._ids)
        if not (
            np.array_equal(ids[:known], self._ids)
            and np.array_equal(updated[:known], self._updated)
        ):
            return self._rebuilt(table)
        new = ids[known:]
        if not len(new):
            return self._columns.at(table.version)
        if len(new) > TAKE_AT_MOST:
            return self._rebuilt(table)
        rows = table.take_row_ids(new.tolist()).select(list(COLUMNS_READ)).to_arrow()
        self._ids, self._updated = ids, updated
        self._builder.extend(rows.sort_by("_rowid"))
        return self._builder.snapshot(table.version)

    def _rebuilt(self, table: Table) -> Columns:
        """Read the whole partition."""
        query = table.search().where(self._where).select([*COLUMNS_READ, STATE[1]])
        rows = query.to_arrow()
        self._ids, self._updated = _arrived(rows)
        self._builder = ColumnsBuilder(self._store.passport.dimension)
        self._builder.extend(_in_order(rows))
        return self._builder.snapshot(table.version)


def _arrived(rows: pa.Table) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Return the row ids in order of arrival, and the version that wrote each last."""
    ids = rows["_rowid"].to_numpy().astype(np.uint64)
    order = np.argsort(ids, kind="stable")
    return ids[order], rows[STATE[1]].to_numpy().astype(np.uint64)[order]


def _in_order(rows: pa.Table) -> pa.Table:
    """Sort rows by their ids, without copying the vectors where they are sorted already."""
    ids = rows["_rowid"].to_numpy()
    return rows if (ids[1:] > ids[:-1]).all() else rows.sort_by("_rowid")
