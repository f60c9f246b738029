"""`Selecting`, awaited. Written by `make generate` from `agentmem.router.selecting`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

from agentmem.asynchronous.workers import Workers
from agentmem.router import ToolRouter
from agentmem.router.entries import Where
from agentmem.types import Selection

__all__ = ["AsyncSelecting"]


class AsyncSelecting:
    """`Selecting`, each call awaited in a thread."""

    _sync: ToolRouter
    _workers: Workers

    async def select(
        self,
        query: str,
        *,
        k: int | Literal["auto"] = 5,
        max_tokens: int | None = None,
        namespace: str | None = None,
        where: Where | None = None,
        history: object = None,
        memory: object = None,
        exclude: str | Iterable[str] | None = None,
        explain: bool = False,
    ) -> Selection:
        """Select the tools that a query needs, best first; none where nothing fits.

        A tool whose name stands in the query is always among the `k`.

        Args:
            query: What is to be done, in the user's words.
            k: How many tools at most; "auto" takes the fewest that are expected to hold most of
                those needed (`Routing.coverage`).
            max_tokens: Bound of the chosen tools' OpenAI definitions, in tokens.
            namespace: Only tools of this part of the catalogue; everywhere if None.
            where: Only tools that match: `field("tags").contains("travel")`, or the same as a
                dictionary `{"tags": {"contains": "travel"}}`.
            history: The conversation so far, oldest first: messages as in chat requests, with
                the tools they called. Tools like those called so far, and tools that usually
                follow those called last, are likelier.
            memory: What was recalled for this query: a `Recall`, a `Context`, or turns.
            exclude: Names of tools not to choose, such as one that just failed.
            explain: Whether each tool brings its evidence.

        Raises:
            InvalidInput: The query or an argument cannot be used.
            MissingDependency: `max_tokens` was given, and tokens cannot be counted.
            EmbeddingFailed: The query could not be embedded.
            StoreError: The store could not be read.
        """
        return await self._workers.run(
            lambda: self._sync.select(
                query,
                k=k,
                max_tokens=max_tokens,
                namespace=namespace,
                where=where,
                history=history,
                memory=memory,
                exclude=exclude,
                explain=explain,
            )
        )

    async def select_batch(
        self,
        queries: Sequence[str],
        *,
        k: int | Literal["auto"] = 5,
        max_tokens: int | None = None,
        namespace: str | None = None,
        where: Where | None = None,
        history: object = None,
        memory: object = None,
        exclude: str | Iterable[str] | None = None,
        explain: bool = False,
    ) -> list[Selection]:
        """Select tools for several queries, which are embedded together.

        Args:
            queries: What is to be done, one selection each.
            k: As in `select`; likewise all others.
            max_tokens: See `select`.
            namespace: See `select`.
            where: See `select`.
            history: See `select`; the same for every query.
            memory: See `select`; the same for every query.
            exclude: See `select`.
            explain: See `select`.

        Raises:
            InvalidInput: A query or an argument cannot be used; nothing was selected.
            MissingDependency: `max_tokens` was given, and tokens cannot be counted.
            EmbeddingFailed: The queries could not be embedded.
            StoreError: The store could not be read.
        """
        return await self._workers.run(
            lambda: self._sync.select_batch(
                queries,
                k=k,
                max_tokens=max_tokens,
                namespace=namespace,
                where=where,
                history=history,
                memory=memory,
                exclude=exclude,
                explain=explain,
            )
        )
