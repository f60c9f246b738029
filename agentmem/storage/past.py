"""The turns of a store as they were at one version: a `Store` that nothing can be written to.

Every read goes to that one version, whatever is committed meanwhile, and every write is refused
with the words that this is the past.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from typing import Any

from lancedb.table import Table

from agentmem.errors import StoreError, VersionGone
from agentmem.storage.border import store_errors
from agentmem.storage.description import Description
from agentmem.storage.generations import Generations, Whole
from agentmem.storage.guard import Guard
from agentmem.storage.handle import Handle
from agentmem.storage.opening import TURNS, Opened, open_meta
from agentmem.storage.reads import Reads
from agentmem.storage.turns import Store

__all__ = ["PastStore", "Version", "kept_versions", "past_at", "version_at"]


@dataclass(frozen=True, slots=True)
class Version:
    """A version of a table, and when it was made (UTC)."""

    number: int
    made_at: datetime


class _Past(Guard):
    """Refuses every write, because what it guards is the past."""

    def __init__(self, uri: str, *, moment: datetime, version: int) -> None:
        super().__init__(uri, read_only=True)
        self._moment = moment
        self._version = version

    def check_writable(self, action: str) -> None:
        """Refuse a write.

        Raises:
            StoreError: Always.
        """
        self.check()
        raise StoreError(
            f"could not {action} in {self.uri}: this handle shows the store as it was at "
            f"{self._moment.isoformat()} (version {self._version}), and the past does not change. "
            "Repair: write to the memory that it was asked of; memory.restore(tag) brings a "
            "snapshot back."
        )


class _Still(Handle):
    """A handle on one version of a table."""

    def __init__(self, opened: Opened, *, version: int, guard: Guard) -> None:
        super().__init__(
            opened, table=opened.table(TURNS), holding="turns", guard=guard, compacts=False
        )
        with self.at(version).pinned() as table:
            self._table = table

    @contextmanager
    def pinned(self) -> Iterator[Table]:
        """Give the table as it was."""
        with self.reading() as table:
            yield table


class _Unmoved(Generations):
    """The description of a store as it was: its generation stays in force."""

    def __init__(self, opened: Opened, *, guard: Guard) -> None:
        super().__init__(opened, guard=guard)
        now = super().read().having(opened.generation)
        self._told = replace(now, active=opened.generation.number, seal=None, shadow=None)

    def read(self) -> Description:
        """Return the description as it was.

        Raises:
            StoreError: The store is closed.
        """
        self._guard.check()
        return self._told


class PastStore(Store):
    """A store of turns as it was at one version. Safe for several threads.

    Args:
        opened: The store, in the generation whose past this is.
        version: Which version of its table of turns.
        moment: The moment that it shows.
    """

    def __init__(self, opened: Opened, *, version: int, moment: datetime) -> None:
        guard = _Past(opened.uri, moment=moment, version=version)
        super().__init__(opened, guard=guard)
        self._table = _Still(opened, version=version, guard=guard)
        Reads.__init__(self, self._table, opened)

    @property
    def whole(self) -> Whole:
        """The store in the generation whose past this is."""
        opened, guard = self._opened, self._guard
        meta = open_meta(opened, guard=guard)
        return Whole(opened, guard, _Unmoved(opened, guard=guard), meta)


def kept_versions(opened: Opened, *, guard: Guard) -> list[Version]:
    """Return the versions that are kept of the turns of a generation, the oldest first.

    Raises:
        StoreError: The store could not be read.
    """
    guard.check()
    with store_errors(opened.uri, "read the versions of turns"):
        told: list[dict[str, Any]] = opened.db.open_table(opened.table(TURNS)).list_versions()
    made = [Version(one["version"], one["timestamp"].astimezone(timezone.utc)) for one in told]
    return sorted(made, key=lambda one: one.number)


def version_at(kept: list[Version], *, at: int | datetime, uri: str) -> tuple[int, datetime]:
    """Return a version and the moment it shows.

    Args:
        kept: The versions that are kept, at least one.
        at: A version; or a moment, which is shown by the newest version made by then.
        uri: The store, named in the message.

    Raises:
        VersionGone: It is not kept.
    """
    if isinstance(at, datetime):
        by_then = [one for one in kept if one.made_at <= at]
        if by_then:
            return by_then[-1].number, at
        raise _gone(kept, what=f"as it was at {at.isoformat()}", version=kept[0].number, uri=uri)
    found = [one for one in kept if one.number == at]
    if found:
        return at, found[0].made_at
    raise _gone(kept, what=f"at version {at}", version=at, uri=uri)


def past_at(opened: Opened, at: int | datetime, *, guard: Guard) -> tuple[PastStore, datetime]:
    """Return a store as it was, and the moment that it shows.

    Args:
        opened: The store, in the generation whose past is wanted.
        at: A version of its table of turns, or a moment.
        guard: Of the store as it is now.

    Raises:
        VersionGone: That is no longer kept.
        StoreError: The store could not be read.
    """
    kept = kept_versions(opened, guard=guard)
    version, moment = version_at(kept, at=at, uri=opened.uri)
    return PastStore(opened, version=version, moment=moment), moment


def _gone(kept: list[Version], *, what: str, version: int, uri: str) -> VersionGone:
    first, last = kept[0], kept[-1]
    return VersionGone(
        f"the store {uri} cannot be shown {what}: of its turns the versions {first.number} to "
        f"{last.number} are kept, and the earliest was made at {first.made_at.isoformat()}. "
        "Repair: ask for a moment since then, or for a snapshot by its tag; for the future, open "
        "the store with a longer keep_versions, or make snapshots.",
        version=version,
    )
