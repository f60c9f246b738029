"""`Correcting`, awaited. Written by `make generate` from `agentmem.memory.correcting`."""

from __future__ import annotations

from collections.abc import Sequence

from agentmem.asynchronous.workers import Workers
from agentmem.memory import Memory
from agentmem.memory.correcting import UNCHANGED, _Unchanged
from agentmem.memory.records import Moment, Where
from agentmem.types import AllScopes, Scope, Update

__all__ = ["AsyncCorrecting"]


class AsyncCorrecting:
    """`Correcting`, each call awaited in a thread."""

    _sync: Memory
    _workers: Workers

    async def supersede(
        self,
        turn_id: str,
        new: object,
        *,
        user_id: str | None = None,
        agent_id: str | None = None,
        session_id: str | None = None,
        scope: Scope | AllScopes | None = None,
        valid_until: Moment | None = None,
    ) -> str:
        """Correct a turn by another one, in one commit.

        The old turn stays as it was said, and is no longer found, except by a search `as_of` a
        moment when it was true. The new one lies in the same user and agent, and in the same
        session unless it names another.

        Args:
            turn_id: The turn that is no longer true.
            new: The correction, one message of any shape that `add` takes.
            user_id: Whose turn; likewise `agent_id`, `session_id`. At least one is needed.
            agent_id: See `user_id`.
            session_id: See `user_id`.
            scope: `ALL` to correct anybody's.
            valid_until: From when on it is not true; when the correction was said if None.

        Returns:
            The id of the correction. The same correction again, under its own id, changes nothing.

        Raises:
            NotFound: There is no such turn in that scope.
            InvalidInput: It was corrected by another turn already, or the correction cannot be
                stored.
            ScopeRequired: No scope was named.
            EmbeddingFailed: The model gave no usable vectors.
            StoreError: The write failed; nothing was changed.
        """
        return await self._workers.run(
            lambda: self._sync.supersede(
                turn_id,
                new,
                user_id=user_id,
                agent_id=agent_id,
                session_id=session_id,
                scope=scope,
                valid_until=valid_until,
            )
        )

    async def update(
        self,
        ids: str | Sequence[str] | None = None,
        *,
        user_id: str | None = None,
        agent_id: str | None = None,
        session_id: str | None = None,
        scope: Scope | AllScopes | None = None,
        where: Where | None = None,
        valid_until: Moment | _Unchanged | None = UNCHANGED,
        expires_at: Moment | _Unchanged | None = UNCHANGED,
        pinned: bool | _Unchanged = UNCHANGED,
        dry_run: bool = False,
    ) -> Update:
        """Change until when turns are true and until when they are found; never what was said.

        Args:
            ids: The turns, within the scope; None means every turn of the scope.
            user_id: Whose turns; likewise `agent_id`, `session_id`. At least one is needed.
            agent_id: See `user_id`.
            session_id: See `user_id`.
            scope: `ALL` to change everyone's.
            where: Only turns that match a filter.
            valid_until: From when on they are no longer true; None makes them true again, also
                those that another turn corrected.
            expires_at: From when on they are forgotten; None never.
            pinned: Whether they stay whatever `expires_at` and retention policies say.
            dry_run: Say what would be changed, and change nothing.

        Returns:
            How many turns were (or would be) changed, and which ids were not there.

        Raises:
            InvalidInput: Nothing was to be changed, or a value cannot be used.
            ScopeRequired: No scope was named.
            StoreError: The write failed; nothing was changed.
        """
        return await self._workers.run(
            lambda: self._sync.update(
                ids,
                user_id=user_id,
                agent_id=agent_id,
                session_id=session_id,
                scope=scope,
                where=where,
                valid_until=valid_until,
                expires_at=expires_at,
                pinned=pinned,
                dry_run=dry_run,
            )
        )
