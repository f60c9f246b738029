"""`Maintainer`: looks after one store, under its lease, without getting in the way of searches.

Each task is timed, and followed by a rest that is a share of it. A task that fails is reported,
and the next one is made; a lease that was lost ends the work.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any, Final

from agentmem.checks import EPOCH
from agentmem.errors import AgentmemError, ConcurrentWrite, InvalidInput
from agentmem.maintenance.tasks import Did, Task, Tasks
from agentmem.storage.census import folder_bytes
from agentmem.storage.lease import Lease, look
from agentmem.storage.turns import Store
from agentmem.storage.upkeep import SAFE_AGE
from agentmem.telemetry import Tracing
from agentmem.types.maintenance import MaintenanceReport, MaintenanceStep

__all__ = ["LAST", "SHARE", "Last", "Maintainer", "Progress", "last_of"]

Progress = Callable[[MaintenanceStep], None]

SHARE: Final = 0.5  # of the time: a search beside it waits for a task at most every other moment
LONGEST_REST: Final = 10.0  # seconds
LAST: Final = "maintenance:last"


@dataclass(frozen=True, slots=True)
class Last:
    """When a store was last looked after, and how far its turns had come by then."""

    at: datetime
    version: int

    @classmethod
    def of(cls, value: Mapping[str, Any]) -> Last:
        """Read what is stored; what something else made of it counts as never."""
        try:
            return cls(datetime.fromisoformat(value["at"]), int(value["version"]))
        except (KeyError, TypeError, ValueError):
            return NEVER


NEVER: Final = Last(EPOCH, 0)


def last_of(store: Store) -> Last:
    """Return when a store was last looked after, by whichever process."""
    found = store.whole.meta.get(LAST)
    return NEVER if found is None else Last.of(found.value)


class Maintainer:
    """Looks after one store. Safe for several threads; any number of processes may have one.

    Args:
        store: Of any generation.
        tracing: Opens the spans of deletions.
        share: Of the time in which it may work, in (0, 1].
        safe_age: Of files that nothing refers to, from which on they are removed.
    """

    def __init__(
        self,
        store: Store,
        *,
        tracing: Tracing,
        share: float = SHARE,
        safe_age: timedelta = SAFE_AGE,
    ) -> None:
        if not 0 < share <= 1:
            raise InvalidInput(f"share={share!r}: pass a part of the time, above 0 and at most 1.")
        self._store = store
        self._whole = store.whole
        self._tracing = tracing
        self._share = share
        self._safe_age = safe_age

    def run(
        self,
        *,
        dry_run: bool = False,
        wait: float = 0.0,
        deletes: bool = True,
        progress: Progress | None = None,
    ) -> MaintenanceReport:
        """Look after the store once.

        Args:
            dry_run: Say what would be done, and change nothing.
            wait: Seconds to wait for another process that does so.
            deletes: Whether turns may be deleted whose time has come.
            progress: Told of each step when it is done.

        Raises:
            StoreError: The store is closed, read-only, or could not be read at all.
        """
        began, started = time.perf_counter(), datetime.now(timezone.utc)
        before = folder_bytes(self._whole.opened.folder)
        steps: list[MaintenanceStep] = []

        def tell(step: MaintenanceStep) -> None:
            steps.append(step)
            if progress is not None:
                progress(step)

        skipped = None
        tasks = Tasks(self._store, tracing=self._tracing, safe_age=self._safe_age)
        if dry_run:
            self._whole.guard.check()
            self._work(tasks.all(now=started, dry_run=True), tell=tell, rests=False)
        else:
            self._whole.guard.check_writable("maintain the store")
            work = tasks.all(now=started, dry_run=False, deletes=deletes)
            with self._whole.guard.audit.entry("maintain") as entry:
                skipped = self._leased(work, now=started, wait=wait, tell=tell)
                entry.note(skipped=skipped, errors=sum(step.error is not None for step in steps))
        return MaintenanceReport(
            started_at=started,
            seconds=time.perf_counter() - began,
            dry_run=dry_run,
            steps=tuple(steps),
            skipped=skipped,
            bytes_before=before,
            bytes_after=folder_bytes(self._whole.opened.folder),
        )

    def _leased(
        self, tasks: Iterator[Task], *, now: datetime, wait: float, tell: Progress
    ) -> str | None:
        """Work under the lease; return why nothing was done where another process has it."""
        lease = Lease(self._whole.meta)
        if not lease.take(wait=wait):
            seen = look(self._whole.meta)
            owner = None if seen is None else seen.owner
            return f"{'another process' if owner is None else owner.name} is looking after it"
        with lease:
            if self._work(tasks, tell=tell, renew=lease.renew):
                value = {"at": now.isoformat(), "version": self._turns_version()}
                self._whole.meta.put(LAST, value)
        return None

    def _turns_version(self) -> int:
        now = self._whole.generations.read().generation
        same = now.number == self._store.generation
        return (self._store if same else self._store.at_generation(now)).version

    def _work(
        self,
        tasks: Iterator[Task],
        *,
        tell: Progress,
        renew: Callable[[], None] = lambda: None,
        rests: bool = True,
    ) -> bool:
        """Make every task; return whether the lease lasted."""
        for task in tasks:
            try:
                renew()
            except ConcurrentWrite as error:
                tell(MaintenanceStep(name="lease", target="store", done="", error=str(error)))
                return False
            step = _made(task)
            tell(step)
            if rests:
                rest = step.seconds * (1 - self._share) / self._share
                time.sleep(min(rest, LONGEST_REST))
        return True


def _made(task: Task) -> MaintenanceStep:
    """Make a task; what prevents it is part of what is told."""
    began, error = time.perf_counter(), None
    try:
        did = task.act()
    except (AgentmemError, OSError) as failed:
        did, error = Did(""), f"{type(failed).__name__}: {failed}"
    return MaintenanceStep(
        name=task.name,
        target=task.target,
        done=did.done,
        bytes_before=did.before,
        bytes_after=did.after,
        left=did.left,
        error=error,
        seconds=time.perf_counter() - began,
    )
