"""What a report on traces says, as values: every retrieval with its results, every waterfall.

Numbers and texts that may be shown as they are, apart from their escaping; see `telling` for
where they come from.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, get_args

import numpy as np

from agentmem.traces.report.legend import OTHER
from agentmem.traces.spans import SpanRow, SpanTree
from agentmem.types import SearchRecord, SelectionRecord

__all__ = [
    "Bar",
    "Figures",
    "Kind",
    "Outcome",
    "Record",
    "Result",
    "Retrieval",
    "Step",
    "Summary",
    "Trace",
]

SLOW: Final = 0.95  # quantile: one in twenty is slower

Kind: TypeAlias = Literal["search", "selection"]
Record: TypeAlias = SearchRecord | SelectionRecord
Outcome: TypeAlias = Literal["answered", "nothing", "abstained", "failed"]


@dataclass(frozen=True, slots=True)
class Bar:
    """A stretch of a line, in percent of its width.

    Attributes:
        name: What it stands for.
        value: The number behind it.
        left: Where it begins.
        width: How long it is.
        slot: Its colour.
    """

    name: str
    value: float
    left: float
    width: float
    slot: int


@dataclass(frozen=True, slots=True)
class Step:
    """One span of a waterfall.

    Attributes:
        span: It.
        label: What it is called.
        depth: How far it is indented.
        bar: When it began and how long it took.
    """

    span: SpanRow
    label: str
    depth: int
    bar: Bar


@dataclass(frozen=True, slots=True)
class Result:
    """One hit of a search, or one candidate of a selection.

    Attributes:
        rank: From 1.
        id: Of the turn; of a tool `namespace/name`.
        score: Its rank score.
        terms: Each contribution to it, in a fixed order; empty where they were not recorded.
        text: Its beginning; None where content was not recorded.
        is_chosen: Whether a selection handed it out; None of a search.
        probability: That the tool is needed; None where that was not recorded.
    """

    rank: int
    id: str
    score: float
    terms: tuple[Bar, ...]
    text: str | None
    is_chosen: bool | None
    probability: float | None

    @property
    def names(self) -> list[str]:
        """Names of its terms."""
        return [term.name for term in self.terms]


@dataclass(frozen=True, slots=True)
class Retrieval:
    """One search or selection.

    Attributes:
        span: It.
        kind: What people call it.
        query: What was asked; None where content was not recorded.
        queries: How many were asked together; more than 1 is a batch, and recorded as a whole.
        outcome: What came of it.
        reason: Why it abstained or failed, or what is missing; empty if it answered.
        record: What a replay needs; None where the span does not tell it.
        facts: What it was asked and rests on, by name.
        results: What was found, best first.
        zero: Where score 0 lies on the line of terms, in percent.
        phases: Milliseconds of each phase, and of everything else.
        verdict: "right" or "wrong" where a person said so; None else.
    """

    span: SpanRow
    kind: Kind
    query: str | None
    queries: int
    outcome: Outcome
    reason: str
    record: Record | None
    facts: Mapping[str, str]
    results: tuple[Result, ...]
    zero: float
    phases: Mapping[str, float]
    verdict: str | None = None

    @property
    def lacks(self) -> tuple[str, ...]:
        """What a replay has to be given, because it was not recorded."""
        return () if self.record is None else self.record.lacks

    @property
    def longest(self) -> tuple[str, float]:
        """The phase that took longest, and its milliseconds."""
        return max(
            self.phases.items(), key=lambda phase: (phase[1], phase[0]), default=(OTHER, 0.0)
        )


@dataclass(frozen=True, slots=True)
class Trace:
    """One trace: its waterfall and the retrievals in it.

    Attributes:
        tree: Its spans.
        steps: The waterfall, parents before children.
        hidden: Spans beyond those.
        retrievals: In the order in which they began.
    """

    tree: SpanTree
    steps: tuple[Step, ...]
    hidden: int
    retrievals: tuple[Retrieval, ...]


@dataclass(frozen=True, slots=True)
class Figures:
    """Counts and times of all retrievals of a report.

    Attributes:
        searches: How many are of turns.
        selections: How many are of tools.
        outcomes: How many came out how.
        median: Milliseconds of the middle one; None without any.
        slow: Milliseconds that one in twenty takes longer than; likewise.
        unrecorded: How many hold no query.
    """

    searches: int
    selections: int
    outcomes: Mapping[Outcome, int]
    median: float | None
    slow: float | None
    unrecorded: int

    @property
    def count(self) -> int:
        """How many there are."""
        return self.searches + self.selections


@dataclass(frozen=True, slots=True)
class Summary:
    """Everything that a report says.

    Attributes:
        traces: The newest first.
    """

    traces: tuple[Trace, ...]

    @property
    def retrievals(self) -> list[Retrieval]:
        """All of them, the oldest first."""
        found = [one for trace in self.traces for one in trace.retrievals]
        return sorted(found, key=lambda one: (one.span.started_at, one.span.span_id))

    @property
    def stores(self) -> list[str]:
        """Where they searched."""
        return sorted({one.span.store for one in self.retrievals if one.span.store})

    @property
    def versions(self) -> list[str]:
        """Versions of agentmem that made them."""
        return sorted({v for one in self.retrievals if (v := one.span.scope_version)})

    @property
    def figures(self) -> Figures:
        """Counts and times of all retrievals."""
        every = self.retrievals
        times = [one.span.milliseconds for one in every]
        return Figures(
            searches=sum(one.kind == "search" for one in every),
            selections=sum(one.kind == "selection" for one in every),
            outcomes={
                outcome: sum(one.outcome == outcome for one in every)
                for outcome in get_args(Outcome)
            },
            median=float(np.median(times)) if times else None,
            slow=float(np.quantile(times, SLOW)) if times else None,
            unrecorded=sum(one.query is None and one.queries == 1 for one in every),
        )

    def of_kind(self, kind: Kind) -> list[Retrieval]:
        """Return the searches, or the selections, the oldest first."""
        return [one for one in self.retrievals if one.kind == kind]
