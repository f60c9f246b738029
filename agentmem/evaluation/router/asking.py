"""A router opened on a task's tools, taught, and asked: through the calls an application makes."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final

from agentmem.embedding import CachedEmbedder, default_embedder
from agentmem.evaluation.metrics import measure
from agentmem.evaluation.report import Row
from agentmem.evaluation.router.tasks import Definition, RoutingQuery, RoutingTask
from agentmem.protocols import Embedder
from agentmem.types import Tool

if TYPE_CHECKING:
    from agentmem.ranking.tools import Routing
    from agentmem.router import ToolRouter
    from agentmem.types import Selection

__all__ = [
    "Answer",
    "Asked",
    "answer_of",
    "ask",
    "excluded_by",
    "opened",
    "placed",
    "remembering",
    "routing_row",
]

_BATCH: Final = 256  # queries a call: scores of 256 queries and 20,000 views are 20 MB
_CACHE_BYTES: Final = 512 << 20  # every query and example is encoded once: 60,000 of 384 dimensions
_Advance = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Answer:
    """What is measured of one selection.

    Attributes:
        names: Names of the best tools, chosen or not, best first.
        confidence: That a tool fits, in [0, 1].
        abstained: Whether nothing was chosen.
    """

    names: tuple[str, ...]
    confidence: float
    abstained: bool


@dataclass(frozen=True, slots=True)
class Asked:
    """The answers to queries, in their order.

    Attributes:
        answers: One a query.
        milliseconds: Wall time a query, encoding included where it was not remembered.
        config_id: Hash of the routing configuration.
    """

    answers: Sequence[Answer]
    milliseconds: float
    config_id: str | None


def remembering(embedder: Embedder | None) -> CachedEmbedder:
    """Return an embedder that remembers every text of a run; the default model's if None."""
    given = default_embedder() if embedder is None else embedder
    inner = given.inner if isinstance(given, CachedEmbedder) else given
    return CachedEmbedder(inner, max_bytes=_CACHE_BYTES)


@contextmanager
def opened(
    task: RoutingTask, *, embedder: CachedEmbedder, routing: Routing | None = None
) -> Iterator[tuple[ToolRouter, float]]:
    """Give a new router with a task's tools, and the seconds that registering them took.

    The first definition of a name lies in the namespace `default`, the others of that name in
    `variant-2` and so on; a `Tool` lies in its own.

    Args:
        task: The task.
        embedder: Of the vectors.
        routing: The router's weights; the product's if None.
    """
    from agentmem.router import ToolRouter  # here, so that reading data sets never loads LanceDB

    with (
        TemporaryDirectory(prefix="agentmem-eval-") as folder,
        ToolRouter.open(folder, embedder=embedder, routing=routing) as router,
    ):
        started = time.perf_counter()
        for namespace, tools in placed(task).items():
            router.register(list(tools.values()), namespace=namespace)
        yield router, time.perf_counter() - started


def placed(task: RoutingTask) -> dict[str, dict[str, Definition | Tool]]:
    """Return the tools of a task by namespace and name, as `opened` registers them."""
    found: defaultdict[str, dict[str, Definition | Tool]] = defaultdict(dict)
    for name, variants in task.tools.items():
        for place, one in enumerate(variants):
            variant = f"variant-{place + 1}" if place else "default"
            found[one.namespace if isinstance(one, Tool) else variant][name] = one
    return dict(found)


def ask(
    router: ToolRouter,
    queries: Sequence[RoutingQuery],
    *,
    k: int,
    names: Mapping[str, object],
    advance: _Advance = lambda _: None,
) -> Asked:
    """Ask a router queries, those of one catalogue and history together.

    Args:
        router: With the task's tools.
        queries: Any; those that differ in nothing but their text go in one batch.
        k: How many tools are wanted.
        names: Every tool of the catalogue.
        advance: Told how many queries more were answered.
    """
    groups: defaultdict[tuple[frozenset[str], str], list[int]] = defaultdict(list)
    for place, query in enumerate(queries):
        groups[excluded_by(query, names=names), repr(_told(query))].append(place)
    found: dict[int, Answer] = {}
    config_id = None
    started = time.perf_counter()
    for (excluded, _), places in groups.items():
        told, hidden = _told(queries[places[0]]), sorted(excluded) or None
        for begin in range(0, len(places), _BATCH):
            batch = places[begin : begin + _BATCH]
            texts = [queries[place].text for place in batch]
            selections = router.select_batch(texts, k=k, exclude=hidden, **told)
            config_id = selections[0].config_id
            found |= dict(zip(batch, map(answer_of, selections), strict=True))
            advance(len(batch))
    spent = (time.perf_counter() - started) * 1000 / max(len(queries), 1)
    return Asked([found[place] for place in range(len(queries))], spent, config_id)


def _told(query: RoutingQuery) -> dict[str, Any]:
    """Return what a query is asked with beside its text."""
    return {
        "history": list(query.history) or None,
        "memory": list(query.recalled) or None,
        "namespace": query.namespace,
        "where": query.where,
    }


def excluded_by(query: RoutingQuery, *, names: Mapping[str, object]) -> frozenset[str]:
    """Return the tools that a query may not choose, of all names."""
    return query.hidden if query.shown is None else query.hidden | (names.keys() - query.shown)


def answer_of(selection: Selection) -> Answer:
    """Return what is measured of a selection."""
    names = tuple(match.name for match in selection.candidates)
    return Answer(names, selection.confidence, selection.abstained)


def routing_row(query: RoutingQuery, names: Sequence[str], *, ks: Sequence[int]) -> Row:
    """Measure one ranked list of tools."""
    gold = tuple(sorted(query.gold))
    return Row(
        group=", ".join(gold),
        question=query.text,
        category=query.category,
        gold=gold,
        retrieved=tuple(names),
        metrics=measure(names, query.gold, ks=ks),
    )
