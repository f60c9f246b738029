"""`Drift`, awaited. Written by `make generate` from `agentmem.monitoring.drift`."""

from __future__ import annotations

from datetime import timedelta

from agentmem.asynchronous.workers import Workers
from agentmem.monitoring import Drift
from agentmem.monitoring.drift import SIX_HOURS
from agentmem.monitoring.hooks import Kinds
from agentmem.monitoring.schedule import Watch
from agentmem.storage.canaries import Kept
from agentmem.types import DriftCheck, DriftEvent, DriftKind, DriftReport, Reembedded, StaleText

__all__ = ["AsyncDrift"]


class AsyncDrift:
    """`Drift`, each call awaited in a thread."""

    _sync: Drift
    _workers: Workers

    def __init__(self, given: Drift, workers: Workers) -> None:
        self._sync = given
        self._workers = workers

    async def check(self, kinds: Kinds = None) -> DriftReport:
        """Look for drift now, and tell hooks of what is new.

        Args:
            kinds: One kind, or several: "model", "texts", "content", "questions", "answers",
                "language", "length"; all of them if None.

        Raises:
            InvalidInput: There is no such kind.
            StoreError: The store could not be read, or the findings not be written down.
        """
        return await self._workers.run_long(lambda: self._sync.check(kinds))

    async def watch(self, *, every: timedelta = SIX_HOURS, kinds: Kinds = None) -> Watch:
        """Look for drift again and again in the background, until it is stopped or closed.

        Of all processes that watch a store, one makes each check. A watch that is under way is
        stopped first.

        Raises:
            InvalidInput: `every` is too short, or there is no such kind.
            StoreError: The store is read-only.
        """
        return await self._workers.run(lambda: self._sync.watch(every=every, kinds=kinds))

    async def stop(self) -> None:
        """Stop looking in the background."""
        await self._workers.run(self._sync.stop)

    async def events(self, *, unresolved: bool = True) -> list[DriftEvent]:
        """Return what was found, by whichever process, oldest first.

        Args:
            unresolved: Only what stands; else also what a later check found to be over.

        Raises:
            StoreError: The store could not be read.
        """
        return await self._workers.run(lambda: self._sync.events(unresolved=unresolved))

    async def history(self, *, kind: DriftKind | None = None) -> list[DriftCheck]:
        """Return what every earlier check found, oldest first.

        Raises:
            StoreError: The store could not be read.
        """
        return await self._workers.run(lambda: self._sync.history(kind=kind))

    async def acknowledge(self, event_id: str) -> DriftEvent:
        """Accept an event: it blocks no writes, and no hook hears of it any more.

        Returns:
            The event.

        Raises:
            NotFound: There is none of that id.
            StoreError: The store is read-only, or could not be written.
        """
        return await self._workers.run(lambda: self._sync.acknowledge(event_id))

    async def rebase(self, *, dry_run: bool = False) -> tuple[DriftEvent, ...]:
        """Accept today's state as the baseline of content, questions, answers and lengths.

        Args:
            dry_run: Say which events would be over, and change nothing.

        Returns:
            The events that are over by that.

        Raises:
            StoreError: The store is read-only, or could not be written.
        """
        return await self._workers.run(lambda: self._sync.rebase(dry_run=dry_run))

    async def stale(self) -> list[StaleText]:
        """Return the stored texts whose vectors are not those they would get today.

        Those of the sources that change most come first.

        Raises:
            StoreError: The store could not be read.
        """
        return await self._workers.run(self._sync.stale)

    async def reembed(
        self, *, dry_run: bool = False, limit: int | None = None, progress: bool = True
    ) -> Reembedded:
        """Embed the stale texts anew, where they are.

        What others replace or delete meanwhile stays as they left it. A text that the model
        refuses is set aside: it is listed, and found by its words alone.

        Args:
            dry_run: Say how many there are, and do nothing.
            limit: At most so many, those of the sources that change most first.
            progress: Whether to draw a progress bar on a terminal.

        Raises:
            InvalidInput: `limit` is no count.
            EmbeddingFailed: The model fails, whatever the text; what was done stays done.
            StoreError: The store is read-only, or could not be written.
        """
        return await self._workers.run_long(
            lambda: self._sync.reembed(dry_run=dry_run, limit=limit, progress=progress)
        )

    async def canaries(self) -> Kept | None:
        """Return the canaries' vectors as they were when the generation was made; None if none.

        Raises:
            StoreError: The store could not be read.
        """
        return await self._workers.run(self._sync.canaries)
