"""Conversations that a router is asked and then taught, one after another: test, then train.

Every turn of a conversation is asked before anything of that conversation is taught, so no answer
knows more than earlier conversations told (prequential; Dawid, JRSS A, 1984). One router is asked
in two ways, told what went before and not told, and is taught once: only the asking differs.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from agentmem.evaluation.metrics import bootstrap_ci
from agentmem.evaluation.report import Estimate, Row, SystemResult
from agentmem.evaluation.router.asking import Asked, answer_of, excluded_by
from agentmem.evaluation.router.learning import TAUGHT_BY, Teaching
from agentmem.evaluation.router.report import HistoryGain
from agentmem.evaluation.router.tasks import RoutingQuery, conversations_of

if TYPE_CHECKING:
    from agentmem.router import ToolRouter
    from agentmem.types import Selection

__all__ = ["Conversed", "converse", "history_gain", "in_conversations"]

_FIRST: Final = "default"  # where the first definition of every name is: see `asking.opened`


@dataclass(frozen=True, slots=True)
class Conversed:
    """The answers to every turn, asked in two ways, and what was taught.

    Attributes:
        told: Asked with the conversation so far, in the order of the queries.
        untold: Asked without; the time a query is that of both ways, learning anew included.
        teaching: What the router learnt, which is the same for both.
    """

    told: Asked
    untold: Asked
    teaching: Teaching


def in_conversations(queries: Sequence[RoutingQuery]) -> bool:
    """Whether queries are turns of conversations, told apart by their ids."""
    return any(query.history and query.conversation is not None for query in queries)


def converse(
    router: ToolRouter,
    queries: Sequence[RoutingQuery],
    *,
    k: int,
    names: Mapping[str, object],
    seed: int,
    advance: Callable[[int], None] = lambda _: None,
) -> Conversed:
    """Ask and then teach conversations, in an order drawn at random.

    Args:
        router: With the task's tools, taught nothing.
        queries: Turns with gold; one without an id is a conversation of its own.
        k: How many tools are wanted.
        names: Every tool of the catalogue.
        seed: The same seed gives the same order.
        advance: Told how many turns more were asked and taught.
    """
    told: dict[int, Selection] = {}
    untold: dict[int, Selection] = {}
    spent = 0.0
    conversations = conversations_of(queries)
    for number in np.random.default_rng(seed).permutation(len(conversations)):
        places = conversations[number]
        started = time.perf_counter()
        for place in places:
            query = queries[place]
            told[place] = _select(router, query, k=k, names=names)
            untold[place] = _select(router, replace(query, history=()), k=k, names=names)
        spent += time.perf_counter() - started
        for place in places:
            used = sorted(queries[place].gold)
            router.feedback(told[place], used=used, namespace=_FIRST, by=TAUGHT_BY)
        advance(len(places))
    milliseconds = spent * 1000 / max(2 * len(queries), 1)
    return Conversed(
        _asked(told, milliseconds=milliseconds),
        _asked(untold, milliseconds=milliseconds),
        _teaching(router, conversations=len(conversations)),
    )


def _select(
    router: ToolRouter, query: RoutingQuery, *, k: int, names: Mapping[str, object]
) -> Selection:
    hidden = sorted(excluded_by(query, names=names)) or None
    return router.select(query.text, k=k, exclude=hidden, history=list(query.history) or None)


def _asked(selections: Mapping[int, Selection], *, milliseconds: float) -> Asked:
    ordered = [selections[place] for place in sorted(selections)]
    config_id = ordered[0].config_id if ordered else None
    return Asked([answer_of(one) for one in ordered], milliseconds, config_id)


def _teaching(router: ToolRouter, *, conversations: int) -> Teaching:
    lessons = [one for one in router.history() if one.kind == "feedback"]
    lasting = sum(one.active for one in lessons)
    reason = (
        f"{len(lessons)} turns of {conversations} conversations were taught, each conversation "
        f"after it was asked; {lasting} of these lessons are in effect at the end"
    )
    return Teaching(len(lessons), 0, applied=lasting == len(lessons), reason=reason)


def history_gain(
    queries: Sequence[RoutingQuery], *, told: SystemResult, untold: SystemResult
) -> HistoryGain:
    """Compare the same queries asked with and without the conversation so far.

    Args:
        queries: As both systems were asked them.
        told: The system that knew what went before.
        untold: The one that did not.
    """
    conversations = conversations_of(queries)
    groups = [0] * len(queries)
    for number, places in enumerate(conversations):
        for place in places:
            groups[place] = number
    pairs = list(zip(told.rows, untold.rows, groups, strict=True))
    return HistoryGain(
        told=told.name,
        untold=untold.name,
        conversations=len(conversations),
        overall=_differences(pairs),
        categories={
            category: _differences([pair for pair in pairs if pair[0].category == category])
            for category in told.categories
        },
    )


def _differences(pairs: Sequence[tuple[Row, Row, int]]) -> dict[str, Estimate]:
    """Average each measure's difference, with intervals that resample whole conversations."""
    metrics = list(pairs[0][0].metrics)
    values = np.array(
        [[a.metrics[name] - b.metrics[name] for name in metrics] for a, b, _ in pairs]
    )
    low, high = bootstrap_ci(values, groups=[group for _, _, group in pairs])
    columns = zip(metrics, values.mean(axis=0), low, high, strict=True)
    return {name: Estimate(float(m), float(lo), float(hi)) for name, m, lo, hi in columns}
