"""The baselines a router must beat: cosine of name and description, BM25, and both by rank fusion.

Bare on purpose: one text a tool, no examples, no history. They rank the same definitions with the
same embedder and the same search terms as the router.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from agentmem.analysis import analyze
from agentmem.evaluation.report import SystemResult, macro_average, system_result
from agentmem.evaluation.router.asking import routing_row
from agentmem.evaluation.router.tasks import RoutingQuery
from agentmem.filters import matches, parse_filter
from agentmem.protocols import Embedder
from agentmem.ranking.fusion import reciprocal_rank_fusion, top
from agentmem.ranking.lexical import InvertedIndex, bm25
from agentmem.toolspec import views
from agentmem.types import Tool

__all__ = ["ROUTER_BASELINES", "ask_baselines"]

ROUTER_BASELINES: Final[Mapping[str, str]] = {
    "dense": "cosine of the query and each tool's name and description",
    "lexical": "BM25 over names, descriptions and arguments",
    "rrf": "equal-weight reciprocal rank fusion of dense and lexical, k=60",
}
_DEPTH: Final = 1000  # places of each list that are fused: beyond, 1/(60 + rank) is noise
_BATCH: Final = 256  # queries encoded at once
_Ranked: TypeAlias = list[NDArray[np.int64]]
_Rank: TypeAlias = Callable[[str], NDArray[np.int64]]


def ask_baselines(
    tools: Sequence[Tool],
    queries: Sequence[RoutingQuery],
    *,
    embedder: Embedder,
    ks: Sequence[int],
) -> list[SystemResult]:
    """Rank the tools for every query in each of the bare ways.

    Args:
        tools: The whole catalogue; tools that share a name each take a place.
        queries: Queries with gold. What they hide or show by name is not looked at.
        embedder: Of the vectors.
        ks: Depths to measure at.
    """
    dense, dense_ms = _timed(_dense(tools, queries, embedder=embedder), queries, tools=tools)
    lexical, lexical_ms = _timed(_lexical(tools), queries, tools=tools)
    started = time.perf_counter()
    fused = [_fused(pair, k=max(ks)) for pair in zip(dense, lexical, strict=True)]
    fused_ms = dense_ms + lexical_ms + (time.perf_counter() - started) * 1000 / len(queries)
    ranked = {"dense": dense, "lexical": lexical, "rrf": fused}
    spent = {"dense": dense_ms, "lexical": lexical_ms, "rrf": fused_ms}
    results = []
    for name, about in ROUTER_BASELINES.items():
        rows = [
            routing_row(query, [tools[place].name for place in places[: max(ks)]], ks=ks)
            for query, places in zip(queries, ranked[name], strict=True)
        ]
        result = system_result(rows, name=name, about=about, milliseconds={"total": spent[name]})
        results.append(replace(result, macro=macro_average(rows)))
    return results


def _timed(
    rank: _Rank, queries: Sequence[RoutingQuery], *, tools: Sequence[Tool]
) -> tuple[_Ranked, float]:
    started = time.perf_counter()
    ranked = [_in_sight(rank(query.text), query, tools=tools) for query in queries]
    return ranked, (time.perf_counter() - started) * 1000 / len(queries)


def _in_sight(
    places: NDArray[np.int64], query: RoutingQuery, *, tools: Sequence[Tool]
) -> NDArray[np.int64]:
    """Leave out the tools of other namespaces, and those that the query's filter leaves out."""
    if query.namespace is None and query.where is None:
        return places
    where = None if query.where is None else parse_filter(query.where, subject="tool")
    seen = [
        place
        for place in places.tolist()
        if query.namespace in (None, tools[place].namespace)
        and (where is None or matches(where, tools[place]))
    ]
    return np.array(seen, np.int64)


def _dense(tools: Sequence[Tool], queries: Sequence[RoutingQuery], *, embedder: Embedder) -> _Rank:
    texts = [views(tool).description for tool in tools]
    first = [pieces[0] for pieces in embedder.split(texts, prefixes=[""] * len(texts))]
    matrix = embedder.embed(first, kind="document")
    asked = list(dict.fromkeys(query.text for query in queries))
    vectors = np.concatenate(
        [
            embedder.embed(asked[begin : begin + _BATCH], kind="query")
            for begin in range(0, len(asked), _BATCH)
        ]
    )
    rows = dict(zip(asked, vectors, strict=True))

    def rank(text: str) -> NDArray[np.int64]:
        return top(matrix @ rows[text], _DEPTH)

    return rank


def _lexical(tools: Sequence[Tool]) -> _Rank:
    index = InvertedIndex()
    index.extend([" ".join(analyze(_whole(tool))) for tool in tools])
    lengths = index.lengths(len(tools))

    def rank(text: str) -> NDArray[np.int64]:
        terms = dict.fromkeys(analyze(text))
        rows = bm25({term: index.postings(term, size=len(tools)) for term in terms}, lengths)
        scores = sum(rows.values(), np.zeros(len(tools), np.float32))
        return top(scores, _DEPTH, mask=scores > 0)

    return rank


def _whole(tool: Tool) -> str:
    seen = views(tool)
    return f"{tool.name} {seen.description} {seen.arguments}"


def _fused(pair: tuple[NDArray[np.int64], NDArray[np.int64]], *, k: int) -> NDArray[np.int64]:
    fused = reciprocal_rank_fusion([list(map(str, places.tolist())) for places in pair])
    return np.array([int(place) for place in fused[:k]], np.int64)
