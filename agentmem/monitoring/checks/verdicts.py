"""How a check says what it found: the same words and rules for every kind."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from agentmem.monitoring.given import Given
from agentmem.types import DriftFinding, DriftKind, Recommendation, Severity

__all__ = [
    "UNUSABLE",
    "accepting",
    "counted",
    "insufficient",
    "is_drift",
    "percent",
    "stable",
    "told",
]

UNUSABLE: Final = "Too few of the sessions to compare have a turn with a usable vector."


def is_drift(given: Given, *, p_value: float, effect: float) -> bool:
    """Whether a test found what is worth a word."""
    return p_value <= given.bounds.level and effect >= given.bounds.effect


def insufficient(
    kind: DriftKind,
    meaning: str,
    *,
    samples: tuple[int, int],
    advice: str = "Nothing to do: check again later.",
    detail: Mapping[str, Any] | None = None,
) -> DriftFinding:
    """Return that too little is known, with what is missing."""
    return DriftFinding(
        kind=kind,
        status="insufficient_data",
        severity="info",
        statistic=None,
        p_value=None,
        effect=None,
        samples=samples,
        meaning=meaning,
        recommendation="wait",
        advice=advice,
        detail=detail or {},
    )


def stable(
    kind: DriftKind,
    meaning: str,
    *,
    samples: tuple[int, int],
    statistic: float | None,
    p_value: float | None = None,
    effect: float | None = None,
    detail: Mapping[str, Any] | None = None,
    evidence: Mapping[str, Any] | None = None,
) -> DriftFinding:
    """Return that nothing of note changed."""
    return DriftFinding(
        kind=kind,
        status="stable",
        severity="info",
        statistic=statistic,
        p_value=p_value,
        effect=effect,
        samples=samples,
        meaning=meaning,
        recommendation="nothing",
        advice="Nothing to do.",
        detail=detail or {},
        evidence=evidence or {},
    )


def told(
    kind: DriftKind,
    meaning: str,
    *,
    given: Given,
    cause: str,
    samples: tuple[int, int],
    statistic: float,
    recommendation: Recommendation,
    advice: str,
    p_value: float | None = None,
    effect: float | None = None,
    severity: Severity = "warning",
    detail: Mapping[str, Any] | None = None,
    evidence: Mapping[str, Any] | None = None,
) -> DriftFinding:
    """Return that something changed; the same cause since the same baseline is the same finding."""
    fingerprint = f"{cause} since {given.baseline.at.isoformat()}"
    return DriftFinding(
        kind=kind,
        status="drifted",
        severity=severity,
        statistic=statistic,
        p_value=p_value,
        effect=effect,
        samples=samples,
        meaning=meaning,
        recommendation=recommendation,
        advice=advice,
        detail={**(detail or {}), "fingerprint": fingerprint},
        evidence=evidence or {},
    )


def accepting(given: Given) -> str:
    """Return how to accept today's state as the new baseline."""
    return f"accept it as the new baseline with `{given.subject}.drift.rebase()`"


def percent(share: float) -> str:
    """Return a share in whole percents, or `under 1 %`."""
    if 0 < share < 0.01:  # noqa: PLR2004 - one percent
        return "under 1 %"
    return f"{np.floor(share * 100 + 0.5):.0f} %"


def counted(number: int, noun: str) -> str:
    """Return `1 session`, `2 sessions`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
