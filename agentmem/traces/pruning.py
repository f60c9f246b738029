"""Taking spans out of a folder before their time: old ones, or everything of a user.

Exact to the span, unlike the bounds that recording keeps. What is left is written anew under the
folder's lock, so that processes that record meanwhile lose nothing.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
from ahocorasick_rs import AhoCorasick

from agentmem.checks import utc
from agentmem.errors import InvalidInput
from agentmem.telemetry.span_files import SpanFile, SpanFiles
from agentmem.traces.folder import open_traces
from agentmem.traces.labels import LABELS, Label, forget_labels, label_lines
from agentmem.traces.spans import nanoseconds_of

__all__ = ["Pruned", "prune"]

COLUMNS: Final = ("span_id", "parent_id", "started_at", "user_id", "session_id")
TEXTS: Final = ("attributes", "events")


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
    naming: Collection[str] = (),
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
        naming: Spans that tell one of these texts, likewise, and those that they are part of.
        everything: All spans, and files that cannot be read.
        dry_run: Look only.

    Raises:
        InvalidInput: Nothing says which spans, or `everything` is narrowed.
        StoreNotFound: There are no traces at that path.
        StoreError: A file could not be read or written, or another process held the lock.
    """
    folder = open_traces(path).path
    chosen = _Chosen(
        None if before is None else utc(before, what="before"),
        user_id,
        session_id,
        tuple(naming),
    )
    if chosen.is_empty != everything:
        raise InvalidInput(
            "nothing says which spans go. Pass before, user_id, session_id or naming, or "
            "everything=True alone for all of them."
        )
    files = SpanFiles(folder)
    with files.locked():
        read, skipped = _read(files, texts=bool(chosen.naming))
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
    naming: tuple[str, ...]

    @property
    def is_empty(self) -> bool:
        return self.before is None and not self.is_of_somebody

    @property
    def is_of_somebody(self) -> bool:
        return self.user_id is not None or self.session_id is not None or bool(self.naming)

    def spans(self, tables: Iterable[pa.Table]) -> set[str]:
        """Return the ids of the spans that go, with those of all that happened within them."""
        below: dict[Any, list[Any]] = {}
        above: dict[Any, Any] = {}
        waiting: list[str] = []
        for table in tables:
            waiting += self._matching(table)
            parents, ids = (table[name].to_pylist() for name in ("parent_id", "span_id"))
            for parent, span_id in zip(parents, ids, strict=True):
                below.setdefault(parent, []).append(span_id)
                above[span_id] = parent
        if self.naming:  # what contains a retrieval was given its results
            waiting = [_outermost(one, above) for one in waiting]
        gone: set[str] = set()
        while waiting:
            span_id = waiting.pop()
            if span_id not in gone:
                gone.add(span_id)
                waiting += below.get(span_id, ())
        return gone

    def _matching(self, table: pa.Table) -> list[Any]:
        found = table.filter(self._mask())
        if self.naming:
            texts = zip(found["attributes"].to_pylist(), found["events"].to_pylist(), strict=True)
            told = [f"{attributes or ''}{events or ''}" for attributes, events in texts]
            named = AhoCorasick(sorted({form for one in self.naming for form in _written(one)}))
            found = found.filter(
                pa.array([bool(named.find_matches_as_indexes(one)) for one in told])
            )
        spans: list[Any] = found["span_id"].to_pylist()
        return spans

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
            and (not self.naming or any(one in label.query for one in self.naming))
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


def _read(
    files: SpanFiles, *, texts: bool = False
) -> tuple[dict[SpanFile, pa.Table], tuple[str, ...]]:
    """Return what the files hold, and the names of those that cannot be read."""
    tables: dict[SpanFile, pa.Table] = {}
    skipped: list[str] = []
    for file in files.oldest_first():
        try:
            tables[file] = files.read(file.path, (*COLUMNS, *TEXTS) if texts else COLUMNS)
        except (OSError, ValueError, LookupError):
            skipped.append(file.path.name)
    return tables, tuple(skipped)


def _written(text: str) -> tuple[str, str]:
    """Return a text as it stands in JSON, and in JSON within JSON."""
    once = json.dumps(text, ensure_ascii=False)[1:-1]
    return once, json.dumps(once, ensure_ascii=False)[1:-1]


def _outermost(span_id: str, above: Mapping[Any, Any]) -> str:
    """Return the span that another is part of, through all of those recorded."""
    seen = {span_id}
    while (parent := above.get(span_id)) is not None and parent in above and parent not in seen:
        seen.add(span_id := parent)
    return span_id


def _kept(table: pa.Table, gone: set[str]) -> list[int]:
    ids = table["span_id"].to_pylist()
    return [place for place, one in enumerate(ids) if one not in gone]
