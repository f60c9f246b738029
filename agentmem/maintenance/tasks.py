"""What maintenance consists of: tasks, each of which does one thing and says what it did.

A task fails alone. With `dry_run` it looks, says what it would do, and changes nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from agentmem.administration import Administrator
from agentmem.errors import ConcurrentWrite, StoreError
from agentmem.filters import Filter
from agentmem.maintenance.locks import break_seal, dead_seal
from agentmem.maintenance.policies import EXPIRED, expired, preview, reached, read_policies
from agentmem.storage.checksums import record_sums
from agentmem.storage.description import Generation
from agentmem.storage.generations import Spaces
from agentmem.storage.turns import Store
from agentmem.storage.upkeep import (
    Left,
    dropped_tables,
    forsaken,
    left_files,
    look_at,
    remove,
    table_names,
    tend,
)
from agentmem.telemetry import Tracing
from agentmem.types import ALL
from agentmem.types.maintenance import RetentionPolicy

__all__ = ["Did", "Task", "Tasks"]

PREEMPTED: Final = "all of it: writers committed first at every attempt; the next time makes up"
NAMED: Final = 3  # files of a kind that are named
BYTES_A_SECOND: Final = 200 * 2**20  # read for checksums at most: the disk is others' as well


@dataclass(frozen=True, slots=True)
class Did:
    """What a task did, or would do."""

    done: str
    before: int | None = None
    after: int | None = None
    left: str | None = None


@dataclass(frozen=True, slots=True)
class Task:
    """One thing to do: which, about what, and how."""

    name: str
    target: str
    act: Callable[[], Did]


class Tasks:
    """The tasks of one store.

    Args:
        store: Of any generation.
        tracing: Opens the spans of deletions.
        safe_age: Of files that nothing refers to, from which on they are removed.
    """

    def __init__(self, store: Store, *, tracing: Tracing, safe_age: timedelta) -> None:
        self._whole = store.whole
        self._store = store
        self._tracing = tracing
        self._safe_age = safe_age
        self._spaces: Spaces[Store] = Spaces(
            self._whole.generations, make=partial(_at, store=store)
        )

    def all(self, *, now: datetime, dry_run: bool, deletes: bool = True) -> Iterator[Task]:
        """Give the tasks in order; those that follow from what is stored are found on the way.

        Args:
            now: The present (UTC).
            dry_run: Whether they change nothing.
            deletes: Whether turns may be deleted whose time has come.
        """
        yield Task("locks", "seal", partial(self._unseal, dry_run=dry_run))
        if deletes:
            yield from self._deletions(now=now, dry_run=dry_run)
        gone = dropped_tables(self._whole, self._whole.generations.read())
        for name in table_names(self._whole):
            if name not in gone:
                yield Task("compact", name, partial(self._compact, name, dry_run=dry_run))
        tables = partial(forsaken, self._whole, gone, writes=not dry_run)
        yield Task("clean", "dropped tables", partial(self._clean, tables, dry_run=dry_run))
        writes = not dry_run
        files = partial(left_files, self._whole, safe=self._safe_age, writes=writes)
        yield Task("clean", "files", partial(self._clean, files, dry_run=dry_run))
        if not dry_run and self._whole.opened.folder is not None:
            yield Task("checksums", "files", self._sum)

    def _deletions(self, *, now: datetime, dry_run: bool) -> Iterator[Task]:
        yield Task("expire", EXPIRED, partial(self._expire, now=now, dry_run=dry_run))
        for policy in self._policies():
            act = partial(self._apply, policy, now=now, dry_run=dry_run)
            yield Task("retention", policy.name, act)

    def _policies(self) -> Sequence[RetentionPolicy]:
        """Return the policies; those that cannot be read are told by a task of their own."""
        with suppress(StoreError):
            return read_policies(self._whole.meta)
        return ()

    def _unseal(self, *, dry_run: bool) -> Did:
        seal = dead_seal(self._whole)
        if seal is None:
            return Did("nothing: no seal of a process that is gone")
        if dry_run:
            return Did(f"would break the seal {seal} of a migration whose process is gone")
        break_seal(self._whole, seal)
        return Did(f"broke the seal {seal} of a migration whose process is gone")

    def _expire(self, *, now: datetime, dry_run: bool) -> Did:
        read_policies(self._whole.meta)  # unreadable ones are an error of this step
        return self._deleted(None, [expired(now)], now=now, dry_run=dry_run)

    def _apply(self, policy: RetentionPolicy, *, now: datetime, dry_run: bool) -> Did:
        conditions = reached(policy, self._spaces.current(), now=now)
        return self._deleted(policy, conditions, now=now, dry_run=dry_run)

    def _deleted(
        self,
        policy: RetentionPolicy | None,
        conditions: Iterator[Filter] | Sequence[Filter],
        *,
        now: datetime,
        dry_run: bool,
    ) -> Did:
        """Delete what meets any of the conditions, in every generation."""
        seen = preview(policy, self._spaces.current(), now=now)
        if seen.turns and not dry_run:
            for condition in conditions:
                self._delete(condition)
        named = f", such as {', '.join(map(repr, seen.ids))}" if seen.turns else ""
        left = f"{seen.pinned} pinned" if seen.pinned else None
        deleted = "would delete" if dry_run else "deleted"
        return Did(f"{deleted} {seen.turns} turns of {seen.sessions} sessions{named}", left=left)

    def _delete(self, condition: Filter) -> None:
        """Delete as `Memory.delete` does: where writes are acknowledged, and everywhere else."""
        for store in self._spaces.writing():
            administrator = Administrator(store, tracing=self._tracing)
            administrator.delete(None, scope=ALL, where=condition, dry_run=False)
            for other in self._spaces.others(store.generation):
                self._delete_in(other, condition)

    def _delete_in(self, other: Generation, condition: Filter) -> None:
        try:
            elsewhere = self._store.at_generation(other)
            Administrator.delete_in(elsewhere, None, scope=ALL, where=condition)
        except StoreError:
            if self._spaces.keeps(other.number):  # else it was dropped meanwhile
                raise

    def _compact(self, name: str, *, dry_run: bool) -> Did:
        if dry_run:
            size, count, kept = look_at(self._whole, name)
            return Did(f"would look at {count} fragments and {kept} versions", size)
        try:
            was = tend(self._whole, name)
        except ConcurrentWrite:
            return Did("nothing", left=PREEMPTED)
        fragments, versions = "{} → {}".format(*was.fragments), "{} → {}".format(*was.versions)
        folded = "" if was.unindexed is None else ", unindexed rows {} → {}".format(*was.unindexed)
        past = was.versions[1] - 1
        left = f"{past} past versions: within keep_versions" if past else None
        done = f"fragments {fragments}, versions {versions}{folded}"
        return Did(done, was.before, was.after, left)

    def _clean(self, find: Callable[[], Iterator[Left]], *, dry_run: bool) -> Did:
        if self._whole.opened.folder is None:
            return Did("nothing", left="the store is in a bucket: its own rules expire such files")
        found = list(find())
        old, young = ([o for o in found if o.is_safe], [o for o in found if not o.is_safe])
        size = sum(one.bytes for one in found)
        left = None if not young else f"{_told(young)}: too young to be sure of"
        if dry_run:
            return Did(f"would remove {_told(old)}", size, size, left)
        went, freed = remove(self._whole, old)
        return Did(f"removed {went} of {_told(old)}", size, size - freed, left)

    def _sum(self) -> Did:
        folder = self._whole.opened.folder
        taken = 0 if folder is None else record_sums(folder, pause=_pause)
        return Did(f"took the checksums of {taken} new files")


def _pause(read: int) -> None:
    time.sleep(read / BYTES_A_SECOND)


def _at(generation: Generation, *, store: Store) -> Store:
    return store if generation.number == store.generation else store.at_generation(generation)


def _told(left: Sequence[Left]) -> str:
    """Say how many files of which kinds, and name some."""
    if not left:
        return "0 files"
    kinds = sorted({one.why for one in left})
    named = ", ".join(one.path.name for one in left[:NAMED])
    return f"{len(left)} ({'; '.join(kinds)}), such as {named}"
