"""The store's memory of itself: named JSON values, changed only by compare-and-swap.

Each value has a revision that counts its changes. Any number of processes may race: one of
them wins each revision, and the others learn of it.
"""

from __future__ import annotations

import json
import threading
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
from lancedb.table import Table

from agentmem.errors import ConcurrentWrite, StoreError
from agentmem.storage.arrow import strings
from agentmem.storage.border import commit, store_errors
from agentmem.storage.guard import Guard
from agentmem.storage.newest import Newest
from agentmem.storage.quoting import literal
from agentmem.storage.rows import PRIMARY_KEY

__all__ = ["META_SCHEMA", "Meta", "Value"]

FIELDS: Final[list[pa.Field[Any]]] = [
    pa.field("key", pa.string(), nullable=False, metadata=PRIMARY_KEY),
    pa.field("value", pa.string(), nullable=False),
    pa.field("rev", pa.int64(), nullable=False),
]
META_SCHEMA: Final = pa.schema(FIELDS)

DESCRIBE: Final = "describe the store"
COMPACT_AFTER: Final = 50  # changes of this process: a migration makes one every few seconds
KEPT: Final = timedelta(minutes=10)  # past versions of names and values are read by nobody for long
ATTEMPTS: Final = 100  # each lost one is another writer's success, so this many are a sign of a bug


@dataclass(frozen=True, slots=True)
class Value:
    """A JSON value and how often it was changed since it was put."""

    value: Any
    rev: int


class Meta:
    """The named values of one store."""

    def __init__(
        self,
        table: Table,
        *,
        uri: str,
        guard: Guard | None = None,
        folder: Path | None = None,
    ) -> None:
        self._table = table
        self._newest = Newest(folder, lambda: int(table.version))
        self._uri = uri
        self._guard = guard or Guard(uri, read_only=False)
        self._lock = threading.Lock()
        self._changes = 0

    @property
    def version(self) -> int:
        """Version of the newest commit; while it stays the same, so does every value."""
        self._guard.check()
        with store_errors(self._uri, "read the store's description"):
            return self._newest.get()

    def get(self, key: str) -> Value | None:
        """Return the value of that name, or None where there is none."""
        self._guard.check()
        with store_errors(self._uri, "read the store's description"):
            query = self._table.search().where(f"key = {literal(key)}").select(["value", "rev"])
            rows = query.to_arrow().to_pylist()
        return Value(json.loads(rows[0]["value"]), rows[0]["rev"]) if rows else None

    def names(self, prefix: str) -> list[str]:
        """Return the names that begin with a prefix, in order."""
        self._guard.check()
        with store_errors(self._uri, "read the store's description"):
            rows = self._table.search().select(["key"]).to_arrow()
        return sorted(name for name in strings(rows["key"]) if name.startswith(prefix))

    def put_if_absent(self, key: str, value: Any) -> bool:
        """Put a value where there is none; return whether this call did."""
        self._guard.check_writable(DESCRIBE)
        row = pa.Table.from_pylist([{"key": key, "value": _text(value), "rev": 0}], META_SCHEMA)
        merge = self._table.merge_insert("key").when_not_matched_insert_all()
        result = commit(
            lambda: merge.execute(row), uri=self._uri, action=DESCRIBE, repeatable=False
        )
        return bool(result.num_inserted_rows == 1)

    def compare_and_swap(self, key: str, value: Any, *, rev: int) -> bool:
        """Put a new value if the stored one still has that revision; return whether it had."""
        self._guard.check_writable(DESCRIBE)
        where = f"key = {literal(key)} AND rev = {rev:d}"
        values = {"value": literal(_text(value)), "rev": literal(rev + 1)}
        result = commit(
            lambda: self._table.update(where=where, values_sql=values),
            uri=self._uri,
            action=DESCRIBE,
            repeatable=False,  # the second time would tell that another was faster
        )
        won = bool(result.rows_updated == 1)
        if won and self._is_due():
            self._compact()
        return won

    def _is_due(self) -> bool:
        """Count a change, and say whether they have added up to be worth compacting."""
        with self._lock:
            self._changes += 1
            return self._changes % COMPACT_AFTER == 0

    def _compact(self) -> None:
        """Merge what changes left behind; whatever prevents it, the next time makes up for it."""
        with suppress(StoreError), store_errors(self._uri, DESCRIBE):
            self._table.optimize(cleanup_older_than=KEPT)

    def put(self, key: str, value: Any) -> Value:
        """Put a value, whatever is there; of writers that race, the last one's stays.

        Returns:
            The value with its revision.

        Raises:
            ConcurrentWrite: Others came first at every attempt.
            StoreError: The store is read-only or closed, or the write failed.
        """
        for _ in range(ATTEMPTS):
            found = self.get(key)
            rev = 0 if found is None else found.rev + 1
            if found is None:
                won = self.put_if_absent(key, value)
            else:
                won = self.compare_and_swap(key, value, rev=found.rev)
            if won:
                return Value(value, rev)
        raise ConcurrentWrite(
            f"could not {DESCRIBE} in {self._uri}: other writers kept changing {key!r} first, and "
            "nothing was changed. Repair: call again, or let fewer processes write at once."
        )


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True)
