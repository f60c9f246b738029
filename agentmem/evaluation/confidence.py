"""Measures of a confidence: does it tell what can be answered from what cannot?

Numpy in, numpy out. A confidence is any number that is higher where a tool is more likely to fit.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["auroc_interval", "coverage_at_precision"]

_RESAMPLES: Final = 1000  # the ends move by less than 0.001 beyond this on 8,000 queries
_BLOCK: Final = 4_000_000  # weights drawn at once: 32 MB whatever the number of queries


def auroc_interval(
    confidence: ArrayLike,
    positive: ArrayLike,
    *,
    groups: ArrayLike,
    level: float = 0.95,
    resamples: int = _RESAMPLES,
    seed: int = 0,
) -> tuple[float, float]:
    """Bound the area under the ROC curve by the percentile bootstrap (Efron, 1979).

    The area is `ranking.tools.conformal.auroc`. Whole groups are drawn.

    Args:
        confidence: Shape (n,).
        positive: Which should be high, booleans, shape (n,); some of each.
        groups: A label a row, shape (n,): the same query asked twice is drawn together.
        level: Share of resampled areas between the bounds.
        resamples: How many times the groups are drawn again, with replacement.
        seed: The same seed gives the same bounds.
    """
    values, marks = np.asarray(confidence, np.float64), np.asarray(positive, bool)
    labels, member = np.unique(np.asarray(groups), return_inverse=True)
    generator = np.random.default_rng(seed)
    shares = np.full(len(labels), 1 / len(labels))
    block = max(1, _BLOCK // len(values))
    areas = []
    for done in range(0, resamples, block):
        count = min(block, resamples - done)
        drawn = generator.multinomial(len(labels), shares, size=count).astype(np.float64)
        areas.append(_weighted(values, marks, weights=drawn[:, member]))
    drawn_areas = np.concatenate(areas)
    tail = (1 - level) / 2
    # A draw may hold one kind only, where there are few queries; it has no area.
    low, high = np.quantile(drawn_areas[np.isfinite(drawn_areas)], [tail, 1 - tail])
    return float(low), float(high)


def coverage_at_precision(
    confidence: ArrayLike, right: ArrayLike, *, precision: float = 0.95
) -> float:
    """Return the largest share of queries that can be answered at a precision, best first.

    Args:
        confidence: Shape (n,).
        right: Whether the answer would be right, booleans, shape (n,).
        precision: Least share of right answers among those given.
    """
    values, marks = np.asarray(confidence, np.float64), np.asarray(right, bool)
    order = np.argsort(-values, kind="stable")
    answered = np.arange(1, len(values) + 1)
    precise = np.cumsum(marks[order]) / answered >= precision
    last_of_tie = np.append(
        np.diff(values[order]) != 0, values=True
    )  # a threshold keeps ties whole
    return float(answered[precise & last_of_tie].max(initial=0) / len(values))


def _weighted(
    values: NDArray[np.float64], positive: NDArray[np.bool_], *, weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the area for each row of weights, shape (B,); not a number where a kind is missing."""
    order = np.argsort(values, kind="stable")
    ranked, marks, weighed = values[order], positive[order], weights[:, order]
    low = np.cumsum(np.where(marks, 0.0, weighed), axis=1)
    low = np.concatenate(
        [np.zeros((len(weighed), 1)), low], axis=1
    )  # [i]: negatives before place i
    first, last = np.searchsorted(ranked, ranked), np.searchsorted(ranked, ranked, side="right")
    beaten = (low[:, first] + low[:, last]) / 2
    positives = np.where(marks, weighed, 0.0)
    pairs = positives.sum(axis=1) * low[:, -1]
    with np.errstate(invalid="ignore"):
        area: NDArray[np.float64] = (positives * beaten).sum(axis=1) / pairs
    return area
