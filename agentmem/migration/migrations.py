"""`Migrations`: those of one store, started, run and taken back by name.

Where a migration is stands in the store, so that one process may start it and another run it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timezone
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from agentmem.background import start
from agentmem.embedding.cache import CachedEmbedder
from agentmem.embedding.choice import Embedders
from agentmem.errors import AgentmemError, EmbeddingFailed, InvalidInput, VersionGone
from agentmem.migration.agreement import Agreement, Labelled
from agentmem.migration.engines import Engine, LocalEngine
from agentmem.migration.gates import Bounds, Gates
from agentmem.migration.migrator import Migrator, Options, Tell
from agentmem.migration.planning import plan_migration
from agentmem.migration.records import Record, Records, new_id
from agentmem.migration.shadowing import Shadow
from agentmem.migration.steps import Steps, add_generation, drop
from agentmem.protocols import Embedder
from agentmem.ranking import Ranking
from agentmem.storage.canaries import KeptCanaries
from agentmem.storage.copying import copies
from agentmem.storage.description import Generation
from agentmem.storage.generations import Whole
from agentmem.storage.turns import Store as Turns
from agentmem.telemetry import Tracing
from agentmem.types import Kind, MigrationPlan, MigrationStatus, Passport

__all__ = ["Migrations", "Wanted"]

FORWARD: Final = "forward"
BACK: Final = "back"
OF_VECTORS: Final = ("space", "vectors", "canaries", "spot_check")  # gates that look at vectors


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """How a migration is to be run.

    Attributes:
        options: As the migrator takes them.
        bounds: What the gates ask for.
        labels: Questions whose answers are known.
        share: Of the time in which it may compute; None stays behind whatever else runs, and in
            the background rests half of the time as well.
        engine: Makes what embeds, given the embedder; None for this process.
        reembed: Whether to go on although the passports are equal.
    """

    options: Options = field(default_factory=Options)
    bounds: Bounds = field(default_factory=Bounds)
    labels: Sequence[Labelled] = ()
    share: float | None = None
    engine: Callable[[Embedder], Engine] | None = None
    reembed: bool = False

    @property
    def stored(self) -> dict[str, Any]:
        """What of it is kept with the migration: numbers, and no question of anybody."""
        return {"options": asdict(self.options), "bounds": asdict(self.bounds)}


class _Running(NamedTuple):
    thread: threading.Thread
    failed: list[BaseException]


class Migrations:
    """The migrations of one open store. Safe for several threads.

    Args:
        store: The store.
        embedders: Those of this process.
        ranking: The weights that both spaces are compared with.
        tracing: Opens spans.
    """

    def __init__(
        self,
        store: Whole,
        *,
        embedders: Embedders,
        ranking: Ranking,
        tracing: Tracing,
    ) -> None:
        self.store = store
        self.records = Records(store.meta)
        self.embedders = embedders
        self.tracing = tracing
        self.shadow = Shadow(store.meta)
        self._ranking = ranking
        self._running: dict[str, _Running] = {}

    def plan(self, to: Embedder, *, measured: bool = True) -> MigrationPlan:
        """Return what a migration would do, and do nothing; see `plan_migration`."""
        now = self.store.generations.read().generation
        return plan_migration(self.store, turns=self._turns(now), to=to, measured=measured)

    def start(self, to: Embedder, wanted: Wanted) -> str:
        """Make the next generation, and record the migration; nobody runs it yet.

        One to the same space that was interrupted is gone on with.

        Returns:
            Its id.

        Raises:
            InvalidInput: The store is in that space already, or a migration is under way.
            EmbeddingFailed: The new model does not work.
            StoreError: The store is read-only, or could not be written.
        """
        self.store.guard.check_writable("migrate the store")
        embedder = self.embedders.welcome(to)
        before, description = self.records.current(), self.store.generations.read()
        if before is not None and not before.status.is_finished:
            building = description.generations.get(before.status.target)
            if building is None or building.passport != embedder.passport:
                self.records.start(before)  # raises
            return before.status.id
        now = description.generation
        if now.passport == embedder.passport and not wanted.reembed:
            raise InvalidInput(
                f"the store is in that space already ({now.passport.model}, {now.passport.id}). "
                "Nothing was changed. Repair: pass the embedder to move to; where the model "
                "changed behind an equal passport, reembed=True."
            )
        target, is_new = self._target(embedder, now=now, before=before)
        try:
            started = self._begun(now, target, kind=FORWARD, wanted=wanted)
        except InvalidInput:  # somebody else was faster
            if is_new:
                with suppress(VersionGone):  # who was faster may have dropped it
                    drop(self.store, target.number, grace=0.0)
            raise
        self._tidy(now, target)
        return started

    def history(self) -> list[MigrationStatus]:
        """Return the finished migrations, the newest last."""
        return self.records.history()

    def back(self, status: MigrationStatus) -> str:
        """Record a migration back to the generation that another one came from; return its id.

        One that was interrupted is gone on with.
        """
        begun = self.records.current()
        if begun is not None and _is_back_from(status, begun):
            return begun.status.id
        kept = self.store.generations.read()
        source, target = kept.generations.get(status.target), kept.generations.get(status.source)
        if status.state != "done" or source is None or kept.active != status.target:
            raise InvalidInput(
                f"migration {status.id} is {status.state!r}, and generation {kept.active} is in "
                "force: there is nothing to roll back. Nothing was changed."
            )
        if target is None:
            raise InvalidInput(
                f"generation {status.source} was dropped, so there is nothing to go back to. "
                "Nothing was changed. Repair: migrate to the old embedder anew."
            )
        return self._begun(source, target, kind=BACK, wanted=Wanted())

    def remembered(self, migration_id: str) -> Wanted:
        """Return how a migration was started, without its labels."""
        kept = self.records.need(migration_id).options
        if not kept:
            return Wanted()
        return Wanted(options=Options(**kept["options"]), bounds=Bounds(**kept["bounds"]))

    def run(
        self, migration_id: str, wanted: Wanted, *, share: float | None, tell: Tell
    ) -> MigrationStatus:
        """Run a migration in the calling thread; see `Migrator.run`."""
        record = self.records.need(migration_id)
        status = record.status
        steps = Steps(self.store, name=status.id, source=status.source, target=status.target)
        is_needed = record.kind != BACK and status.requested is None
        embedder = self._embedder_of(steps.target.passport, is_needed=is_needed)
        uncached = CachedEmbedder(getattr(embedder, "inner", embedder), max_bytes=0)
        made = (
            LocalEngine(uncached, share=share) if wanted.engine is None else wanted.engine(uncached)
        )
        migrator = Migrator(
            status.id,
            records=self.records,
            steps=steps,
            engine=made,
            gates=self._gates(steps, embedder=embedder, wanted=wanted, back=record.kind == BACK),
            shadow=self.shadow,
            options=Options(flip=True) if record.kind == BACK else wanted.options,
            tracing=self.tracing,
            tell=tell,
        )
        action = "migrate" if record.kind == FORWARD else "migration.rollback"
        with self.store.guard.audit.entry(action, detail={"migration": status.id}) as entry:
            ended = migrator.run()
            entry.note(state=ended.state)
            entry.tell(count=ended.done)
        return ended

    def begin(self, migration_id: str, wanted: Wanted, *, share: float) -> None:
        """Run a migration in a thread of its own, unless one of this process does."""
        running = self._running.get(migration_id)
        if running is not None and running.thread.is_alive():
            return
        failed: list[BaseException] = []

        def run() -> None:
            try:
                self.run(migration_id, wanted, share=share, tell=lambda _: None)
            except AgentmemError as error:
                failed.append(error)

        self._running[migration_id] = _Running(start(run, name="agentmem-migration"), failed)

    def join(self, migration_id: str, timeout: float | None) -> None:
        """Wait for a thread of this process that runs a migration, and raise what it raised."""
        running = self._running.get(migration_id)
        if running is not None:
            running.thread.join(timeout)
            if running.failed:
                raise running.failed.pop()

    def runs(self, migration_id: str) -> bool:
        """Whether a thread of this process runs a migration."""
        running = self._running.get(migration_id)
        return running is not None and running.thread.is_alive()

    def is_orphan(self, migration_id: str) -> bool:
        """Whether no process runs a migration, as far as can be told from here."""
        owner = self.records.need(migration_id).owner
        return owner is None or owner.is_gone

    def _begun(self, source: Generation, target: Generation, *, kind: str, wanted: Wanted) -> str:
        now = datetime.now(timezone.utc)
        status = MigrationStatus(
            id=new_id(),
            state="building",
            source=source.number,
            target=target.number,
            source_id=source.passport.id,
            target_id=target.passport.id,
            done=0,
            total=0,
            rate=0.0,
            eta_seconds=None,
            started_at=now,
            updated_at=now,
        )
        self.records.start(Record(status, owner=None, beat=0, kind=kind, options=wanted.stored))
        return status.id

    def _target(
        self, embedder: CachedEmbedder, *, now: Generation, before: Record | None
    ) -> tuple[Generation, bool]:
        """Return a generation of that space, and whether it is new.

        One that is kept is taken again, unless its vectors were found to be wrong.
        """
        passport = embedder.passport
        spoilt = before.status.target if before is not None and _is_spoilt(before.status) else None
        for one in self.store.generations.read().generations.values():
            is_other = one.number not in (now.number, spoilt)
            if is_other and one.passport == passport != now.passport:
                return one, False
        return add_generation(self.store, embedder.inner), True

    def _tidy(self, source: Generation, target: Generation) -> None:
        """Drop the generations that nobody goes back to, and forget what could not be embedded."""
        for number in self.store.generations.read().generations:
            if number not in (source.number, target.number):
                drop(self.store, number)
        store = self.store
        for copy in copies(store.opened, source=source, target=target, guard=store.guard):
            copy.release()

    def _embedder_of(self, passport: Passport, *, is_needed: bool) -> Embedder:
        try:
            return self.embedders.of(passport)
        except AgentmemError as error:
            if is_needed:
                raise
            return _Unavailable(passport, error)  # to go back, only what was written since takes it

    def _gates(self, steps: Steps, *, embedder: Embedder, wanted: Wanted, back: bool) -> Gates:
        kept = KeptCanaries(self.store.opened.at(steps.target), guard=self.store.guard)
        if back:
            return Gates(embedder=embedder, canaries=kept, agreement=None)
        same = steps.source.passport == steps.target.passport  # its model is what changed
        try:
            old = None if same else self.embedders.of(steps.source.passport)
        except AgentmemError:
            old = None
        agreement = Agreement(
            self._turns(steps.source),
            self._turns(steps.target),
            embedders=(old, embedder),
            ranking=self._ranking,
        )
        return Gates(
            embedder=embedder,
            canaries=kept,
            agreement=agreement,
            labels=wanted.labels,
            bounds=replace(wanted.bounds, shadow=0.0) if same else wanted.bounds,
        )

    def _turns(self, generation: Generation) -> Turns:
        return Turns(self.store.opened.at(generation), guard=self.store.guard)


def _is_back_from(status: MigrationStatus, begun: Record) -> bool:
    """Whether a migration is the rollback of another one, and under way."""
    now = begun.status
    is_reverse = (now.source, now.target) == (status.target, status.source)
    return begun.kind == BACK and not now.is_finished and is_reverse


def _is_spoilt(status: MigrationStatus) -> bool:
    """Whether a migration ended because the vectors it made are not what they should be."""
    return status.state == "failed" and any(
        gate.name in OF_VECTORS and not gate.passed for gate in status.gates
    )


class _Unavailable:
    """Stands for a model that is gone, for as long as nothing has to be embedded."""

    def __init__(self, passport: Passport, error: AgentmemError) -> None:
        self._passport = passport
        self._error = error

    @property
    def passport(self) -> Passport:
        """Of the space it was."""
        return self._passport

    def embed(self, texts: Iterable[str], *, kind: Kind) -> NDArray[np.float32]:
        """Raise: there is no model."""
        del texts, kind
        raise EmbeddingFailed(
            f"the model of that space is not to be had here ({self._error})"
        ) from self._error

    def split(self, texts: Sequence[str], *, prefixes: Sequence[str]) -> list[list[str]]:
        """Raise: there is no model."""
        del prefixes
        self.embed(texts, kind="document")
        return []
