"""How often a tool's calls succeed: a Beta-Binomial rate, and what it adds to a score."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["posterior", "success_term", "usual_rate"]

USUAL = 0.9  # success rate of tools nobody reported on yet
USUAL_STRENGTH = 20.0  # reports that belief weighs as much as

Floats = NDArray[np.float32]


def usual_rate(succeeded: Floats, failed: Floats) -> float:
    """Success rate over a whole catalogue, shrunk to `USUAL`."""
    good, all_ = float(succeeded.sum()), float(succeeded.sum() + failed.sum())
    return (good + USUAL * USUAL_STRENGTH) / (all_ + USUAL_STRENGTH)


def posterior(succeeded: Floats, failed: Floats, *, strength: float) -> Floats:
    """Posterior mean of each tool's success rate, shape (N,).

    The prior is Beta(strength * usual, strength * (1 - usual)), usual being the catalogue's rate.
    """
    usual = usual_rate(succeeded, failed)
    rate: Floats = (succeeded + strength * usual) / (succeeded + failed + strength)
    return rate


def success_term(succeeded: Floats, failed: Floats, *, strength: float) -> Floats:
    """Logarithm of each rate against the usual one, shape (N,); 0 without reports."""
    usual = usual_rate(succeeded, failed)
    term: Floats = np.log(posterior(succeeded, failed, strength=strength) / usual)
    return term.astype(np.float32)
