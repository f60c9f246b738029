"""From a past retrieval and a person's verdict to a label."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from typing import Any, Literal

from agentmem.errors import InvalidInput
from agentmem.traces.folder import Traces
from agentmem.traces.labels import Label, write_label
from agentmem.traces.records import record_of_branch
from agentmem.types import SearchRecord, SelectionRecord

__all__ = ["mark"]


def mark(
    traces: Traces,
    wanted: str,
    *,
    verdict: Literal["right", "wrong"],
    expected: Sequence[str] = (),
    wrong: Sequence[str] = (),
    query: str | None = None,
    where: Mapping[str, Any] | None = None,
    note: str | None = None,
    by: str | None = None,
) -> Label:
    """Say of a past retrieval whether it came out right, and keep that in `labels.jsonl`.

    Args:
        traces: The folder.
        wanted: The retrieval's span id, or its first digits; see `Traces.retrieval`.
        verdict: Whether it came out as it should.
        expected: Ids of the turns that answer the question, or names of the tools it needs. By
            default those of a right retrieval are its best hit, or the tools it handed out.
        wrong: Ids that should not have come back. By default that of a wrong retrieval is its
            best result, unless it is expected.
        query: What was asked, where content was not recorded.
        where: The filter, likewise.
        note: Why.
        by: Who says so.

    Raises:
        NotFound: There is no such retrieval.
        InvalidInput: The query or the filter was not recorded and is not given; or the verdict
            says nothing: right of a search that found nothing, and no id expected.
        StoreError: The label could not be written.
    """
    found = traces.retrieval(wanted)
    record = record_of_branch(found)
    told = _told(record, query=query, where=where)
    results, chosen = _results(record), _chosen(record)
    names = _ids(record, expected)
    if verdict == "right":
        relevant = names or chosen
        _check_says_something(record, relevant)
        others = _ids(record, wrong)
    else:
        relevant = names
        others = _ids(record, wrong) or tuple(one for one in chosen[:1] if one not in names)
    label = Label(
        span_id=found.span.span_id,
        trace_id=found.span.trace_id,
        verdict=verdict,
        relevant=relevant,
        wrong=others,
        results=results,
        user_id=found.span.user_id,
        session_id=found.span.session_id,
        store=record.origin.store,
        note=note,
        by=by,
        at=datetime.now(timezone.utc),
        **told,
    )
    write_label(traces.path, label)
    return label


def _told(
    record: SearchRecord | SelectionRecord,
    *,
    query: str | None,
    where: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """Return what was asked; what was not recorded has to be given."""
    asked = record.query if query is None else query
    filtered = record.where if where is None else where
    if asked is None:
        raise InvalidInput(_not_recorded("query"))
    if record.filtered and filtered is None:
        raise InvalidInput(_not_recorded("where"))
    shared = {"query": asked, "where": filtered, "k": record.k}
    if isinstance(record, SearchRecord):
        names = ["scope", "mode", "since", "until"]
        return {"kind": "search", **shared, **{name: getattr(record, name) for name in names}}
    names = ["namespace", "exclude", "called"]
    told = {name: getattr(record, name) for name in names}
    return {"kind": "selection", **shared, **told, "texts": record.texts or ()}


def _not_recorded(name: str) -> str:
    return (
        f"this retrieval's content was not recorded, or was redacted, so a label needs its {name}: "
        f"give it as {name}, on the command line as --{name}. Spans carry it where "
        "capture_content=True is passed to open."
    )


def _results(record: SearchRecord | SelectionRecord) -> tuple[str, ...]:
    if isinstance(record, SearchRecord):
        return tuple(hit.id for hit in record.hits)
    return _chosen(record)


def _chosen(record: SearchRecord | SelectionRecord) -> tuple[str, ...]:
    """Return what an answer stands on: the best turn, or the tools that were handed out."""
    if isinstance(record, SearchRecord):
        return tuple(hit.id for hit in record.hits[:1])
    return _ids(record, record.chosen)


def _ids(record: SearchRecord | SelectionRecord, names: Sequence[str]) -> tuple[str, ...]:
    """Return ids as they are recorded: a tool may be named with its namespace, or without."""
    if isinstance(record, SearchRecord):
        return tuple(names)
    known = {one.id.split("/", 1)[-1]: one.id for one in reversed(record.candidates)}
    whole = {one.id for one in record.candidates}
    place = record.namespace or "default"
    return tuple(
        name if name in whole else known.get(name) or (name if "/" in name else f"{place}/{name}")
        for name in names
    )


def _check_says_something(record: SearchRecord | SelectionRecord, relevant: Sequence[str]) -> None:
    if not relevant and isinstance(record, SearchRecord):
        raise InvalidInput(
            "this search found nothing, so that it was right says nothing that could be measured. "
            "Give the ids of the turns it should have found as expected."
        )
