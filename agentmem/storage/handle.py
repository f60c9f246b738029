"""A handle on one table: what every read and every write of it passes through.

Refuses what its guard refuses, turns LanceDB's failures into ours, and keeps the table compact
as commits add up. `Past` is the same table as it was at one version, to be read alone.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from datetime import datetime, timedelta, timezone
from typing import Any, Final, TypeVar, cast

from lancedb.table import Table

from agentmem.errors import StoreError, VersionGone
from agentmem.storage.border import commit, store_errors
from agentmem.storage.expiry import Expiry
from agentmem.storage.guard import Guard
from agentmem.storage.newest import Newest
from agentmem.storage.opening import Opened
from agentmem.storage.retention import kept_for

__all__ = ["Handle", "Past", "count_fragments"]

T = TypeVar("T")

COMPACT_AFTER: Final = 50  # commits of this handle: each adds 0.1 ms to a read, and a manifest
ROWS_A_COMMIT: Final = 1_000  # rewriting that many costs about 5 ms, which each commit may owe
SMALL_FRAGMENTS: Final = 50  # left behind by processes that come, write once and go
MARGIN: Final = timedelta(minutes=10)  # LanceDB takes the age once it has compacted, which lasts
GONE: Final = "no longer exists"  # how LanceDB says that a version was cleaned up


def count_fragments(table: Table, *, kind: str) -> int:
    """Return how many files' worth of rows a table has: `num_fragments`, `num_small_fragments`."""
    stats = cast("dict[str, Any]", table.stats())  # declared as a class, but a dictionary in 0.40
    return int(stats["fragment_stats"][kind])


class Past:
    """A table as it was at one version. Safe for several threads; nothing can be written to it.

    Made by `Handle.at`, and read like a `Handle`.
    """

    def __init__(self, table: Table, *, uri: str, reading: str, guard: Guard) -> None:
        self._table = table
        self._reading = reading
        self._guard = guard
        self.uri = uri
        self.version = int(table.version)

    @contextmanager
    def reading(self, action: str | None = None) -> Iterator[Table]:
        """Give the table as it was; failures become StoreErrors."""
        self._guard.check()
        with store_errors(self.uri, action or self._reading):
            yield self._table

    def pinned(self) -> AbstractContextManager[Table]:
        """Give the table as it was, which does not change while it is read."""
        return self.reading()

    def at(self, version: int) -> Past:
        """Return itself: a past state knows no other.

        Raises:
            VersionGone: Another version was asked for.
        """
        if version != self.version:
            raise _gone(self.uri, self._reading, version)
        return self


class Handle:
    """A table of one store, as one process sees it. Safe for several threads.

    Args:
        opened: The store.
        table: Name of the table, which must be there.
        holding: What its rows are, for messages, such as "turns".
        guard: What may be done with the store.
        compacts: Whether commits are followed by compaction as they add up.
    """

    def __init__(
        self, opened: Opened, *, table: str, holding: str, guard: Guard, compacts: bool = True
    ) -> None:
        self._compacts = compacts
        self._opened = opened
        self._name = table
        self._reading = f"read {holding}"
        self._guard = guard
        self._lock = threading.Lock()
        self._commits = 0
        self._expiry = Expiry()
        with store_errors(opened.uri, f"open the table of {holding}"):
            self._table = opened.db.open_table(table)
        self._newest = Newest(opened.folder_of(table), lambda: int(self._table.version))

    @property
    def uri(self) -> str:
        """The folder or address of the store, as it was given."""
        return self._opened.uri

    @contextmanager
    def reading(self, action: str | None = None) -> Iterator[Table]:
        """Give the newest state of the table; failures become StoreErrors."""
        self._guard.check()
        with store_errors(self.uri, action or self._reading):
            yield self._table

    @contextmanager
    def pinned(self) -> Iterator[Table]:
        """Give the table as it is now, which does not change while it is read."""
        self._guard.check()
        with store_errors(self.uri, self._reading):
            table = self._opened.db.open_table(self._name)
            table.checkout(table.version)
            yield table

    @property
    def version(self) -> int:
        """Version of the newest commit, by whichever process."""
        with self.reading():
            return self._newest.get()

    def at(self, version: int) -> Past:
        """Return the table as it was at one version.

        Raises:
            VersionGone: That version is no longer kept, or there is none of that number yet.
            StoreError: The table could not be read.
        """
        self._guard.check()
        with store_errors(self.uri, self._reading):
            table = self._opened.db.open_table(self._name)
            try:
                table.checkout(version)
            except ValueError as error:
                if GONE not in str(error):
                    raise
                raise _gone(self.uri, self._reading, version) from error
        return Past(table, uri=self.uri, reading=self._reading, guard=self._guard)

    def commit(self, operation: Callable[[Table], T], *, action: str, repeatable: bool = True) -> T:
        """Write, retrying while other writers come first; then compact if it is time.

        See `border.commit` for `repeatable`.

        Raises:
            ConcurrentWrite: Others came first at every attempt.
            StoreError: The store is read-only or closed, or the write failed.
        """
        self._guard.check_writable(action)
        result = commit(
            lambda: operation(self._table), uri=self.uri, action=action, repeatable=repeatable
        )
        if self._is_due():
            self.compact()
        return result

    def compact(self) -> None:
        """Merge small fragments, unless somebody else does or the store is read-only.

        Never fails: a preempted compaction changes nothing, and the next one makes up for it.
        """
        if self._guard.read_only:
            return
        with suppress(StoreError), self.reading("compact") as table:
            self._optimize(table)

    def tidy(self) -> None:
        """Compact before leaving, if this handle wrote and compacting is worth it."""
        if self._guard.read_only or not self._commits:
            return
        with suppress(StoreError), self.reading("compact") as table:
            fragments = count_fragments(table, kind="num_small_fragments")
            if fragments >= SMALL_FRAGMENTS and self._pays(self._commits + fragments):
                self._optimize(table)

    def _optimize(self, table: Table) -> None:
        """Merge fragments, and drop the versions that were not in force as long as they are kept.

        LanceDB counts from when a version was made. One that is a month old may have been read a
        minute ago, and is to be kept from when the next one took its place.
        """
        now, window = datetime.now(timezone.utc), kept_for(self._opened)
        since = self._expiry.since(table, window=window, now=now)
        table.optimize(cleanup_older_than=now - since + MARGIN)

    def _is_due(self) -> bool:
        """Count a commit, and say whether compaction has been earned."""
        with self._lock:
            self._commits += 1
            if not self._compacts or self._commits % COMPACT_AFTER or not self._pays(self._commits):
                return False
            self._commits = 0
            return True

    def _pays(self, commits: int) -> bool:
        """Whether so many commits may pay for rewriting the table."""
        with suppress(StoreError), self.reading("count rows") as table:
            return bool(table.count_rows() <= commits * ROWS_A_COMMIT)
        return False


def _gone(uri: str, reading: str, version: int) -> VersionGone:
    return VersionGone(
        f"could not {reading} of version {version} in {uri}: the store no longer keeps that "
        "version, or never had it. Old versions are dropped by maintenance once they are older "
        "than the store's keep_versions. Repair: for the future, open the store with a longer "
        "keep_versions.",
        version=version,
    )
