"""The record of a migration, in the store itself: where it is, who runs it, what was asked of it.

Changed by compare-and-swap only. Whoever runs a migration owns it: by a token that every change
checks, and by a beat that goes on while the owner lives. An owner whose process is gone, or whose
beat stands still, has lost it to the next who asks.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any, Final

import uuid_utils

from agentmem.errors import ConcurrentWrite, InvalidInput, NotFound
from agentmem.storage.meta import Meta
from agentmem.storage.owners import Owner
from agentmem.types import Gate, MigrationStatus, Poisoned

__all__ = ["Owner", "Record", "Records", "new_id"]

CURRENT: Final = "migration"
HISTORY: Final = "migrations"
POISON: Final = "migration:poison:"
KEPT: Final = 50  # finished migrations that a store remembers
SILENCE: Final = 30.0  # seconds without a beat: a batch takes a few
LOOK: Final = 0.5  # seconds between two looks at somebody else's beat
SWAPS: Final = 100


@dataclass(frozen=True, slots=True)
class Record:
    """A migration as it is stored.

    Attributes:
        status: What is told of it.
        owner: Who runs it, if anybody.
        beat: Counts the signs of life of the owner.
        kind: "forward", or "back" for a rollback.
        options: What it was started with, to resume it alike.
    """

    status: MigrationStatus
    owner: Owner | None
    beat: int
    kind: str
    options: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        told = asdict(self.status)
        for name in ("started_at", "updated_at", "finished_at", "flipped_at"):
            told[name] = None if told[name] is None else told[name].isoformat()
        owner = None if self.owner is None else asdict(self.owner)
        rest = {"beat": self.beat, "kind": self.kind, "options": dict(self.options)}
        return {"status": told, "owner": owner, **rest}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Record:
        """Return what `to_json` gave."""
        told = dict(value["status"])
        for name in ("started_at", "updated_at", "finished_at", "flipped_at"):
            told[name] = None if told[name] is None else datetime.fromisoformat(told[name])
        told["gates"] = tuple(Gate(**one) for one in told["gates"])
        owner = None if value["owner"] is None else Owner.from_json(value["owner"])
        status = MigrationStatus(**told)
        return cls(status, owner, value["beat"], value["kind"], value["options"])


class Records:
    """The migrations of one store. Safe for several threads; any number of processes may ask.

    Args:
        meta: The store's named values.
    """

    def __init__(self, meta: Meta) -> None:
        self._meta = meta

    def current(self) -> Record | None:
        """Return the newest migration, under way or finished; None if there never was one."""
        found = self._meta.get(CURRENT)
        return None if found is None or not found.value else Record.from_json(found.value)

    def need(self, migration_id: str) -> Record:
        """Return a migration that is the newest.

        Raises:
            NotFound: It is not.
        """
        found = self.current()
        if found is None or found.status.id != migration_id:
            raise NotFound(
                f"there is no migration {migration_id!r} under way. The store has begun another "
                "one since, or never had it. Repair: ask for the newest one."
            )
        return found

    def start(self, record: Record) -> Record:
        """Put a new migration in the place of the last, which has to be finished.

        Raises:
            InvalidInput: One is under way.
        """
        while True:
            found = self._meta.get(CURRENT)
            if found is None:
                if self._meta.put_if_absent(CURRENT, record.to_json()):
                    return record
                continue
            before = Record.from_json(found.value)
            if not before.status.is_finished:
                raise InvalidInput(
                    f"a migration of this store is under way ({before.status.id}, "
                    f"{before.status.state}). Nothing was changed. Repair: resume or cancel it: "
                    "`agentmem migrate cancel`, the same `migrate` command again, or the "
                    "handle that `migration()` returns."
                )
            if self._meta.compare_and_swap(CURRENT, record.to_json(), rev=found.rev):
                return record

    def change(self, migration_id: str, change: Callable[[Record], Record | None]) -> Record | None:
        """Change a migration by compare-and-swap.

        Args:
            migration_id: Which; it has to be the newest.
            change: From what is stored to what shall be, or to None to leave it; called again
                when another process was faster.

        Raises:
            NotFound: Another migration is the newest.
            ConcurrentWrite: Others kept coming first.
        """
        for _ in range(SWAPS):
            found = self._meta.get(CURRENT)
            before = None if found is None else Record.from_json(found.value)
            if found is None or before is None or before.status.id != migration_id:
                self.need(migration_id)
                continue
            after = change(before)
            if after is None:
                return None
            if self._meta.compare_and_swap(CURRENT, after.to_json(), rev=found.rev):
                return after
        raise ConcurrentWrite(
            f"could not change migration {migration_id!r}: other processes kept changing it "
            "first. Repair: call again."
        )

    def own(self, migration_id: str, owner: Owner, *, wait: bool = True) -> Record | None:
        """Become the owner of a migration that nobody runs, or whose owner is gone.

        Args:
            migration_id: Which.
            owner: Who asks.
            wait: Whether to watch a silent owner for as long as it takes to be sure.

        Returns:
            The migration, owned; None where another one runs it.
        """
        beat, since = None, time.monotonic()
        while True:
            record = self.need(migration_id)
            if beat != (record.owner, record.beat):
                beat, since = (record.owner, record.beat), time.monotonic()
            silent = time.monotonic() - since > SILENCE
            if record.owner is None or record.owner.is_gone or silent:
                taken = self.change(
                    migration_id,
                    partial(_taken, seen=record, owner=owner),
                )
                if taken is not None:
                    return taken
            elif not wait:
                return None
            else:
                time.sleep(LOOK)
                if self.need(migration_id).beat != record.beat:
                    return None

    def finish(self, record: Record) -> None:
        """Remember a finished migration."""
        for _ in range(SWAPS):
            found = self._meta.get(HISTORY)
            told = [] if found is None else list(found.value)
            kept = [one for one in told if one["status"]["id"] != record.status.id]
            listed = [*kept, record.to_json()][-KEPT:]
            if found is None:
                if self._meta.put_if_absent(HISTORY, listed):
                    return
            elif self._meta.compare_and_swap(HISTORY, listed, rev=found.rev):
                return

    def history(self) -> list[MigrationStatus]:
        """Return the finished migrations, the newest last."""
        found = self._meta.get(HISTORY)
        told = [] if found is None else found.value
        return [Record.from_json(one).status for one in told]

    def poisoned(self, migration_id: str) -> list[Poisoned]:
        """Return the rows that were set aside."""
        found = self._meta.get(POISON + migration_id)
        return [] if found is None else [Poisoned(**one) for one in found.value]

    def set_aside(self, migration_id: str, rows: list[Poisoned]) -> None:
        """Keep the list of rows that were set aside."""
        self._meta.put(POISON + migration_id, [asdict(one) for one in rows])


def _taken(now: Record, *, seen: Record, owner: Owner) -> Record | None:
    """A migration with its new owner, unless somebody else took it meanwhile."""
    if (now.owner, now.beat) != (seen.owner, seen.beat):
        return None
    status = replace(now.status, owner=owner.name)
    return replace(now, owner=owner, beat=now.beat + 1, status=status)


def new_id() -> str:
    """Return the id of a new migration."""
    return str(uuid_utils.uuid7())
