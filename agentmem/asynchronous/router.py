"""`AsyncToolRouter`: a router whose calls are awaited. Delegates every one to a `ToolRouter`."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from datetime import timedelta
from types import TracebackType
from typing import final

from agentmem.asynchronous.delegates.entries import AsyncEntries
from agentmem.asynchronous.delegates.learning import AsyncLearning
from agentmem.asynchronous.delegates.looking import AsyncLooking
from agentmem.asynchronous.delegates.moving import AsyncMoving
from agentmem.asynchronous.delegates.selecting import AsyncSelecting
from agentmem.asynchronous.hearing import AsyncDrifting
from agentmem.asynchronous.workers import THREADS, Opening, Workers
from agentmem.migration import Mismatch
from agentmem.protocols import Embedder, TokenCounter
from agentmem.ranking.tools import Routing
from agentmem.router import ToolRouter
from agentmem.telemetry import AuditTo, Redact
from agentmem.types import DriftPolicy

__all__ = ["AsyncToolRouter"]


@final
class AsyncToolRouter(
    AsyncSelecting, AsyncLearning, AsyncEntries, AsyncLooking, AsyncMoving, AsyncDrifting
):
    """A `ToolRouter` for asyncio: the same calls, awaited in threads.

    Made by `AsyncToolRouter.open`, awaited or in `async with`.
    """

    _sync: ToolRouter
    _workers: Workers

    def __init__(self, given: ToolRouter, workers: Workers) -> None:
        self._sync = given
        self._workers = workers

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str],
        *,
        embedder: Embedder | None = None,
        standby: Sequence[Embedder] = (),
        on_mismatch: Mismatch = "raise",
        routing: Routing | None = None,
        token_counter: TokenCounter | None = None,
        create: bool = True,
        read_only: bool = False,
        keep_versions: timedelta | None = None,
        drift_policy: DriftPolicy = "warn",
        keep_questions: bool = False,
        audit: AuditTo = None,
        capture_content: bool | None = None,
        redact: Redact | None = None,
        storage_options: Mapping[str, str] | None = None,
        threads: int = THREADS,
    ) -> Opening[AsyncToolRouter]:
        """Open a store, or create one.

        Args:
            path: A folder, or an address such as `s3://bucket/path`.
            embedder: Makes the vectors; all-MiniLM-L6-v2 if None.
            standby: Further embedders, of which the one is used whose space the store is in. With
                the next one ready here, this process follows when the store is moved to it.
            on_mismatch: What to do when the store is in another space than all of these: "raise";
                "serve_old" goes on in the store's space, with the model its passport names;
                "migrate" does so too while it moves the store to `embedder` in the background.
            routing: Weights of every selection.
            token_counter: Counts the tokens of definitions; tiktoken's `cl100k_base` if None.
            create: Whether to create a store where there is none.
            read_only: Refuse every write.
            keep_versions: How long the store keeps past versions from now on, so that selections
                can be replayed: for every process, 7 days unless somebody said otherwise.
            drift_policy: What is done unasked when drift is found: "warn" logs it; "block_writes"
                also refuses writes while the model gives other vectors than when the store was
                made; "migrate" then moves the store to the model in use, in the background.
            keep_questions: Whether to keep a sample of the queries, as vectors and scores, so
                that their drift is noticed.
            audit: Where every change of tools and lessons is written down: a file, an `AuditLog`,
                or a function; the file of `AGENTMEM_AUDIT_LOG`, if any, if None.
            capture_content: Whether spans may carry queries and descriptions; as the standard
                environment variable says if None, which is no unless it is set.
            redact: Sees every text before a span does, and gives what may be recorded instead.
            storage_options: Credentials and the like of a bucket, as LanceDB takes them.
            threads: How many calls run at once; the others wait for their turn.

        Raises:
            StoreNotFound: The folder holds something else, or nothing and `create` is False.
            EmbedderMismatch: The store was written by another embedder.
            SchemaTooNew: The store was written by a newer agentmem.
            StoreError: The folder cannot be read or made.
            EmbeddingFailed: The model's files cannot be found.
        """

        async def begin() -> AsyncToolRouter:
            workers = Workers(threads)
            opened = await workers.run(
                lambda: ToolRouter.open(
                    path,
                    embedder=embedder,
                    standby=standby,
                    on_mismatch=on_mismatch,
                    routing=routing,
                    token_counter=token_counter,
                    create=create,
                    read_only=read_only,
                    keep_versions=keep_versions,
                    drift_policy=drift_policy,
                    keep_questions=keep_questions,
                    audit=audit,
                    capture_content=capture_content,
                    redact=redact,
                    storage_options=storage_options,
                ),
                unclaimed=ToolRouter.close,
            )
            return AsyncToolRouter(opened, workers)

        return Opening(begin)

    async def __aenter__(self) -> AsyncToolRouter:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"Async{self._sync!r}"

    @property
    def closed(self) -> bool:
        """Whether it was closed, or opened before this process was forked."""
        return self._sync.closed

    async def count(self) -> int:
        """Return how many tools there are: what `len` says of a `ToolRouter`."""
        return await self._workers.run(lambda: len(self._sync))

    async def close(self) -> None:
        """Let go of the store. What was registered is durable without it."""
        await self._workers.run(self._sync.close)
        self._workers.close()
