"""Ranks, and which of two sides tends to be higher: an effect size that any scale allows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["mid_ranks", "superiority"]

Floats = NDArray[np.float64]


def mid_ranks(values: Floats) -> Floats:
    """Return ranks from 1, the mean of their places for tied values, shape (n,)."""
    _, member, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks: Floats = (np.cumsum(counts) - (counts - 1) / 2)[member]
    return ranks


def superiority(current: Floats, reference: Floats) -> float:
    """Return the chance that one of the first is higher than one of the second; a tie counts half.

    The Mann-Whitney statistic over the number of pairs, which is the area under the ROC curve of
    telling the sides apart. Cliff's delta is twice that less 1.
    """
    ranks = mid_ranks(np.concatenate([current, reference]))[: len(current)]
    pairs = len(current) * len(reference)
    return float((ranks.sum() - len(current) * (len(current) + 1) / 2) / pairs)
