"""The words of replay: a past retrieval as it was recorded, and what came of running it again.

A record is what a span tells: what was asked, at which versions of the tables, with which
weights, and which ids came back with which scores. Content is part of it only where it was
recorded on purpose.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, TypeAlias

from agentmem.types.memory import FIRST_GENERATION, AllScopes, Dates, Mode, Recall, Scope, Turn
from agentmem.types.tools import Selection, Tool

__all__ = [
    "Cause",
    "Change",
    "Origin",
    "Replay",
    "Replayed",
    "Scored",
    "SearchRecord",
    "SelectionRecord",
    "State",
    "Verdict",
]

Verdict: TypeAlias = Literal["identical", "different", "impossible"]
State: TypeAlias = Literal["unchanged", "changed", "gone"]
Cause: TypeAlias = Literal[
    "added",  # a turn or tool that was not there
    "changed",  # its own content was replaced
    "removed",  # it was deleted
    "data",  # it is the same, but what it is measured against is not
    "lessons",
    "ranking",
    "calibration",
    "model",
    "reranker",
    "agentmem",  # another version of this library
    "time",  # the present counts, and it moved
    "unknown",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a record comes from.

    Attributes:
        store: The folder or address, as it was given to `open`.
        agentmem: Version of this library.
        trace_id: 32 hexadecimal digits; None where no span was recorded.
        span_id: 16 hexadecimal digits; likewise.
        started_at: When it began (UTC); None where that is not known.
        milliseconds: Wall time of each phase.
    """

    store: str
    agentmem: str
    trace_id: str | None = None
    span_id: str | None = None
    started_at: datetime | None = None
    milliseconds: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Scored:
    """One result of a past retrieval.

    Attributes:
        id: Of the turn; of a tool `namespace/name`.
        score: Its rank score.
        terms: Each contribution to `score`, where they were recorded.
    """

    id: str
    score: float
    terms: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchRecord:
    """A past search of a memory.

    Attributes:
        query: The question; None where content was not recorded.
        scope: Whose turns were searched.
        k: How many hits were asked for.
        mode: Which legs were searched.
        since: Only turns said then or later; likewise `until`.
        until: See `since`.
        as_of: The moment whose truth was asked for; None for that of `asked_at`.
        known_at: The moment until which what the store learnt counts; None for all of it.
        dates: What the dates that the question names were used for.
        filtered: Whether a filter narrowed the search.
        where: That filter in its JSON form; None where content was not recorded.
        ranking: Every weight, by name.
        config_id: Hash of the weights.
        reranker: Class of the reranker; None without.
        asked_at: The present that recency was measured from (UTC).
        passport_id: Identity of the embedding space.
        table_version: Of the turns.
        candidates: Turns that were ranked.
        found: How many hits there were; `hits` may hold fewer.
        hits: The best of them, best first.
        origin: Where this comes from.
        generation: Of the store, that `table_version` is of.
    """

    query: str | None
    scope: Scope | AllScopes
    k: int
    mode: Mode
    since: datetime | None
    until: datetime | None
    filtered: bool
    where: Mapping[str, Any] | None
    ranking: Mapping[str, float]
    config_id: str
    reranker: str | None
    asked_at: datetime
    passport_id: str
    table_version: int
    candidates: int
    found: int
    hits: tuple[Scored, ...]
    origin: Origin
    generation: int = FIRST_GENERATION
    as_of: datetime | None = None
    known_at: datetime | None = None
    dates: Dates = "hint"

    @property
    def lacks(self) -> tuple[str, ...]:
        """What has to be given to run it again, because it was not recorded: arguments' names."""
        query = ("query",) if self.query is None else ()
        return query + (("where",) if self.filtered and self.where is None else ())


@dataclass(frozen=True, slots=True, kw_only=True)
class SelectionRecord:
    """A past selection of tools.

    Attributes:
        query: As asked; None where content was not recorded.
        k: How many tools were asked for, or "auto".
        max_tokens: The budget for their definitions.
        namespace: Where it searched; None for everywhere.
        filtered: Whether a filter narrowed the selection.
        where: That filter in its JSON form; None where content was not recorded.
        exclude: Names that were left out.
        called: Names of the tools called in the last turn that called any.
        used: Names of all tools called so far.
        told: How many recent messages and recalled turns it was given.
        texts: These; None where content was not recorded.
        routing: Every weight, by name.
        config_id: Hash of the weights.
        rule: Threshold, slope, intercept and temperature that it abstained by.
        calibrated: Whether these came from a calibration.
        learnt_at: The present that usage was weighed by age at (UTC).
        passport_id: Identity of the embedding space.
        catalogue_version: Of the table of tools.
        examples_version: Of the table of lessons.
        fits_version: Of the table of fits.
        catalogue: Tools in sight.
        chosen: Names of the tools that were handed out, best first.
        abstained: Whether nothing was found to fit.
        confidence: That a tool fits.
        candidates: The k best tools, best first, at most as many as are recorded.
        origin: Where this comes from.
        generation: Of the store, that `catalogue_version` is of.
    """

    query: str | None
    k: int | Literal["auto"]
    max_tokens: int | None
    namespace: str | None
    filtered: bool
    where: Mapping[str, Any] | None
    exclude: tuple[str, ...]
    called: tuple[str, ...]
    used: tuple[str, ...]
    told: int
    texts: tuple[str, ...] | None
    routing: Mapping[str, float]
    config_id: str
    rule: Mapping[str, float]
    calibrated: bool
    learnt_at: datetime
    passport_id: str
    catalogue_version: int
    examples_version: int
    fits_version: int
    catalogue: int
    chosen: tuple[str, ...]
    abstained: bool
    confidence: float
    candidates: tuple[Scored, ...]
    origin: Origin
    generation: int = FIRST_GENERATION

    @property
    def lacks(self) -> tuple[str, ...]:
        """What has to be given to run it again, because it was not recorded: arguments' names."""
        query = ("query",) if self.query is None else ()
        where = ("where",) if self.filtered and self.where is None else ()
        return query + where + (("history",) if self.told and self.texts is None else ())


@dataclass(frozen=True, slots=True)
class Replayed:
    """One result of running a retrieval again.

    Attributes:
        id: As in `Scored`.
        score: Its rank score.
        terms: Each contribution to it.
        state: Whether it is today what it was then; what is gone stays gone.
        item: The turn or tool as it was then; None where it is gone since, because erasure wins
            over replay.
    """

    id: str
    score: float
    terms: Mapping[str, float]
    state: State
    item: Turn | Tool | None


@dataclass(frozen=True, slots=True)
class Change:
    """One result that differs between two runs.

    Attributes:
        id: As in `Scored`.
        before: Its rank in the first, from 1; None where it was not among them.
        after: Its rank in the second; likewise.
        score_before: Its score in the first.
        score_after: Its score in the second.
        cause: What made the difference.
        reason: The same in a sentence.
    """

    id: str
    before: int | None
    after: int | None
    score_before: float | None
    score_after: float | None
    cause: Cause
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """What came of running a past retrieval again.

    Attributes:
        record: The past retrieval.
        verdict: Whether the same came out: the same results in the same order, with scores that
            differ by rounding alone. Impossible where what it rests on is no longer there.
        reason: Why, in a sentence.
        replayed: What came out, best first; empty where it was impossible.
        differences: From what was recorded to what came out; empty if identical.
        largest_drift: Largest difference between a recorded score and a replayed one.
        now: Today's answer to the same, best first; None where it was not asked for.
        changes: From the past answer to today's, each with its cause.
        answer: Today's answer itself.
    """

    record: SearchRecord | SelectionRecord
    verdict: Verdict
    reason: str
    replayed: tuple[Replayed, ...]
    differences: tuple[Change, ...]
    largest_drift: float
    now: tuple[Replayed, ...] | None = None
    changes: tuple[Change, ...] = ()
    answer: Recall | Selection | None = None

    @property
    def is_identical(self) -> bool:
        """Whether the same came out."""
        return self.verdict == "identical"
