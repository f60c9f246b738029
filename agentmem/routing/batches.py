"""Many texts embedded in slices, with a bar on a terminal where a person would begin to wonder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from agentmem.transfer import progress_bar

__all__ = ["in_slices"]

SLICE: Final = 1_024  # texts embedded between two moves of the progress bar: 5 s on two cores
WORTH_A_BAR: Final = 500  # texts: about two seconds, when a person begins to wonder


def in_slices(
    texts: Sequence[str], embed: Callable[[Sequence[str]], NDArray[np.float32]], *, unit: str
) -> NDArray[np.float32]:
    """Embed one text or more, shape (len(texts), D).

    Args:
        texts: Any number.
        embed: Embeds some of them.
        unit: What they are, for the bar.
    """
    rows, done = [], 0
    with progress_bar(
        len(texts), shown=len(texts) > WORTH_A_BAR, doing="embedding", unit=unit
    ) as tell:
        for begin in range(0, len(texts), SLICE):
            part = texts[begin : begin + SLICE]
            rows.append(embed(part))
            tell(done := done + len(part), done)
    return np.concatenate(rows)
