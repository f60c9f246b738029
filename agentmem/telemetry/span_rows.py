"""A span as a row: the columns that recorded spans have, and what goes into each.

The first columns are what people filter by; everything else that a span tells is JSON text in
`attributes`. Knows nothing of files.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from opentelemetry.trace import format_span_id, format_trace_id

from agentmem.telemetry.conventions import OPERATIONS

if TYPE_CHECKING:
    import pyarrow as pa
    from opentelemetry.sdk.trace import Event, ReadableSpan

__all__ = ["COLUMNS", "FORMAT", "KEY", "facts_of", "row_of", "schema"]

Kind: TypeAlias = Literal["text", "moment", "number", "count", "flag"]

KEY: Final = b"agentmem.spans"  # of the schema's metadata: tells our files from others
FORMAT: Final = 1  # goes up when a column changes its meaning; new columns may come without
COLUMNS: Final[Mapping[str, Kind]] = {
    "trace_id": "text",
    "span_id": "text",
    "parent_id": "text",
    "name": "text",
    "operation": "text",
    "phase": "text",
    "started_at": "moment",
    "ended_at": "moment",
    "milliseconds": "number",
    "status": "text",
    "error_type": "text",
    "store": "text",
    "top_score": "number",
    "margin": "number",
    "results": "count",
    "abstained": "flag",
    "session_id": "text",
    "user_id": "text",
    "attributes": "text",
    "events": "text",
    "resource": "text",
    "scope_name": "text",
    "scope_version": "text",
}
STORES: Final = ("gen_ai.memory.store.id", "gen_ai.data_source.id", "agentmem.store")


def schema() -> pa.Schema:
    """Return the Arrow schema of recorded spans."""
    import pyarrow as pa

    types: dict[Kind, pa.DataType] = {
        "text": pa.string(),
        "moment": pa.timestamp("ns", tz="UTC"),
        "number": pa.float64(),
        "count": pa.int64(),
        "flag": pa.bool_(),
    }
    fields = [pa.field(name, types[kind]) for name, kind in COLUMNS.items()]
    return pa.schema(fields, metadata={KEY: str(FORMAT).encode()})


def row_of(span: ReadableSpan) -> dict[str, Any] | None:
    """Return the row of a span that ended; None of one that has no ids."""
    if span.context is None:
        return None
    attributes = dict(span.attributes or {})
    started, ended = span.start_time or 0, span.end_time or span.start_time or 0
    scope = span.instrumentation_scope
    row = {
        "trace_id": format_trace_id(span.context.trace_id),
        "span_id": format_span_id(span.context.span_id),
        "parent_id": None if span.parent is None else format_span_id(span.parent.span_id),
        "name": span.name,
        "started_at": started,
        "ended_at": ended,
        "milliseconds": (ended - started) / 1e6,
        "status": span.status.status_code.name,
        "attributes": _json(attributes),
        "events": _json([_event(event) for event in span.events]),
        "resource": _json(dict(span.resource.attributes)),
        "scope_name": None if scope is None else scope.name,
        "scope_version": None if scope is None else scope.version,
        **facts_of(span.name, attributes),
    }
    return {name: _utf8(value) if isinstance(value, str) else value for name, value in row.items()}


def facts_of(name: str, attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the columns that are read from a span's attributes, and its name."""
    phase = _text(attributes.get("agentmem.phase"))
    return {
        "operation": None if phase else _operation(name, attributes),
        "phase": phase,
        "error_type": _text(attributes.get("error.type")),
        "store": next((_text(attributes[one]) for one in STORES if one in attributes), None),
        "top_score": _number(attributes.get("agentmem.top_score")),
        "margin": _number(attributes.get("agentmem.margin")),
        "results": _results(attributes),
        "abstained": _flag(attributes.get("agentmem.router.abstained")),
        "session_id": _text(attributes.get("session.id")),
        "user_id": _text(attributes.get("user.id")),
    }


def _operation(name: str, attributes: Mapping[str, Any]) -> str | None:
    """Return the operation that a span is of; those of agentmem's own are told by its name."""
    told = _text(attributes.get("gen_ai.operation.name"))
    first = name.split(" ", 1)[0]
    return told or (first if first in OPERATIONS else None)


def _results(attributes: Mapping[str, Any]) -> int | None:
    """Return how many turns an operation found, stored or deleted, or tools it handed out."""
    count, chosen = (
        attributes.get(one) for one in ("gen_ai.memory.record.count", "agentmem.router.chosen")
    )
    if isinstance(count, (int, float)):
        return int(count)
    return len(chosen) if isinstance(chosen, Sequence) and not isinstance(chosen, str) else None


def _event(event: Event) -> dict[str, Any]:
    return {
        "name": event.name,
        "nanoseconds": event.timestamp,
        "attributes": dict(event.attributes or {}),
    }


def _json(value: object) -> str:
    """Return JSON that every reader takes: numbers that are none, and bytes, become text."""
    return json.dumps(_plain(value), ensure_ascii=False, separators=(",", ":"), default=str)


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value


def _utf8(text: str) -> str:
    """Return a text without half characters: one of them would cost the whole batch."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, (int, float)) else None


def _flag(value: object) -> bool | None:
    return value if isinstance(value, bool) else None
