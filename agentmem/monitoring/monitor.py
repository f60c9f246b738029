"""`Monitor`: makes the checks of one memory or router, and tells of what is new.

A finding that is new becomes an event, in one process alone. It is told once, by whichever
process first has a hook that wants to hear of it, and it stands until a later check is stable.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from typing import Final

from agentmem.errors import EmbeddingFailed
from agentmem.monitoring.checks import CHECKS
from agentmem.monitoring.given import Bounds, Check, Given
from agentmem.monitoring.hooks import SEVERITIES, Hooks, Kinds, checked_kinds
from agentmem.monitoring.policies import Policy
from agentmem.monitoring.watched import Watched
from agentmem.statistics.corrections import adjusted
from agentmem.storage.journal import Journal, Standing, event_id
from agentmem.telemetry import Attributes, Current, Tracing
from agentmem.telemetry.conventions import Phase
from agentmem.telemetry.describing import of_finding
from agentmem.telemetry.drifts import Drifts
from agentmem.types import DriftEvent, DriftFinding, DriftKind, DriftReport

__all__ = ["Looked", "Monitor", "corrected"]

PHASES: Final[Mapping[DriftKind, Phase]] = {
    "model": "drift.model",
    "texts": "drift.texts",
    "content": "drift.content",
    "questions": "drift.questions",
    "answers": "drift.answers",
    "language": "drift.language",
    "length": "drift.length",
}
TOLD: Final = (
    *("kind", "severity", "statistic", "p_value", "effect", "samples", "meaning"),
    *("recommendation", "advice", "detail"),
)
"""What an event has from its finding."""
STATES: Final = {"insufficient_data": 0, "stable": 0, "info": 0, "warning": 1, "critical": 2}

logger = logging.getLogger("agentmem")


@dataclass(frozen=True, slots=True)
class Looked:
    """What the checks of one store found, before it is concluded from."""

    watched: Watched
    at: datetime
    findings: tuple[DriftFinding, ...]
    milliseconds: Mapping[str, float]


class Monitor:
    """Looks for drift of one memory or router. Safe for several threads.

    Args:
        watched: Gives what is looked at, in the generation in force.
        hooks: Whom to tell.
        policy: What to do unasked.
        tracing: Opens spans, and says where gauges are kept.
        checks: Which checks there are.
        bounds: What they decide by.
    """

    def __init__(
        self,
        watched: Callable[[], Watched],
        *,
        hooks: Hooks,
        policy: Policy,
        tracing: Tracing,
        checks: Sequence[Check] = CHECKS,
        bounds: Bounds | None = None,
    ) -> None:
        self._watched = watched
        self._hooks = hooks
        self._policy = policy
        self._tracing = tracing
        self._checks = checks
        self._bounds = Bounds() if bounds is None else bounds
        self._drifts = Drifts()

    def check(self, kinds: Kinds = None, *, wait: bool = True) -> DriftReport:
        """Make checks, and tell of what is new.

        Args:
            kinds: Which; all of them if None.
            wait: Whether to wait for hooks.

        Raises:
            StoreError: The store could not be read, or the findings not be written down.
        """
        return self.conclude(self.look(kinds), wait=wait)

    def look(self, kinds: Kinds = None) -> Looked:
        """Make checks, and conclude nothing yet.

        Raises:
            StoreError: The store could not be read.
        """
        wanted = checked_kinds(kinds)
        watched, now = self._watched(), datetime.now(timezone.utc)
        given = watched.given(now=now, bounds=self._bounds)
        attributes: Attributes = {
            "gen_ai.memory.store.id": watched.name,
            "agentmem.drift.subject": watched.subject,
            "agentmem.generation": watched.generation,
        }
        findings: list[DriftFinding] = []
        spent: dict[str, float] = {}
        with self._tracing.operation("agentmem.drift.check", attributes) as current:
            for check in self._checks:
                if check.kind not in wanted:
                    continue
                begun = time.perf_counter()
                with current.phase(PHASES[check.kind]) as phase:
                    own = replace(given, rng=watched.rng(check.kind, now=now))
                    findings.append(finding := _made(check, own))
                    _describe(phase, finding)
                spent[check.kind] = (time.perf_counter() - begun) * 1e3
            current.set({"agentmem.drift.severity": _worst(findings)})
        return Looked(watched, now, tuple(findings), spent)

    def conclude(self, looked: Looked, *, wait: bool = True) -> DriftReport:
        """Write down what was found, tell of what is new, and forget what is over.

        On a read-only store nothing can be written down, and so nobody is told.

        Raises:
            StoreError: The findings could not be written down.
        """
        watched, events = looked.watched, []
        for finding in looked.findings:
            self._drifts.put(
                watched.name,
                subject=watched.subject,
                kind=finding.kind,
                statistic=finding.statistic,
                state=STATES[finding.severity if finding.status == "drifted" else finding.status],
            )
        if not watched.read_only:
            self._hooks.load_installed()
            events = self._written(looked)
            for event in events:
                self._policy.react(event)
            self._tell(looked, wait=wait)
        return DriftReport(
            store=watched.name,
            subject=watched.subject,
            at=looked.at,
            generation=watched.generation,
            passport=watched.passport,
            findings=looked.findings,
            events=tuple(events),
            milliseconds=looked.milliseconds,
        )

    def close(self) -> None:
        """Report no more gauges."""
        self._drifts.clear()

    def _written(self, looked: Looked) -> list[DriftEvent]:
        """Write down checks and events; return the events that this call was the first to."""
        watched, journal = looked.watched, looked.watched.tables.journal
        journal.checked(
            looked.findings, subject=watched.subject, generation=watched.generation, at=looked.at
        )
        found = (self._settled(one, looked, journal=journal) for one in looked.findings)
        return [event for event in found if event is not None]

    def _settled(
        self, finding: DriftFinding, looked: Looked, *, journal: Journal
    ) -> DriftEvent | None:
        """Resolve what a finding says is over; return its event where it is new."""
        if finding.status == "insufficient_data":
            return None
        watched = looked.watched
        standing = journal.events(subject=watched.subject, kind=finding.kind, unresolved=True)
        own = _fingerprint(finding) if finding.status == "drifted" else None
        same = [one for one in standing if _is_of(one, own, generation=watched.generation)]
        journal.resolve((one.event.id for one in standing if one not in same), now=looked.at)
        if own is None or same:
            return None
        event = self._event(finding, looked, fingerprint=own)
        return event if journal.put(event, fingerprint=own) else None

    def _event(self, finding: DriftFinding, looked: Looked, *, fingerprint: str) -> DriftEvent:
        watched = looked.watched
        episode = watched.tables.journal.episodes(
            watched.subject, finding.kind, fingerprint=fingerprint
        )
        parts = (watched.subject, finding.kind, str(watched.generation), fingerprint)
        return DriftEvent(
            id=event_id(*parts, str(episode)),
            at=looked.at,
            store=watched.name,
            subject=watched.subject,
            generation=watched.generation,
            passport=watched.passport,
            given=watched.embedder.passport,
            **{name: getattr(finding, name) for name in TOLD},
        )

    def _tell(self, looked: Looked, *, wait: bool) -> None:
        """Tell of what stands and nobody was told of, as far as somebody here wants to hear."""
        watched, journal = looked.watched, looked.watched.tables.journal
        if not len(self._hooks):
            return
        for one in journal.events(subject=watched.subject, unresolved=True):
            wanting = self._hooks.wanting(one.event)
            untold = one.claimed_at is None and one.acknowledged_at is None
            if untold and wanting and journal.claim(one.event.id, now=looked.at):
                self._hooks.tell(one.event, hooks=wanting, wait=wait)


def corrected(looked: Sequence[Looked], *, bounds: Bounds | None = None) -> list[Looked]:
    """Correct the p-values of several stores for there being several.

    What is no drift after that becomes stable. Findings without a p-value are exact, and stay.
    """
    level = (Bounds() if bounds is None else bounds).level
    flat = [(place, one) for place, found in enumerate(looked) for one in found.findings]
    known = [float("nan") if one.p_value is None else one.p_value for _, one in flat]
    decided: list[list[DriftFinding]] = [[] for _ in looked]
    for (place, finding), p_value in zip(flat, adjusted(known).tolist(), strict=True):
        decided[place].append(_decided(finding, p_value, level=level, stores=len(looked)))
    return [replace(one, findings=tuple(found)) for one, found in zip(looked, decided, strict=True)]


def _decided(finding: DriftFinding, p_value: float, *, level: float, stores: int) -> DriftFinding:
    if finding.p_value is None:
        return finding
    if finding.status != "drifted" or p_value <= level:
        return replace(finding, p_value=p_value)
    return replace(
        finding,
        p_value=p_value,
        status="stable",
        severity="info",
        meaning=f"It looks as if it drifted, yet among {stores} stores that are checked together "
        "one may well look so by chance.",
        recommendation="nothing",
        advice="Nothing to do.",
    )


def _made(check: Check, given: Given) -> DriftFinding:
    """Make one check; a model that fails leaves the others to be made."""
    try:
        return check(given)
    except EmbeddingFailed as error:
        return DriftFinding(
            kind=check.kind,
            status="insufficient_data",
            severity="info",
            statistic=None,
            p_value=None,
            effect=None,
            samples=(0, 0),
            meaning=f"The check could not be made, because the model failed: {error}",
            recommendation="wait",
            advice="Check again once the model answers.",
        )


def _describe(phase: Current, finding: DriftFinding) -> None:
    phase.describe(lambda: of_finding(finding))


def _worst(findings: Sequence[DriftFinding]) -> str:
    """Return the highest severity."""
    return max((one.severity for one in findings), key=SEVERITIES.index, default="info")


def _fingerprint(finding: DriftFinding) -> str:
    """Return what tells a finding from others of its kind; another severity is another finding."""
    return f"{finding.severity}: {finding.detail.get('fingerprint', '')}"


def _is_of(standing: Standing, fingerprint: str | None, *, generation: int) -> bool:
    """Whether an event is the finding of that fingerprint, in that generation."""
    return standing.fingerprint == fingerprint and standing.event.generation == generation
