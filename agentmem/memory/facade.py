"""`Memory`: a conversation memory in a folder. Constructs, owns and delegates."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from datetime import timedelta
from types import TracebackType
from typing import Final, final

from agentmem.embedding import default_embedder
from agentmem.embedding.choice import Embedders
from agentmem.guards import BeforeStore
from agentmem.ingest import Clock, OnConflict
from agentmem.memory.archiving import Archiving
from agentmem.memory.arguments import as_dates, as_ranking, check_opening
from agentmem.memory.correcting import Correcting
from agentmem.memory.forgetting import Forgetting
from agentmem.memory.guarding import guarding
from agentmem.memory.home import following
from agentmem.memory.maintaining import Maintaining
from agentmem.memory.parts import Settings
from agentmem.memory.records import Moment, Records, Where, as_filter, as_moment, lifetime
from agentmem.memory.replaying import Replaying
from agentmem.migration import Migrations, Mismatch, Moving, move_on, needs_moving
from agentmem.monitoring import Drift, Drifting, DriftSettings
from agentmem.protocols import Embedder, Reranker, TokenCounter
from agentmem.ranking import Ranking
from agentmem.retrieval import Neighbours, Request, hits_for
from agentmem.scopes import Bound
from agentmem.storage.turns import Store
from agentmem.telemetry import AuditTo, Content, Redact, Tracing
from agentmem.tokens import TiktokenCounter
from agentmem.types import AllScopes, Context, Dates, DriftPolicy, Mode, Recall, Scope
from agentmem.types.guards import AddedIds
from agentmem.types.maintenance import MaintenancePolicy

__all__ = ["Memory"]

RESIDENT_BYTES: Final = (
    1 << 30
)  # about 500,000 turns at 384 dimensions; a larger scope is read anew


@final
class Memory(Records, Archiving, Correcting, Forgetting, Maintaining, Replaying, Moving, Drifting):
    """A memory of conversations, kept in a folder or a bucket.

    Made by `Memory.open`. Several threads may share one; several processes may open the same
    store. Every read names a `user_id`, an `agent_id` or a `session_id`, or says `scope=ALL`.
    """

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
        before_store: Sequence[BeforeStore] = (),
        recall_guard: bool = True,
        maintain: MaintenancePolicy = "off",
        audit: AuditTo = None,
        capture_content: bool | None = None,
        redact: Redact | None = None,
        storage_options: Mapping[str, str] | None = None,
    ) -> Memory:
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

        Raises:
            StoreNotFound: The folder holds something else, or nothing and `create` is False.
            EmbedderMismatch: The store was written by another embedder.
            SchemaTooNew: The store was written by a newer agentmem.
            StoreError: The folder cannot be read or made.
            EmbeddingFailed: The model's files cannot be found.
        """
        given = default_embedder() if embedder is None else embedder
        check_opening(path, [given, *standby], resident_bytes=resident_bytes, maintain=maintain)
        drift = DriftSettings(policy=drift_policy, keep_questions=keep_questions)
        guards = guarding(path, before_store=before_store, recall_guard=recall_guard)
        embedders = Embedders(given, standby=standby)
        store = Store.open(
            path,
            passport=lambda: embedders.primary.passport,
            create=create,
            read_only=read_only,
            keep_versions=keep_versions,
            storage_options=storage_options,
            audit=audit,
            strict=False,
        )
        moving = needs_moving(store.passport, embedders=embedders, policy=on_mismatch)
        tracing = Tracing(store.name, content=Content(capture_content, redact))
        tracing.metrics.observe(store.gauges)
        settings = Settings(
            ranking=Ranking() if ranking is None else as_ranking(ranking),
            reranker=reranker,
            counter=TiktokenCounter() if token_counter is None else token_counter,
            resident_bytes=resident_bytes,
            tracing=tracing,
            clock=Clock(),
            drift=drift,
            admit=guards.admit,
            handed_out=guards.handed_out,
            maintain="off" if read_only else maintain,
        )
        home = following(store, embedders=embedders, settings=settings)
        if moving and on_mismatch == "migrate":
            move_on(home.migrations, embedders=embedders, stored=store.passport)
        return cls(home, Bound())

    @property
    def _migrations(self) -> Migrations:
        return self._home.migrations

    @property
    def _drift(self) -> Drift:
        return self._home.drift

    def _check_whole(self, what: str) -> None:
        self._bound.check_open(what)

    def __enter__(self) -> Memory:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        scope = "" if self._bound.scope.is_empty else f", {self._bound.scope}"
        return f"Memory({self._home.name!r}{scope})"

    @property
    def closed(self) -> bool:
        """Whether it was closed, or opened before this process was forked."""
        return self._home.closed

    def close(self) -> None:
        """Let go of the store. What was added is durable without it.

        A handle from `scoped` shares the store with others, and leaves it open.
        """
        if self._bound.scope.is_empty:
            self._home.close()

    def scoped(
        self,
        *,
        user_id: str | None = None,
        agent_id: str | None = None,
        session_id: str | None = None,
    ) -> Memory:
        """Return a handle on the same store that cannot leave a scope: hand it to a request.

        Raises:
            InvalidInput: An id is none, or would leave this handle's own scope.
            ScopeRequired: No id was given.
        """
        scope = self._bound.naming(Scope(user_id, agent_id, session_id))
        return Memory(self._home, Bound(scope))

    def add(
        self,
        messages: object,
        *,
        user_id: str | None = None,
        agent_id: str | None = None,
        session_id: str | None = None,
        on_conflict: OnConflict = "error",
        ttl: timedelta | None = None,
        allow_forgotten: bool = False,
    ) -> AddedIds:
        """Store messages, exactly as they are.

        Durable when it returns, and findable at once. All of the messages are stored, or none.

        Args:
            messages: Text, one message, or several: dictionaries with `role`, `content` and
                perhaps `name`, `id`, `created_at`, `metadata`, `attachments`, `importance`;
                dataclasses, pydantic models or chat-library messages with those fields.
            user_id: Whose memory this is.
            agent_id: Which agent's.
            session_id: Which conversation's.
            on_conflict: What to do with an id that is taken by another content: "error", or
                "replace" it. The same content under its own id is stored once.
            ttl: How long the messages are kept that bring no `expires_at`; for ever if None.
            allow_forgotten: Whether to store what `forget` erased before; left out otherwise.

        Returns:
            The ids, in order of the messages. Of those that the guards left out, `.left_out` says
            why; they are not stored.

        Raises:
            InvalidInput: A message cannot be stored as it is, or its id is taken. One that
                another process took at this very moment is the only one not stored.
            GuardFailed: A `before_store` hook failed; nothing was stored.
            EmbeddingFailed: The model gave no usable vectors.
            StoreError: The write failed; nothing was stored.
        """
        scope = self._bound.narrowed(Scope(user_id, agent_id, session_id))
        return self._home.add(
            messages,
            scope=scope,
            on_conflict=on_conflict,
            ttl=lifetime(ttl),
            allow_forgotten=allow_forgotten,
        ).ids

    def search(
        self,
        query: str,
        *,
        user_id: str | None = None,
        agent_id: str | None = None,
        session_id: str | None = None,
        scope: Scope | AllScopes | None = None,
        k: int = 10,
        since: Moment | None = None,
        until: Moment | None = None,
        as_of: Moment | None = None,
        known_at: Moment | None = None,
        now: Moment | None = None,
        dates: Dates = "hint",
        where: Where | None = None,
        mode: Mode = "hybrid",
        explain: bool = False,
        ranking: Ranking | None = None,
    ) -> Recall:
        """Find the turns that answer a question.

        Args:
            query: The question, in words.
            user_id: Whose turns; likewise `agent_id`, `session_id`. At least one is needed.
            agent_id: See `user_id`.
            session_id: See `user_id`.
            scope: `ALL` to search everyone's turns.
            k: How many hits at most.
            since: Only turns said at this moment or later; an aware datetime or ISO text.
            until: Only turns said before this moment.
            as_of: Answer from what was true at this moment: of turns said by then, those that were
                not corrected by then. Otherwise what is true now.
            known_at: Leave out what this store learnt later, turns and corrections alike.
            now: The present, which "last week" and recency are relative to; the clock's if None.
            dates: What the dates that a question names ("in May", "last week") are used for: a
                "hint" that lifts turns of that time, a "filter" that leaves out all others, or
                "ignore".
            where: Only turns that match: `field("metadata.topic") == "travel"`, or the same as
                a dictionary `{"metadata.topic": "travel"}`. Filters act before the ranking.
            mode: "hybrid", or one leg alone: "dense" (meaning) or "lexical" (words).
            explain: Whether each hit brings its evidence.
            ranking: Other weights than the handle's.

        Raises:
            ScopeRequired: No scope was named.
            InvalidInput: The query, k, a time or the filter cannot be used.
            EmbeddingFailed: The query could not be embedded.
            StoreError: The store could not be read.
        """
        reading = self._bound.reading(Scope(user_id, agent_id, session_id), scope)
        return self._home.search(
            Request(
                query=query,
                scope=reading,
                k=k,
                mode=mode,
                ranking=self._home.ranking if ranking is None else as_ranking(ranking),
                since=as_moment(since, "since"),
                until=as_moment(until, "until"),
                as_of=as_moment(as_of, "as_of"),
                known_at=as_moment(known_at, "known_at"),
                now=as_moment(now, "now"),
                dates=as_dates(dates),
                where=as_filter(where),
                explain=explain,
            )
        )

    def context(
        self,
        query: str,
        *,
        max_tokens: int,
        user_id: str | None = None,
        agent_id: str | None = None,
        session_id: str | None = None,
        scope: Scope | AllScopes | None = None,
        neighbours: Neighbours = "auto",
        k: int | None = None,
        since: Moment | None = None,
        until: Moment | None = None,
        as_of: Moment | None = None,
        known_at: Moment | None = None,
        now: Moment | None = None,
        dates: Dates = "hint",
        where: Where | None = None,
        mode: Mode = "hybrid",
        ranking: Ranking | None = None,
    ) -> Context:
        """Find the turns that answer a question, and pack them into a token budget.

        Args:
            query: The question, in words.
            max_tokens: The budget for `.text`, never exceeded.
            user_id: Whose turns; likewise `agent_id`, `session_id`. At least one is needed.
            agent_id: See `user_id`.
            session_id: See `user_id`.
            scope: `ALL` to search everyone's turns.
            neighbours: "auto" brings the answer to a question and the question to an answer;
                a number brings as many turns on each side of a hit; 0 brings none.
            k: How many hits to consider at most; as many as the budget could hold if None.
            since: Only turns said at this moment or later.
            until: Only turns said before this moment.
            as_of: As in `search`; likewise `known_at`, `now`, `dates`.
            known_at: See `as_of`.
            now: See `as_of`.
            dates: See `as_of`.
            where: Only turns that match a filter.
            mode: As in `search`.
            ranking: Other weights than the handle's.

        Raises:
            ScopeRequired: No scope was named.
            InvalidInput: The budget, the query or a filter cannot be used.
            MissingDependency: The tokenizer's vocabulary is not to be had.
            EmbeddingFailed: The query could not be embedded.
            StoreError: The store could not be read.
        """
        reading = self._bound.reading(Scope(user_id, agent_id, session_id), scope)
        request = Request(
            query=query,
            scope=reading,
            k=hits_for(max_tokens) if k is None else k,
            mode=mode,
            ranking=self._home.ranking if ranking is None else as_ranking(ranking),
            since=as_moment(since, "since"),
            until=as_moment(until, "until"),
            as_of=as_moment(as_of, "as_of"),
            known_at=as_moment(known_at, "known_at"),
            now=as_moment(now, "now"),
            dates=as_dates(dates),
            where=as_filter(where),
        )
        return self._home.read(
            lambda parts: parts.packer.pack(request, max_tokens=max_tokens, neighbours=neighbours)
        )
