"""`Moving`: which space a memory or a router is in, and how it is moved to another."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from agentmem.errors import InvalidInput, MigrationFailed
from agentmem.migration.agreement import Labelled
from agentmem.migration.engines import engine_named
from agentmem.migration.gates import Bounds
from agentmem.migration.handle import Migration
from agentmem.migration.migrations import Migrations, Wanted
from agentmem.migration.migrator import Options
from agentmem.protocols import Embedder
from agentmem.types import MigrationPlan, MigrationStatus, Passport

__all__ = ["Moving"]


class Moving(ABC):
    """The part of a facade that moves its store to another embedding space."""

    @property
    @abstractmethod
    def _migrations(self) -> Migrations:
        """Of the store."""

    @abstractmethod
    def _check_whole(self, what: str) -> None:
        """Refuse what concerns the whole store; for handles that are bound to a part of it."""

    @property
    def passport(self) -> Passport:
        """Identity of the embedding space that the store is in now.

        Raises:
            StoreError: The store could not be read.
        """
        return self._migrations.store.generations.read().generation.passport

    def plan_migration(self, to: Embedder, *, measured: bool = True) -> MigrationPlan:
        """Return what `migrate` would do: rows, time, disk, and what changes. Writes nothing.

        Args:
            to: The embedder to move to.
            measured: Whether to embed a few stored texts with it, to estimate the time.

        Raises:
            EmbeddingFailed: The new model could not be loaded.
            StoreError: The store could not be read.
        """
        self._check_whole("plan_migration")
        return self._migrations.plan(to, measured=measured)

    def migrate(
        self,
        to: Embedder,
        *,
        background: bool = False,
        share: float | None = None,
        shadow: int = 0,
        shadow_seconds: float = 3600.0,
        labels: Sequence[Labelled] = (),
        bounds: Bounds | None = None,
        flip: bool = True,
        reembed: bool = False,
        engine: str = "local",
        workers: int = 2,
        progress: bool = True,
    ) -> Migration:
        """Move the whole store, turns and tools, to another embedding space while it serves.

        Everything is embedded anew into tables beside those in force; what is written meanwhile
        is carried as well; gates are looked at; then readers and writers of every process move
        over at once. Before that nothing changes for anybody, and afterwards the old generation
        is kept for `Migration.rollback()` until `Migration.drop()`. Killed and called again, it
        goes on where it was.

        Args:
            to: The embedder to move to. Processes that serve need it as well: see `standby` of
                `open`.
            background: Whether to return at once, and work in a thread that leaves time for
                searches; a process of its own (`agentmem migrate`) disturbs them least.
            share: Of the time in which it may compute. At 1 it takes every processor it can get,
                which searches beside it feel. None takes half of the processors and stays behind
                whatever else runs; in the background it rests half of the time as well.
            shadow: How many live questions have to be asked of both spaces before the flip.
            shadow_seconds: How long to wait for them.
            labels: Questions whose answers are known: recall@10 must not fall.
            bounds: Other conditions than the usual ones.
            flip: Whether to move readers over once the gates hold; else it pauses there.
            reembed: Embed anew although the passports are equal, because the model behind them
                changed.
            engine: "local" or "ray".
            workers: Processes of an engine that has several.
            progress: Whether to draw a progress bar on a terminal.

        Returns:
            The migration: done, paused, or under way in the background.

        Raises:
            InvalidInput: The store is in that space already, or another migration is under way.
            MigrationFailed: A gate did not hold, or the model failed; the store serves as before.
            EmbeddingFailed: The new model could not be loaded.
            StoreError: The store is read-only, or could not be written.
        """
        self._check_whole("migrate")
        if type(shadow) is not int or shadow < 0:
            raise InvalidInput(f"shadow={shadow!r}: pass how many questions, 0 or more.")
        wanted = Wanted(
            options=Options(shadow=shadow, shadow_seconds=shadow_seconds, flip=flip),
            bounds=Bounds() if bounds is None else bounds,
            labels=tuple(labels),
            share=share,
            engine=engine_named(engine, workers=workers),
            reembed=reembed,
        )
        migration = Migration(self._migrations.start(to, wanted), of=self._migrations)
        if background:
            return migration.begin(wanted)
        _refuse_failed(migration.run(wanted, progress=progress))
        return migration

    def migrations(self) -> list[MigrationStatus]:
        """Return the finished migrations of the store, the newest last.

        Raises:
            StoreError: The store could not be read.
        """
        self._check_whole("migrations")
        return self._migrations.history()

    def migration(self) -> Migration | None:
        """Return the newest migration, of whichever process; None if there never was one.

        Raises:
            StoreError: The store could not be read.
        """
        self._check_whole("migration")
        found = self._migrations.records.current()
        return None if found is None else Migration(found.status.id, of=self._migrations)


def _refuse_failed(status: MigrationStatus) -> None:
    if status.state == "failed":
        failed = tuple(gate.name for gate in status.gates if not gate.passed)
        raise MigrationFailed(
            f"migration {status.id} failed: {status.error} Repair: see the gates; call again when "
            "the cause is gone, or with other bounds.",
            migration_id=status.id,
            gates=failed,
        )
