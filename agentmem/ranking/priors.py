"""What speaks for a turn besides its match: speaker, length, form, date, recency, importance.

Each function takes columns of the turns in sight and gives one float32 row, shape (T,).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
from numpy.typing import NDArray

from agentmem.ranking.dates import MICROSECONDS_A_DAY, Span
from agentmem.ranking.fusion import zscore

__all__ = ["bounded_gain", "date_bonus", "length_prior", "named_speakers", "recency_gain"]


def named_speakers(
    words: Collection[str], speakers: Sequence[tuple[str, ...]]
) -> NDArray[np.bool_]:
    """Which speakers a question names by any word of their name, shape (len(speakers),).

    Args:
        words: The question's words, lower case.
        speakers: The words of each speaker's name, lower case. Single letters are ignored.
    """
    return np.array(
        [any(len(part) > 1 and part in words for part in name) for name in speakers], np.bool_
    )


def length_prior(
    lengths: NDArray[np.float32], mask: NDArray[np.bool_] | None
) -> NDArray[np.float32]:
    """Standardised logarithm of the terms a turn has: who says more tells more."""
    return zscore(np.log1p(lengths), mask)


def date_bonus(
    event_time: NDArray[np.int64], spans: Sequence[Span], *, days: float
) -> NDArray[np.float32]:
    """From 1 within the nearest span down to 0, by 1/e every `days` outside it."""
    bonus = np.zeros(len(event_time), np.float32)
    for start, end in spans:
        outside = np.maximum(np.maximum(start - event_time, event_time - end), 0)
        bonus = np.maximum(bonus, np.exp(-outside / (days * MICROSECONDS_A_DAY)).astype(np.float32))
    return bonus


def recency_gain(
    event_time: NDArray[np.int64], *, now: int, half_life_days: float
) -> NDArray[np.float32]:
    """From 1 for a turn said now (or later) down to 0, halved every `half_life_days`."""
    age = np.maximum(now - event_time, 0) / (half_life_days * MICROSECONDS_A_DAY)
    return np.exp2(-age).astype(np.float32)


def bounded_gain(
    score: NDArray[np.float32], gain: NDArray[np.float32], *, most: float
) -> NDArray[np.float32]:
    """What a multiplier of at most 1 + `most` on a score's height above the worst adds to it.

    A turn can so never pass one whose height is more than (1 + most) times its own: recency
    and importance order the near-equal and leave relevance alone.
    """
    height = score - score.min() if score.size else score
    return (height * most * np.nan_to_num(gain)).astype(np.float32)
