"""What a writer was told to be done: a file that says before each write what it is, and after.

A write that is in the file without its end was in flight when its writer was killed: whether it
was made is not known, and both are right. The file is on disk before the write begins, and after
it returned.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["Change", "Ledger", "Told", "Whole"]

Whole = tuple[str, str]
"""A user, and the id of a turn."""


@dataclass(slots=True)
class Change:
    """One write of one user's session.

    Attributes:
        user: Whose.
        session: Likewise.
        puts: Contents by id.
        gone: Ids that are deleted.
        nameless: Contents whose ids the store makes.
        everything: Whether the session is deleted, whatever is in it.
    """

    user: str
    session: str
    puts: dict[str, str] = field(default_factory=dict)
    gone: list[str] = field(default_factory=list)
    nameless: list[str] = field(default_factory=list)
    everything: bool = False


class Told:
    """What a store must hold of the users of one writer, as far as its file has been read.

    Attributes:
        allowed: The contents that a turn may have; None among them where it may be gone.
        session: Of each turn.
        maybe: Contents that may be stored under an id nobody was told, with user and session.
        touched: Number of the last write of each turn.
        acknowledged: Writes that returned.
        begun: All writes.
    """

    def __init__(self, path: Path, *, before: Mapping[Whole, tuple[str, str]]) -> None:
        """Begin with the turns that were there: session and content by user and id."""
        self._path = path
        self._offset = 0
        self._open: dict[int, Change] = {}
        self.allowed: dict[Whole, set[str | None]] = {
            turn: {content} for turn, (_, content) in before.items()
        }
        self.session = {turn: session for turn, (session, _) in before.items()}
        self.maybe: dict[str, tuple[str, str]] = {}
        self.touched: dict[Whole, int] = {}
        self.acknowledged = 0
        self.begun = 0

    def read_on(self) -> Told:
        """Read what was written to the file since."""
        if self._path.exists():
            with self._path.open("rb") as file:
                file.seek(self._offset)
                lines = file.read().rpartition(b"\n")[0]
            self._offset += len(lines) + bool(lines)
            for line in lines.splitlines():
                self._take(json.loads(line))
        return self

    def _take(self, entry: Mapping[str, Any]) -> None:
        number = entry["n"]
        if "change" in entry:
            self._begin(number, Change(**entry["change"]))
        else:
            self._end(number, self._open.pop(number), entry["ids"])

    def _begin(self, number: int, change: Change) -> None:
        self.begun = number
        self._open[number] = change
        for turn, content in _outcome(change, self.session):
            if content is not None:
                self.session[turn] = change.session
            self.allowed.setdefault(turn, {None}).add(content)
            self.touched[turn] = number
        for content in change.nameless:
            self.maybe[content] = (change.user, change.session)

    def _end(self, number: int, change: Change, ids: list[str]) -> None:
        self.acknowledged += 1
        for turn, content in _outcome(change, self.session):
            self.allowed[turn] = {content}
            self.touched[turn] = number
        for turn_id, content in zip(ids, change.nameless, strict=False):
            del self.maybe[content]
            self.allowed[change.user, turn_id] = {content}
            self.session[change.user, turn_id] = change.session
        if change.everything:
            place = (change.user, change.session)
            self.maybe = {text: where for text, where in self.maybe.items() if where != place}

    @property
    def unknown(self) -> int:
        """Writes that were in flight when their writer was killed."""
        return len(self._open)


def _outcome(change: Change, session: Mapping[Whole, str]) -> Iterator[tuple[Whole, str | None]]:
    """Give what a write makes of each turn it is about."""
    for turn_id, content in change.puts.items():
        yield (change.user, turn_id), content
    for turn_id in change.gone:
        yield (change.user, turn_id), None
    if change.everything:
        for turn, of in list(session.items()):
            if turn[0] == change.user and of == change.session:
                yield turn, None


class Ledger:
    """The file of one writer, to be written to."""

    def __init__(self, path: Path, *, last: int) -> None:
        self._file = path.open("ab")
        self._last = last

    @contextmanager
    def change(self, change: Change) -> Iterator[list[str]]:
        """Say what is about to be done, and once it returned, that it was.

        Gives a list for the ids that the store made.
        """
        self._last += 1
        self._write({"n": self._last, "change": asdict(change)})
        ids: list[str] = []
        yield ids
        self._write({"n": self._last, "ids": ids})

    def _write(self, entry: Mapping[str, Any]) -> None:
        self._file.write(json.dumps(entry).encode() + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())
