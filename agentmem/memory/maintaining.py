"""How a memory is looked after: maintenance, retention policies, and the doctor."""

from __future__ import annotations

from agentmem.maintenance import Doctor, Maintainer, Progress, Retention
from agentmem.memory.home import Home
from agentmem.scopes import Bound
from agentmem.storage.turns import Store
from agentmem.types.maintenance import Diagnosis, MaintenanceReport

__all__ = ["Maintaining"]


class Maintaining:
    """The part of `Memory` that looks after its store."""

    _home: Home
    _bound: Bound

    @property
    def retention(self) -> Retention:
        """How long turns are kept, by policies that `maintain` applies.

        Raises:
            InvalidInput: The handle is bound to a scope.
        """
        self._bound.check_open("retention")
        return Retention(lambda: self._home.parts.store)

    def maintain(
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
        self._bound.check_open("maintain")
        maintainer = Maintainer(self._store_now, tracing=self._home.parts.tracing)
        return maintainer.run(dry_run=dry_run, wait=wait, progress=progress)

    def doctor(self, *, fix: bool = False, sample: int | None = None) -> Diagnosis:
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
        self._bound.check_open("doctor")
        parts = self._home.parts
        doctor = Doctor(self._store_now, embedder=parts.embedder, sample=sample)
        return doctor.examined_and_repaired() if fix else doctor.examine()

    @property
    def _store_now(self) -> Store:
        return self._home.parts.store
