"""Verdicts that people gave on past retrievals, one JSON line each, in `labels.jsonl`.

A label keeps a copy of what an evaluation needs, so that it outlives the span it speaks of. The
file is only ever appended to: the newest line of a span holds. Erasing a user takes theirs out.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from agentmem.checks import location
from agentmem.errors import InvalidInput, StoreError, StoreNotFound
from agentmem.telemetry.span_files import SpanFiles
from agentmem.types import AllScopes, Mode, Scope

if TYPE_CHECKING:
    from pydantic import TypeAdapter

__all__ = [
    "LABELS",
    "Label",
    "forget_labels",
    "label_lines",
    "read_labels",
    "unlabel",
    "write_label",
]

LABELS: Final = "labels.jsonl"


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """What a person says of one past retrieval, and what it was.

    Attributes:
        span_id: Of the retrieval; likewise `trace_id`.
        trace_id: See `span_id`.
        kind: A search of turns or a selection of tools.
        verdict: Whether it came out as it should.
        query: What was asked.
        relevant: Ids of the turns that answer it, or of the tools it needs as `namespace/name`.
            Empty in a label "right" of a selection: no tool fits; in a label "wrong": not told.
        wrong: Ids that should not have come back; empty if not told.
        results: Ids that came back, best first, as far as they were recorded; of a selection the
            tools it handed out.
        k: How many were asked for.
        scope: Whose turns were searched; None of a selection.
        mode: Which legs were searched; None of a selection.
        namespace: Where a selection looked; None for everywhere, and of a search.
        where: The filter in its JSON form.
        since: Only turns said then or later; likewise `until`.
        until: See `since`.
        exclude: Tools that were left out.
        called: Tools called in the last turn that called any.
        texts: Recent messages and recalled turns that a selection was given.
        store: The folder or address of the store.
        user_id: As the span named it; likewise `session_id`.
        session_id: See `user_id`.
        note: Why, in the words of who gave it.
        by: Who gave it.
        at: When (UTC).
    """

    span_id: str
    trace_id: str
    kind: Literal["search", "selection"]
    verdict: Literal["right", "wrong"]
    query: str
    relevant: tuple[str, ...]
    wrong: tuple[str, ...]
    results: tuple[str, ...]
    k: int | Literal["auto"]
    scope: Scope | AllScopes | None = None
    mode: Mode | None = None
    namespace: str | None = None
    where: Mapping[str, Any] | None = None
    since: datetime | None = None
    until: datetime | None = None
    exclude: tuple[str, ...] = ()
    called: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    store: str | None = None
    user_id: str | None = None
    session_id: str | None = None
    note: str | None = None
    by: str | None = None
    at: datetime


def read_labels(path: str | os.PathLike[str]) -> list[Label]:
    """Return the labels in force, in the order in which they were given.

    Args:
        path: The folder of traces, or the file of labels itself.

    Returns:
        The newest label of each span; none for spans whose label was taken back.

    Raises:
        StoreNotFound: There is no such folder or file.
        InvalidInput: A line of the file is no label; names it.
    """
    file = Path(location(path, what="path"))
    if not file.exists():
        raise StoreNotFound(
            f"there is no folder and no file of labels at {file}. Repair: name the folder that "
            "spans are recorded in; `agentmem traces label` gives the first label."
        )
    newest: dict[str, Label | None] = {}
    for span_id, label in label_lines(file / LABELS if file.is_dir() else file):
        newest.pop(span_id, None)  # its place is that of the newest
        newest[span_id] = label
    return [label for label in newest.values() if label is not None]


def label_lines(file: Path) -> Iterator[tuple[str, Label | None]]:
    """Give every line of a file of labels: the span, and its label or None where it was taken back.

    Raises:
        InvalidInput: A line is no label; names it.
    """
    for number, line in enumerate(_lines(file), 1):
        if line.strip():
            yield _parsed(line, where=f"line {number} of {file}")


def write_label(path: str | os.PathLike[str], label: Label) -> None:
    """Give a label, or another one in its place: safe for several processes, and on disk after.

    Args:
        path: The folder of traces.
        label: The label.

    Raises:
        StoreNotFound: There is no such folder.
        StoreError: It could not be written.
    """
    _append(Path(path), _adapter().dump_json(label))


def unlabel(path: str | os.PathLike[str], span_id: str, *, by: str | None = None) -> bool:
    """Take back the label of a span; returns whether there was one.

    Args:
        path: The folder of traces.
        span_id: Of the span.
        by: Who takes it back.

    Raises:
        StoreError: It could not be written.
    """
    if not any(label.span_id == span_id for label in read_labels(path)):
        return False
    gone = {"span_id": span_id, "verdict": None, "by": by, "at": _now().isoformat()}
    _append(Path(path), json.dumps(gone).encode())
    return True


def forget_labels(path: Path, span_ids: frozenset[str]) -> None:
    """Take every line of some spans out of the file; the folder's lock is held by the caller."""
    file = path / LABELS
    kept = [line for line in _lines(file) if line.strip() and _span_id(line) not in span_ids]
    unfinished = file.with_name(f".{LABELS}.tmp")
    unfinished.write_text("".join(f"{line}\n" for line in kept), encoding="utf-8")
    unfinished.replace(file)


def _append(folder: Path, line: bytes) -> None:
    """Add a line in one write, so that lines of several writers never mix."""
    file = folder / LABELS
    if not folder.is_dir():
        raise StoreNotFound(f"there is no folder {folder}, so nothing in it could be labelled.")
    try:
        with SpanFiles(folder).locked():  # an erasure may be rewriting the file
            opened = os.open(file, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
            try:
                os.write(opened, (b"\n" if _is_torn(opened) else b"") + line + b"\n")
                os.fsync(opened)
            finally:
                os.close(opened)
    except OSError as error:
        if isinstance(error, StoreError):
            raise
        raise StoreError(
            f"the label could not be written to {file}: {error.strerror}. Repair: check the "
            "rights on that folder and the space on its disk."
        ) from error


def _is_torn(opened: int) -> bool:
    """Whether the file ends within a line, because a disk was full or the power went."""
    end = os.lseek(opened, 0, os.SEEK_END)
    if end == 0:
        return False
    os.lseek(opened, end - 1, os.SEEK_SET)
    return os.read(opened, 1) != b"\n"


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="utf-8").split("\n")
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError) as error:
        raise StoreError(f"the labels in {file} cannot be read: {error}.") from error


def _parsed(line: str, *, where: str) -> tuple[str, Label | None]:
    """Return the span that a line speaks of, and its label; None where it was taken back."""
    from pydantic import ValidationError

    try:
        told = json.loads(line)
        if isinstance(told, dict) and told.get("verdict", "") is None:
            return str(told["span_id"]), None
        label = _adapter().validate_python(told)
    except (ValueError, LookupError, RecursionError, ValidationError) as error:
        raise InvalidInput(
            f"{where} is no label: {str(error).splitlines()[0]}. Repair: correct or delete it."
        ) from error
    return label.span_id, label


def _span_id(line: str) -> str | None:
    try:
        return str(json.loads(line)["span_id"])
    except (ValueError, LookupError, TypeError, RecursionError):
        return None


@cache
def _adapter() -> TypeAdapter[Label]:
    from pydantic import TypeAdapter

    return TypeAdapter(Label)


def _now() -> datetime:
    return datetime.now(timezone.utc)
