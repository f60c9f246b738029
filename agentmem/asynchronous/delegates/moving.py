"""`Moving`, awaited. Written by `make generate` from `agentmem.migration.moving`."""

from __future__ import annotations

from collections.abc import Sequence

from agentmem.asynchronous.delegates.migration import AsyncMigration
from agentmem.asynchronous.workers import Workers
from agentmem.migration import Moving
from agentmem.migration.agreement import Labelled
from agentmem.migration.gates import Bounds
from agentmem.protocols import Embedder
from agentmem.types import MigrationPlan, MigrationStatus, Passport

__all__ = ["AsyncMoving"]


class AsyncMoving:
    """`Moving`, each call awaited in a thread."""

    _sync: Moving
    _workers: Workers

    async def passport(self) -> Passport:
        """Identity of the embedding space that the store is in now.

        Raises:
            StoreError: The store could not be read.
        """
        return await self._workers.run(lambda: self._sync.passport)

    async def plan_migration(self, to: Embedder, *, measured: bool = True) -> MigrationPlan:
        """Return what `migrate` would do: rows, time, disk, and what changes. Writes nothing.

        Args:
            to: The embedder to move to.
            measured: Whether to embed a few stored texts with it, to estimate the time.

        Raises:
            EmbeddingFailed: The new model could not be loaded.
            StoreError: The store could not be read.
        """
        return await self._workers.run_long(
            lambda: self._sync.plan_migration(to, measured=measured)
        )

    async def migrate(
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
    ) -> AsyncMigration:
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
        return AsyncMigration(
            await self._workers.run_long(
                lambda: self._sync.migrate(
                    to,
                    background=background,
                    share=share,
                    shadow=shadow,
                    shadow_seconds=shadow_seconds,
                    labels=labels,
                    bounds=bounds,
                    flip=flip,
                    reembed=reembed,
                    engine=engine,
                    workers=workers,
                    progress=progress,
                )
            ),
            self._workers,
        )

    async def migrations(self) -> list[MigrationStatus]:
        """Return the finished migrations of the store, the newest last.

        Raises:
            StoreError: The store could not be read.
        """
        return await self._workers.run(self._sync.migrations)

    async def migration(self) -> AsyncMigration | None:
        """Return the newest migration, of whichever process; None if there never was one.

        Raises:
            StoreError: The store could not be read.
        """
        return (
            None
            if (found := await self._workers.run(self._sync.migration)) is None
            else AsyncMigration(found, self._workers)
        )
