"""Rows to sessions: a bounded sample of each session's rows, and one direction or mean for all.

Codes are integers that name the session of each row; sessions come out in ascending order of
their codes.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from agentmem.errors import InvalidInput

__all__ = ["ROWS_A_SESSION", "session_directions", "session_means", "session_sample"]

ROWS_A_SESSION: Final = 12  # the mean of a thousand turns is steadier than that of ten, which a
# test would take for a shift of content where only the length has changed
TINY: Final = 1e-12  # a session whose vectors cancel has no direction, and stays near 0

Codes = NDArray[np.int64]


def session_sample(sessions: Codes, *, rows: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """Return the places, ascending, of at most so many rows of each session, drawn at random.

    Args:
        sessions: Session of each row, shape (n,).
        rows: The most to take of a session.
        rng: What draws them.
    """
    if rows < 1:
        raise InvalidInput(f"rows is {rows}. Repair: 1 or more rows of a session.")
    order = np.lexsort((rng.random(len(sessions)), sessions))
    first = np.searchsorted(sessions[order], sessions[order])
    return np.sort(order[np.arange(len(order)) - first < rows])


def session_means(
    values: NDArray[np.floating], sessions: Codes
) -> tuple[NDArray[np.float64], Codes]:
    """Return the mean of each session's rows, and the session of each mean.

    Args:
        values: Shape (n,) or (n, D).
        sessions: Session of each row, shape (n,).

    Returns:
        Shapes (S,) or (S, D), and (S,).
    """
    if len(values) != len(sessions):
        raise InvalidInput(
            f"{len(values)} rows have {len(sessions)} session codes. Repair: one code a row."
        )
    order = np.argsort(sessions, kind="stable")
    codes, first, counts = np.unique(sessions[order], return_index=True, return_counts=True)
    if not len(codes):
        return np.zeros((0, *values.shape[1:])), codes
    sums = np.add.reduceat(values[order].astype(np.float64), first, axis=0)
    return sums / counts.reshape(-1, *[1] * (values.ndim - 1)), codes


def session_directions(
    vectors: NDArray[np.float32], sessions: Codes
) -> tuple[NDArray[np.float64], Codes]:
    """Return the unit vector along the mean of each session's rows, and its session.

    Args:
        vectors: Unit rows, shape (n, D).
        sessions: Session of each row, shape (n,).

    Returns:
        Shapes (S, D) and (S,).
    """
    means, codes = session_means(vectors, sessions)
    lengths = np.linalg.norm(means, axis=1, keepdims=True)
    return means / np.maximum(lengths, TINY), codes
