"""Taking spans out of a folder before their time: old ones, or everything of a user.

Exact to the span, unlike the bounds that recording keeps. What is left is written anew under the
folder's lock, so that processes that record meanwhile lose nothing.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from agentmem.checks import utc
from agentmem.errors import InvalidInput
from agentmem.telemetry.span_files import SpanFile, SpanFiles
from agentmem.traces.folder import open_traces
from agentmem.traces.labels import LABELS, Label, forget_labels, label_lines
from agentmem.traces.spans import nanoseconds_of

__all__ = ["Pruned", "prune"]

COLUMNS: Final = ("span_id", "parent_id", "started_at", "user_id", "session_id")


@dataclass(frozen=True, slots=True)
class Pruned:
    """What was taken out of a folder, or would be.

    Attributes:
        spans: How many spans.
        labels: How many labels.
        spans_left: How many spans stay.
        skipped: Names of files that could not be read, so that what they hold is not known.
        dry_run: Whether it was only looked at.
    """

    spans: int
    labels: int
    spans_left: int
    skipped: tuple[str, ...]
    dry_run: bool


def prune(
    path: str | os.PathLike[str],
    *,
    before: datetime | str | None = None,
    user_id: str | None = None,
    session_id: str | None = None,
    everything: bool = False,
    dry_run: bool = False,
) -> Pruned:
    """Delete spans, with everything that happened within them.

    Labels outlive spans that are merely old. Those of a user or session go with it, since a label
    holds what was asked.

    Args:
        path: The folder of traces.
        before: Spans that began before then.
        user_id: Spans of this user; with `before` only the old ones of them.
        session_id: Spans of this session, likewise.
        everything: All spans, and files that cannot be read.
        dry_run: Look only.

    Raises:
        InvalidInput: Nothing says which spans, or `everything` is narrowed.
        StoreNotFound: There are no traces at that path.
        StoreError: A file could not be read or written, or another process held the lock.
    """
    folder = open_traces(path).path
    chosen = _Chosen(None if before is None else utc(before, what="before"), user_id, session_id)
    if chosen.is_empty != everything:
        raise InvalidInput(
            "nothing says which spans go. Pass before, user_id or session_id, or everything=True "
            "alone for all of them."
        )
    files = SpanFiles(folder)
    with files.locked():
        read, skipped = _read(files)
        gone = chosen.spans(read.values())
        kept = {file: _kept(table, gone) for file, table in read.items()}
        labels = chosen.labels(label_lines(folder / LABELS), gone)
        if not dry_run:
            for file, places in kept.items():
                if len(places) < read[file].num_rows:
                    files.replace([file], files.read(file.path).take(pa.array(places, pa.int64())))
            if labels:
                forget_labels(folder, labels)
            for name in skipped if everything else ():
                (folder / name).unlink(missing_ok=True)
    left = sum(len(places) for places in kept.values())
    total = sum(table.num_rows for table in read.values())
    return Pruned(total - left, len(labels), left, skipped, dry_run)


@dataclass(frozen=True, slots=True)
class _Chosen:
    """Which spans go; all of them if nothing narrows it."""

    before: datetime | None
    user_id: str | None
    session_id: str | None

    @property
    def is_empty(self) -> bool:
        return self.before is None and not self.is_of_somebody

    @property
    def is_of_somebody(self) -> bool:
        return self.user_id is not None or self.session_id is not None

    def spans(self, tables: Iterable[pa.Table]) -> set[str]:
        """Return the ids of the spans that go, with those of all that happened within them."""
        below: dict[Any, list[Any]] = {}
        waiting: list[str] = []
        for table in tables:
            matching: list[Any] = table.filter(self._mask())["span_id"].to_pylist()
            waiting += matching
            parents, ids = (table[name].to_pylist() for name in ("parent_id", "span_id"))
            for parent, span_id in zip(parents, ids, strict=True):
                below.setdefault(parent, []).append(span_id)
        gone: set[str] = set()
        while waiting:
            span_id = waiting.pop()
            if span_id not in gone:
                gone.add(span_id)
                waiting += below.get(span_id, ())
        return gone

    def labels(self, lines: Iterable[tuple[str, Label | None]], gone: set[str]) -> frozenset[str]:
        """Return the spans whose labels go: those of the user or session, taken back or not."""
        if not self.is_of_somebody:
            return frozenset()
        return frozenset(
            span_id
            for span_id, label in lines
            if span_id in gone or (label is not None and self._has(label))
        )

    def _has(self, label: Label) -> bool:
        return (
            self.before is None
            and self.user_id in (None, label.user_id)
            and self.session_id in (None, label.session_id)
        )

    def _mask(self) -> Any:
        mask = pc.scalar(value=True)
        if self.before is not None:
            mask &= pc.field("started_at").cast(pa.int64()) < nanoseconds_of(self.before)
        if self.user_id is not None:
            mask &= pc.field("user_id") == self.user_id
        if self.session_id is not None:
            mask &= pc.field("session_id") == self.session_id
        return mask


def _read(files: SpanFiles) -> tuple[dict[SpanFile, pa.Table], tuple[str, ...]]:
    """Return what the files hold, and the names of those that cannot be read."""
    tables: dict[SpanFile, pa.Table] = {}
    skipped: list[str] = []
    for file in files.oldest_first():
        try:
            tables[file] = files.read(file.path, COLUMNS)
        except (OSError, ValueError, LookupError):
            skipped.append(file.path.name)
    return tables, tuple(skipped)


def _kept(table: pa.Table, gone: set[str]) -> list[int]:
    ids = table["span_id"].to_pylist()
    return [place for place, one in enumerate(ids) if one not in gone]
