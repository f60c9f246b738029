"""Prototypes of tools: multinomial logistic regression with a prior at the shrunk centroids.

A tool's prior prototype is the mean of its usage examples, shrunk to its description. The
maximum a posteriori moves prototypes apart where their examples are mistaken for each other.
The optimisation starts at the prior, so that stopping it early is nothing but more shrinkage.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

__all__ = ["SCALE", "centroids", "fit"]

SCALE = 15.0  # logits a unit of cosine: examples of one tool lie about 0.2 closer than of others
RIDGE = 10.0  # of the distance from the prior: between 5 and 30 measured alike, noise likes more
BIAS_RIDGE = 0.1  # tools that are asked for more often may say so
ITERATIONS = 40  # of L-BFGS; beyond, wrong labels are learnt by heart
WORK = 4e11  # multiplications at most, some ten seconds on two cores

Floats = NDArray[np.float32]


def centroids(
    rows: Floats,
    owners: NDArray[np.int64],
    *,
    weights: Floats,
    prior: Floats,
    shrinkage: float,
) -> Floats:
    """Weighted means of each class's rows, shrunk to its prior, shape (C, D).

    Args:
        rows: Shape (E, D).
        owners: Class of each row, shape (E,).
        weights: Of each row, below 0 for rows to stay away from, shape (E,).
        prior: One row a class, shape (C, D).
        shrinkage: Rows that the prior weighs as much as.
    """
    total = prior * np.float32(shrinkage)
    np.add.at(total, owners, rows * weights[:, None])
    counts = np.bincount(owners, np.maximum(weights, 0), minlength=len(prior)) + shrinkage
    means: Floats = (total / np.maximum(counts, 1e-9)[:, None]).astype(np.float32)
    return means


def fit(
    rows: Floats, owners: NDArray[np.int64], *, weights: Floats, prior: Floats
) -> tuple[Floats, Floats]:
    """Move prototypes apart; return them, shape (C, D), and their biases, shape (C,).

    Args:
        rows: Unit rows of the examples, shape (E, D).
        owners: Class of each, shape (E,).
        weights: Of each, 0 or more, shape (E,).
        prior: Prototypes to start from, shape (C, D).
    """
    classes, width = prior.shape
    steps = min(ITERATIONS, int(WORK / max(4.0 * len(rows) * classes * width, 1.0)))
    bias = np.zeros(classes, np.float32)
    if not len(rows) or classes <= 1 or not steps:
        return prior, bias
    places = np.arange(len(rows))

    def loss(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        moved = flat[: classes * width].reshape(classes, width).astype(np.float32)
        shift = flat[classes * width :].astype(np.float32)
        logits = np.float32(SCALE) * (rows @ (prior + moved).T) + shift
        logits -= logits.max(axis=1, keepdims=True)
        own = logits[places, owners]
        chance = np.exp(logits, out=logits)
        norm = chance.sum(axis=1)
        value = float(weights @ (np.log(norm) - own))
        value += RIDGE * float((moved**2).sum()) + BIAS_RIDGE * float((shift**2).sum())
        chance *= (weights / norm)[:, None]
        chance[places, owners] -= weights  # now the error
        slope = np.float32(SCALE) * (chance.T @ rows) + 2 * RIDGE * moved
        tilt = chance.sum(axis=0) + 2 * BIAS_RIDGE * shift
        return value, np.concatenate([slope.ravel(), tilt]).astype(np.float64)

    start = np.zeros(classes * width + classes)
    best = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": steps}).x
    moved = best[: classes * width].reshape(classes, width).astype(np.float32)
    return prior + moved, best[classes * width :].astype(np.float32)
