"""`Memory`, awaited. Written by `make generate` from `agentmem.memory.facade`."""

from __future__ import annotations

from datetime import timedelta

from agentmem.asynchronous.workers import Workers
from agentmem.ingest import OnConflict
from agentmem.memory import Memory
from agentmem.memory.records import Moment, Where
from agentmem.ranking import Ranking
from agentmem.retrieval import Neighbours
from agentmem.types import AllScopes, Context, Dates, Mode, Recall, Scope
from agentmem.types.guards import AddedIds

__all__ = ["AsyncMemory"]


class AsyncMemory:
    """`Memory`, each call awaited in a thread."""

    _sync: Memory
    _workers: Workers

    async def add(
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
        return await self._workers.run(
            lambda: self._sync.add(
                messages,
                user_id=user_id,
                agent_id=agent_id,
                session_id=session_id,
                on_conflict=on_conflict,
                ttl=ttl,
                allow_forgotten=allow_forgotten,
            )
        )

    async def search(
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
        return await self._workers.run(
            lambda: self._sync.search(
                query,
                user_id=user_id,
                agent_id=agent_id,
                session_id=session_id,
                scope=scope,
                k=k,
                since=since,
                until=until,
                as_of=as_of,
                known_at=known_at,
                now=now,
                dates=dates,
                where=where,
                mode=mode,
                explain=explain,
                ranking=ranking,
            )
        )

    async def context(
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
        return await self._workers.run(
            lambda: self._sync.context(
                query,
                max_tokens=max_tokens,
                user_id=user_id,
                agent_id=agent_id,
                session_id=session_id,
                scope=scope,
                neighbours=neighbours,
                k=k,
                since=since,
                until=until,
                as_of=as_of,
                known_at=known_at,
                now=now,
                dates=dates,
                where=where,
                mode=mode,
                ranking=ranking,
            )
        )
