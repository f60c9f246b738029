"""An import: records in batches, bad ones set aside, resumed where the last run was killed.

Records without an id get one derived from the file, their line and their session, so importing a
file again stores nothing twice. Records without a date were said when the dated one before them
in their session was; before the first dated one of their batch, when that was; else when they are
stored.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeAlias

from agentmem.checks import check_scope, shown, utc
from agentmem.errors import InvalidInput
from agentmem.messages.shapes import fields_of
from agentmem.transfer.progress import (
    Checkpoint,
    Checkpoints,
    Rejects,
    SessionDate,
    digest_of,
    progress_bar,
)
from agentmem.transfer.reading import Record, Source, file_of, read_records, total_of
from agentmem.transfer.records import VECTORS, derived_id
from agentmem.types import ImportReport, Scope
from agentmem.types.guards import LeftOut

__all__ = ["WriteBatch", "Written", "import_records"]


class Written(NamedTuple):
    """How many messages of a batch were new and known, and by place which were left out."""

    stored: int
    unchanged: int
    left_out: Mapping[int, LeftOut] = {}


WriteBatch: TypeAlias = Callable[[list[dict[str, Any]]], Written]
"""Stores messages: all that are let in, or (raising InvalidInput) none."""

BATCH: Final = 512  # turns in one commit: few commits, and little to repeat after a kill
BATCH_BYTES: Final = 32 * 2**20  # of lines in one batch, however few they are
SESSIONS: Final = 1_000  # whose last date is remembered: interleaved ones, not the whole file

_Session: TypeAlias = tuple[str | None, str | None, str | None]


def import_records(
    source: Source,
    *,
    write: WriteBatch,
    scope: Scope = Scope(),  # noqa: B008 (frozen)
    batch_size: int = BATCH,
    progress: bool = True,
    rejects: str | os.PathLike[str] | None = None,
    resume: bool = True,
    checkpoints: Path | None = None,
    on_conflict: str = "error",
) -> ImportReport:
    """Import every usable record of a source.

    Args:
        source: A file, `-` for standard input, or an iterable of messages.
        write: Stores one batch, all of it or (raising `InvalidInput`) nothing.
        scope: Ids of the call, which also tell this import's checkpoint from others'.
        batch_size: Messages in one call of `write`.
        progress: Whether to draw a bar when standard error is a terminal.
        rejects: Where bad records go; for a file by default `<name>.rejects.jsonl` beside it.
            Those of an iterable are logged unless this is given; a file given must be new.
        resume: Whether to start where a killed import of the same file stopped.
        checkpoints: The folder for checkpoints of files; without one, nothing is resumed.
        on_conflict: How `write` treats taken ids; another way has a checkpoint of its own.

    Returns:
        What this run did; the counts leave out what an earlier run did.

    Raises:
        InvalidInput: The source as a whole cannot be read, or an argument cannot be used.
        StoreError: A batch, the rejects or the checkpoint could not be written. What was
            imported before stays; the same call resumes.
    """
    _check_size(batch_size)
    path = file_of(source)
    digest = None if path is None else digest_of(path)
    kept = None
    if checkpoints is not None and digest is not None:
        kept = Checkpoints(checkpoints, source=digest, scope=scope, on_conflict=on_conflict)
    found = Checkpoint() if kept is None else kept.load()
    start = found if resume else Checkpoint()
    aside = _rejects(path, rejects, own=found.rejects, start=start)
    dates = _Dates(check_scope(scope), known=start.dates)
    run = _Import(write, start, rejects=aside, dates=dates, digest=digest, checkpoints=kept)
    with closing(aside), progress_bar(total_of(source), shown=progress, doing="importing") as tell:
        run.begin()
        for record in read_records(source, after=start.position):
            run.take(record)
            if run.is_full(batch_size):
                run.flush()
                tell(record.done, run.stored + run.unchanged)
        run.flush()
    if kept is not None:
        kept.clear()
    return ImportReport(
        stored=run.stored,
        unchanged=run.unchanged,
        rejected=aside.count - run.refused,
        resumed_at=start.position,
        rejects_path=aside.written,
        left_out=run.left_out,
    )


def _check_size(batch_size: object) -> None:
    if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
        raise InvalidInput(f"batch_size={shown(batch_size)}: pass a whole number, 1 or more.")


def _rejects(
    path: Path | None,
    given: str | os.PathLike[str] | None,
    *,
    own: str | None,
    start: Checkpoint,
) -> Rejects:
    """Return the rejects of a run, which go on with those that its start knows of."""
    if given is None:
        aside = None if path is None else path.with_name(f"{path.name}.rejects.jsonl")
    else:
        aside = _new_file(Path(given), source=path, own=own)
    known = aside is not None and str(aside.resolve()) == start.rejects
    return Rejects(aside, size=start.rejects_bytes if known else 0)


def _new_file(given: Path, *, source: Path | None, own: str | None) -> Path:
    """Return a path for rejects where nothing is lost by writing them."""
    place = given.resolve()
    if source is not None and place == source.resolve():
        raise InvalidInput(f"rejects={str(given)!r} is the file to import. Choose another path.")
    if place.is_file() and str(place) != own:
        raise InvalidInput(
            f"rejects={str(given)!r} exists already, and would be overwritten. Choose another "
            "path, or remove it."
        )
    return given


class _Import:
    """The batch being gathered, and the counts so far."""

    def __init__(
        self,
        write: WriteBatch,
        start: Checkpoint,
        *,
        rejects: Rejects,
        dates: _Dates,
        digest: str | None,
        checkpoints: Checkpoints | None,
    ) -> None:
        self.stored = 0
        self.unchanged = 0
        self.left_out = 0
        self.refused = 0
        self._write = write
        self._rejects = rejects
        self._dates = dates
        self._digest = digest
        self._checkpoints = checkpoints
        self._position = start.position
        self._batch: list[tuple[Record, dict[str, Any]]] = []
        self._bytes = 0

    def take(self, record: Record) -> None:
        """Add a record to the batch, or set it aside."""
        self._position = record.position
        if record.error is not None:
            self._rejects.add(record, error=record.error)
            return
        try:
            self._batch.append((record, self._message(record)))
        except InvalidInput as error:
            self._rejects.add(record, error=str(error))
        self._bytes += len(record.raw or b"")

    def _message(self, record: Record) -> dict[str, Any]:
        value = record.value
        if isinstance(value, Mapping):
            value = {key: one for key, one in value.items() if key != VECTORS}
        fields = fields_of(value, where="the record")
        if self._digest is not None and fields.get("id") is None:
            scope = Scope(*self._dates.session(fields))
            fields["id"] = derived_id(self._digest, position=record.position, scope=scope)
        return fields

    def begin(self) -> None:
        """Remember that the import is under way, and which file of rejects is its own."""
        if self._checkpoints is not None:
            self._checkpoints.begin(self._checkpoint())

    def _checkpoint(self) -> Checkpoint:
        path = self._rejects.path
        own = None if path is None else str(path.resolve())
        return Checkpoint(self._position, self._rejects.size, self._dates.remembered(), own)

    def is_full(self, size: int) -> bool:
        """Return whether the batch should be written now."""
        return len(self._batch) >= size or self._bytes >= BATCH_BYTES

    def flush(self) -> None:
        """Write the batch, and remember that it is written."""
        self._dates.fill([message for _, message in self._batch])
        self._store(self._batch)
        self._batch, self._bytes = [], 0
        if self._checkpoints is not None:
            self._checkpoints.save(self._checkpoint())

    def _store(self, batch: list[tuple[Record, dict[str, Any]]]) -> None:
        """Write a batch; halve one that is refused until the bad records stand alone."""
        if not batch:
            return
        try:
            written = self._write([message for _, message in batch])
        except InvalidInput as error:
            if len(batch) == 1:
                self._rejects.add(batch[0][0], error=str(error))
                return
            middle = len(batch) // 2
            self._store(batch[:middle])
            self._store(batch[middle:])
        else:
            self.stored += written.stored
            self.unchanged += written.unchanged
            self._leave_out([(batch[n][0], one) for n, one in written.left_out.items()])

    def _leave_out(self, records: Sequence[tuple[Record, LeftOut]]) -> None:
        """Count what was left out; set aside what was refused, without what must not be kept."""
        self.left_out += len(records)
        for record, one in records:
            if one.reason == "refused":
                self.refused += 1
                self._rejects.add(record, error=one.detail, with_text=False)


class _Dates:
    """Dates for records without one, inherited within their session across batches."""

    def __init__(self, scope: Scope, *, known: Sequence[SessionDate]) -> None:
        self._scope = scope
        self._last: OrderedDict[_Session, datetime] = OrderedDict(
            ((user, agent, session), utc(at, what="checkpoint"))
            for user, agent, session, at in known
        )

    def remembered(self) -> list[SessionDate]:
        """Return the last dates, as a checkpoint keeps them."""
        return [(*session, at.isoformat()) for session, at in self._last.items()]

    def fill(self, messages: list[dict[str, Any]]) -> None:
        """Set `created_at` where a message has none and its session is dated."""
        leading: dict[_Session, list[dict[str, Any]]] = {}
        for message in messages:
            session = self.session(message)
            own = self._own(message)
            if own is not None:
                self._remember(session, own)
                for earlier in leading.pop(session, ()):
                    earlier["created_at"] = own
            elif "created_at" not in message:
                if session in self._last:
                    message["created_at"] = self._last[session]
                else:
                    leading.setdefault(session, []).append(message)

    def session(self, message: Mapping[str, Any]) -> _Session:
        """Return the user, agent and session that a message is stored with."""
        user, agent, session = (
            getattr(self._scope, field) or _text(message.get(field))
            for field in ("user_id", "agent_id", "session_id")
        )
        return user, agent, session

    def _own(self, message: Mapping[str, Any]) -> datetime | None:
        """Return the message's own date, unless it is one that will be refused."""
        try:
            own = utc(message.get("created_at"), what="created_at")
        except InvalidInput:
            return None
        return own if own <= datetime.now(timezone.utc) else None

    def _remember(self, session: _Session, moment: datetime) -> None:
        self._last[session] = moment
        self._last.move_to_end(session)
        if len(self._last) > SESSIONS:
            self._last.popitem(last=False)


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
