"""`Archiving`, awaited. Written by `make generate` from `agentmem.memory.archiving`."""

from __future__ import annotations

import os

from agentmem.asynchronous.workers import Workers
from agentmem.memory import Memory
from agentmem.types.backup import BackupReport, Restoration, Snapshot

__all__ = ["AsyncArchiving"]


class AsyncArchiving:
    """`Archiving`, each call awaited in a thread."""

    _sync: Memory
    _workers: Workers

    async def snapshot(self, tag: str, *, note: str | None = None) -> Snapshot:
        """Keep the whole store as it is now under a name, while others go on writing.

        Locally it takes no room of its own until the store's files change. Everything that was
        acknowledged before the call is in it.

        Args:
            tag: The name: letters, digits, `-`, `_` and `.`.
            note: What to write down with it.

        Raises:
            InvalidInput: That is no tag, or there is a snapshot of it; or the handle is scoped.
            StoreError: The store is read-only, or could not be read or written.
        """
        return await self._workers.run(lambda: self._sync.snapshot(tag, note=note))

    async def snapshots(self) -> list[Snapshot]:
        """Return the snapshots of the store, the oldest first.

        Raises:
            InvalidInput: The handle is bound to a scope, which the whole store leaves.
            StoreError: The store could not be read.
        """
        return await self._workers.run(self._sync.snapshots)

    async def drop_snapshot(self, tag: str, *, dry_run: bool = False) -> Snapshot:
        """Remove a snapshot, and return what it was; the store itself stays as it is.

        Raises:
            NotFound: There is none of that tag.
            InvalidInput: That is no tag; or the handle is scoped.
            StoreError: The store is read-only, or could not be written.
        """
        return await self._workers.run(lambda: self._sync.drop_snapshot(tag, dry_run=dry_run))

    async def restore(self, tag: str, *, dry_run: bool = False, safety: bool = True) -> Restoration:
        """Put turns and tools back to what they are in a snapshot, each in one commit.

        What came since goes, what was changed or deleted comes back; except turns that were
        erased by `forget`, which never do. What the router was taught stays.

        Args:
            tag: Of the snapshot.
            dry_run: Say what would change, and change nothing.
            safety: Whether to make a snapshot of the present before, named in the result.

        Raises:
            NotFound: There is no snapshot of that tag.
            InvalidInput: That is no tag; or the handle is scoped.
            StoreError: It is of another embedding space or schema, or a write failed.
        """
        return await self._workers.run_long(
            lambda: self._sync.restore(tag, dry_run=dry_run, safety=safety)
        )

    async def backup(
        self,
        dest: str | os.PathLike[str],
        *,
        incremental: bool = True,
        keep: int | None = None,
        dry_run: bool = False,
        progress: bool = True,
    ) -> BackupReport:
        """Copy the whole store out of its place, while others go on writing.

        `agentmem.backup.verify` and `agentmem.backup.restore` read it.

        Args:
            dest: A folder or an address such as `s3://bucket/path`, which may hold earlier
                backups: only new files are copied then. Or an archive, `.tar.zst` or `.tar.gz`.
            incremental: Whether files that an earlier backup holds by name are taken as read;
                else every file is hashed, and still only copied where it is not there.
            keep: How many backups the place keeps from now on; all if None.
            dry_run: Say what would be copied, and copy nothing.
            progress: Whether to draw a progress bar on a terminal.

        Raises:
            InvalidInput: The destination or an argument cannot be used; or the handle is scoped.
            StoreError: The store could not be read, or the backup not written.
        """
        return await self._workers.run_long(
            lambda: self._sync.backup(
                dest, incremental=incremental, keep=keep, dry_run=dry_run, progress=progress
            )
        )
