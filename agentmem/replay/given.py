"""What a replay is given, read into the record of a retrieval.

A record itself, the answer of a search or selection, the attributes of a span, or the span.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final, TypeAlias

from agentmem.checks import EPOCH, shown
from agentmem.errors import InvalidInput
from agentmem.telemetry.reading import record_of, record_of_recall, record_of_selection
from agentmem.types import Origin, Recall, SearchRecord, Selection, SelectionRecord

__all__ = ["UNKNOWN", "Given", "record_from", "refuse_lacking"]

Given: TypeAlias = (
    Any  # a span is of whichever SDK an application uses: told by its attributes alone
)

UNKNOWN: Final = "unknown"


def record_from(given: Given) -> SearchRecord | SelectionRecord:
    """Return the record of a retrieval, in whatever form it is given.

    Args:
        given: A `SearchRecord` or `SelectionRecord`, a `Recall` or `Selection`, the attributes
            of a span as a mapping, or a span: an object with `attributes` and `context`.

    Raises:
        InvalidInput: It is none of these, or tells of no retrieval.
    """
    if isinstance(given, (SearchRecord, SelectionRecord)):
        return given
    if isinstance(given, Recall):
        return record_of_recall(given)
    if isinstance(given, Selection):
        return record_of_selection(given)
    if isinstance(given, Mapping):
        return record_of(given, origin=Origin(store="", agentmem=UNKNOWN))
    attributes = getattr(given, "attributes", None)
    if not isinstance(attributes, Mapping):
        raise InvalidInput(
            f"{shown(given)} cannot be replayed. Pass what a search or selection returned, its "
            "span, the attributes of that span, or a record from `agentmem.traces`."
        )
    return record_of(attributes, origin=_origin(given))


def refuse_lacking(
    record: SearchRecord | SelectionRecord, given: Mapping[str, object | None]
) -> None:
    """Refuse a replay without what was not recorded, or with another thing than was.

    Args:
        record: The past retrieval.
        given: By argument what the caller gave; None where nothing.

    Raises:
        InvalidInput: An argument is missing, or one too many; it says which and why.
    """
    missing = [name for name in record.lacks if given.get(name) is None]
    if missing:
        raise InvalidInput(
            f"the record does not hold {' and '.join(missing)}, because content was not recorded "
            f"(or was redacted). Pass {', '.join(f'{name}=...' for name in missing)} exactly as "
            "it was asked; capture_content=True records it in future."
        )
    extra = [
        name
        for name, value in given.items()
        if value is not None and name not in record.lacks and value != getattr(record, name, None)
    ]
    if extra:
        raise InvalidInput(
            f"the record itself says what {' and '.join(extra)} was, and this is something else. A "
            "replay asks what was asked: leave the argument out, or ask anew."
        )


def _origin(span: Any) -> Origin:
    """Tell where a span comes from, as far as it says so."""
    context, scope = getattr(span, "context", None), getattr(span, "instrumentation_scope", None)
    started = getattr(span, "start_time", None)
    return Origin(
        store="",
        agentmem=str(getattr(scope, "version", None) or UNKNOWN),
        trace_id=_digits(getattr(context, "trace_id", None), 32),
        span_id=_digits(getattr(context, "span_id", None), 16),
        started_at=EPOCH + timedelta(microseconds=started // 1000)
        if isinstance(started, int)
        else None,
    )


def _digits(number: object, length: int) -> str | None:
    """Return an id as hexadecimal digits, in which some spans have it already."""
    if isinstance(number, int):
        return f"{number:0{length}x}"
    return number if isinstance(number, str) else None
