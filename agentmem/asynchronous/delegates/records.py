"""`Records`, awaited. Written by `make generate` from `agentmem.memory.records`."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from agentmem.asynchronous.workers import Workers
from agentmem.ingest import OnConflict
from agentmem.memory import Memory
from agentmem.memory.records import PAGE, Where
from agentmem.types import AllScopes, Deletion, ImportReport, Scope, Session, StoreStats, Turn

__all__ = ["AsyncRecords"]


class AsyncRecords:
    """`Records`, each call awaited in a thread."""

    _sync: Memory
    _workers: Workers

    async def import_turns(
        self,
        source: str | os.PathLike[str] | Iterable[object],
        *,
        user_id: str | None = None,
        agent_id: str | None = None,
        session_id: str | None = None,
        on_conflict: OnConflict = "error",
        batch_size: int = 512,
        progress: bool = True,
        rejects: str | Path | None = None,
        resume: bool = True,
    ) -> ImportReport:
        """Store a file or stream of messages of any size, in bounded memory.

        A line that cannot be stored is set aside with its number and the reason, and the rest
        is loaded; one that a `before_store` hook refused, without its text. Killed and called
        again, it goes on where it was.

        Args:
            source: A `.jsonl`, `.jsonl.gz` or `.parquet` file, `-` for standard input, or an
                iterable of messages.
            user_id: Whose memory this is; a record that names somebody else is set aside.
            agent_id: See `user_id`.
            session_id: See `user_id`.
            on_conflict: As in `add`; "error" sets the record aside.
            batch_size: Turns of one commit.
            progress: Whether to draw a progress bar on a terminal.
            rejects: A new file for records set aside; by default one beside the source.
            resume: Whether to go on where an import of this very file was stopped.

        Raises:
            InvalidInput: The source as a whole cannot be read, or an argument cannot be used.
            EmbeddingFailed: The model gave no usable vectors.
            StoreError: A batch could not be written; those before it are stored.
        """
        return await self._workers.run_long(
            lambda: self._sync.import_turns(
                source,
                user_id=user_id,
                agent_id=agent_id,
                session_id=session_id,
                on_conflict=on_conflict,
                batch_size=batch_size,
                progress=progress,
                rejects=rejects,
                resume=resume,
            )
        )

    async def export(
        self,
        path: str | os.PathLike[str],
        *,
        user_id: str | None = None,
        agent_id: str | None = None,
        session_id: str | None = None,
        scope: Scope | AllScopes | None = None,
        vectors: bool = False,
        overwrite: bool = False,
        progress: bool = True,
    ) -> int:
        """Write turns to a `.jsonl`, `.jsonl.gz` or `.parquet` file that imports back identically.

        Args:
            path: The file.
            user_id: Whose turns; likewise `agent_id`, `session_id`.
            agent_id: See `user_id`.
            session_id: See `user_id`.
            scope: `ALL` to write everyone's.
            vectors: Whether to write the vectors of each turn's chunks as well.
            overwrite: Whether to replace a file of that name.
            progress: Whether to draw a progress bar on a terminal.

        Returns:
            How many turns were written.

        Raises:
            ScopeRequired: No scope was named.
            InvalidInput: The suffix is unknown, or the file exists.
            StoreError: The store could not be read, or the file not written.
        """
        return await self._workers.run_long(
            lambda: self._sync.export(
                path,
                user_id=user_id,
                agent_id=agent_id,
                session_id=session_id,
                scope=scope,
                vectors=vectors,
                overwrite=overwrite,
                progress=progress,
            )
        )

    async def get(
        self,
        turn_id: str,
        *,
        user_id: str | None = None,
        agent_id: str | None = None,
        session_id: str | None = None,
        scope: Scope | AllScopes | None = None,
    ) -> Turn:
        """Return one turn.

        Raises:
            NotFound: There is none of that id in that scope.
            InvalidInput: Several agents or users have one of that id; name whose.
            ScopeRequired: No scope was named.
            StoreError: The store could not be read.
        """
        return await self._workers.run(
            lambda: self._sync.get(
                turn_id, user_id=user_id, agent_id=agent_id, session_id=session_id, scope=scope
            )
        )

    async def turns(
        self,
        *,
        user_id: str | None = None,
        agent_id: str | None = None,
        session_id: str | None = None,
        scope: Scope | AllScopes | None = None,
        where: Where | None = None,
        offset: int = 0,
        limit: int = PAGE,
    ) -> list[Turn]:
        """Return one page of turns, in the order in which they were said.

        Raises:
            InvalidInput: `offset` or `limit` is no count.
            ScopeRequired: No scope was named.
            StoreError: The store could not be read.
        """
        return await self._workers.run(
            lambda: self._sync.turns(
                user_id=user_id,
                agent_id=agent_id,
                session_id=session_id,
                scope=scope,
                where=where,
                offset=offset,
                limit=limit,
            )
        )

    async def sessions(
        self,
        *,
        user_id: str | None = None,
        agent_id: str | None = None,
        session_id: str | None = None,
        scope: Scope | AllScopes | None = None,
    ) -> list[Session]:
        """Return the conversations of a scope, the earliest first.

        Raises:
            ScopeRequired: No scope was named.
            StoreError: The store could not be read.
        """
        return await self._workers.run(
            lambda: self._sync.sessions(
                user_id=user_id, agent_id=agent_id, session_id=session_id, scope=scope
            )
        )

    async def count(
        self,
        *,
        user_id: str | None = None,
        agent_id: str | None = None,
        session_id: str | None = None,
        scope: Scope | AllScopes | None = None,
        where: Where | None = None,
    ) -> int:
        """Return how many turns there are.

        Raises:
            ScopeRequired: No scope was named.
            StoreError: The store could not be read.
        """
        return await self._workers.run(
            lambda: self._sync.count(
                user_id=user_id, agent_id=agent_id, session_id=session_id, scope=scope, where=where
            )
        )

    async def stats(self) -> StoreStats:
        """Return size and state of the whole store: counts, no content.

        Raises:
            InvalidInput: The handle is bound to a scope, which the whole store leaves.
            StoreError: The store could not be read.
        """
        return await self._workers.run(self._sync.stats)

    async def delete(
        self,
        ids: str | Sequence[str] | None = None,
        *,
        user_id: str | None = None,
        agent_id: str | None = None,
        session_id: str | None = None,
        scope: Scope | AllScopes | None = None,
        where: Where | None = None,
        dry_run: bool = False,
    ) -> Deletion:
        """Delete turns by id, or all those of a scope.

        Args:
            ids: The turns, within the scope; None deletes every turn of the scope.
            user_id: Whose turns; likewise `agent_id`, `session_id`. At least one is needed.
            agent_id: See `user_id`.
            session_id: See `user_id`.
            scope: `ALL` to delete everyone's.
            where: Only turns that match a filter.
            dry_run: Say what would be deleted, and delete nothing.

        Returns:
            How many turns were (or would be) deleted, and which ids were not there.

        Raises:
            ScopeRequired: No scope was named.
            StoreError: The write failed; nothing was deleted.
        """
        return await self._workers.run(
            lambda: self._sync.delete(
                ids,
                user_id=user_id,
                agent_id=agent_id,
                session_id=session_id,
                scope=scope,
                where=where,
                dry_run=dry_run,
            )
        )
