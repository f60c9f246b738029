"""Did a number change? A rank test on sessions: lengths, languages, scores, empty answers.

For what is known of each turn or retrieval as one number, such as its length in tokens, whether
it is written in another script, the best score, the margin to the next, or whether nothing was
found (0 or 1: the mean is a rate). Sessions are the observations, as in `mmd`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from agentmem.statistics.corrections import WINDOW_LEVEL
from agentmem.statistics.permuting import (
    PERMUTATIONS,
    Verdict,
    permuted_splits,
    upper_p_value,
    verdict,
)
from agentmem.statistics.ranks import mid_ranks, superiority
from agentmem.statistics.sessions import session_means
from agentmem.statistics.windows import MIN_SESSIONS

__all__ = ["Shift", "shift"]

Codes = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Shift:
    """What became of one number.

    Without enough sessions there is no more than their numbers.

    Attributes:
        sessions: Of the reference and of the current side.
        verdict: At the level that was asked for.
        p_value: Chance of ranks as far apart where sessions are exchangeable; either way.
        delta: Cliff's delta: chance that a current session's mean is higher than a reference
            session's, less the chance that it is lower; from -1 to 1.
        reference: Mean of the reference's session means.
        current: Mean of the current session means.
    """

    sessions: tuple[int, int]
    verdict: Verdict = "insufficient data"
    p_value: float = math.nan
    delta: float = math.nan
    reference: float = math.nan
    current: float = math.nan


def shift(
    reference: ArrayLike,
    current: ArrayLike,
    *,
    reference_sessions: Codes,
    current_sessions: Codes,
    rng: np.random.Generator,
    level: float = WINDOW_LEVEL,
    permutations: int = PERMUTATIONS,
) -> Shift:
    """Test whether the means of sessions rose or fell.

    The statistic of Wilcoxon, Mann and Whitney on the means of sessions, with its permutation
    distribution, which ties do not harm. Ranks, because one session of an hour among sessions of
    minutes moves a mean of means and says nothing about the others.

    Args:
        reference: A number a row, finite, shape (n,).
        current: A number a row, finite, shape (m,).
        reference_sessions: Session of each reference row, shape (n,).
        current_sessions: Session of each current row, shape (m,).
        rng: Draws the permutations.
        level: Below which p-value the verdict is `shifted`.
        permutations: How many to draw.
    """
    before, _ = session_means(np.asarray(reference, np.float64), reference_sessions)
    after, _ = session_means(np.asarray(current, np.float64), current_sessions)
    sessions = (len(before), len(after))
    if min(sessions) < MIN_SESSIONS:
        return Shift(sessions)
    ranks = mid_ranks(np.concatenate([before, after]))
    splits = permuted_splits(*sessions, permutations=permutations, rng=rng)
    p_value = upper_p_value(np.abs(splits @ (ranks - ranks.mean())))
    return Shift(
        sessions=sessions,
        verdict=verdict(p_value, level=level),
        p_value=p_value,
        delta=2 * superiority(after, before) - 1,
        reference=float(before.mean()),
        current=float(after.mean()),
    )
