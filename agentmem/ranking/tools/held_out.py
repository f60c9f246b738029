"""Whether learning made selections worse: the same held-out queries, asked without it and with it.

Two parts are held out, so that neither what was known before nor what is new may suffer: queries
taught earlier, and, of a large lesson, its own. Each is asked as if it had not been taught, so a
share of wrong labels costs both sides of the comparison alike.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from agentmem.ranking.tools.config import Routing
from agentmem.ranking.tools.guard import leave_one_out, ndcg
from agentmem.ranking.tools.usage import Observations

__all__ = ["FEWEST", "Part", "compare", "pooled"]

FEWEST = 20  # queries from which a mean says more than its noise; t is about normal from there on
DEPTH = 5  # tools that a selection shows by default
TOLERATED = 0.02  # of nDCG@5: what a new kind of query may cost the others
CRITICAL = 1.645  # one-sided t statistic exceeded by chance in one lesson of twenty
RECENT = 5_000  # earlier observations among which to sample: what is asked for nowadays

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Part:
    """Mean nDCG@5 over one part of the held-out queries.

    Attributes:
        new: Whether they came with the lesson, or were taught earlier.
        queries: How many.
        before: Without the lesson.
        after: With it.
        worse: Whether it fell by more than is tolerated, and more than chance explains.
    """

    new: bool
    queries: int
    before: float
    after: float
    worse: bool


def compare(
    descriptions: Floats, observations: Observations, *, new: Mask, config: Routing, most: int
) -> list[Part]:
    """Compare what is known without and with the new observations.

    Args:
        descriptions: Unit vectors of the N tools, shape (N, D).
        observations: All of them, earlier and new, oldest first.
        new: Which are new, shape (E,).
        config: The weights.
        most: Queries of a part at most.

    Returns:
        The parts that have `FEWEST` queries or more, earlier ones first; none if neither has.
    """
    right = observations.labels > 0
    pools = (np.flatnonzero(right & ~new)[-RECENT:], np.flatnonzero(right & new))
    samples = [_evenly(pool, most) for pool in pools]
    enough = [one for one in samples if len(one) >= FEWEST]
    sample = np.concatenate(enough) if enough else np.zeros(0, np.int64)
    if not len(sample):
        return []
    weights = np.where(new, np.float32(0), observations.weights)
    without = replace(observations, weights=weights)
    gains = [
        ndcg(leave_one_out(descriptions, known, sample=sample, config=config)[0], k=DEPTH)
        for known in (without, observations)
    ]
    return [
        _part(gains[0][of], gains[1][of], new=is_new)
        for is_new in (False, True)
        if (of := new[sample] == is_new).any()
    ]


def pooled(parts: Sequence[Part]) -> tuple[float | None, float | None]:
    """Mean nDCG@5 without and with the lesson over all parts; None where there are none."""
    total = sum(part.queries for part in parts)
    if not total:
        return None, None
    before = sum(part.before * part.queries for part in parts) / total
    after = sum(part.after * part.queries for part in parts) / total
    return before, after


def _evenly(places: Ints, most: int) -> Ints:
    """Return so many of the places at most, evenly taken: all tools come to speak."""
    if len(places) <= most:
        return places
    return places[np.linspace(0, len(places) - 1, most).astype(np.int64)]


def _part(before: Floats, after: Floats, *, new: bool) -> Part:
    fall = before - after
    spread = float(fall.std(ddof=1)) / math.sqrt(len(fall))
    mean = float(fall.mean())
    worse = mean > TOLERATED and mean > CRITICAL * spread
    return Part(new, len(fall), float(before.mean()), float(after.mean()), worse)
