"""Whether any tool fits: log-odds from what speaks for the best candidate, and their reasons.

A standardised score says which tool is best, never whether the best is good; absolute evidence
does. The coefficients are logistic regressions over queries whose tool was in the catalogue, and
the same queries without it, at equal odds; `agentmem eval router` repeats the measurement.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["COLD", "BestTool", "log_odds", "probabilities", "sigmoid"]

# Of a tool known by its description: MetaTool; the same line serves BFCL and Seal-Tools.
COLD = {"base": -5.94, "similarity": 5.32, "words": 0.46, "score": 0.114, "rarity": 3.86}
RAREST = 0.85  # queries of real users seldom exceed it; of unknown words alone nothing follows
# Of a tool known by its usage: MetaTool with 5, with 20 and with all examples a tool, and twice
# with a number drawn for each tool from 0 to all, each with equal weight. Cosines of few examples
# are lower, and prove as much; how much lower only unequally known tools tell.
WARM = {
    "base": -6.30,
    "few": 5.23,
    "words": 0.05,
    "usage": 6.27,
    "example": 3.59,
    "rarity": 2.58,
}

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class BestTool:
    """Absolute evidence for the best candidate.

    Attributes:
        cosine: Weighted mean of its views' cosines with the query.
        words: BM25 of its words, in units of what a word says that no tool knows.
        score: Its score, in standard deviations over the candidates.
        rarity: Mean information of the query's words, in the same unit, from 0 to 1: common
            words resemble every tool a little, and so prove less.
        trust: How far usage is believed of it, from 0 to 1.
        prototype: Inner product with its prototype.
        nearest: Cosine of its nearest usage example.
    """

    cosine: float
    words: float
    score: float
    rarity: float
    trust: float = 0.0
    prototype: float = 0.0
    nearest: float = 0.0


def log_odds(best: BestTool) -> dict[str, float]:
    """Return the terms of the log-odds that the best candidate fits; they add up to it."""
    cold, warm = 1 - best.trust, best.trust
    terms = {
        "base": cold * COLD["base"] + warm * (WARM["base"] + WARM["few"] * cold),
        "similarity": cold * COLD["similarity"] * best.cosine,
        "words": (cold * COLD["words"] + warm * WARM["words"]) * best.words,
        "score": cold * COLD["score"] * best.score,
        "rarity": (cold * COLD["rarity"] + warm * WARM["rarity"]) * min(best.rarity, RAREST),
    }
    if warm:
        terms["usage"] = warm * WARM["usage"] * best.prototype
        terms["example"] = warm * WARM["example"] * best.nearest
    return terms


def sigmoid(odds: float) -> float:
    """Return the probability of log-odds."""
    return 1 / (1 + math.exp(-odds)) if odds > 0 else math.exp(odds) / (1 + math.exp(odds))


def probabilities(scores: Floats, *, confidence: float, temperature: float) -> Floats:
    """Probability that each candidate is needed, shape (M,).

    The best one's is the confidence that any fits; it falls off with the distance in score.

    Args:
        scores: Best first, shape (M,).
        confidence: That a tool fits.
        temperature: Distance over which a probability falls to 1/e.
    """
    if not len(scores):
        return np.zeros(0, np.float32)
    fall: Floats = np.exp(-(scores[0] - scores) / temperature).astype(np.float32)
    chance: Floats = fall * np.float32(confidence)
    return chance
