"""How many tests may look without crying wolf: over two windows in a row, and over many stores."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["WINDOW_LEVEL", "adjusted", "alarms", "confirmed"]

WINDOW_LEVEL: Final = (
    0.06  # both windows reach it on 0.7 % of 6,000 ordinary days, at most 0.9 % by
)
# the 95 % interval (0.05: 0.5 %, 0.07: 0.9 %, 0.1: 1.7 %): more than 0.06 squared, because both
# are compared with one reference

Floats = NDArray[np.float64]


def confirmed(p_values: ArrayLike) -> Floats:
    """Return the p-value of what every window in a row has to show, shape (...).

    The largest: it is low only where all are (Berger's intersection-union test, 1982). A single
    odd window, such as a day of guests, is none.

    Args:
        p_values: Of consecutive windows without overlap, in the last axis; not a number where
            there is too little data, and then neither is the result.
    """
    largest: Floats = np.max(np.asarray(p_values, np.float64), axis=-1)
    return largest


def adjusted(p_values: ArrayLike) -> Floats:
    """Adjust p-values of many stores for there being many, shape (n,).

    Benjamini & Hochberg, "Controlling the False Discovery Rate" (1995): of the stores whose
    adjusted p-value is at most q, a share of at most q is ordinary, in the long run. The same as
    `scipy.stats.false_discovery_control`, which takes no missing values and half a second to
    import.

    Args:
        p_values: Of each store, shape (n,); what is not a number stays so and counts as none.
    """
    values = np.asarray(p_values, np.float64)
    found = np.full(values.shape, np.nan)
    places = np.flatnonzero(~np.isnan(values))
    order = places[np.argsort(-values[places], kind="stable")]  # the largest first
    count = len(order)
    scaled = values[order] * count / np.arange(count, 0, -1)
    found[order] = np.minimum(np.minimum.accumulate(scaled), 1)
    return found


def alarms(p_values: ArrayLike, *, level: float = WINDOW_LEVEL) -> NDArray[np.bool_]:
    """Return which stores changed, by all their windows and among them all, shape (n,).

    Args:
        p_values: Of each store and of its consecutive windows, shape (n, W).
        level: Share of false ones among the alarms to allow; for a single store, the level that
            each window has to reach.
    """
    return np.asarray(adjusted(confirmed(p_values)) <= level)
