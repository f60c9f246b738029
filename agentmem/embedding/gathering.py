"""Texts that several threads want embedded at the same time, in one pass of the model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain
from typing import TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from agentmem.gathering import Gathering

__all__ = ["Rows", "Tokens", "gathering_rows"]

T = TypeVar("T")

Tokens: TypeAlias = Sequence[int]
Rows: TypeAlias = NDArray[np.float32]


def gathering_rows(
    embed: Callable[[list[T]], Rows],
    *,
    fits: Callable[[list[T]], bool],
    passes: int,
    shared: tuple[type[Exception], ...] = (),
) -> Gathering[Sequence[T], Rows]:
    """Return what gathers calls of one text or more, and gives each the rows of its own.

    Args:
        embed: Embeds the texts of one pass, a row each.
        fits: Whether a pass may have these texts.
        passes: How many may run at once.
        shared: Failures that no single call is the cause of.
    """

    def serve(calls: Sequence[Sequence[T]]) -> list[Rows]:
        rows = embed(list(chain.from_iterable(calls)))
        ends = np.cumsum([len(call) for call in calls])
        return list(np.split(rows, ends[:-1]))

    return Gathering(
        serve,
        fits=lambda calls: fits(list(chain.from_iterable(calls))),
        passes=passes,
        shared=shared,
    )
