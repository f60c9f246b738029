"""Which sessions a check compares: those up to the baseline, and two windows after it.

What holds of sessions holds of questions: a session of theirs is what one person asked on one
day. Only what has ended counts, because a session that goes on would be another one tomorrow.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import numpy as np
from numpy.typing import NDArray

from agentmem.checks import EPOCH
from agentmem.statistics import CURRENT_SESSIONS, MIN_SESSIONS, REFERENCE_SESSIONS
from agentmem.statistics.windows import Windows, latest_windows

__all__ = ["Stretches", "stretches"]

QUIET: Final = timedelta(minutes=30)  # after which nobody is expected to go on
BOTH: Final = 2 * MIN_SESSIONS  # what two windows take at least

Codes = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Stretches:
    """Which sessions, by their place in the order of time.

    Attributes:
        windows: The three stretches; None where there are too few sessions.
        before: Sessions up to the baseline.
        after: Sessions since, without those that may go on.
        substitute: Whether the oldest sessions stand in for a baseline that has too few.
    """

    windows: Windows | None
    before: int
    after: int
    substitute: bool

    @property
    def places(self) -> list[int]:
        """All sessions that are compared."""
        windows = self.windows
        return [] if windows is None else [*windows.reference, *windows.previous, *windows.latest]

    @property
    def sizes(self) -> tuple[int, int]:
        """Sessions of the baseline and of the newest window; all there are where too few."""
        windows = self.windows
        if windows is None:
            return self.before, self.after
        return len(windows.reference), len(windows.latest)

    @property
    def lacking(self) -> str:
        """What is missing, as a sentence."""
        if self.substitute:
            return (
                f"There are {self.before + self.after} sessions that have ended, and a comparison "
                f"takes {MIN_SESSIONS + BOTH}: {MIN_SESSIONS} for the baseline and two windows of "
                f"{MIN_SESSIONS} after it."
            )
        return (
            f"Since the baseline {self.after} sessions have ended, and a comparison takes {BOTH}: "
            f"two windows of {MIN_SESSIONS}."
        )

    @property
    def detail(self) -> dict[str, int | bool]:
        """The numbers, by name."""
        previous = 0 if self.windows is None else len(self.windows.previous)
        counts = {"sessions_before": self.before, "sessions_since": self.after}
        return {**counts, "sessions_previous": previous, "substitute_baseline": self.substitute}


def stretches(last: Codes, *, baseline: datetime, now: datetime) -> Stretches:
    """Choose the sessions to compare.

    The baseline's are its newest. Where it has too few, as when a store was watched from its
    first day on, its oldest sessions stand in, so that it can be compared at all.

    Args:
        last: When the last turn of each session was said, ascending, microseconds since 1970.
        baseline: Since when today is.
        now: The present.
    """
    ended = int(np.searchsorted(last, _microseconds(now - QUIET), side="right"))
    before = int(np.searchsorted(last[:ended], _microseconds(baseline), side="right"))
    after = ended - before
    if before < MIN_SESSIONS:
        return Stretches(latest_windows(ended), before, after, substitute=True)
    windows = None
    if after >= BOTH:
        windows = latest_windows(
            ended,
            since=max(before - REFERENCE_SESSIONS, 0),
            reference=min(before, REFERENCE_SESSIONS),
            current=min(after // 2, CURRENT_SESSIONS),
        )
    return Stretches(windows, before, after, substitute=False)


def _microseconds(moment: datetime) -> int:
    return (moment - EPOCH) // timedelta(microseconds=1)
