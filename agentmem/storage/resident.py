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

from agentmem.ranking.vectors import Vectors
from agentmem.storage.arrow import matrix
from agentmem.storage.columns import (
    COLUMNS_OF_TURNS,
    COLUMNS_READ,
    SCOPE_FIELDS,
    Columns,
    ColumnsBuilder,
)
from agentmem.storage.reads import Reads
from agentmem.storage.sql import both, scope_sql
from agentmem.transfer import progress_bar
from agentmem.types import ALL, AllScopes, Scope

__all__ = ["Columns", "Residents"]

MAX_BYTES: Final = 1 << 30
BYTES_A_ROW: Final = 700  # of a turn of a chat beside its vector: texts, terms, times
BYTES_A_COMPONENT: Final = 3  # of a vector in both precisions
FEW: Final = 1_000  # rows that arrived in all scopes
BATCH_ROWS: Final = 1 << 14  # 25 MB of float32 at 384 dimensions
LARGE: Final = 100_000  # rows, that take a second or more to read
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
                partition = _Partition(self._store, key, max_bytes=self._max_bytes)
                self._partitions[key] = partition
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

    def __init__(self, store: Reads, scope: Scope | AllScopes, *, max_bytes: int) -> None:
        self._store = store
        self._scope = scope
        self._where = scope_sql(scope)
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._builder = ColumnsBuilder(store.passport.dimension)
        self._rows = 0  # that were read, and the row id of the last of them
        self._last = -1
        self._total = 0  # rows of the whole table
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
        """Bring the columns to the version of the table: add what arrived, or read all anew."""
        version, before, self._total = int(table.version), self._total, table.count_rows()
        if columns is not None and self._fits(columns):
            arrived = self._arrived(table, since=columns.version, before=before)
            if arrived is not None:
                rows = arrived[0].num_rows
                return self._grown(*arrived, version=version) if rows else columns.at(version)
        rows = table.count_rows(self._where)
        dimension = self._store.passport.dimension
        precise = rows * (BYTES_A_ROW + BYTES_A_COMPONENT * dimension) <= self._max_bytes
        self._builder = ColumnsBuilder(dimension, precise=precise)
        self._rows, self._last = 0, -1
        return self._grown(*self._read(table, self._where, rows=rows), version=version)

    def _arrived(self, table: Table, *, since: int, before: int) -> tuple[pa.Table, Vectors] | None:
        """Return what arrived in the partition; None where rows of it may have changed or gone.

        Args:
            table: As it is now.
            since: The version before.
            before: Rows of the whole table at that version.
        """
        written = f"{WRITTEN_AT} > {since}"
        if 0 <= self._total - before <= FEW:  # cheaper than to ask for the scope row by row
            changed, vectors = self._read(table, written)
            new = changed["_row_created_at_version"].to_numpy() > since
            if new.all() and len(new) == self._total - before:
                mine = self._of_scope(changed)
                return changed.filter(pa.array(mine)), vectors.take(np.flatnonzero(mine))
        changed, vectors = self._read(table, both(self._where, written))
        if self._rows + changed.num_rows != table.count_rows(self._where):
            return None
        if changed.num_rows and changed["_rowid"][0].as_py() <= self._last:
            return None
        return changed, vectors

    def _of_scope(self, rows: pa.Table) -> NDArray[np.bool_]:
        """Which rows lie in the partition."""
        inside = np.ones(rows.num_rows, np.bool_)
        if isinstance(self._scope, Scope):
            for name in SCOPE_FIELDS:
                wanted = getattr(self._scope, name)
                if wanted is not None:
                    inside &= np.array([value == wanted for value in rows[name].to_pylist()], bool)
        return inside

    def _fits(self, columns: Columns) -> bool:
        """Whether these may grow, or must be read again less precisely."""
        return not self._builder.precise or columns.nbytes <= self._max_bytes

    def _grown(self, rows: pa.Table, vectors: Vectors, *, version: int) -> Columns:
        if rows.num_rows:
            self._rows += rows.num_rows
            self._last = rows["_rowid"][-1].as_py()
            self._builder.extend(rows, vectors)
        return self._builder.snapshot(version)

    def _read(self, table: Table, where: str, *, rows: int = 0) -> tuple[pa.Table, Vectors]:
        """Return rows in order of arrival, which is the order of their ids.

        Args:
            table: At one version.
            where: Which rows.
            rows: How many there will be, for the progress bar.
        """
        precise = self._builder.precise
        names = [*COLUMNS_READ, *(COLUMNS_OF_TURNS if precise else ())]
        query = table.search().where(where).select(names)
        reader = query.to_batches(BATCH_ROWS)
        others, vectors, done = [], [Vectors.none(self._store.passport.dimension, precise)], 0
        with progress_bar(rows, shown=rows >= LARGE, doing="reading", unit="turns") as tell:
            for batch in reader:
                vectors.append(
                    Vectors.of(matrix(pa.chunked_array([batch["vector"]])), precise=precise)
                )
                others.append(batch.drop_columns("vector"))
                tell(done := done + len(batch), done)
        schema = reader.schema.remove(reader.schema.get_field_index("vector"))
        found, joined = pa.Table.from_batches(others, schema), Vectors.joined(vectors)
        ids = found["_rowid"].to_numpy()
        if (ids[1:] > ids[:-1]).all():
            return found, joined
        order: NDArray[np.int64] = np.argsort(ids)
        return found.take(order), joined.take(order)
