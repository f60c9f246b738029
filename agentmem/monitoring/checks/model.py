"""The model check: the same texts, embedded today and when the generation was made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from agentmem.embedding.canaries import (
    OTHER,
    SAME,
    CanaryCheck,
    canary_texts,
    compare,
    embed_canaries,
)
from agentmem.monitoring.given import Given
from agentmem.storage.canaries import Kept, ensure_canaries
from agentmem.types import DriftFinding, DriftKind, Recommendation, Severity

__all__ = ["ModelCheck"]

LONG: Final = 300  # characters: the canaries about length have 346 or more, the others 159 at most
SEVERITIES: Final[Mapping[str, tuple[Severity, Recommendation]]] = {
    "same": ("info", "nothing"),
    "warn": ("warning", "evaluate"),
    "other": ("critical", "migrate"),
}
LATE: Final = (
    " The canaries are younger than the oldest rows, because the process that first wrote here "
    "died before it made them: a change before {made:%Y-%m-%d %H:%M} UTC would not show."
)
MEANING: Final[Mapping[str, str]] = {
    "same": "The model gives the same vectors as when this generation was made.",
    "warn": "The model gives slightly other vectors than when this generation was made: {reason}.",
    "other": "The model gives other vectors than when this generation was made, so questions "
    "and stored texts no longer compare: {reason}.",
}
ADVICE: Final[Mapping[str, str]] = {
    "same": "Nothing to do.",
    "warn": "Evaluate retrieval on your own labels (`agentmem eval`); if it is worse, go back to "
    "the earlier model or migrate (`agentmem migrate`).",
    "other": "Go back to the model that wrote the store, or move the store to the new one with "
    "`migrate(to=embedder)` or `agentmem migrate`.",
}


class ModelCheck:
    """Compares all canaries with those that are kept."""

    kind: DriftKind = "model"

    def __call__(self, given: Given) -> DriftFinding:
        """Return what was found; where no canaries are kept, they are made first.

        Raises:
            EmbeddingFailed: The canaries could not be embedded.
            StoreError: The store could not be read.
        """
        kept = given.canaries.get()
        if kept is None:
            if given.canaries.read_only:
                return _without_canaries()
            kept = ensure_canaries(given.canaries, given.embedder)
        found = compare(kept.canaries, embed_canaries(given.embedder))
        if found.verdict != "same":
            given.embedder.clear()  # what it remembers is of the model of before
        return _finding(found, kept)


def _finding(found: CanaryCheck, kept: Kept) -> DriftFinding:
    severity, recommendation = SEVERITIES[found.verdict]
    cosines = np.concatenate([found.documents, found.queries])
    late = LATE.format(made=kept.made_at) if kept.is_late else ""
    return DriftFinding(
        kind="model",
        status="stable" if found.verdict == "same" else "drifted",
        severity=severity,
        statistic=found.minimum,
        p_value=None,
        effect=float(np.mean(cosines < SAME)),
        samples=(len(cosines), len(cosines)),
        meaning=MEANING[found.verdict].format(reason=found.reason.rstrip(".")) + late,
        recommendation=recommendation,
        advice=ADVICE[found.verdict],
        detail={**_detail(found, kept), "fingerprint": found.verdict},
        evidence={
            "documents": found.documents,
            "queries": found.queries,
            "document_places": np.array(found.places.documents),
            "query_places": np.array(found.places.queries),
            "long_documents": _long(found),
            "lines": np.array([SAME, OTHER]),
        },
    )


def _long(found: CanaryCheck) -> NDArray[np.bool_]:
    """Return which of the documents a shorter window would move."""
    texts = canary_texts()
    return np.array([len(texts[place]) > LONG for place in found.places.documents], np.bool_)


def _detail(found: CanaryCheck, kept: Kept) -> dict[str, Any]:
    return {
        "verdict": found.verdict,
        "cause": found.cause,
        "reason": found.reason,
        "minimum": found.minimum,
        "median": found.median,
        "place": found.place,
        "embedded_as": found.kind,
        "canaries": kept.canaries.name,
        "canaries_made_at": kept.made_at.isoformat(),
        "canaries_are_late": kept.is_late,
    }


def _without_canaries() -> DriftFinding:
    return DriftFinding(
        kind="model",
        status="insufficient_data",
        severity="info",
        statistic=None,
        p_value=None,
        effect=None,
        samples=(0, 0),
        meaning="No canaries are kept for this generation, and this handle is read-only.",
        recommendation="wait",
        advice="Check once through a handle that may write; it makes them.",
    )
