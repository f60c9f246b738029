"""Bringing scores of different scales onto one: standardisation, and rank fusion for comparison.

Arrays in, arrays out. Candidates outside a mask take no part in a mean or a deviation.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["FLAT", "RRF_K", "moments", "reciprocal_rank_fusion", "top", "zscore"]

RRF_K = 60  # Cormack, Clarke & Buettcher 2009, section 2: "k = 60 was fixed during a pilot"
FLAT = 1e-6  # a deviation below this is rounding: the leg says nothing, and must not be blown up


def zscore(
    scores: NDArray[np.float32], mask: NDArray[np.bool_] | None = None
) -> NDArray[np.float32]:
    """Standardise scores over the candidates: mean 0, deviation 1; all zeros for a flat leg.

    Args:
        scores: Shape (T,).
        mask: Which of them are candidates, shape (T,); all of them if `None`.

    Returns:
        Shape (T,), 0 outside the mask.
    """
    mean, deviation = moments(scores, mask)
    if deviation < FLAT:
        return np.zeros(len(scores), np.float32)
    standard: NDArray[np.float32] = (scores - np.float32(mean)) / np.float32(deviation)
    if mask is not None:
        standard[~mask] = 0
    return standard


def moments(
    scores: NDArray[np.float32], mask: NDArray[np.bool_] | None = None
) -> tuple[float, float]:
    """Return the mean and the standard deviation of the candidates, 0 and 0 of none."""
    seen = scores if mask is None else scores[mask]
    if not seen.size:
        return 0.0, 0.0
    seen = seen.astype(np.float64)  # in float32 the mean of equal numbers may differ from them
    return float(seen.mean()), float(seen.std())


def top(
    scores: NDArray[np.float32], k: int, *, mask: NDArray[np.bool_] | None = None
) -> NDArray[np.int64]:
    """Indices of the k best candidates, best first; ties go to the earlier turn.

    Args:
        scores: Shape (T,), higher is better.
        k: How many at most.
        mask: Which are candidates, shape (T,).
    """
    pool = np.arange(len(scores)) if mask is None else np.flatnonzero(mask)
    if 0 < k < len(pool):  # keep every tie of the k-th best, which partition alone would not
        cut = np.partition(scores[pool], len(pool) - k)[len(pool) - k]
        pool = pool[scores[pool] >= cut]
    return pool[np.argsort(-scores[pool], kind="stable")][:k]


def reciprocal_rank_fusion(rankings: Sequence[Sequence[str]], *, k: int = RRF_K) -> list[str]:
    """Fuse ranked lists of ids by the sum of 1 / (k + rank), ranks from 1.

    Cormack, Clarke & Buettcher, "Reciprocal Rank Fusion outperforms Condorcet and individual
    rank learning methods" (SIGIR 2009). Kept as a baseline.
    """
    scores: dict[str, float] = {}
    for ranking in rankings:
        for rank, name in enumerate(ranking, start=1):
            scores[name] = scores.get(name, 0.0) + 1.0 / (k + rank)
    return sorted(scores, key=lambda name: -scores[name])
