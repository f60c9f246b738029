"""`Maintaining`, awaited. Written by `make generate` from `agentmem.memory.maintaining`."""

from __future__ import annotations

from agentmem.asynchronous.workers import Workers
from agentmem.maintenance import Progress
from agentmem.memory import Memory
from agentmem.types.maintenance import Diagnosis, MaintenanceReport

__all__ = ["AsyncMaintaining"]


class AsyncMaintaining:
    """`Maintaining`, each call awaited in a thread."""

    _sync: Memory
    _workers: Workers

    async def maintain(
        self, *, dry_run: bool = False, wait: float = 0.0, progress: Progress | None = None
    ) -> MaintenanceReport:
        """Look after the store once: delete what is due, compact, prune, and clean up.

        Turns are deleted whose `expires_at` has come or that a retention policy reaches, unless
        they are pinned. Tables are compacted, versions older than `keep_versions` dropped, and
        files removed that nothing refers to. One process at a time does so; each step may fail
        alone, and rests in between leave time for searches.

        Args:
            dry_run: Say what would be done, and change nothing.
            wait: Seconds to wait for another process that is at it.
            progress: Told of each step when it is done.

        Returns:
            What each step did, and what it left and why; `skipped` tells where another process
            is at it.

        Raises:
            InvalidInput: The handle is bound to a scope.
            StoreError: The store is closed, read-only, or could not be read at all.
        """
        return await self._workers.run_long(
            lambda: self._sync.maintain(dry_run=dry_run, wait=wait, progress=progress)
        )

    async def doctor(self, *, fix: bool = False, sample: int | None = None) -> Diagnosis:
        """Examine the store: schema, keys, contents, vectors, files, locks. Read-only unless `fix`.

        Args:
            fix: Repair what can be repaired without losing anything; content is never deleted.
            sample: How many texts are embedded again to compare; None for the usual number.

        Returns:
            What was found, each with its repair.

        Raises:
            InvalidInput: The handle is bound to a scope.
            StoreError: The store is closed; or read-only, with `fix`.
        """
        return await self._workers.run_long(lambda: self._sync.doctor(fix=fix, sample=sample))
