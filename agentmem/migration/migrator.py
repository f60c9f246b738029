"""`Migrator`: one run of a migration, from wherever the last one stopped to its end.

Carries what the next generation lacks, again and again until little is left; looks at the gates;
makes writers wait for the last rows, and swaps. Whatever fails, the generation in force serves
as before. Everything it needs to go on is in the store.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from typing import Any, Final, Literal

from agentmem.background import is_ending, start
from agentmem.errors import AgentmemError, EmbeddingFailed, StoreError
from agentmem.migration.engines import Engine
from agentmem.migration.gates import Gates
from agentmem.migration.records import Owner, Record, Records
from agentmem.migration.shadowing import Shadow
from agentmem.migration.steps import Steps
from agentmem.storage.copying import Copy
from agentmem.telemetry import Attributes, Current, Tracing
from agentmem.types import FINISHED, Gate, Held, MigrationState, MigrationStatus, Poisoned

__all__ = ["Migrator", "Options", "Tell"]

Tell = Callable[[MigrationStatus], None]
"""Is told where the migration is, after every batch."""

BEAT: Final = 5.0  # seconds between two signs of life
FEW: Final = 100  # rows that may be left for the time in which writers wait,
FEW_SHARE: Final = 0.001  # or this share of all of them
ROUNDS: Final = 100  # of catching up: each takes as long as what was written during the last
SEALED_SECONDS: Final = 10.0  # of carrying while writers wait; they wait for 30 at most
COMMITS: Final = 64  # of the first pass: as many files, which need no compaction
LEAST_A_COMMIT: Final = 256
CHECK_SECONDS: Final = 0.5  # between two looks at what was asked of the run
PACE_BATCHES: Final = 20  # commits that the rate is taken over
BACK: Final = "back"  # the kind of a migration that is a rollback


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How a migration is run.

    Attributes:
        shadow: Live questions to be compared before the flip.
        shadow_seconds: How long to wait for them.
        flip: Whether to move readers over when the gates are passed.
    """

    shadow: int = 0
    shadow_seconds: float = 3600.0
    flip: bool = True


class _Stop(Exception):
    """Somebody asked for a pause or an end."""

    def __init__(self, state: Literal["paused", "cancelled"]) -> None:
        super().__init__(state)
        self.state = state


class _Ousted(Exception):
    """Another run owns the migration now."""


class Migrator:
    """Runs one migration.

    Args:
        migration_id: Which.
        records: Of the store.
        steps: What is done to its generations.
        engine: Embeds rows anew.
        gates: What has to hold before the flip.
        shadow: Counts what processes compare.
        options: How it is run.
        tracing: Opens the span of the run.
        tell: Told after every batch.
    """

    def __init__(
        self,
        migration_id: str,
        *,
        records: Records,
        steps: Steps,
        engine: Engine,
        gates: Gates,
        shadow: Shadow,
        options: Options,
        tracing: Tracing,
        tell: Tell,
    ) -> None:
        self._id = migration_id
        self._records = records
        self._steps = steps
        self._engine = engine
        self._gates = gates
        self._shadow = shadow
        self._options = options
        self._tracing = tracing
        self._tell = tell
        self._owner = Owner.me()
        self._poisoned: dict[tuple[Held, str], Poisoned] = {}
        self._carried = 0
        self._checked = 0.0
        self._pace: list[tuple[float, int]] = []

    def run(self) -> MigrationStatus:
        """Run it until it is finished or somebody asks for a pause.

        Returns:
            Where it ended. A failed gate or model ends it as "failed", which is no exception.

        Raises:
            StoreError: The store could not be read or written; run it again to go on.
        """
        if self._records.own(self._id, self._owner) is None:
            return self._records.need(self._id).status
        attributes: Attributes = {
            "agentmem.store": self._tracing.store,
            "agentmem.migration.id": self._id,
            "agentmem.migration.source": self._steps.source.number,
            "agentmem.migration.target": self._steps.target.number,
        }
        with self._tracing.operation("agentmem.migrate", attributes) as current, self._beating():
            status = self._ended(current)
            current.set(
                {
                    "agentmem.migration.state": status.state,
                    "agentmem.migration.rows": self._carried,
                    "agentmem.migration.poisoned": len(self._poisoned),
                }
            )
        return status

    def _ended(self, current: Current) -> MigrationStatus:
        """Run it, and record how it ended."""
        try:
            self._poisoned = {(one.held, one.id): one for one in self._records.poisoned(self._id)}
            self._steps.unseal_earlier()
            return self._stopped(current)
        except _Ousted:
            return self._records.need(self._id).status
        except BaseException:
            with suppress(AgentmemError, _Ousted):
                self._change(_disowned)
            raise

    def _stopped(self, current: Current) -> MigrationStatus:
        """Run it, and end it early where it has to be."""
        try:
            return self._migrated(current)
        except _Stop as stop:
            if stop.state == "cancelled":
                self._steps.drop_target()
            return self._finish(stop.state)
        except EmbeddingFailed as error:
            return self._finish("failed", error=str(error))

    def _migrated(self, current: Current) -> MigrationStatus:
        if self._steps.has_flipped:  # killed between the flip and the record of it
            return self._finish("done")
        with current.phase("carry"):
            self._carry_all("building")
            self._catch_up()
        self._set(state="checking")
        with current.phase("gates"):
            gates = self._gates.look(self._steps.copies(), poisoned=len(self._poisoned))
        if self._options.shadow and all(gate.passed for gate in gates):
            gates = (*gates, self._shadowed())
        self._set(gates=gates)
        failed = [gate for gate in gates if not gate.passed]
        if failed:
            told = "; ".join(f"{gate.name}: {gate.detail}" for gate in failed)
            return self._finish("failed", error=f"the old generation serves as before. {told}")
        if not self._options.flip:
            return self._finish("paused")
        with current.phase("flip"):
            while not self._flipped():
                self._catch_up()
        return self._finish("done", flipped=True)

    def _shadowed(self) -> Gate:
        """Wait until processes compared enough live questions."""
        self._set(state="shadowing")
        self._shadow.reset(self._id)
        self._steps.shadow(shown=True)
        try:
            until = time.monotonic() + self._options.shadow_seconds
            while time.monotonic() < until:
                if self._shadow.read(self._id).asked >= self._options.shadow:
                    break
                self._check()
                self._carry_all("shadowing")
                time.sleep(0.2)
        finally:
            self._steps.shadow(shown=False)
        return self._gates.of_shadow(self._shadow.read(self._id), wanted=self._options.shadow)

    def _catch_up(self) -> None:
        """Carry what was written meanwhile, until little is left."""
        for _ in range(ROUNDS):
            left, total = self._outstanding()
            if left <= max(FEW, int(FEW_SHARE * total)):
                return
            self._carry_all("catching_up")
        raise EmbeddingFailed(
            f"after {ROUNDS} rounds there are still more than {FEW} rows to carry: more is written "
            "than the new model embeds in the same time. Nothing was changed for readers. Repair: "
            "resume when less is written, with share=1, or with more workers (--engine ray)."
        )

    def _flipped(self) -> bool:
        """Carry the last rows while writers wait, and swap; False if it took too long."""
        self._set(state="flipping")
        self._check(anew=True)
        if not self._steps.seal():
            raise StoreError(
                "another migration holds the store. Repair: finish or cancel that one first."
            )
        try:
            until = time.monotonic() + SEALED_SECONDS
            while self._outstanding()[0]:
                self._carry_all("flipping", until=until)
                if time.monotonic() > until:
                    return False
            return self._steps.flip()
        finally:
            self._steps.unseal()

    def _outstanding(self) -> tuple[int, int]:
        found = [copy.outstanding() for copy in self._steps.copies()]
        return sum(map(len, found)), sum(one.total for one in found)

    def _carry_all(self, state: MigrationState, *, until: float | None = None) -> None:
        """Carry everything that is outstanding now, in batches."""
        found = [(copy, copy.outstanding()) for copy in self._steps.copies()]
        total = sum(one.total for _, one in found)
        left = sum(len(one.keys) for _, one in found)
        self._set(state=state, total=total, done=total - left)
        for copy, outstanding in found:
            self._check()
            copy.remove(outstanding.gone)
            for count in self._carry(copy, outstanding.keys):
                left -= count
                self._progress(done=total - left, left=left, rows=count)
                if until is not None and time.monotonic() > until:
                    return

    def _carry(self, copy: Copy, keys: Sequence[str]) -> Iterator[int]:
        """Embed these keys anew and store them; give how many keys each commit settled."""
        size = max(LEAST_A_COMMIT, -(-len(keys) // COMMITS))
        erasures = self._steps.erasures
        for made in self._engine.made(copy, keys, size=size, alive=self._check):
            self._check(anew=True)  # who was stopped for minutes may have lost it to another
            copy.put(made.rows)
            if self._steps.erasures != erasures:
                copy.take_back(made.rows)
            self._set_aside(made.poisoned)
            self._carried += made.keys
            yield made.keys

    def _set_aside(self, rows: Sequence[Poisoned]) -> None:
        if rows:
            self._poisoned |= {(one.held, one.id): one for one in rows}
            self._records.set_aside(self._id, list(self._poisoned.values()))

    def _check(self, *, anew: bool = False) -> None:
        """Raise if somebody asked for a stop, or runs it now instead, or this process ends."""
        if is_ending():
            raise StoreError("the process ended. Repair: resume the migration.")
        if not anew and time.monotonic() - self._checked < CHECK_SECONDS:
            return
        self._checked = time.monotonic()
        record = self._records.need(self._id)
        if record.owner != self._owner:
            raise _Ousted
        if record.status.requested is not None:
            raise _Stop("paused" if record.status.requested == "pause" else "cancelled")

    def _progress(self, *, done: int, left: int, rows: int) -> None:
        """Tell how far it is, and how fast it goes."""
        now = time.monotonic()
        self._pace = [*self._pace, (now, rows)][-PACE_BATCHES:]
        span = now - self._pace[0][0]
        rate = sum(count for _, count in self._pace[1:]) / span if span > 0 else 0.0
        eta = left / rate if rate else None
        self._set(done=done, rate=rate, eta_seconds=eta, poisoned=len(self._poisoned))

    def _set(self, **changes: Any) -> None:
        """Change what is told of it."""
        record = self._change(
            lambda one: replace(
                one,
                beat=one.beat + 1,
                status=replace(one.status, updated_at=_now(), **changes),
            )
        )
        self._tell(record.status)

    def _change(self, change: Callable[[Record], Record]) -> Record:
        """Change the record, as long as this run owns it."""

        def mine(record: Record) -> Record | None:
            return change(record) if record.owner == self._owner else None

        changed = self._records.change(self._id, mine)
        if changed is None:
            raise _Ousted
        return changed

    def _finish(
        self, state: MigrationState, *, error: str | None = None, flipped: bool = False
    ) -> MigrationStatus:
        """Record how it ended, and own it no more."""

        def ended(record: Record) -> Record:
            back = record.kind == BACK and state == "done"
            status = replace(
                record.status,
                state="rolled_back" if back else state,
                error=error,
                requested=None,
                owner=None,
                updated_at=_now(),
                finished_at=_now() if state in FINISHED else None,
                flipped_at=_now() if flipped else record.status.flipped_at,
                poisoned=len(self._poisoned),
            )
            return replace(record, status=status, owner=None, beat=record.beat + 1)

        record = self._change(ended)
        if record.status.is_finished:
            self._records.finish(record)
        self._tell(record.status)
        return record.status

    @contextmanager
    def _beating(self) -> Iterator[None]:
        """Show signs of life from a thread of its own, however long a batch takes."""
        over = threading.Event()

        def beat() -> None:
            while not over.wait(BEAT):
                with suppress(AgentmemError, _Ousted):
                    self._change(lambda one: replace(one, beat=one.beat + 1))

        thread = start(beat, name="agentmem-migration-beat", end=over.set)
        try:
            yield
        finally:
            over.set()
            thread.join()


def _disowned(record: Record) -> Record:
    """A migration that nobody runs, to be gone on with."""
    return replace(record, owner=None, status=replace(record.status, owner=None))


def _now() -> datetime:
    return datetime.now(timezone.utc)
