"""A folder of recorded spans, opened: the retrievals that match, a span, a trace, a record."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from agentmem.checks import location, nearest, shown, utc
from agentmem.errors import InvalidInput
from agentmem.telemetry.conventions import OPERATIONS
from agentmem.traces.ids import only_match, prefix_of
from agentmem.traces.labels import LABELS, Label, read_labels
from agentmem.traces.reading import SpanReader, no_traces
from agentmem.traces.records import record_of_branch, retrieval_among
from agentmem.traces.spans import (
    RETRIEVALS,
    Branch,
    SpanRow,
    SpanTree,
    nanoseconds_of,
    tree_of,
)
from agentmem.types import SearchRecord, SelectionRecord

__all__ = ["Traces", "open_traces"]


def open_traces(path: str | os.PathLike[str]) -> Traces:
    """Open a folder of spans for reading.

    Args:
        path: The folder, as it was given to `agentmem.telemetry.record`.

    Raises:
        StoreNotFound: There is no such folder, or it holds other things and no spans.
    """
    return Traces(path)


class Traces:
    """The spans of one folder. Each call sees what is in it then.

    Args:
        path: The folder, as it was given to `agentmem.telemetry.record`.

    Attributes:
        path: The folder.

    Raises:
        StoreNotFound: There is no such folder, or it holds other things and no spans.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(location(path, what="path"))
        self._reader = SpanReader(self.path)
        _check_folder(self.path)

    @property
    def skipped(self) -> Mapping[str, str]:
        """Files that the last call could not read and left out, each with the reason."""
        return self._reader.skipped

    def retrievals(
        self,
        *,
        slower_than: timedelta | None = None,
        below: float | None = None,
        abstained: bool = False,
        errors: bool = False,
        operation: str | None = None,
        store: str | None = None,
        user_id: str | None = None,
        session_id: str | None = None,
        since: datetime | str | None = None,
        until: datetime | str | None = None,
        limit: int | None = None,
    ) -> tuple[SpanRow, ...]:
        """Return searches and selections, the newest first; every filter given narrows them.

        Args:
            slower_than: Those that took longer.
            below: Those whose best score is lower, and those that found nothing.
            abstained: Only selections that found nothing to fit.
            errors: Only those that failed.
            operation: One operation in place of all retrievals, such as "create_memory".
            store: Of this store, as it was given to `open`.
            user_id: Of this user.
            session_id: Of this session.
            since: Those that began then or later.
            until: Those that began before.
            limit: At most so many.

        Raises:
            InvalidInput: An operation that there is none of, or a moment without a time zone.
            StoreError: The folder cannot be read.
        """
        ids = {"store": store, "user_id": user_id, "session_id": session_id}
        mask = _of_operations(operation)
        for one in _by_ids(ids):
            mask &= one
        for one in _by_outcome(below=below, abstained=abstained, errors=errors):
            mask &= one
        for one in _by_time(slower_than=slower_than, since=since, until=until):
            mask &= one
        return self._reader.rows(mask, limit=limit)

    def trace(self, wanted: str) -> SpanTree:
        """Return the spans of a trace.

        Args:
            wanted: Its id, that of one of its spans, or the first digits of either.

        Raises:
            NotFound: There is none.
            InvalidInput: It is no id, or the digits fit several.
        """
        trace_id, _ = self._find(wanted)
        return self._tree(trace_id)

    def trees(self, trace_ids: Iterable[str]) -> tuple[SpanTree, ...]:
        """Return the spans of several traces, read at once; of a trace that is gone, nothing.

        Args:
            trace_ids: Their whole ids, in the order that is wanted.
        """
        spans: dict[str, list[SpanRow]] = {one: [] for one in trace_ids}
        wanted = pa.array(spans, pa.string())
        for span in self._reader.rows(pc.is_in(pc.field("trace_id"), wanted)):
            spans[span.trace_id].append(span)
        return tuple(tree_of(one, parts) for one, parts in spans.items() if parts)

    def span(self, wanted: str) -> SpanRow:
        """Return one span.

        Args:
            wanted: Its id, or its first digits.

        Raises:
            NotFound: There is none.
            InvalidInput: It is no id, or the digits fit several.
        """
        prefix = prefix_of(wanted)
        ids = self._reader.ids(prefix)
        meant = only_match(prefix, ids.keys(), what="span", where=str(self.path))
        return self._reader.rows(pc.field("span_id") == meant)[0]

    def branch(self, wanted: str) -> Branch | SpanTree:
        """Return what an id or its first digits mean: a span with its parts, or a whole trace.

        Raises:
            NotFound: There is none.
            InvalidInput: It is no id, or the digits fit several.
        """
        trace_id, span_id = self._find(wanted)
        tree = self._tree(trace_id)
        return (tree.branch(span_id) if span_id else None) or tree

    def retrieval(self, wanted: str) -> Branch:
        """Return a search or selection with its phases.

        Args:
            wanted: Its span id; or the id of a span or trace that holds this one retrieval, such
                as that of a context; or the first digits of one.

        Raises:
            NotFound: There is none.
            InvalidInput: It is no id, the digits fit several, or it holds several retrievals.
        """
        found = self.branch(wanted)
        if isinstance(found, Branch) and found.span.is_retrieval:
            return found
        span = retrieval_among(one for _, one in found.walk())
        return self._tree(span.trace_id).branch(span.span_id) or Branch(span)

    def record(self, wanted: str) -> SearchRecord | SelectionRecord:
        """Return what a replay needs of a retrieval.

        Args:
            wanted: As for `retrieval`.

        Raises:
            NotFound: As `retrieval`.
            InvalidInput: As `retrieval`, or the span is broken.
        """
        return record_of_branch(self.retrieval(wanted))

    def labels(self) -> list[Label]:
        """Return the verdicts that people gave: see `read_labels`."""
        return read_labels(self.path)

    def _find(self, wanted: str) -> tuple[str, str | None]:
        """Return the trace and, if a span was named, the span."""
        prefix = prefix_of(wanted)
        spans = self._reader.ids(prefix)
        ids = {one for one in (*spans, *spans.values()) if one.startswith(prefix)}
        meant = only_match(prefix, ids, what="span or trace", where=str(self.path))
        return (spans[meant], meant) if meant in spans else (meant, None)

    def _tree(self, trace_id: str) -> SpanTree:
        return tree_of(trace_id, self._reader.rows(pc.field("trace_id") == trace_id))


def _check_folder(path: Path) -> None:
    if not path.is_dir():
        raise no_traces(path, "there is no such folder")
    names = sorted(one.name for one in path.iterdir() if not one.name.startswith("."))
    if names and not any(name.startswith("spans-") or name == LABELS for name in names):
        raise no_traces(path, f"it holds other files, such as {names[0]!r}, and no spans")


def _of_operations(operation: str | None) -> Any:
    if operation is not None and operation not in OPERATIONS:
        raise InvalidInput(
            f"there is no operation {shown(operation)}.{nearest(str(operation), OPERATIONS)} "
            f"There are {', '.join(OPERATIONS)}."
        )
    wanted = list(RETRIEVALS) if operation is None else [operation]
    return pc.field("operation").isin(wanted) & (pc.field("scope_name") == "agentmem")


def _by_ids(ids: Mapping[str, str | None]) -> Iterator[Any]:
    for name, one in ids.items():
        if one is not None:
            yield pc.field(name) == one


def _by_outcome(*, below: float | None, abstained: bool, errors: bool) -> Iterator[Any]:
    if below is not None:
        nothing = pc.field("top_score").is_null() & (pc.field("status") != "ERROR")
        yield (pc.field("top_score") < below) | nothing
    if abstained:
        yield pc.field("abstained")
    if errors:
        yield pc.field("status") == "ERROR"


def _by_time(
    *, slower_than: timedelta | None, since: datetime | str | None, until: datetime | str | None
) -> Iterator[Any]:
    if slower_than is not None:
        yield pc.field("milliseconds") > slower_than / timedelta(milliseconds=1)
    started = pc.field("started_at").cast(pa.int64())
    if since is not None:
        yield started >= nanoseconds_of(utc(since, what="since"))
    if until is not None:
        yield started < nanoseconds_of(utc(until, what="until"))
