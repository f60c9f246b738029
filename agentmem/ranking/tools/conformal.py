"""When to refuse: a threshold with a bound on wrong refusals that holds for any distribution.

Numpy in, numbers out. A confidence is any number that is higher where a tool is more likely to
fit; a query is refused when its confidence lies below the threshold.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import betaincinv

__all__ = [
    "REFUSE_NOTHING",
    "auroc",
    "lower_bound",
    "needed",
    "refusal_bound",
    "refusal_threshold",
    "upper_bound",
]

REFUSE_NOTHING: Final = 0.0  # no probability lies below it
ROUNDING: Final = 1e-9  # 0.29 * 100 is 28.999999999999996, and 29 is meant


def needed(alpha: float) -> int:
    """Return how many answerable queries a threshold takes that may refuse any at all."""
    return max(math.ceil(1 / alpha - ROUNDING) - 1, 1)


def refusal_rank(count: int, *, alpha: float) -> int:
    """Return which of so many confidences, counted from the smallest, is the threshold; 0: none."""
    return min(math.floor(alpha * (count + 1) + ROUNDING), count)


def refusal_threshold(confidences: ArrayLike, *, alpha: float) -> float:
    """Return the confidence below which to refuse, by split conformal prediction.

    The floor(alpha (n + 1))-th smallest confidence of n answerable queries. Of a further query
    that is exchangeable with them, the confidence lies below it with a chance of at most alpha,
    whatever the distribution (Vovk, Gammerman & Shafer, "Algorithmic Learning in a Random
    World", 2005; Angelopoulos & Bates, "Conformal Prediction: A Gentle Introduction", 2023,
    section 1). That chance is over the n queries and the further one together; for these n
    queries alone see `upper_bound`.

    Args:
        confidences: Of queries that a tool fits, probabilities, shape (n,).
        alpha: Chance of a wrong refusal to allow, between 0 and 1.

    Returns:
        `REFUSE_NOTHING` where n is too small for any refusal to be safe.
    """
    values = np.sort(np.asarray(confidences, np.float64))
    rank = refusal_rank(len(values), alpha=alpha)
    return float(values[rank - 1]) if rank else REFUSE_NOTHING


def refusal_bound(count: int, *, alpha: float, delta: float = 0.05) -> float:
    """Return the rate of wrong refusals that a threshold exceeds with a chance of delta at most.

    The rate below the r-th smallest of n confidences is distributed as Beta(r, n + 1 - r), or
    lower where confidences are tied (Vovk, "Conditional validity of inductive conformal
    predictors", 2012). Its upper quantile is the bound of Clopper & Pearson for r - 1 of n.

    Args:
        count: Answerable queries that `refusal_threshold` was given.
        alpha: As it was given.
        delta: Chance that the bound is exceeded.
    """
    rank = refusal_rank(count, alpha=alpha)
    return upper_bound(rank - 1, count, delta=delta) if rank else 0.0


def upper_bound(wrong: int, count: int, *, delta: float = 0.05) -> float:
    """Return the rate that is exceeded with a chance of delta at most, by the exact binomial.

    Clopper & Pearson, "The use of confidence or fiducial limits illustrated in the case of the
    binomial" (Biometrika, 1934), one-sided.

    Args:
        wrong: How often it happened.
        count: How often it might have.
        delta: Chance that the true rate is higher.
    """
    if wrong >= count:
        return 1.0
    return float(betaincinv(wrong + 1, count - wrong, 1 - delta))


def lower_bound(wrong: int, count: int, *, delta: float = 0.05) -> float:
    """Return the rate that is undercut with a chance of delta at most; see `upper_bound`."""
    if wrong <= 0:
        return 0.0
    return float(betaincinv(wrong, count - wrong + 1, delta))


def auroc(positive: ArrayLike, negative: ArrayLike) -> float:
    """Return the chance that a positive's confidence exceeds a negative's; a tie counts half.

    The Mann-Whitney statistic over the number of pairs (Hanley & McNeil, 1982).

    Args:
        positive: Confidences that should be high, shape (p,), one or more.
        negative: Confidences that should be low, shape (n,), one or more.
    """
    high, low = np.asarray(positive, np.float64), np.sort(np.asarray(negative, np.float64))
    below, upto = np.searchsorted(low, high), np.searchsorted(low, high, side="right")
    return float((below + upto).sum() / (2 * len(high) * len(low)))
