"""A test made twice, in two windows without overlap, of which both have to reject."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from agentmem.statistics import (
    Shift,
    TwoSample,
    Windows,
    adjusted,
    confirmed,
    project,
    shift,
    two_sample,
)

__all__ = ["Moved", "Numbers", "of_numbers", "of_vectors", "strongest"]

NOTHING: Final = 1.0  # the p-value of what went the harmless way, or was not known

Codes = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Moved:
    """What became of vectors.

    Attributes:
        previous: The window before the latest against the baseline.
        latest: The latest window against the baseline.
        p_value: Of both having moved.
        evidence: Arrays for a plot.
    """

    previous: TwoSample
    latest: TwoSample
    p_value: float
    evidence: dict[str, Any]

    @property
    def detail(self) -> dict[str, float]:
        """Its numbers, by name."""
        return {
            "p_previous": self.previous.p_value,
            "p_latest": self.latest.p_value,
            "statistic_previous": self.previous.statistic,
            "auc": self.latest.auc,
            "share_beyond": self.latest.share_beyond,
            "standard_deviations": self.latest.effect,
        }


@dataclass(frozen=True, slots=True)
class Numbers:
    """What became of one number of each session.

    Attributes:
        previous: The window before the latest against the baseline.
        latest: The latest window against the baseline.
        p_value: Of both having gone the harmful way; 1 where they did not.
    """

    previous: Shift
    latest: Shift
    p_value: float

    @property
    def rise(self) -> float:
        """By how much the mean of the latest window is above the baseline's; 0 if not known."""
        return self.latest.current - self.latest.reference if self.is_known else 0.0

    @property
    def is_known(self) -> bool:
        """Whether there were enough sessions of which it is known, in both windows."""
        return not np.isnan([self.previous.p_value, self.latest.p_value]).any()

    @property
    def detail(self) -> dict[str, float]:
        """Its numbers, by name; none where it was not known."""
        if not self.is_known:
            return {}
        return {
            "baseline": self.latest.reference,
            "previous": self.previous.current,
            "latest": self.latest.current,
            "delta": self.latest.delta,
            "p_value": self.p_value,
        }


def of_vectors(
    vectors: NDArray[np.float32], sessions: Codes, *, windows: Windows, rng: np.random.Generator
) -> Moved:
    """Test whether vectors moved.

    Args:
        vectors: Unit rows, shape (n, D).
        sessions: Place of each row's session in the order of time, shape (n,).
        windows: Which of them are compared.
        rng: Draws the permutations.
    """
    before = _within(sessions, windows.reference)
    found = []
    for window in (windows.previous, windows.latest):
        after = _within(sessions, window)
        found.append(
            two_sample(
                vectors[before],
                vectors[after],
                reference_sessions=sessions[before],
                current_sessions=sessions[after],
                rng=rng,
            )
        )
    previous, latest = found
    p_value = float(confirmed([previous.p_value, latest.p_value]))
    after = _within(sessions, windows.previous) | _within(sessions, windows.latest)
    picture = _picture(vectors, sessions, before=before, after=after)
    nulls = {
        "null_previous": previous.null,
        "null_latest": latest.null,
        "statistic_previous": previous.statistic,
        "statistic_latest": latest.statistic,
    }
    return Moved(previous, latest, p_value, {**nulls, **picture})


def of_numbers(
    values: Floats,
    sessions: Codes,
    *,
    windows: Windows,
    rng: np.random.Generator,
    harmful: int,
) -> Numbers:
    """Test whether the means of sessions rose, or fell.

    Args:
        values: A number a row, shape (n,); rows of which it is not known (NaN) are left out.
        sessions: Place of each row's session in the order of time, shape (n,).
        windows: Which of them are compared.
        rng: Draws the permutations.
        harmful: 1 where a rise is to be noticed, -1 where a fall is.
    """
    known = np.isfinite(values)
    values, sessions = values[known], sessions[known]
    before = _within(sessions, windows.reference)
    found = []
    for window in (windows.previous, windows.latest):
        after = _within(sessions, window)
        found.append(
            shift(
                values[before],
                values[after],
                reference_sessions=sessions[before],
                current_sessions=sessions[after],
                rng=rng,
            )
        )
    previous, latest = found
    p_value = float(confirmed([previous.p_value, latest.p_value]))
    both = previous.delta * harmful > 0 and latest.delta * harmful > 0
    return Numbers(previous, latest, p_value if both else NOTHING)


def strongest(p_values: Sequence[float]) -> float:
    """Return the p-value of any of several tests having found something.

    The smallest after Benjamini and Hochberg's adjustment, which is Simes' test ("An improved
    Bonferroni procedure for multiple tests of significance", 1986).
    """
    return float(np.nanmin(adjusted(p_values)))


def _within(sessions: Codes, window: range) -> NDArray[np.bool_]:
    inside: NDArray[np.bool_] = (sessions >= window.start) & (sessions < window.stop)
    return inside


def _picture(
    vectors: NDArray[np.float32],
    sessions: Codes,
    *,
    before: NDArray[np.bool_],
    after: NDArray[np.bool_],
) -> dict[str, Any]:
    """Return where the baseline and the windows lie on a plane."""
    if not before.any() or vectors.shape[1] < 2:  # noqa: PLR2004 - a plane
        return {}
    plane = project(vectors[before], vectors[after])
    return {
        "reference": plane.reference,
        "current": plane.current,
        "reference_sessions": sessions[before],
        "current_sessions": sessions[after],
        "explained": plane.explained,
    }
