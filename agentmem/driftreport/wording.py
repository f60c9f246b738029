"""How a report on drift names kinds, states and numbers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Final

from agentmem.types import DriftFinding, DriftKind, DriftSubject, MigrationState

__all__ = [
    "KINDS",
    "QUANTITIES",
    "STATES",
    "SUBJECTS",
    "as_number",
    "as_period",
    "as_verdict",
    "badge",
    "told_state",
]

KINDS: Final[Mapping[DriftKind, str]] = {
    "model": "The model",
    "texts": "The texts that are stored",
    "content": "What is talked about",
    "questions": "What is asked",
    "answers": "What is found",
    "language": "Languages",
    "length": "Lengths",
}
SUBJECTS: Final[Mapping[DriftSubject, str]] = {"memory": "The memory", "router": "The router"}
QUANTITIES: Final[Mapping[str, tuple[str, str]]] = {  # title, and what the axis measures
    "top_score": ("Best scores", "score of the best result"),
    "margin": ("Margins", "score of the first minus that of the second"),
    "similarity": ("Best similarities", "cosine of the best result"),
    "tokens": ("Lengths", "tokens"),
    "language": ("Languages", "share of a session in other languages"),
    "length": ("Lengths", "tokens"),
}
STATES: Final[Mapping[MigrationState, str]] = {
    "building": "building",
    "catching_up": "catching up",
    "checking": "checking the gates",
    "shadowing": "comparing both spaces",
    "flipping": "flipping",
    "paused": "paused",
    "done": "done",
    "failed": "failed",
    "cancelled": "cancelled",
    "rolled_back": "rolled back",
}
_PERIODS: Final = (  # up to which period, one unit of it, and its name
    (timedelta(minutes=1), timedelta(seconds=1), "s"),
    (timedelta(hours=1), timedelta(minutes=1), "min"),
    (timedelta(days=2), timedelta(hours=1), "h"),
)


def as_number(value: float | None) -> str:
    """Write a number to four digits; an empty text where nothing was measured."""
    return "" if value is None else f"{value:.4g}".replace("-", "−")


def as_period(period: timedelta) -> str:
    """Write how long something took."""
    for limit, unit, name in _PERIODS:
        if period < limit:
            return f"{period / unit:.1f} {name}"
    return f"{period / timedelta(days=1):.1f} days"


def as_verdict(findings: Iterable[DriftFinding]) -> str:
    """Say in a sentence what drifted, what did not, and of what too little is known."""
    told = {"drifted": "Drifted", "stable": "stable", "insufficient_data": "too little data"}
    every = list(findings)
    parts = []
    for status, words in told.items():
        names = [_named(one) for one in every if one.status == status]
        if names:
            parts.append(f"{words}: {', '.join(names)}")
    sentence = "; ".join(parts) or "nothing was checked"
    return f"{sentence[0].upper()}{sentence[1:]}."


def _named(finding: DriftFinding) -> str:
    return finding.kind + (f" ({finding.severity})" if finding.status == "drifted" else "")


def told_state(finding: DriftFinding) -> str:
    """Say in a word or two how a finding came out."""
    if finding.status == "drifted":
        return f"drifted, {finding.severity}"
    return "stable" if finding.status == "stable" else "too little data"


def badge(finding: DriftFinding) -> str:
    """Return the style of a finding's state."""
    if finding.status == "drifted":
        return "bad" if finding.severity == "critical" else "warn"
    return "good" if finding.status == "stable" else ""
