"""Permutation of blocks: every p-value here comes from relabelling whole sessions.

Turns of one session resemble each other, so rows are not exchangeable, and a test that permutes
them alarms on every ordinary day. Sessions are exchangeable as long as nothing changes, unless a
few users or topics fill each window with several sessions of their own: then those are the blocks
to name. (Windows of four meetings, cut into sessions, alarmed on 36 of 60 ordinary days.)
"""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from agentmem.errors import InvalidInput

__all__ = ["PERMUTATIONS", "Verdict", "permuted_splits", "upper_p_value", "verdict"]

PERMUTATIONS: Final = 4_999  # smallest p-value 0.0002: lets one store in 250 stand out (0.05 / 250)
ROUNDING: Final = 1e-9  # relative; the same split summed in another order counts as as extreme

Verdict: TypeAlias = Literal["shifted", "alike", "insufficient data"]

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]


def permuted_splits(
    reference: int, current: int, *, permutations: int, rng: np.random.Generator
) -> Bools:
    """Return which blocks count as current: as they are in the first row, then at random.

    Args:
        reference: Blocks of the reference, which come first.
        current: Blocks of the other side.
        permutations: Relabellings to draw.
        rng: What draws them.

    Returns:
        Shape (1 + permutations, reference + current).
    """
    if permutations < 1:
        raise InvalidInput(f"permutations is {permutations}. Repair: 1 or more, such as 4999.")
    given = np.arange(reference + current) >= reference
    splits = np.tile(given, (permutations + 1, 1))
    splits[1:] = rng.permuted(splits[1:], axis=1)
    return splits


def upper_p_value(statistics: Floats) -> float:
    """Return the share of statistics at least as large as the first, which is the observed one.

    Counting the observed among its permutations keeps the level for any number of them (Phipson
    & Smyth, "Permutation p-values should never be zero", 2010).
    """
    slack = ROUNDING * float(np.abs(statistics).max())
    return float((statistics >= statistics[0] - slack).mean())


def verdict(p_value: float, *, level: float) -> Verdict:
    """Say what a p-value means at a level; not a number is no data."""
    if np.isnan(p_value):
        return "insufficient data"
    return "shifted" if p_value <= level else "alike"
