"""`AsyncMemory`: a memory whose calls are awaited. Delegates every one to a `Memory`."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from types import TracebackType
from typing import final

from agentmem.asynchronous.bridging import AsyncBeforeStore, bridged
from agentmem.asynchronous.delegates.archiving import AsyncArchiving
from agentmem.asynchronous.delegates.correcting import AsyncCorrecting
from agentmem.asynchronous.delegates.forgetting import AsyncForgetting
from agentmem.asynchronous.delegates.maintaining import AsyncMaintaining
from agentmem.asynchronous.delegates.memory import AsyncMemory as AsyncRemembering
from agentmem.asynchronous.delegates.moving import AsyncMoving
from agentmem.asynchronous.delegates.records import AsyncRecords
from agentmem.asynchronous.delegates.replaying import AsyncReplaying
from agentmem.asynchronous.delegates.retention import AsyncRetention
from agentmem.asynchronous.hearing import AsyncDrifting
from agentmem.asynchronous.workers import THREADS, Opening, Workers
from agentmem.memory import Memory
from agentmem.memory.facade import RESIDENT_BYTES
from agentmem.migration import Mismatch
from agentmem.protocols import Embedder, Reranker, TokenCounter
from agentmem.ranking import Ranking
from agentmem.telemetry import AuditTo, Redact
from agentmem.types import DriftPolicy
from agentmem.types.maintenance import MaintenancePolicy

__all__ = ["AsyncMemory"]


@final
class AsyncMemory(
    AsyncRemembering,
    AsyncRecords,
    AsyncArchiving,
    AsyncCorrecting,
    AsyncForgetting,
    AsyncMaintaining,
    AsyncReplaying,
    AsyncMoving,
    AsyncDrifting,
):
    """A `Memory` for asyncio: the same calls, awaited in threads.

    Made by `AsyncMemory.open`, awaited or in `async with`.
    """

    _sync: Memory
    _workers: Workers

    def __init__(self, given: Memory, workers: Workers) -> None:
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
        ranking: Ranking | None = None,
        reranker: Reranker | None = None,
        token_counter: TokenCounter | None = None,
        create: bool = True,
        read_only: bool = False,
        resident_bytes: int = RESIDENT_BYTES,
        keep_versions: timedelta | None = None,
        drift_policy: DriftPolicy = "warn",
        keep_questions: bool = False,
        before_store: Sequence[AsyncBeforeStore] = (),
        recall_guard: bool = True,
        maintain: MaintenancePolicy = "off",
        audit: AuditTo = None,
        capture_content: bool | None = None,
        redact: Redact | None = None,
        storage_options: Mapping[str, str] | None = None,
        threads: int = THREADS,
    ) -> Opening[AsyncMemory]:
        """Open a store, or create one.

        Args:
            path: A folder, or an address such as `s3://bucket/path`.
            embedder: Makes the vectors; all-MiniLM-L6-v2 if None.
            standby: Further embedders, of which the one is used whose space the store is in. With
                the next one ready here, this process follows when the store is moved to it.
            on_mismatch: What to do when the store is in another space than all of these: "raise";
                "serve_old" goes on in the store's space, with the model its passport names;
                "migrate" does so too while it moves the store to `embedder` in the background.
            ranking: Weights of every search that does not bring its own.
            reranker: Reorders the best hits of every search, such as `CrossEncoderReranker`.
            token_counter: Counts the tokens of contexts; tiktoken's `cl100k_base` if None.
            create: Whether to create a store where there is none.
            read_only: Refuse every write.
            resident_bytes: How much memory may hold columns of the scopes last searched.
            keep_versions: How long the store keeps past versions from now on, so that searches
                can be replayed: for every process, 7 days unless somebody said otherwise.
            drift_policy: What is done unasked when drift is found: "warn" logs it; "block_writes"
                also refuses writes while the model gives other vectors than when the store was
                made; "migrate" then moves the store to the model in use, in the background.
            keep_questions: Whether to keep a sample of the questions, as vectors and scores, so
                that their drift is noticed.
            before_store: Hooks that see each turn before it is stored, and redact or refuse it,
                such as `agentmem.guards.Redactor()`. One that fails, fails the write.
            recall_guard: Whether messages that are nothing but what `context` handed out are left
                out, so that an agent does not remember its own memories.
            maintain: "auto" looks after the store in the background of this process, when it is due
                and no other process does: see `Memory.maintain`.
            audit: Where every write, deletion and administrative call is written down: a file, an
                `AuditLog`, or a function; the file of `AGENTMEM_AUDIT_LOG`, if any, if None.
            capture_content: Whether spans may carry what was said and asked; as the standard
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
        hooks = bridged(before_store)

        async def begin() -> AsyncMemory:
            workers = Workers(threads)
            opened = await workers.run(
                lambda: Memory.open(
                    path,
                    embedder=embedder,
                    standby=standby,
                    on_mismatch=on_mismatch,
                    ranking=ranking,
                    reranker=reranker,
                    token_counter=token_counter,
                    create=create,
                    read_only=read_only,
                    resident_bytes=resident_bytes,
                    keep_versions=keep_versions,
                    drift_policy=drift_policy,
                    keep_questions=keep_questions,
                    before_store=hooks,
                    recall_guard=recall_guard,
                    maintain=maintain,
                    audit=audit,
                    capture_content=capture_content,
                    redact=redact,
                    storage_options=storage_options,
                ),
                unclaimed=Memory.close,
            )
            return AsyncMemory(opened, workers)

        return Opening(begin)

    async def __aenter__(self) -> AsyncMemory:
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

    @property
    def retention(self) -> AsyncRetention:
        """How long turns are kept, by policies that `maintain` applies.

        Raises:
            InvalidInput: The handle is bound to a scope.
        """
        return AsyncRetention(self._sync.retention, self._workers)

    def at(self, when: int | str | datetime) -> Opening[AsyncMemory]:
        """Return a read-only handle on the store as it was.

        Its present is that moment: "last week" in a question and what is forgotten by its date
        are told from there. It has the scope of this handle; close it when it is done with.

        Args:
            when: A version (`recall.table_version`, `stats().table_version`), the tag of a
                snapshot, or an aware datetime, which shows the newest version made by then.

        Raises:
            VersionGone: That is no longer kept; names the earliest moment that is.
            NotFound: There is no snapshot of that tag.
            EmbedderMismatch: A snapshot is of another embedding space than the store is in now.
            InvalidInput: It is none of these.
            StoreError: The store could not be read.
        """

        async def begin() -> AsyncMemory:
            found = await self._workers.run(lambda: self._sync.at(when), unclaimed=Memory.close)
            return AsyncMemory(found, self._workers)

        return Opening(begin)

    def scoped(
        self,
        *,
        user_id: str | None = None,
        agent_id: str | None = None,
        session_id: str | None = None,
    ) -> AsyncMemory:
        """Return a handle on the same store that cannot leave a scope: hand it to a request.

        Raises:
            InvalidInput: An id is none, or would leave this handle's own scope.
            ScopeRequired: No id was given.
        """
        found = self._sync.scoped(user_id=user_id, agent_id=agent_id, session_id=session_id)
        return AsyncMemory(found, self._workers)

    async def close(self) -> None:
        """Let go of the store. What was added is durable without it.

        A handle from `scoped` shares the store with others, and leaves it open.
        """
        await self._workers.run(self._sync.close)
        if self._sync.closed:
            self._workers.close()
