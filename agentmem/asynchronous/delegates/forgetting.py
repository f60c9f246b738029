"""`Forgetting`, awaited. Written by `make generate` from `agentmem.memory.forgetting`."""

from __future__ import annotations

import os
from collections.abc import Sequence

from agentmem.asynchronous.workers import Workers
from agentmem.memory import Memory
from agentmem.memory.records import Where
from agentmem.types import AllScopes, Receipt, Scope

__all__ = ["AsyncForgetting"]


class AsyncForgetting:
    """`Forgetting`, each call awaited in a thread."""

    _sync: Memory
    _workers: Workers

    async def forget(
        self,
        ids: str | Sequence[str] | None = None,
        *,
        reason: str,
        user_id: str | None = None,
        agent_id: str | None = None,
        session_id: str | None = None,
        scope: Scope | AllScopes | None = None,
        where: Where | None = None,
        by: str | None = None,
        key: bytes | None = None,
        traces: str | os.PathLike[str] | Sequence[str | os.PathLike[str]] = (),
        dry_run: bool = False,
        progress: bool = True,
    ) -> Receipt:
        """Erase turns: from every table, generation, past version, snapshot and file.

        Unlike `delete` it drops the past versions of the store, so that past retrievals cannot be
        replayed; it keeps tombstones, so that a replayed transcript does not bring the turns back;
        and it reads every file afterwards. Others may read and write meanwhile.

        Args:
            ids: The turns, within the scope; None erases every turn of the scope.
            reason: Why; kept with the receipt, so it should name nobody.
            user_id: Whose turns; likewise `agent_id`, `session_id`. At least one is needed.
            agent_id: See `user_id`.
            session_id: See `user_id`.
            scope: `ALL` to erase everyone's.
            where: Only turns that match a filter.
            by: Who asks for it; kept with the receipt.
            key: Signs the receipt (HMAC-SHA256), at least 16 bytes.
            traces: Folders of recorded traces, out of which spans that name or quote the turns go.
            dry_run: Count, and erase nothing.
            progress: Whether to draw a progress bar on a terminal.

        Returns:
            The receipt. Its `result` is "incomplete", with what remains and why, where a file could
            not be cleaned yet: call again.

        Raises:
            ScopeRequired: No scope was named.
            InvalidInput: An argument cannot be used.
            StoreError: The store could not be written; call again, what was erased stays erased.
        """
        return await self._workers.run_long(
            lambda: self._sync.forget(
                ids,
                reason=reason,
                user_id=user_id,
                agent_id=agent_id,
                session_id=session_id,
                scope=scope,
                where=where,
                by=by,
                key=key,
                traces=traces,
                dry_run=dry_run,
                progress=progress,
            )
        )

    async def receipts(self) -> list[Receipt]:
        """Return what was erased from the store, the newest last; names nobody.

        Raises:
            InvalidInput: The handle is bound to a scope, which the whole store leaves.
            StoreError: The store could not be read.
        """
        return await self._workers.run(self._sync.receipts)
