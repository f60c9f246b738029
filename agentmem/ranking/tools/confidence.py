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

__all__ = ["BestTool", "log_odds", "probabilities", "sigmoid"]

# Of a tool known by its description: MetaTool, BFCL (non-live and live) and Seal-Tools, each with
# equal weight.
COLD = {"base": -1.871, "similarity": 2.563, "words": 0.078, "lead": 0.241}
# Of a tool known by its usage: MetaTool, half of the development queries as examples.
WARM = {"base": -6.0, "usage": 4.0, "example": 6.0, "lead": 0.3}

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class BestTool:
    """Absolute evidence for the best candidate.

    Attributes:
        cosine: Weighted mean of its views' cosines with the query.
        bm25: Of its words, 0 or more.
        lead: Its score minus the next one's, in standard deviations.
        trust: How far usage is believed of it, from 0 to 1.
        prototype: Inner product with its prototype.
        nearest: Cosine of its nearest usage example.
    """

    cosine: float
    bm25: float
    lead: float
    trust: float = 0.0
    prototype: float = 0.0
    nearest: float = 0.0


def log_odds(best: BestTool) -> dict[str, float]:
    """Return the terms of the log-odds that the best candidate fits; they add up to it."""
    cold, warm = 1 - best.trust, best.trust
    terms = {
        "base": cold * COLD["base"] + warm * WARM["base"],
        "similarity": cold * COLD["similarity"] * best.cosine,
        "words": cold * COLD["words"] * math.log1p(max(best.bm25, 0.0)),
        "lead": (cold * COLD["lead"] + warm * WARM["lead"]) * best.lead,
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
