"""`Migration`, awaited. Written by `make generate` from `agentmem.migration.handle`."""

from __future__ import annotations

from agentmem.asynchronous.workers import Workers
from agentmem.migration import Migration
from agentmem.migration.migrations import Wanted
from agentmem.types import MigrationStatus, Poisoned

__all__ = ["AsyncMigration"]


class AsyncMigration:
    """`Migration`, each call awaited in a thread."""

    _sync: Migration
    _workers: Workers

    def __init__(self, given: Migration, workers: Workers) -> None:
        self._sync = given
        self._workers = workers

    async def status(self) -> MigrationStatus:
        """Return where it is, whichever process runs it.

        Raises:
            NotFound: It is not remembered any more.
        """
        return await self._workers.run(self._sync.status)

    async def run(self, wanted: Wanted | None = None, *, progress: bool = True) -> MigrationStatus:
        """Run it in the calling thread until it is finished or paused.

        Args:
            wanted: How; as before if None.
            progress: Whether to draw a progress bar on a terminal.

        Raises:
            EmbedderMismatch: This process has no embedder of the new space.
            StoreError: The store could not be read or written; run it again to go on.
        """
        return await self._workers.run_long(lambda: self._sync.run(wanted, progress=progress))

    async def begin(self, wanted: Wanted | None = None) -> AsyncMigration:
        """Run it in the background of this process, and return at once."""
        return AsyncMigration(
            await self._workers.run(lambda: self._sync.begin(wanted)), self._workers
        )

    async def wait(self, timeout: float | None = None) -> MigrationStatus:
        """Wait until it is finished or paused, whichever process runs it.

        Args:
            timeout: Most seconds; None waits as long as it takes.

        Returns:
            Where it is.

        Raises:
            AgentmemError: What a run of this process raised.
        """
        return await self._workers.run_long(lambda: self._sync.wait(timeout))

    async def pause(self) -> MigrationStatus:
        """Ask whoever runs it to stop after the batch under way; `resume` goes on from there."""
        return await self._workers.run(self._sync.pause)

    async def resume(self) -> AsyncMigration:
        """Go on with it in the background of this process, as it was started.

        One that was started with `flip=False` pauses before the flip again; `migrate(to)` goes on
        with it and moves readers over. Labels are not kept: pass them to `migrate` again.
        """
        return AsyncMigration(await self._workers.run(self._sync.resume), self._workers)

    async def cancel(self) -> MigrationStatus:
        """Give it up, and drop what was built. The generation in force is not touched.

        Raises:
            InvalidInput: It is finished: then it can only be rolled back.
        """
        return await self._workers.run(self._sync.cancel)

    async def rollback(self, *, progress: bool = True) -> MigrationStatus:
        """Put the generation it came from back in force, with everything that was written since.

        Raises:
            InvalidInput: It was not done, or that generation was dropped.
            EmbeddingFailed: Something was written since, and the old model is not to be had.
        """
        return await self._workers.run_long(lambda: self._sync.rollback(progress=progress))

    async def drop(self, *, dry_run: bool = False) -> int:
        """Drop the generation it came from, once it is sure that nobody wants to go back.

        Args:
            dry_run: Say which, and drop nothing.

        Returns:
            Number of the generation.

        Raises:
            InvalidInput: It is in force, or the migration is under way.
            VersionGone: It was dropped before.
        """
        return await self._workers.run(lambda: self._sync.drop(dry_run=dry_run))

    async def poisoned(self) -> list[Poisoned]:
        """Return the rows whose text the new model could not embed."""
        return await self._workers.run(self._sync.poisoned)

    async def retry_poisoned(self) -> int:
        """Embed the rows that were set aside once more when it is run again; return how many.

        Raises:
            InvalidInput: It is finished, and they are found by their words in the meantime.
        """
        return await self._workers.run(self._sync.retry_poisoned)
