"""From spans to the record of a retrieval: which span is meant, and what it tells."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from agentmem.errors import InvalidInput, NotFound
from agentmem.telemetry.reading import record_of
from agentmem.traces.ids import only_match, prefix_of
from agentmem.traces.spans import Branch, SpanRow, tree_of
from agentmem.types import Origin, SearchRecord, SelectionRecord

__all__ = ["record_of_branch", "record_of_spans", "retrieval_among"]


def record_of_branch(branch: Branch) -> SearchRecord | SelectionRecord:
    """Return the record of a retrieval, from its span and its phases.

    Raises:
        InvalidInput: It is no retrieval, or its span is broken.
    """
    span = branch.span
    phases: dict[str, float] = {}
    for _, part in branch.walk():
        if part.phase is not None:
            phases[part.phase] = phases.get(part.phase, 0.0) + part.milliseconds
    origin = Origin(
        store=span.store or "",
        agentmem=span.scope_version or "unknown",
        trace_id=span.trace_id,
        span_id=span.span_id,
        started_at=span.started_at,
        milliseconds=phases,
    )
    return record_of(span.attributes, origin=origin)


def record_of_spans(
    spans: Sequence[SpanRow], wanted: str | None = None
) -> SearchRecord | SelectionRecord:
    """Return the record of the retrieval among some spans, such as those of `read_span_file`.

    Args:
        spans: Of one trace or of several.
        wanted: Which, by span or trace id or the first digits of one; needed where the spans
            hold several retrievals.

    Raises:
        NotFound: There is no such span, or no retrieval among them.
        InvalidInput: There are several, or it is no retrieval.
    """
    chosen = list(spans)
    if wanted is not None:
        ids = {span.span_id: span for span in spans} | {span.trace_id: span for span in spans}
        meant = only_match(prefix_of(wanted), ids.keys(), what="span or trace", where="the file")
        chosen = _within(meant, spans)
    span = retrieval_among(chosen)
    branch = tree_of(span.trace_id, _of_trace(span.trace_id, spans)).branch(span.span_id)
    return record_of_branch(branch or Branch(span))


def retrieval_among(spans: Iterable[SpanRow]) -> SpanRow:
    """Return the one search or selection among spans.

    Raises:
        NotFound: There is none.
        InvalidInput: There are several.
    """
    found = [span for span in spans if span.is_retrieval]
    if not found:
        raise NotFound(
            "there is no search and no selection among these spans, so there is nothing to "
            "replay or label. Name a span of operation search_memory or retrieval."
        )
    if len(found) > 1:
        ids = ", ".join(span.span_id for span in found)
        raise InvalidInput(f"there are several retrievals: {ids}. Name one of them.")
    return found[0]


def _within(meant: str, spans: Sequence[SpanRow]) -> list[SpanRow]:
    """Return the spans of a trace, or a span with what happened within it."""
    for span in spans:
        if span.span_id == meant:
            branch = tree_of(span.trace_id, _of_trace(span.trace_id, spans)).branch(meant)
            found = branch or Branch(span)
            return [span] if span.is_retrieval else [one for _, one in found.walk()]
    return _of_trace(meant, spans)


def _of_trace(trace_id: str, spans: Iterable[SpanRow]) -> list[SpanRow]:
    return [span for span in spans if span.trace_id == trace_id]
