"""The text check: stored texts whose vectors are stale, and sources that change fast."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from agentmem.messages.turns import TEXT_FORMAT
from agentmem.monitoring.given import Given
from agentmem.monitoring.staleness import CHURN_DAYS, Source, sources_of, stale_texts
from agentmem.types import (
    DriftFinding,
    DriftKind,
    DriftSubject,
    Recommendation,
    Severity,
    StaleText,
)

__all__ = ["TextsCheck"]

MOST_SOURCES: Final = 50  # in a report; the others are counted
LEAST_TEXTS: Final = 20  # of a source, below which a share says nothing about churn
REASONS: Final[Mapping[str, str]] = {
    "failed": "could not be embedded",
    "space": "have the vector of another model",
    "content": "have the vector of an earlier text",
}

FAST_ADVICE: Final[Mapping[DriftSubject, str]] = {
    "memory": "Nothing is stale: what is replaced is embedded at once. Evaluate retrieval again, "
    "because labels may name what is no longer there.",
    "router": "Nothing is stale: what is replaced is embedded at once. Calibrate the router again.",
}


class TextsCheck:
    """Looks for stale vectors, and for sources whose texts are replaced fast."""

    kind: DriftKind = "texts"

    def __call__(self, given: Given) -> DriftFinding:
        """Return what was found.

        Raises:
            StoreError: The store could not be read.
        """
        holdings = list(given.holdings.values())
        sources = sources_of(holdings, now=given.now)
        stale = stale_texts(holdings, now=given.now)
        total = sum(one.texts for one in sources)
        fast = [
            one for one in sources if one.texts >= LEAST_TEXTS and one.churn > given.bounds.churn
        ]
        reformatted = _reformatted(given)
        told = _told(given, stale=stale, fast=fast, reformatted=reformatted)
        return DriftFinding(
            kind="texts",
            status="drifted" if stale or fast or reformatted else "stable",
            severity=told.severity,
            statistic=len(stale) / total if total else 0.0,
            p_value=None,
            effect=max((one.churn for one in sources), default=0.0),
            samples=(total, len(stale)),
            meaning=told.meaning,
            recommendation=told.recommendation,
            advice=told.advice,
            detail=_detail(stale, sources, fast=fast, reformatted=reformatted),
            evidence=_evidence(sources, stale),
        )


def _reformatted(given: Given) -> bool:
    """Whether turns are put into words otherwise than when the generation was made."""
    stored = given.embedder.passport.text_format
    return given.subject == "memory" and stored != TEXT_FORMAT


@dataclass(frozen=True, slots=True)
class _Told:
    """What is said of what was found."""

    severity: Severity
    recommendation: Recommendation
    meaning: str
    advice: str


FRESH: Final = _Told(
    "info",
    "nothing",
    "Every stored text has the vector that it would get today.",
    "Nothing to do.",
)


def _told(
    given: Given, *, stale: Sequence[StaleText], fast: Sequence[Source], reformatted: bool
) -> _Told:
    if reformatted:
        stored = given.embedder.passport.text_format
        meaning = f"Turns were put into words as {stored!r}, and are by now as {TEXT_FORMAT!r}."
        advice = "Move the store to today's format with `agentmem migrate`."
        return _Told("warning", "migrate", meaning, advice)
    if stale:
        counted = Counter(one.reason for one in stale)
        why = ", ".join(f"{count} {REASONS[reason]}" for reason, count in counted.most_common())
        meaning = f"{len(stale)} stored texts are searched by a vector that is not theirs: {why}."
        advice = "Embed them anew with drift.reembed() or `agentmem drift reembed`."
        return _Told("warning", "re_embed", meaning, advice)
    if fast:
        return _Told("info", _after_churn(given), _fast_words(fast), FAST_ADVICE[given.subject])
    return FRESH


def _after_churn(given: Given) -> Recommendation:
    return "evaluate" if given.subject == "memory" else "recalibrate"


def _fast_words(fast: Sequence[Source]) -> str:
    worst = fast[0]
    more = f", and {len(fast) - 1} more sources likewise" if len(fast) > 1 else ""
    return (
        f"{worst.replaced} of {worst.texts} {worst.held.replace('_', ' ')} of "
        f"{worst.name or 'no named source'} were replaced within {CHURN_DAYS} days{more}."
    )


def _evidence(sources: Sequence[Source], stale: Sequence[StaleText]) -> dict[str, Any]:
    waiting = Counter((one.held, one.source) for one in stale)
    return {
        "sources": [f"{one.held}: {one.name}" if one.name else one.held for one in sources],
        "churn": [one.churn for one in sources],
        "age_days": [one.age_days for one in sources],
        "stale": [waiting[one.held, one.name] for one in sources],
    }


def _detail(
    stale: Sequence[StaleText],
    sources: Sequence[Source],
    *,
    fast: Sequence[Source],
    reformatted: bool,
) -> dict[str, Any]:
    reasons = sorted({one.reason for one in stale})
    parts = [*reasons, *(["churn"] if fast else []), *(["format"] if reformatted else [])]
    return {
        "stale": len(stale),
        "reasons": dict(Counter(one.reason for one in stale)),
        "held": dict(Counter(one.held for one in stale)),
        "sources": [
            {**asdict(one), "churn": round(one.churn, 4)} for one in sources[:MOST_SOURCES]
        ],
        "more_sources": max(0, len(sources) - MOST_SOURCES),
        "fast_sources": len(fast),
        "fingerprint": "+".join(parts) or "fresh",
    }
