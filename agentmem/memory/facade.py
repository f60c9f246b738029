"""`Memory`: a conversation memory in a folder. Constructs, owns and delegates."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from types import TracebackType
from typing import Final, cast, final, get_args

from agentmem.checks import location
from agentmem.embedding import default_embedder
from agentmem.embedding.choice import Embedders
from agentmem.errors import InvalidInput
from agentmem.ingest import Clock, OnConflict
from agentmem.memory.correcting import Correcting
from agentmem.memory.home import following
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
from agentmem.telemetry import Content, Redact, Tracing
from agentmem.tokens import TiktokenCounter
from agentmem.types import AllScopes, Context, Dates, DriftPolicy, Mode, Recall, Scope

__all__ = ["Memory"]

RESIDENT_BYTES: Final = (
    1 << 30
)  # about 500,000 turns at 384 dimensions; a larger scope is read anew


@final
class Memory(Records, Correcting, Replaying, Moving, Drifting):
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
        _check_opening(path, embedders=[given, *standby], resident_bytes=resident_bytes)
        drift = DriftSettings(policy=drift_policy, keep_questions=keep_questions)
        embedders = Embedders(given, standby=standby)
        store = Store.open(
            path,
            passport=lambda: embedders.primary.passport,
            create=create,
            read_only=read_only,
            keep_versions=keep_versions,
            storage_options=storage_options,
            strict=False,
        )
        moving = needs_moving(store.passport, embedders=embedders, policy=on_mismatch)
        tracing = Tracing(store.name, content=Content(capture_content, redact))
        tracing.metrics.observe(store.gauges)
        settings = Settings(
            ranking=Ranking() if ranking is None else _weights(ranking),
            reranker=reranker,
            counter=TiktokenCounter() if token_counter is None else token_counter,
            resident_bytes=resident_bytes,
            tracing=tracing,
            clock=Clock(),
            drift=drift,
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
    ) -> list[str]:
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

        Returns:
            The ids, in order of the messages.

        Raises:
            InvalidInput: A message cannot be stored as it is, or its id is taken. One that
                another process took at this very moment is the only one not stored.
            EmbeddingFailed: The model gave no usable vectors.
            StoreError: The write failed; nothing was stored.
        """
        scope = self._bound.narrowed(Scope(user_id, agent_id, session_id))
        return self._home.add(messages, scope=scope, on_conflict=on_conflict, ttl=lifetime(ttl)).ids

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
                ranking=self._home.ranking if ranking is None else _weights(ranking),
                since=as_moment(since, "since"),
                until=as_moment(until, "until"),
                as_of=as_moment(as_of, "as_of"),
                known_at=as_moment(known_at, "known_at"),
                now=as_moment(now, "now"),
                dates=_dates(dates),
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
        parts = self._parts
        request = Request(
            query=query,
            scope=reading,
            k=hits_for(max_tokens) if k is None else k,
            mode=mode,
            ranking=parts.ranking if ranking is None else _weights(ranking),
            since=as_moment(since, "since"),
            until=as_moment(until, "until"),
            as_of=as_moment(as_of, "as_of"),
            known_at=as_moment(known_at, "known_at"),
            now=as_moment(now, "now"),
            dates=_dates(dates),
            where=as_filter(where),
        )
        return parts.packer.pack(request, max_tokens=max_tokens, neighbours=neighbours)


def _check_opening(path: object, *, embedders: Iterable[object], resident_bytes: int) -> None:
    """Refuse arguments of `open` that could only fail later, and less clearly."""
    location(path, what="path")
    for embedder in embedders:
        if not callable(getattr(embedder, "embed", None)):
            raise InvalidInput(
                f"embedder={embedder!r} is no Embedder. Pass one, such as "
                'SentenceTransformerEmbedder("name or folder").'
            )
    if resident_bytes < 0:
        raise InvalidInput(f"resident_bytes={resident_bytes}: pass how many bytes, 0 or more.")


def _dates(dates: object) -> Dates:
    """Return what dates are used for, or refuse what is none of that."""
    if dates not in get_args(Dates):
        raise InvalidInput(f"dates={dates!r}: pass {', '.join(map(repr, get_args(Dates)))}.")
    return cast("Dates", dates)


def _weights(ranking: object) -> Ranking:
    """Return a ranking, or refuse what is none."""
    if not isinstance(ranking, Ranking):
        raise InvalidInput(f"ranking={ranking!r} is no Ranking. Pass Ranking(...) or None.")
    return ranking
