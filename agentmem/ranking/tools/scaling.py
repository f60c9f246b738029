"""Scores to probabilities: the slope of a confidence, and how fast it falls down the ranks.

Numpy in, numbers out; both fits are convex, so that they have one answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["IDENTITY", "Scale", "fit_scale", "fit_temperature"]

Column = NDArray[np.float64]

CERTAIN: Final = 1e-6  # probabilities stay so far from 0 and 1, where the likelihood is infinite
STEEPEST: Final = 1e3  # temperatures are sought from a thousandth to a thousandfold of the gaps


@dataclass(frozen=True, slots=True)
class Scale:
    """A line through the log-odds of a confidence.

    Attributes:
        slope: Above 0, so that the order of confidences stays.
        intercept: Added to the log-odds.
    """

    slope: float = 1.0
    intercept: float = 0.0

    def __call__(self, confidence: float) -> float:
        """Return the probability that a confidence stands for."""
        if self == IDENTITY:
            return confidence
        scaled = self.slope * float(_log_odds(confidence)) + self.intercept
        return float(1 / (1 + np.exp(-np.clip(scaled, -500, 500))))


IDENTITY: Final = Scale()


def fit_scale(answerable: ArrayLike, unanswerable: ArrayLike) -> Scale:
    """Fit probabilities to the log-odds of confidences.

    Platt, "Probabilistic outputs for support vector machines" (1999), with its smoothed targets
    (N+ + 1) / (N+ + 2) and 1 / (N- + 2), which keep the fit finite where the kinds are separate.

    Args:
        answerable: Confidences of queries that a tool fits, shape (p,).
        unanswerable: Those of queries that none fits, shape (n,).

    Returns:
        `IDENTITY` where the confidence would have to be turned upside down.
    """
    from scipy.optimize import minimize  # a fifth of a second

    high, low = np.asarray(answerable, np.float64), np.asarray(unanswerable, np.float64)
    odds = _log_odds(np.concatenate([high, low]))
    targets = np.where(
        np.arange(len(odds)) < len(high), (len(high) + 1) / (len(high) + 2), 1 / (len(low) + 2)
    )

    def loss(line: Column) -> tuple[float, Column]:
        scaled = line[0] * odds + line[1]
        off = _sigmoid(scaled) - targets
        value = np.logaddexp(0, scaled) - targets * scaled
        return float(value.sum()), np.array([(off * odds).sum(), off.sum()])

    slope, intercept = minimize(loss, np.array([1.0, 0.0]), jac=True, method="BFGS").x
    return Scale(float(slope), float(intercept)) if slope > 0 else IDENTITY


def fit_temperature(confidences: ArrayLike, gaps: ArrayLike, *, needed: ArrayLike) -> float | None:
    """Fit how fast the probability of being needed falls behind the best tool.

    The tool at rank i of a query is needed with probability confidence * exp(-gap_i / T), where
    gap_i is the best score minus its own. T maximises the likelihood, which is concave in 1 / T.

    Args:
        confidences: Probability that a tool fits, a query, shape (n,).
        gaps: Of the best tools of each query, 0 or more, shape (n, r).
        needed: Whether each of them was needed, booleans, shape (n, r).

    Returns:
        None where no tool lies behind the best one, so that nothing can be learnt.
    """
    from scipy.optimize import minimize_scalar

    distances, right = np.asarray(gaps, np.float64), np.asarray(needed, bool)
    behind = distances > 0
    if not behind.any():
        return None
    unit = float(np.median(distances[behind]))
    first = np.broadcast_to(np.asarray(confidences, np.float64)[:, None], distances.shape)[behind]
    first = np.append(first, [1, 1])  # Laplace's rule: at the usual gap one was needed, one not
    behind_by = np.append(distances[behind], [unit, unit])
    hit = np.append(right[behind], [True, False])

    def loss(log_temperature: float) -> float:
        chance = first * np.exp(-behind_by / (unit * np.exp(log_temperature)))
        chance = np.clip(chance, CERTAIN, 1 - CERTAIN)
        return -float(np.log(np.where(hit, chance, 1 - chance)).sum())

    bounds = (-float(np.log(STEEPEST)), float(np.log(STEEPEST)))
    return unit * float(np.exp(minimize_scalar(loss, bounds=bounds, method="bounded").x))


def _log_odds(probability: ArrayLike) -> Column:
    certain = np.clip(np.asarray(probability, np.float64), CERTAIN, 1 - CERTAIN)
    odds: Column = np.log(certain / (1 - certain))
    return odds


def _sigmoid(values: Column) -> Column:
    chance: Column = np.exp(-np.logaddexp(0, -values))
    return chance
