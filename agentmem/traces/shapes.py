"""One span in some JSON form, as a row; and the rows in whatever holds several.

OTLP writes ids in hexadecimal digits or in base64 and wraps every value in its type; Phoenix
unfolds the metadata of documents; the SDK puts 0x before ids. Everything comes out as recorded.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Final, NamedTuple

from agentmem.checks import shown, utc
from agentmem.errors import InvalidInput
from agentmem.telemetry.span_rows import facts_of
from agentmem.traces.spans import SpanRow, moment_of

__all__ = ["Found", "row_from", "spans_in"]

DIGITS: Final = {"trace": 32, "span": 16}
METADATA: Final = re.compile(r"(retrieval\.documents\.\d+\.document\.metadata)\.(.+)")
CODES: Final[Mapping[object, str]] = {
    **dict.fromkeys((0, "STATUS_CODE_UNSET"), "UNSET"),
    **dict.fromkeys((1, "STATUS_CODE_OK"), "OK"),
    **dict.fromkeys((2, "STATUS_CODE_ERROR"), "ERROR"),
}


class Found(NamedTuple):
    """A span in its JSON form, with what stands around it."""

    span: Mapping[str, Any]
    resource: Mapping[str, Any]
    scope: Mapping[str, Any]


def spans_in(value: Any) -> Iterator[Found]:
    """Give the spans that a JSON value holds, at any of the places where the forms keep them."""
    if isinstance(value, list):
        for one in value:
            yield from spans_in(one)
    elif not isinstance(value, Mapping):
        raise InvalidInput(f"{shown(value)} is no span")
    elif resources := _either(value, "resourceSpans", "resource_spans"):
        for one in resources:
            yield from _otlp(one)
    elif isinstance(value.get("spans"), list) or isinstance(value.get("data"), list):
        yield from spans_in(_either(value, "spans", "data"))
    else:
        yield Found(value, {}, {})


def _otlp(resource: Mapping[str, Any]) -> Iterator[Found]:
    about = _typed(_either(resource, "resource") or {})
    scopes = _either(resource, "scopeSpans", "scope_spans", "instrumentationLibrarySpans")
    for group in scopes or ():
        scope = _either(group, "scope", "instrumentationLibrary") or {}
        for span in group.get("spans", ()):
            yield Found(span, about, scope)


def row_from(found: Found) -> SpanRow:
    """Return a span of any of the forms as a row.

    Raises:
        ValueError: Something of it cannot be read.
        TypeError: Likewise.
    """
    span = found.span
    own = _either(span, "context") or span
    attributes = _attributes(span)
    name = str(span.get("name", ""))
    started, ended = (_when(span, part) for part in ("start", "end"))
    scope = _scope(found)
    facts = facts_of(name, attributes)
    parent = _either(span, "parentSpanId", "parent_span_id", "parent_id")
    return SpanRow(
        trace_id=_id(_either(own, "traceId", "trace_id"), "trace"),
        span_id=_id(_either(own, "spanId", "span_id"), "span"),
        parent_id=_id(parent, "span") if parent else None,
        name=name,
        started_at=started,
        ended_at=ended,
        milliseconds=float(span.get("milliseconds", (ended - started).total_seconds() * 1e3)),
        status=_status(span),
        attributes=attributes,
        events=tuple(span.get("events") or ()),
        resource=found.resource or _resource(span),
        scope_name=scope[0],
        scope_version=scope[1],
        **facts,
    )


def _either(value: Mapping[str, Any], *names: str) -> Any:
    """Return the first of several fields that is there."""
    return next((value[name] for name in names if value.get(name) is not None), None)


def _id(value: Any, what: str) -> str:
    """Return an id in lower hexadecimal digits."""
    text = str(value).removeprefix("0x")
    digits = DIGITS[what]
    if len(text) != digits:  # OTLP made by protobuf's own JSON
        text = base64.b64decode(text, validate=True).hex()
    if len(text) != digits or int(text, 16) == 0:
        raise InvalidInput(f"{shown(value)} is no {what} id")
    return text.lower()


def _when(span: Mapping[str, Any], part: str) -> datetime:
    nanoseconds = _either(span, f"{part}TimeUnixNano", f"{part}_time_unix_nano")
    if nanoseconds is not None:
        return moment_of(int(nanoseconds))
    names = (f"{part}_time", f"{part}ed_at")
    return utc(_either(span, *names), what=names[0])


def _status(span: Mapping[str, Any]) -> str:
    told = _either(span, "status", "status_code")
    code = _either(told, "code", "status_code") if isinstance(told, Mapping) else told
    return CODES.get(code, str(code)) if code is not None else "UNSET"


def _scope(found: Found) -> tuple[str | None, str | None]:
    """Return the name and version of the library, where the form keeps them."""
    scope, span = found.scope, found.span
    name = _either(scope, "name") or _either(span, "scope_name")
    version = _either(scope, "version") or _either(span, "scope_version")
    return name, version


def _resource(span: Mapping[str, Any]) -> Mapping[str, Any]:
    told: Any = _either(span, "resource") or {}
    inner = told.get("attributes")
    return inner if isinstance(inner, Mapping) else dict(told)


def _attributes(span: Mapping[str, Any]) -> dict[str, Any]:
    """Return attributes under whole names, with the values that were recorded."""
    told = _either(span, "attributes") or {}
    if isinstance(told, str):
        told = json.loads(told)
    if isinstance(told, list):
        return _typed(span)
    return _folded(dict(_flat(told)))


def _typed(owner: Mapping[str, Any]) -> dict[str, Any]:
    """Return the attributes of something in OTLP."""
    return {one["key"]: _value(one.get("value") or {}) for one in owner.get("attributes") or ()}


def _value(typed: Mapping[str, Any]) -> Any:
    """Take a value of OTLP out of its type."""
    value: Any
    kind, value = next(iter(typed.items()), ("", None))
    kind = kind.replace("_value", "Value")
    if kind == "intValue":
        return int(value)
    if kind == "doubleValue":
        return float(value)
    if kind == "arrayValue":
        return [_value(one) for one in value.get("values", ())]
    if kind == "kvlistValue":
        return {one["key"]: _value(one.get("value") or {}) for one in value.get("values", ())}
    return value


def _flat(value: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Give whole names for what a dashboard has unfolded at their dots."""
    for key, one in value.items():
        name = f"{prefix}{key}"
        if isinstance(one, Mapping):
            yield from _flat(one, f"{name}.")
        elif isinstance(one, list) and any(isinstance(part, Mapping) for part in one):
            yield from _flat({str(at): part for at, part in enumerate(one)}, f"{name}.")
        else:
            yield name, one


def _folded(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Put the metadata of documents, which Phoenix unfolds, back into JSON."""
    told: dict[str, Any] = {}
    unfolded: dict[str, dict[str, Any]] = {}
    for name, value in attributes.items():
        part = METADATA.fullmatch(name)
        if part is None:
            told[name] = value
            continue
        *outer, last = part[2].split(".")
        inner = unfolded.setdefault(part[1], {})
        for key in outer:
            inner = inner.setdefault(key, {})
        inner[last] = value
    return told | {name: json.dumps(value) for name, value in unfolded.items()}
