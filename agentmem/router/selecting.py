"""How a router chooses: the few tools that a query needs, or none."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal

from agentmem.checks import shown
from agentmem.errors import InvalidInput
from agentmem.router.entries import Where, as_filter, as_namespace
from agentmem.router.parts import Parts
from agentmem.routing import Request
from agentmem.types import Selection

__all__ = ["Selecting", "as_request"]


class Selecting:
    """The part of `ToolRouter` that selects tools."""

    _parts: Parts

    def select(
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
        return self._parts.selector.select(
            as_request(
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

    def select_batch(
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
        if isinstance(queries, str) or not isinstance(queries, Iterable):
            raise InvalidInput("select_batch takes a list of queries; pass one query to select.")
        return self._parts.selector.select_batch(
            [
                as_request(
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
                for query in queries
            ]
        )


def as_request(
    query: str,
    *,
    k: int | Literal["auto"],
    max_tokens: int | None,
    namespace: str | None,
    where: Where | None,
    history: object,
    memory: object,
    exclude: str | Iterable[str] | None,
    explain: bool,
) -> Request:
    """Read the arguments of a selection.

    Raises:
        InvalidInput: One of them cannot be used.
    """
    return Request(
        query=query,
        k=k,
        max_tokens=max_tokens,
        namespace=as_namespace(namespace),
        where=as_filter(where),
        history=history,
        memory=memory,
        exclude=_names(exclude),
        explain=explain,
    )


def _names(exclude: str | Iterable[str] | None) -> frozenset[str]:
    if exclude is None:
        return frozenset()
    given: object = [exclude] if isinstance(exclude, str) else exclude
    names: list[Any] = list(given) if isinstance(given, Iterable) else [given]
    if not all(isinstance(name, str) for name in names):
        raise InvalidInput(f"exclude={shown(exclude)}: pass the names of tools, or None.")
    return frozenset(names)
