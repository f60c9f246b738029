"""The check of content: whether newer sessions are about other things than those of the baseline.

Of a router, whether its catalogue is still the one that it was calibrated on.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

import numpy as np

from agentmem.checks import EPOCH
from agentmem.monitoring.checks.catalogue import Tools, compared_tools
from agentmem.monitoring.checks.sampled import sampled
from agentmem.monitoring.checks.stretches import Stretches
from agentmem.monitoring.checks.twice import Moved, of_vectors
from agentmem.monitoring.checks.verdicts import (
    UNUSABLE,
    accepting,
    counted,
    insufficient,
    is_drift,
    percent,
    stable,
    told,
)
from agentmem.monitoring.given import Given
from agentmem.storage.arrow import matrix
from agentmem.storage.reads import Reads
from agentmem.storage.samples import Sessions
from agentmem.storage.tool_store import ToolStore
from agentmem.types import DriftFinding, DriftKind

__all__ = ["ContentCheck"]

NAMED: Final = 5  # of the most shifted sessions: enough to read and see what is new
CHANGED: Final = 0.25  # of a catalogue: what was fitted on three quarters of it still ranks them


class ContentCheck:
    """Compares what is said, or which tools there are, with the baseline."""

    kind: DriftKind = "content"

    def __call__(self, given: Given) -> DriftFinding:
        """Return what was found.

        Raises:
            StoreError: The store could not be read.
        """
        if given.store is not None:
            return _of_turns(given, given.store)
        if given.tools is not None:
            return _of_tools(given, given.tools)
        return insufficient(self.kind, "There is nothing to look at.", samples=(0, 0))


def _of_turns(given: Given, store: Reads) -> DriftFinding:
    found = sampled(given, store, columns=["vector"])
    if isinstance(found, Stretches):
        return insufficient("content", found.lacking, samples=found.sizes, detail=found.detail)
    vectors = matrix(found.rows["vector"])
    moved = of_vectors(vectors, found.codes, windows=found.windows, rng=given.rng)
    if np.isnan(moved.p_value):
        return insufficient(
            "content",
            UNUSABLE,
            samples=found.chosen.sizes,
            detail=found.chosen.detail,
        )
    return _judged(given, moved, chosen=found.chosen, names=_names(found.sessions, found.chosen))


def _judged(
    given: Given, moved: Moved, *, chosen: Stretches, names: Mapping[int, str]
) -> DriftFinding:
    latest = moved.latest
    shifted = [names[int(place)] for place in latest.shifted[:NAMED]]
    common: dict[str, Any] = {
        "samples": chosen.sizes,
        "statistic": latest.statistic,
        "p_value": moved.p_value,
        "effect": latest.share_beyond,
        "detail": {**chosen.detail, **moved.detail, "most_shifted": shifted},
        "evidence": {**moved.evidence, "session_names": names},
    }
    if not is_drift(given, p_value=moved.p_value, effect=latest.share_beyond):
        return stable("content", _calm(given, moved, chosen=chosen), **common)
    reference, current = chosen.sizes
    return told(
        "content",
        f"The newest sessions are about other things than those of the baseline: in the newest "
        f"{current} and again in those just before, and {percent(latest.share_beyond)} of the "
        f"newest lie farther off than 95 % of the {reference} they are compared with.",
        given=given,
        cause="content",
        recommendation="evaluate",
        advice="Read the most shifted sessions, and evaluate retrieval on questions about them "
        f"(`agentmem eval`). If it holds, {accepting(given)}; re-embedding does not help.",
        **common,
    )


def _calm(given: Given, moved: Moved, *, chosen: Stretches) -> str:
    reference, current = chosen.sizes
    windows = (moved.previous, moved.latest)
    odd = sum(one.p_value <= given.bounds.level for one in windows)
    if odd == 1:
        return (
            f"One of two windows of {current} sessions differs from the {reference} of the "
            "baseline, and the other does not, as happens on ordinary days."
        )
    return (
        f"The newest {2 * current} sessions are about the same things as the {reference} of the "
        "baseline."
    )


def _names(sessions: Sessions, chosen: Stretches) -> dict[int, str]:
    """Return the id of each session that is compared, or its day where it has none."""
    found = {}
    for place in chosen.places:
        *_, session, day = sessions.ids[place]
        found[place] = session if day is None else f"{EPOCH + timedelta(days=day):%Y-%m-%d}"
    return {place: name or "" for place, name in found.items()}


def _of_tools(given: Given, store: ToolStore) -> DriftFinding:
    tools = compared_tools(store, baseline=given.baseline)
    samples = (tools.then, tools.now)
    if tools.is_new or not max(samples):
        lacking = (
            "There are no tools."
            if not max(samples)
            else (
                "The catalogue was noted as the baseline just now, so there is nothing to compare."
            )
        )
        return insufficient("content", lacking, samples=samples, detail=_counts(tools))
    common: dict[str, Any] = {
        "samples": samples,
        "statistic": tools.share,
        "effect": tools.share,
        "detail": _counts(tools),
    }
    what = (
        f"{percent(tools.share)} of the catalogue is not what it was at the baseline: "
        f"{counted(tools.changed, 'tool')} changed, {tools.added:,} new, {tools.removed:,} gone"
    )
    if tools.share < CHANGED:
        return stable("content", f"{what}.", **common)
    return told(
        "content",
        f"{what}. What was calibrated on it may abstain too often, or too seldom.",
        given=given,
        cause="catalogue",
        recommendation="recalibrate",
        advice="Calibrate again on labelled queries (`router.calibrate`, `agentmem tools "
        f"calibrate`), then {accepting(given)}.",
        **common,
    )


def _counts(tools: Tools) -> dict[str, int]:
    return {
        "unchanged": len(tools.unchanged),
        "changed": tools.changed,
        "added": tools.added,
        "removed": tools.removed,
    }
