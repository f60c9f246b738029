"""A handle on one table of turns: what every read and every write passes through.

Guards against use after close, after fork and of a read-only store, turns LanceDB's failures
into ours, and keeps the table compact as commits add up.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final, TypeVar, cast

from lancedb.table import Table

from agentmem.errors import StoreError
from agentmem.storage.border import commit, store_errors
from agentmem.storage.opening import Opened

__all__ = ["Handle", "count_fragments"]

T = TypeVar("T")

COMPACT_AFTER: Final = 50  # commits of this handle: each adds 0.1 ms to a read, and a manifest
ROWS_A_COMMIT: Final = 1_000  # rewriting that many costs about 5 ms, which each commit may owe
SMALL_FRAGMENTS: Final = 50  # left behind by processes that come, write once and go


def count_fragments(table: Table, *, kind: str) -> int:
    """Return how many files' worth of rows a table has: `num_fragments`, `num_small_fragments`."""
    stats = cast("dict[str, Any]", table.stats())  # declared as a class, but a dictionary in 0.40
    return int(stats["fragment_stats"][kind])


class Handle:
    """A table of turns of one store, as one process sees it. Safe for several threads."""

    def __init__(self, opened: Opened, *, read_only: bool) -> None:
        self._opened = opened
        self._read_only = read_only
        self._pid = os.getpid()
        self._closed = False
        self._lock = threading.Lock()
        self._commits = 0
        with store_errors(opened.uri, "open the table of turns"):
            self._open_table = opened.db.open_table(opened.table)

    @property
    def uri(self) -> str:
        """The folder or address of the store, as it was given."""
        return self._opened.uri

    @contextmanager
    def reading(self, action: str = "read turns") -> Iterator[Table]:
        """Give the newest state of the table; failures become StoreErrors."""
        self._check()
        with store_errors(self.uri, action):
            yield self._open_table

    @contextmanager
    def pinned(self) -> Iterator[Table]:
        """Give the table as it is now, which does not change while it is read."""
        self._check()
        with store_errors(self.uri, "read turns"):
            table = self._opened.db.open_table(self._opened.table)
            table.checkout(table.version)
            yield table

    @property
    def version(self) -> int:
        """Version of the newest commit, by whichever process."""
        with self.reading() as table:
            return int(table.version)

    def commit(self, operation: Callable[[Table], T], *, action: str) -> T:
        """Write, retrying while other writers come first; then compact if it is time.

        Raises:
            ConcurrentWrite: Others came first at every attempt.
            StoreError: The store is read-only or closed, or the write failed.
        """
        self._check()
        if self._read_only:
            raise StoreError(
                f"could not {action} in {self.uri}: it was opened with read_only=True. Repair: "
                "open it without."
            )
        result = commit(lambda: operation(self._open_table), uri=self.uri, action=action)
        if self._is_due():
            self.compact()
        return result

    def compact(self) -> None:
        """Merge small fragments, unless somebody else does or the store is read-only.

        Never fails: a preempted compaction changes nothing, and the next one makes up for it.
        """
        if self._read_only:
            return
        with suppress(StoreError), self.reading("compact") as table:
            table.optimize()

    def close(self) -> None:
        """Compact if that is worth it, and refuse every further use."""
        if self._closed or os.getpid() != self._pid:
            return
        if not self._read_only and self._commits:
            with suppress(StoreError), self.reading("compact") as table:
                fragments = count_fragments(table, kind="num_small_fragments")
                if fragments >= SMALL_FRAGMENTS and self._pays(self._commits + fragments):
                    table.optimize()
        self._closed = True

    def _is_due(self) -> bool:
        """Count a commit, and say whether compaction has been earned."""
        with self._lock:
            self._commits += 1
            if self._commits % COMPACT_AFTER or not self._pays(self._commits):
                return False
            self._commits = 0
            return True

    def _pays(self, commits: int) -> bool:
        """Whether so many commits may pay for rewriting the table."""
        with suppress(StoreError), self.reading("count rows") as table:
            return bool(table.count_rows() <= commits * ROWS_A_COMMIT)
        return False

    def _check(self) -> None:
        if self._closed:
            raise StoreError(f"the store {self.uri} is closed. Repair: open it again.")
        if os.getpid() != self._pid:
            raise StoreError(
                f"the store {self.uri} was opened before this process was forked, and its threads "
                "did not survive that. Repair: open it in the child process, or start processes "
                "with the 'spawn' method."
            )
