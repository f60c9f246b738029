"""Maximal marginal relevance: trading relevance for difference among the hits."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["maximal_marginal_relevance"]


def maximal_marginal_relevance(
    scores: NDArray[np.float32], vectors: NDArray[np.float32], *, k: int, trade: float
) -> NDArray[np.int64]:
    """Pick k of the candidates one by one, each relevant and unlike the ones before.

    Carbonell & Goldstein, "The Use of MMR" (SIGIR 1998): the next pick maximises
    lambda * relevance - (1 - lambda) * its largest similarity to a pick, with relevance scaled to
    [0, 1] and lambda = 1 - trade. The first pick is the most relevant.

    Args:
        scores: Relevance, higher is better, (M,).
        vectors: Unit rows, (M, D).
        k: How many to pick.
        trade: 1 - lambda, from 0 (relevance alone) to 1.

    Returns:
        Indices of the picks in order, (min(k, M),).
    """
    if not len(scores):
        return np.zeros(0, np.int64)
    spread = float(np.ptp(scores))
    relevance = (scores - scores.min()) / spread if spread else np.ones(len(scores), np.float32)
    worth = (1 - trade) * relevance
    picks = [int(np.argmax(relevance))]
    likeness = vectors @ vectors[picks[0]]
    while len(picks) < min(k, len(scores)):
        gain = worth - trade * likeness
        gain[picks] = -np.inf
        picks.append(int(np.argmax(gain)))
        likeness = np.maximum(likeness, vectors @ vectors[picks[-1]])
    return np.array(picks[:k], np.int64)
