"""Fewer queries of a task, drawn at random: the same seed draws the same ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from agentmem.evaluation.router.tasks import (
    Probe,
    RoutingQuery,
    RoutingTask,
    conversations_of,
)

__all__ = ["limited", "sample"]


def limited(task: RoutingTask, *, limit: int | None, seed: int) -> RoutingTask:
    """Cut the test queries of a task, and the queries of each kind in its probes, to a limit."""
    probes = [
        Probe(probe.name, probe.about, _sample_probe(probe.queries, limit=limit, seed=seed))
        for probe in task.probes
    ]
    return replace(task, test=sample(task.test, limit=limit, seed=seed), probes=probes)


def sample(
    queries: Sequence[RoutingQuery], *, limit: int | None, seed: int
) -> Sequence[RoutingQuery]:
    """Draw at most so many queries, in their order; all of them if `limit` is None.

    Conversations are drawn whole, but for the last, which is cut where the limit is reached.
    """
    if limit is None or len(queries) <= limit:
        return queries
    conversations = conversations_of(queries)
    order = np.random.default_rng(seed).permutation(len(conversations))
    drawn = [place for number in order for place in conversations[number]][:limit]
    return [queries[place] for place in sorted(drawn)]


def _sample_probe(
    queries: Sequence[RoutingQuery], *, limit: int | None, seed: int
) -> list[RoutingQuery]:
    """Cut each kind of query alike: the same query asked with and without its tool stays a pair."""
    kinds = [[query for query in queries if query.answerable is kind] for kind in (True, False)]
    return [query for kind in kinds for query in sample(kind, limit=limit, seed=seed)]
