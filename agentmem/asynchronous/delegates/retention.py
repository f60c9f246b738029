"""`Retention`, awaited. Written by `make generate` from `agentmem.maintenance.retention`."""

from __future__ import annotations

from collections.abc import Sequence

from agentmem.asynchronous.workers import Workers
from agentmem.maintenance import Retention
from agentmem.types.maintenance import PolicyPreview, RetentionPolicy

__all__ = ["AsyncRetention"]


class AsyncRetention:
    """`Retention`, each call awaited in a thread."""

    _sync: Retention
    _workers: Workers

    def __init__(self, given: Retention, workers: Workers) -> None:
        self._sync = given
        self._workers = workers

    async def set(self, policies: Sequence[RetentionPolicy]) -> None:
        """Put policies in force, in the place of all others. Nothing is deleted before `maintain`.

        Raises:
            InvalidInput: One of them cannot be used, or two share a name.
            StoreError: The store is read-only, or could not be written.
        """
        await self._workers.run(lambda: self._sync.set(policies))

    async def policies(self) -> list[RetentionPolicy]:
        """Return the policies in force.

        Raises:
            StoreError: The store could not be read, or something else changed them.
        """
        return await self._workers.run(self._sync.policies)

    async def preview(
        self, policies: Sequence[RetentionPolicy] | None = None
    ) -> list[PolicyPreview]:
        """Return what policies would delete now; the first one tells of `expires_at`.

        Args:
            policies: Others than those in force, to try them.

        Raises:
            InvalidInput: One of them cannot be used.
            StoreError: The store could not be read.
        """
        return await self._workers.run(lambda: self._sync.preview(policies))
