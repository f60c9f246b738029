"""`Replaying`, awaited. Written by `make generate` from `agentmem.memory.replaying`."""

from __future__ import annotations

from agentmem.asynchronous.workers import Workers
from agentmem.memory import Memory
from agentmem.memory.records import Where
from agentmem.replay.given import Given
from agentmem.types import Replay

__all__ = ["AsyncReplaying"]


class AsyncReplaying:
    """`Replaying`, each call awaited in a thread."""

    _sync: Memory
    _workers: Workers

    async def replay(
        self,
        record: Given,
        *,
        query: str | None = None,
        where: Where | None = None,
        now: bool = False,
    ) -> Replay:
        """Run a past search again: same question, weights and moment, same version of the turns.

        A turn that was deleted since is named by its id alone, though the old version holds it.

        Args:
            record: What `search` returned, its span, the attributes of that span, or a record of
                it from `agentmem.traces`.
            query: The question, where content was not recorded.
            where: The filter, where there was one and content was not recorded.
            now: Whether to ask the same today, and say of each result that moved why.

        Returns:
            Whether the same came out, what differs, and why. A version that is no longer kept
            makes a replay impossible, which is a verdict and no error.

        Raises:
            InvalidInput: It is no record of a search, lacks something that was not given, or is
                of a scope that leaves this handle's.
            EmbeddingFailed: The question could not be embedded.
            StoreError: The store could not be read.
        """
        return await self._workers.run_long(
            lambda: self._sync.replay(record, query=query, where=where, now=now)
        )
