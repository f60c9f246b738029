"""The words of drift: what a check found, and the events that hooks receive."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, TypeAlias

from agentmem.types.migration import Held, Poisoned
from agentmem.types.passport import Passport

__all__ = [
    "DriftCheck",
    "DriftEvent",
    "DriftFinding",
    "DriftKind",
    "DriftPolicy",
    "DriftReport",
    "DriftStatus",
    "DriftSubject",
    "Recommendation",
    "Reembedded",
    "Severity",
    "StaleText",
]

DriftSubject: TypeAlias = Literal["memory", "router"]
DriftKind: TypeAlias = Literal[
    "model",  # the same texts get other vectors than when the generation was made
    "texts",  # what is stored is no longer what was embedded, or ages and churns
    "content",  # newer sessions are about other things than those of the baseline
    "questions",  # what is asked moved
    "answers",  # approximate search, neighbours, scores and margins
    "language",  # texts in scripts or languages that the model was not made for
    "length",  # texts longer than before, against the window
]
DriftStatus: TypeAlias = Literal["stable", "drifted", "insufficient_data"]
Severity: TypeAlias = Literal["info", "warning", "critical"]
Recommendation: TypeAlias = Literal[
    "nothing", "wait", "evaluate", "rebuild_index", "recalibrate", "re_embed", "migrate"
]
DriftPolicy: TypeAlias = Literal["warn", "block_writes", "migrate"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftFinding:
    """What was found of one kind of drift.

    Attributes:
        kind: Which.
        status: Whether it drifted, or too little is known to say.
        severity: "info" while stable.
        statistic: What was measured, such as the minimum cosine or MMD squared; None if nothing
            could be.
        p_value: Of the test, after correction for the stores checked together; None where the
            statistic is exact.
        effect: How large the shift is, in a unit that does not grow with the sample; None likewise.
        samples: Sessions (or texts) of the baseline and of today.
        meaning: What it means, in a sentence or two.
        recommendation: What to do.
        advice: The same as a sentence, with the call or command.
        detail: Further numbers, by name; JSON values.
        evidence: Arrays for plots, by the names in `driftreport.evidence`; not stored.
    """

    kind: DriftKind
    status: DriftStatus
    severity: Severity
    statistic: float | None
    p_value: float | None
    effect: float | None
    samples: tuple[int, int]
    meaning: str
    recommendation: Recommendation
    advice: str
    detail: Mapping[str, Any] = field(default_factory=dict)
    evidence: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftEvent:
    """A finding that is new: what hooks receive, at most once.

    Attributes:
        id: Of the finding; the same as long as it lasts, so that nobody is told twice.
        at: When it was found (UTC).
        store: The folder or address.
        subject: Of the memory or of the router.
        kind: As in the finding; likewise all up to `advice`.
        severity: See `kind`.
        statistic: See `kind`.
        p_value: See `kind`.
        effect: See `kind`.
        samples: See `kind`.
        meaning: See `kind`.
        recommendation: See `kind`.
        advice: See `kind`.
        generation: Number of the store's generation.
        passport: Of the space the store is in.
        given: Of the embedder in use.
        detail: Further numbers, by name.
    """

    id: str
    at: datetime
    store: str
    subject: DriftSubject
    kind: DriftKind
    severity: Severity
    statistic: float | None
    p_value: float | None
    effect: float | None
    samples: tuple[int, int]
    meaning: str
    recommendation: Recommendation
    advice: str
    generation: int
    passport: Passport
    given: Passport
    detail: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftCheck:
    """One kind of drift at one check in the past: a row of a store's history.

    Attributes:
        at: When it was checked (UTC).
        subject: Of the memory or of the router.
        kind: As in the finding; likewise all up to `effect`.
        status: See `kind`.
        severity: See `kind`.
        statistic: See `kind`.
        p_value: See `kind`.
        effect: See `kind`.
        generation: Number of the store's generation then.
    """

    at: datetime
    subject: DriftSubject
    kind: DriftKind
    status: DriftStatus
    severity: Severity
    statistic: float | None
    p_value: float | None
    effect: float | None
    generation: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftReport:
    """One check of a store.

    Attributes:
        store: The folder or address.
        subject: Of the memory or of the router.
        at: When it was made (UTC).
        generation: Number of the store's generation.
        passport: Of its space.
        findings: One for each kind that was checked.
        events: Those of them that were new, and went to the hooks.
        milliseconds: Wall time of each check.
    """

    store: str
    subject: DriftSubject
    at: datetime
    generation: int
    passport: Passport
    findings: tuple[DriftFinding, ...]
    events: tuple[DriftEvent, ...]
    milliseconds: Mapping[str, float]

    @property
    def drifted(self) -> bool:
        """Whether any kind drifted."""
        return any(one.status == "drifted" for one in self.findings)

    def of(self, kind: DriftKind) -> DriftFinding | None:
        """Return the finding of a kind; None if it was not checked."""
        return next((one for one in self.findings if one.kind == kind), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class StaleText:
    """A text whose stored vector is not the one that it would get today.

    Attributes:
        held: Where it is.
        key: Of its rows.
        id: Of the turn, of a tool `namespace/name`, or the key of an example.
        source: Where it comes from: the agent of a turn, `namespace/source` of a tool.
        reason: Why: "failed" (the model refused it), "space" (another model's vector), "content"
            (the vector is of another text).
        churn: Share of the source's texts that were replaced lately.
        user_id: Whose turn; likewise `agent_id`.
        agent_id: See `user_id`.
    """

    held: Held
    key: str
    id: str
    source: str
    reason: Literal["failed", "space", "content"]
    churn: float
    user_id: str | None = None
    agent_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reembedded:
    """What was done about stale texts.

    Attributes:
        embedded: Texts that have today's vector now, or would have in a dry run.
        skipped: Texts that were replaced or deleted meanwhile, and so need none.
        poisoned: Texts that the model refused again; they stay as they were.
        dry_run: Whether nothing was written.
    """

    embedded: int
    skipped: int
    poisoned: tuple[Poisoned, ...]
    dry_run: bool
