"""From traces to what a report says of them: retrievals with their results, and waterfalls.

What a span does not tell, or tells wrongly, is left out and said so: files may come from anywhere.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from agentmem.errors import InvalidInput
from agentmem.traces.records import record_of_branch
from agentmem.traces.report.legend import OTHER, phase_slot, term_entries
from agentmem.traces.report.summary import (
    Bar,
    Kind,
    Outcome,
    Record,
    Result,
    Retrieval,
    Step,
    Summary,
    Trace,
)
from agentmem.traces.spans import Branch, SpanRow, SpanTree
from agentmem.types import AllScopes, Scope, Scored, SearchRecord, SelectionRecord

__all__ = ["MAX_STEPS", "summary_of"]

MAX_STEPS: Final = 150  # of one waterfall; an agent's whole session would be a scroll without end
MAX_DEPTH: Final = 6  # levels that a waterfall indents
MAX_TEXT: Final = 280  # characters of a turn or tool: says which one it is
MAX_QUERY: Final = 400  # characters of a question
KINDS: Final[Mapping[str, Kind]] = {"search_memory": "search", "retrieval": "selection"}


def summary_of(
    trees: Iterable[SpanTree],
    *,
    wanted: Callable[[SpanRow], bool] = lambda _: True,
    verdicts: Mapping[str, str] | None = None,
) -> Summary:
    """Return what a report says of traces.

    Args:
        trees: Of the traces.
        wanted: Which of their retrievals are reported.
        verdicts: What people said of a retrieval, by the id of its span.
    """
    said = verdicts or {}
    ordered = sorted(trees, key=lambda tree: (tree.started_at, tree.trace_id), reverse=True)
    return Summary(tuple(_trace(tree, wanted=wanted, verdicts=said) for tree in ordered))


def _trace(
    tree: SpanTree, *, wanted: Callable[[SpanRow], bool], verdicts: Mapping[str, str]
) -> Trace:
    steps = [_step(span, depth, tree=tree) for depth, span in tree.walk()]
    retrievals = tuple(
        _retrieval(branch, verdict=verdicts.get(branch.span.span_id))
        for branch in _branches(tree)
        if branch.span.is_retrieval and wanted(branch.span)
    )
    return Trace(tree, tuple(steps[:MAX_STEPS]), max(0, len(steps) - MAX_STEPS), retrievals)


def _branches(tree: SpanTree) -> Iterator[Branch]:
    """Give every branch of a tree, parents first."""
    waiting = list(reversed(tree.branches))
    while waiting:
        branch = waiting.pop()
        yield branch
        waiting += reversed(branch.children)


def _step(span: SpanRow, depth: int, *, tree: SpanTree) -> Step:
    whole = tree.milliseconds or 1.0
    began = (span.started_at - tree.started_at) / timedelta(milliseconds=1)
    left = min(max(100 * began / whole, 0.0), 100.0)
    width = min(max(100 * span.milliseconds / whole, 0.0), 100.0 - left)
    label = span.phase or (span.operation if span.is_operation else None) or span.name
    bar = Bar(label, span.milliseconds, left, width, phase_slot(span.phase or ""))
    return Step(span, label.removeprefix("agentmem."), min(depth, MAX_DEPTH), bar)


def _retrieval(branch: Branch, *, verdict: str | None) -> Retrieval:
    span, (record, problem) = branch.span, _record(branch)
    outcome = _outcome(span)
    scored = _scored(record)
    least, most = _extent(scored)
    return Retrieval(
        span=span,
        kind=KINDS[span.operation or ""],
        query=_text(span.query, limit=MAX_QUERY),
        queries=_queries(span),
        outcome=outcome,
        reason=_reason(span, outcome=outcome, record=record) or problem,
        record=record,
        facts=_facts(record),
        results=tuple(
            _result(one, place, span=span, record=record, terms=_stacked(one, least, most=most))
            for place, one in enumerate(scored)
        ),
        zero=_share(-least, least, most=most),
        phases=_phases(branch),
        verdict=verdict,
    )


def _record(branch: Branch) -> tuple[Record | None, str]:
    """Return what a replay needs, or why the span does not tell it."""
    if branch.span.status == "ERROR":
        return None, ""
    try:
        return record_of_branch(branch), ""
    except InvalidInput as error:
        if _queries(branch.span) > 1:
            return None, "Recorded as a whole: what each query found is not on record."
        return None, f"Not to be replayed: {error}"


def _queries(span: SpanRow) -> int:
    told = span.attributes.get("agentmem.router.queries")
    return told if isinstance(told, int) else 1


def _outcome(span: SpanRow) -> Outcome:
    if span.status == "ERROR":
        return "failed"
    if span.abstained:
        return "abstained"
    return "nothing" if span.results == 0 else "answered"


def _reason(span: SpanRow, *, outcome: Outcome, record: Record | None) -> str:
    if outcome == "failed":
        return f"failed with {span.error_type or 'an error'}"
    if outcome == "abstained":
        told = span.attributes.get("agentmem.router.reason")
        return told if isinstance(told, str) else _doubt(record)
    if outcome == "nothing" and isinstance(record, SearchRecord):
        return f"no hit among {record.candidates:,} turns in sight"
    return ""


def _doubt(record: Record | None) -> str:
    """Say why a selection abstained in numbers, where its words were not recorded."""
    if not isinstance(record, SelectionRecord):
        return ""
    limit = _number(record.rule.get("threshold"))
    beside = "" if limit is None else f", the threshold {limit:.2f}"
    return f"nothing fits: the confidence is {record.confidence:.2f}{beside}"


def _phases(branch: Branch) -> dict[str, float]:
    """Return the milliseconds of each phase, and of what is in none."""
    spent: dict[str, float] = {}
    for part in (child.span for child in branch.children):
        name = part.phase or OTHER
        spent[name] = spent.get(name, 0.0) + part.milliseconds
    rest = branch.span.milliseconds - sum(spent.values())
    return {**spent, OTHER: spent.get(OTHER, 0.0) + max(rest, 0.0)}


def _scored(record: Record | None) -> tuple[Scored, ...]:
    if record is None:
        return ()
    return record.hits if isinstance(record, SearchRecord) else record.candidates


def _result(
    one: Scored, place: int, *, span: SpanRow, record: Record | None, terms: tuple[Bar, ...]
) -> Result:
    prefix = f"retrieval.documents.{place}.document."
    is_chosen = None
    if isinstance(record, SelectionRecord):
        is_chosen = any(one.id == name or one.id.endswith(f"/{name}") for name in record.chosen)
    return Result(
        rank=place + 1,
        id=one.id,
        score=one.score,
        terms=terms,
        text=_text(span.attributes.get(prefix + "content"), limit=MAX_TEXT),
        is_chosen=is_chosen,
        probability=_probability(span.attributes.get(prefix + "metadata")),
    )


def _probability(metadata: object) -> float | None:
    try:
        told = json.loads(metadata) if isinstance(metadata, str) else None
    except ValueError:
        return None
    return _number(told.get("probability")) if isinstance(told, dict) else None


def _extent(scored: Iterable[Scored]) -> tuple[float, float]:
    """Return how far the terms of any result reach below and above 0."""
    every = [list(_finite(one.terms).values()) for one in scored]
    least = min((sum(min(term, 0.0) for term in terms) for terms in every), default=0.0)
    most = max((sum(max(term, 0.0) for term in terms) for terms in every), default=0.0)
    return least, most


def _stacked(one: Scored, least: float, *, most: float) -> tuple[Bar, ...]:
    """Lay the terms of a score end to end: what adds to the right of 0, what takes to its left."""
    terms = _finite(one.terms)
    below = above = 0.0
    bars = []
    for entry in term_entries(terms):
        value = terms[entry.name]
        below += min(value, 0.0)
        begin = below if value < 0 else above
        above += max(value, 0.0)
        left, width = _share(begin - least, least, most=most), _share(abs(value), least, most=most)
        bars.append(Bar(entry.name, value, left, width, entry.slot))
    return tuple(bars)


def _share(length: float, least: float, *, most: float) -> float:
    """Return a length in percent of the whole line."""
    return 100 * length / ((most - least) or 1.0)


def _finite(terms: Mapping[str, Any]) -> dict[str, float]:
    told = {str(name): _number(value) for name, value in terms.items()}
    return {name: value for name, value in told.items() if value is not None}


def _number(value: object) -> float | None:
    usable = isinstance(value, (int, float)) and math.isfinite(value)
    return float(value) if isinstance(value, (int, float)) and usable else None


def _text(value: object, *, limit: int) -> str | None:
    """Return the beginning of a text on one line; None of what is no text."""
    if not isinstance(value, str):
        return None
    line = " ".join(value[: 4 * limit].split())
    return line if len(line) <= limit and len(value) <= 4 * limit else line[: limit - 1] + "…"


def _facts(record: Record | None) -> dict[str, str]:
    """Return what a retrieval was asked and what it rests on, in words."""
    if record is None:
        return {}
    told = _of_search(record) if isinstance(record, SearchRecord) else _of_selection(record)
    told |= {
        "filter": _filter(record),
        "embedding space": record.passport_id,
        "weights": record.config_id,
        "agentmem": record.origin.agentmem,
        "store": record.origin.store,
    }
    return {name: value for name, value in told.items() if value is not None}


def _of_search(record: SearchRecord) -> dict[str, str | None]:
    return {
        "whose": _whose(record.scope),
        "asked for": f"{record.k:,} of {record.candidates:,} turns in sight, {record.mode}",
        "since": _moment(record.since),
        "until": _moment(record.until),
        "as of": _moment(record.as_of),
        "known at": _moment(record.known_at),
        "reranker": record.reranker,
        "version of turns": str(record.table_version),
    }


def _of_selection(record: SelectionRecord) -> dict[str, str | None]:
    threshold = _number(record.rule.get("threshold"))
    limit = "" if threshold is None else f", threshold {threshold:.2f}"
    fitted = " from a calibration" if record.calibrated else ", not calibrated"
    budget = "" if record.max_tokens is None else f", within {record.max_tokens:,} tokens"
    return {
        "namespace": record.namespace,
        "asked for": f"{record.k} of {record.catalogue:,} tools in sight{budget}",
        "confidence": f"{record.confidence:.2f}{limit}{fitted if limit else ''}",
        "called before": ", ".join(record.called) or None,
        "left out": ", ".join(record.exclude) or None,
        "versions": f"tools {record.catalogue_version}, lessons {record.examples_version}, "
        f"fits {record.fits_version}",
    }


def _filter(record: Record) -> str | None:
    if not record.filtered:
        return None
    return "not recorded" if record.where is None else json.dumps(record.where, ensure_ascii=False)


def _whose(scope: Scope | AllScopes) -> str:
    if isinstance(scope, AllScopes):
        return "everyone"
    ids = {"user": scope.user_id, "agent": scope.agent_id, "session": scope.session_id}
    return ", ".join(f"{name} {one}" for name, one in ids.items() if one is not None)


def _moment(value: datetime | None) -> str | None:
    return None if value is None else f"{value:%Y-%m-%d %H:%M:%S} UTC"
