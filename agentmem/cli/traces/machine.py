"""The JSON forms of spans, labels and prunings that `--json` prints.

What `show` prints, `agentmem.traces.read_span_file` reads back.
"""

from __future__ import annotations

from dataclasses import asdict, fields
from typing import Any

from agentmem.cli.machine import plain
from agentmem.traces import Branch, Label, Pruned, SpanRow, SpanTree
from agentmem.types import AllScopes

__all__ = ["label_form", "pruned_form", "shown_form", "span_form"]


def span_form(span: SpanRow) -> dict[str, Any]:
    """Return a span as JSON values, in its columns."""
    values = {one.name: getattr(span, one.name) for one in fields(span)}
    return plain({**values, "events": list(span.events)})


def shown_form(found: Branch | SpanTree) -> dict[str, Any]:
    """Return spans of one trace as JSON values, parents before children."""
    spans = [span for _, span in found.walk()]
    return {"trace_id": spans[0].trace_id, "spans": [span_form(span) for span in spans]}


def label_form(label: Label) -> dict[str, Any]:
    """Return a label as JSON values."""
    values = {one.name: getattr(label, one.name) for one in fields(label)}
    scope = label.scope
    values["scope"] = (
        "all" if isinstance(scope, AllScopes) else None if scope is None else asdict(scope)
    )
    return plain({k: list(v) if isinstance(v, tuple) else v for k, v in values.items()})


def pruned_form(pruned: Pruned) -> dict[str, Any]:
    """Return what was pruned as JSON values."""
    return {**asdict(pruned), "skipped": list(pruned.skipped)}
