"""Fisher's linear discriminant between tools: means, in the metric of the spread around them.

Directions in which examples of one tool differ among themselves say little about the tool; the
inverse of the pooled within-class covariance, shrunk to a multiple of the identity, discounts
them (Hastie, Tibshirani & Friedman, "The Elements of Statistical Learning", section 4.3.1).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve

__all__ = ["discriminant"]

SHRINKAGE = 1.0  # of the mean variance, added to all: from 0.5 to 4 measured alike
ENOUGH = 10  # rows; a spread of fewer is chance

Floats = NDArray[np.float32]


def discriminant(
    rows: Floats, owners: NDArray[np.int64], *, weights: Floats, means: Floats
) -> tuple[Floats, Floats]:
    """Return what a query is multiplied with, shape (C, D), and what is added, shape (C,).

    Args:
        rows: Shape (E, D).
        owners: Class of each row, shape (E,).
        weights: Of each row, 0 or more, shape (E,).
        means: Of each class, shape (C, D).

    Returns:
        Zeros where there are too few rows to know their spread.
    """
    known = weights > 0
    if np.count_nonzero(known) < ENOUGH:
        return np.zeros_like(means), np.zeros(len(means), np.float32)
    spread = (rows - means[owners])[known] * np.sqrt(weights[known])[:, None]
    covariance = spread.T @ spread / weights.sum()
    variance = float(np.trace(covariance)) / len(covariance)
    covariance[np.diag_indices_from(covariance)] += SHRINKAGE * max(variance, 1e-6)
    loadings = solve(covariance, means.T, assume_a="pos").T.astype(np.float32)
    offset: Floats = (-0.5 * np.einsum("cd,cd->c", means, loadings)).astype(np.float32)
    return loadings, offset
