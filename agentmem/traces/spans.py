"""Spans as values: what a recorded span tells, and how spans of one trace hang together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from agentmem.checks import EPOCH
from agentmem.telemetry.conventions import OPERATIONS

__all__ = [
    "RETRIEVALS",
    "Branch",
    "SpanRow",
    "SpanTree",
    "moment_of",
    "nanoseconds_of",
    "tree_of",
]

RETRIEVALS: Final[Mapping[str, str]] = {  # operation, and what people call it
    "search_memory": "search",
    "retrieval": "selection",
}
LONGEST: Final = 2**63 - 1  # nanoseconds that a column holds: until the year 2262
QUERIES: Final = ("input.value", "gen_ai.memory.query.text", "gen_ai.retrieval.query.text")


@dataclass(frozen=True, slots=True, kw_only=True)
class SpanRow:
    """One span, in the columns of the files it is recorded in.

    Attributes:
        trace_id: 32 hexadecimal digits.
        span_id: 16 hexadecimal digits.
        parent_id: The span it is part of; None at the root. It may be one that is not recorded.
        name: As dashboards show it.
        operation: What was done, such as `search_memory`; None for a phase.
        phase: Which part of an operation, such as `dense`; None for an operation.
        started_at: When it began (UTC, microseconds).
        ended_at: When it ended.
        milliseconds: How long it took.
        status: "UNSET", "OK" or "ERROR".
        error_type: Class of the error.
        store: The folder or address of the store.
        top_score: Score of the best result of a retrieval.
        margin: Score of the best result minus that of the second.
        results: Turns found, stored or deleted, or tools handed out.
        abstained: Whether a selection found nothing to fit; None for everything else.
        session_id: As the call or the baggage named it.
        user_id: Likewise.
        attributes: Everything that the span tells, by OpenTelemetry's names.
        events: Each with `name`, `nanoseconds` since 1970, and `attributes`.
        resource: The process it comes from, by OpenTelemetry's names.
        scope_name: The library that made it; "agentmem".
        scope_version: Its version.
    """

    trace_id: str
    span_id: str
    parent_id: str | None
    name: str
    operation: str | None
    phase: str | None
    started_at: datetime
    ended_at: datetime
    milliseconds: float
    status: str
    error_type: str | None
    store: str | None
    top_score: float | None
    margin: float | None
    results: int | None
    abstained: bool | None
    session_id: str | None
    user_id: str | None
    attributes: Mapping[str, Any]
    events: tuple[Mapping[str, Any], ...]
    resource: Mapping[str, Any]
    scope_name: str | None
    scope_version: str | None

    @property
    def is_operation(self) -> bool:
        """Whether it is an operation of agentmem, rather than a phase or somebody else's span."""
        return self.phase is None and (
            self.operation in OPERATIONS and self.scope_name in ("agentmem", None)
        )

    @property
    def is_retrieval(self) -> bool:
        """Whether it is a search or a selection."""
        return self.is_operation and self.operation in RETRIEVALS

    @property
    def query(self) -> str | None:
        """What was asked; None where content was not recorded."""
        found = (self.attributes.get(name) for name in QUERIES)
        return next((one for one in found if isinstance(one, str)), None)


@dataclass(frozen=True, slots=True)
class Branch:
    """A span and what happened within it.

    Attributes:
        span: The span.
        children: Its parts, in the order in which they began.
    """

    span: SpanRow
    children: tuple[Branch, ...] = ()

    def walk(self) -> Iterator[tuple[int, SpanRow]]:
        """Give each span from here on with its depth, parents before children."""
        waiting = [(0, self)]
        while waiting:
            depth, branch = waiting.pop()
            yield depth, branch.span
            waiting += [(depth + 1, child) for child in reversed(branch.children)]


@dataclass(frozen=True, slots=True)
class SpanTree:
    """The spans of one trace.

    Attributes:
        trace_id: 32 hexadecimal digits.
        branches: Those without a recorded parent, in the order in which they began; a request of
            an application may hold several.
    """

    trace_id: str
    branches: tuple[Branch, ...]

    def walk(self) -> Iterator[tuple[int, SpanRow]]:
        """Give each span with its depth, parents before children."""
        for branch in self.branches:
            yield from branch.walk()

    @property
    def spans(self) -> tuple[SpanRow, ...]:
        """Every span, parents before children."""
        return tuple(span for _, span in self.walk())

    @property
    def started_at(self) -> datetime:
        """When the first of them began."""
        return min(span.started_at for span in self.spans)

    @property
    def milliseconds(self) -> float:
        """From the beginning of the first to the end of the last."""
        end = max(span.ended_at for span in self.spans)
        return (end - self.started_at) / timedelta(milliseconds=1)

    def branch(self, span_id: str) -> Branch | None:
        """Return a span of it with its parts."""
        waiting = list(self.branches)
        while waiting:
            branch = waiting.pop()
            if branch.span.span_id == span_id:
                return branch
            waiting += branch.children
        return None


def tree_of(trace_id: str, spans: Iterable[SpanRow]) -> SpanTree:
    """Return how the spans of a trace hang together.

    A span whose parent is not among them is a branch of its own; so is the earliest of spans that
    name each other as parents, as no library makes them and a broken file may.
    """
    ordered = sorted(spans, key=lambda span: (span.started_at, span.span_id))
    below: dict[str | None, list[SpanRow]] = {}
    known = {span.span_id for span in ordered}
    for span in ordered:
        below.setdefault(span.parent_id if span.parent_id in known else None, []).append(span)
    order: list[SpanRow] = []
    seen: set[str] = set()
    roots: list[SpanRow] = []
    for span in [*below.get(None, []), *ordered]:
        if span.span_id not in seen:
            roots.append(span)
            order += _descend(span, below, seen=seen)
    return SpanTree(trace_id, tuple(_grown(order, roots=roots)))


def _descend(
    root: SpanRow, below: Mapping[str | None, list[SpanRow]], *, seen: set[str]
) -> list[SpanRow]:
    """Return a span and all below it that were not seen yet, parents first."""
    seen.add(root.span_id)
    order, waiting = [], [root]
    while waiting:
        span = waiting.pop()
        order.append(span)
        fresh = [child for child in below.get(span.span_id, ()) if child.span_id not in seen]
        seen.update(child.span_id for child in fresh)
        waiting += reversed(fresh)
    return order


def _grown(order: list[SpanRow], *, roots: list[SpanRow]) -> Iterator[Branch]:
    """Build branches from their tips, so that no depth is too much for the interpreter."""
    cut = {root.span_id for root in roots}
    children: dict[str | None, list[Branch]] = {}
    done: dict[str, Branch] = {}
    for span in reversed(order):
        parts = children.pop(span.span_id, [])
        branch = done[span.span_id] = Branch(span, tuple(reversed(parts)))
        if span.span_id not in cut:
            children.setdefault(span.parent_id, []).append(branch)
    return (done[root.span_id] for root in roots)


def moment_of(nanoseconds: int) -> datetime:
    """Return a moment that is counted from 1970, in UTC."""
    return EPOCH + timedelta(microseconds=nanoseconds // 1_000)


def nanoseconds_of(moment: datetime) -> int:
    """Return how long after 1970 a moment is, as far as a column of moments reaches."""
    passed = (moment - EPOCH) // timedelta(microseconds=1) * 1_000
    return max(-LONGEST, min(LONGEST, passed))
