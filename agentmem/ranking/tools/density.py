"""How densely a tool's usage examples lie around a query: a kernel density on the cosine.

Unlike the mean of the k nearest it forgives wrong labels, needs no k, and is the logarithm of a
sum, so that it compares tools with few and with many examples.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["log_density"]

CROWD = 0.5  # exponent of the examples a tool by which its mass is divided: 1 forgets how often a
# tool is asked for, 0 lets the most used one win
FLOOR = 1e-9  # of the densest tool's mass
STEEPEST = 60.0  # exponent of what lies nearer than all examples for a tool: finite in float32

Floats = NDArray[np.float32]


def log_density(
    cosines: Floats,
    owners: NDArray[np.int64],
    *,
    weights: Floats,
    counts: Floats,
    bandwidth: float,
) -> Floats:
    """Logarithm of each class's mass around a query, relative to the densest, shape (C,).

    Args:
        cosines: Of the query and each example, shape (E,).
        owners: Class of each example, shape (E,).
        weights: Of each example, below 0 for examples against the class, shape (E,).
        counts: Examples of each class, shape (C,).
        bandwidth: Fall of the cosine that divides an example's say by e.
    """
    if not len(cosines):
        return np.zeros(len(counts), np.float32)
    nearest = cosines.max(initial=-1.0, where=weights > 0)  # not of what is left out
    kernel = np.exp(np.minimum((cosines - nearest) / bandwidth, STEEPEST)) * weights
    mass = np.bincount(owners, kernel, minlength=len(counts))
    crowd = np.maximum(counts, 1.0) ** CROWD
    found: Floats = np.log(np.maximum(mass, 0) / crowd + FLOOR).astype(np.float32)
    return found
