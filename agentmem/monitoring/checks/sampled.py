"""The turns that a check compares: a few of each session of the baseline and of the windows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from agentmem.monitoring.checks.stretches import Stretches, stretches
from agentmem.monitoring.given import Given
from agentmem.statistics import Windows
from agentmem.storage.reads import Reads
from agentmem.storage.samples import Sessions, draw_turns, sessions_by_time

__all__ = ["Sampled", "sampled"]


@dataclass(frozen=True, slots=True, eq=False)
class Sampled:
    """N turns.

    Attributes:
        chosen: Which sessions are compared.
        windows: The same, by place.
        sessions: All sessions of the store, in the order of time.
        rows: One row a turn, with the columns that were asked for.
        codes: Place of each turn's session, shape (N,).
    """

    chosen: Stretches
    windows: Windows
    sessions: Sessions
    rows: pa.Table
    codes: NDArray[np.int64]


def sampled(given: Given, store: Reads, *, columns: Sequence[str]) -> Sampled | Stretches:
    """Draw them; where there are too few sessions, return what there is instead.

    Raises:
        StoreError: The store could not be read.
    """
    sessions = sessions_by_time(store)
    chosen = stretches(sessions.last, baseline=given.baseline.at, now=given.now)
    if chosen.windows is None:
        return chosen
    drawn = draw_turns(store, sessions, places=chosen.places, columns=columns, rng=given.rng)
    return Sampled(chosen, chosen.windows, sessions, drawn.rows, drawn.sessions)
