"""`Migration`: one migration of a store, watched, stopped, gone on with and taken back.

A handle holds nothing but a name: where it is stands in the store, for every process.
"""

from __future__ import annotations

import time
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Final, Literal

from agentmem.errors import EmbeddingFailed, InvalidInput, NotFound
from agentmem.migration.migrations import Migrations, Wanted
from agentmem.migration.steps import drop
from agentmem.storage.copying import copies
from agentmem.telemetry import Entry
from agentmem.transfer import progress_bar
from agentmem.types import MigrationStatus, Poisoned

__all__ = ["Migration"]

POLITE_SHARE: Final = 0.5  # of the time, in the background of a process that serves
LOOK: Final = 0.2  # seconds between two looks at a migration that is waited for


class Migration:
    """One migration of a store: watched, stopped, gone on with, and taken back.

    Args:
        migration_id: Which.
        of: The store's migrations.
    """

    def __init__(self, migration_id: str, *, of: Migrations) -> None:
        self.id = migration_id
        self._of = of
        self._wanted: Wanted | None = None

    def __repr__(self) -> str:
        return f"Migration({self.id!r})"

    def status(self) -> MigrationStatus:
        """Return where it is, whichever process runs it.

        Raises:
            NotFound: It is not remembered any more.
        """
        try:
            return self._of.records.need(self.id).status
        except NotFound:
            for one in self._of.history():
                if one.id == self.id:
                    return one
            raise

    def run(self, wanted: Wanted | None = None, *, progress: bool = True) -> MigrationStatus:
        """Run it in the calling thread until it is finished or paused.

        Args:
            wanted: How; as before if None.
            progress: Whether to draw a progress bar on a terminal.

        Raises:
            EmbedderMismatch: This process has no embedder of the new space.
            StoreError: The store could not be read or written; run it again to go on.
        """
        how = self._keep(wanted)
        with progress_bar(None, shown=progress, doing="migrating") as tell:
            return self._of.run(
                self.id,
                how,
                share=how.share,
                tell=lambda status: tell(status.done, status.done),
            )

    def begin(self, wanted: Wanted | None = None) -> Migration:
        """Run it in the background of this process, and return at once."""
        how = self._keep(wanted)
        self._resumed()
        self._of.begin(self.id, how, share=POLITE_SHARE if how.share is None else how.share)
        return self

    def wait(self, timeout: float | None = None) -> MigrationStatus:
        """Wait until it is finished or paused, whichever process runs it.

        Args:
            timeout: Most seconds; None waits as long as it takes.

        Returns:
            Where it is.

        Raises:
            AgentmemError: What a run of this process raised.
        """
        until = None if timeout is None else time.monotonic() + timeout
        while True:
            left = None if until is None else until - time.monotonic()
            if self._of.runs(self.id):
                self._of.join(self.id, LOOK if left is None else max(0.0, min(LOOK, left)))
            else:
                self._of.join(self.id, 0.0)
                status = self.status()
                if status.is_finished or status.state == "paused" or self._of.is_orphan(self.id):
                    return status
                time.sleep(LOOK)
            if left is not None and left <= 0:
                return self.status()

    def pause(self) -> MigrationStatus:
        """Ask whoever runs it to stop after the batch under way; `resume` goes on from there."""
        return self._request("pause")

    def resume(self) -> Migration:
        """Go on with it in the background of this process, as it was started.

        One that was started with `flip=False` pauses before the flip again; `migrate(to)` goes on
        with it and moves readers over. Labels are not kept: pass them to `migrate` again.
        """
        return self.begin()

    def cancel(self) -> MigrationStatus:
        """Give it up, and drop what was built. The generation in force is not touched.

        Raises:
            InvalidInput: It is finished: then it can only be rolled back.
        """
        return self._request("cancel")

    def rollback(self, *, progress: bool = True) -> MigrationStatus:
        """Put the generation it came from back in force, with everything that was written since.

        Raises:
            InvalidInput: It was not done, or that generation was dropped.
            EmbeddingFailed: Something was written since, and the old model is not to be had.
        """
        back = Migration(self._of.back(self.status()), of=self._of)
        status = back.run(progress=progress)
        if status.state == "failed":
            raise EmbeddingFailed(f"the rollback failed, and nothing changed: {status.error}")
        return status

    def drop(self, *, dry_run: bool = False) -> int:
        """Drop the generation it came from, once it is sure that nobody wants to go back.

        Args:
            dry_run: Say which, and drop nothing.

        Returns:
            Number of the generation.

        Raises:
            InvalidInput: It is in force, or the migration is under way.
            VersionGone: It was dropped before.
        """
        status = self.status()
        if not status.is_finished:
            raise InvalidInput(
                f"migration {self.id} is under way ({status.state}), and takes both generations. "
                "Nothing was dropped. Repair: wait for its end, or cancel it."
            )
        number = status.source if status.state in ("done", "rolled_back") else status.target
        with self._audited("drop", changes=not dry_run) as entry:
            entry.note(generation=number)
            if not dry_run:
                drop(self._of.store, number)
        return number

    def poisoned(self) -> list[Poisoned]:
        """Return the rows whose text the new model could not embed."""
        return self._of.records.poisoned(self.id)

    def retry_poisoned(self) -> int:
        """Embed the rows that were set aside once more when it is run again; return how many.

        Raises:
            InvalidInput: It is finished, and they are found by their words in the meantime.
        """
        self._refuse_finished("retry the rows of")
        status, store = self.status(), self._of.store
        kept = store.generations.read().generations
        source, target = kept[status.source], kept[status.target]
        found = copies(store.opened, source=source, target=target, guard=store.guard)
        self._of.records.set_aside(self.id, [])
        return sum(copy.release() for copy in found)

    def _audited(self, what: str, *, changes: bool = True) -> AbstractContextManager[Entry]:
        audit = self._of.store.guard.audit
        return audit.entry(f"migration.{what}", detail={"migration": self.id}, changes=changes)

    def _keep(self, wanted: Wanted | None) -> Wanted:
        if wanted is not None:
            self._wanted = wanted
        if self._wanted is None:  # another handle started it, maybe of another process
            self._wanted = self._of.remembered(self.id)
        return self._wanted

    def _request(self, what: Literal["pause", "cancel"]) -> MigrationStatus:
        """Ask the one who runs it; if nobody does, do it here."""
        self._refuse_finished(what)
        with self._audited(what):
            self._of.records.change(
                self.id, lambda one: replace(one, status=replace(one.status, requested=what))
            )
        if self._of.is_orphan(self.id):
            return self._of.run(self.id, self._keep(None), share=1.0, tell=lambda _: None)
        return self.status()

    def _resumed(self) -> None:
        """Take back a request to pause."""
        self._refuse_finished("resume")
        self._of.records.change(
            self.id, lambda one: replace(one, status=replace(one.status, requested=None))
        )

    def _refuse_finished(self, what: str) -> None:
        status = self.status()
        if status.is_finished:
            raise InvalidInput(
                f"cannot {what} migration {self.id}: it is {status.state!r} since "
                f"{status.finished_at:%Y-%m-%d %H:%M} UTC. Nothing was changed. Repair: start "
                "another one, or roll this one back."
            )
