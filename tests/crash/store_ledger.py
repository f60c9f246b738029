"""What a worker of the store's crash test was told, and what a store must therefore hold.

A file says before each write what it is, and after it returned that it did. Who writes alone to a
user knows its state exactly: of a write that was cut short, the state before or the one after.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

__all__ = ["Entry", "Ledger", "Said", "State", "applied", "batches_of"]


@dataclass(frozen=True, slots=True)
class Said:
    """One turn as it must be stored.

    Attributes:
        id: None where the store made it and nobody was told.
        content: Unique.
        session: Whose.
        by: Id of its correction.
        pinned: Likewise.
    """

    id: str | None
    content: str
    session: str
    by: str | None = None
    pinned: bool = False

    def fits(self, other: Said) -> bool:
        """Return whether this is another one, as far as its id is known."""
        return replace(self, id=None) == replace(other, id=None) and self.id in (None, other.id)


State = list[Said]
"""The turns of one user, in the order in which they were said."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One write.

    Attributes:
        kind: add, replace, delete, delete_session, supersede, update, import, forget, or one
            that changes no state.
        user: Whose turns.
        session: Of what is added.
        puts: Ids (None where the store makes them) and contents.
        ids: Of turns that are deleted, forgotten, corrected, changed.
        pinned: What an update sets.
        size: Of the batches of an import.
    """

    kind: str
    user: str
    session: str = ""
    puts: Sequence[tuple[str | None, str]] = ()
    ids: Sequence[str] = ()
    pinned: bool = False
    size: int = 0


def applied(state: State, entry: Entry, *, made: Sequence[str] = ()) -> State:
    """Return what a write makes of the turns of its user.

    Args:
        state: The turns before.
        entry: The write.
        made: The ids that it returned, in order of `puts`.
    """
    ids: Sequence[str | None] = made or [one[0] for one in entry.puts]
    fresh = [
        Said(turn_id, one[1], entry.session) for turn_id, one in zip(ids, entry.puts, strict=True)
    ]
    if entry.kind in ("add", "import"):
        there = {one.id for one in state}
        return state + [one for one in fresh if one.id is None or one.id not in there]
    if entry.kind == "supersede":
        return [replace(one, by=ids[0]) if one.id in entry.ids else one for one in state] + fresh
    changed = [_changed(one, entry) for one in state]
    return [one for one in changed if one is not None]


def _changed(one: Said, entry: Entry) -> Said | None:
    """Return what a write makes of a turn that is there; None where it takes it away."""
    instead = dict(entry.puts)
    if entry.kind == "replace" and one.id in instead:
        return replace(one, content=instead[one.id])
    if entry.kind == "update" and one.id in entry.ids:
        return replace(one, pinned=entry.pinned)
    gone = entry.kind in ("delete", "forget") and one.id in entry.ids
    gone |= entry.kind == "delete_session" and one.session == entry.session
    return None if gone else one


def batches_of(entry: Entry) -> list[Entry]:
    """Return a write in the parts that are commits of their own, each with those before it."""
    if entry.kind != "import":
        return [entry]
    ends = range(entry.size, len(entry.puts) + entry.size, entry.size)
    return [replace(entry, puts=entry.puts[:end]) for end in ends]


@dataclass
class Ledger:
    """The file of one worker, and the states that follow from it.

    Attributes:
        path: Of the file.
        states: By user.
        open: The write that was cut short, if any.
        begun: Writes that were begun.
        acknowledged: Writes that returned.
    """

    path: Path
    states: dict[str, State] = field(default_factory=dict)
    open: Entry | None = None
    begun: int = 0
    acknowledged: int = 0
    entries: list[Entry] = field(default_factory=list)

    def read(self) -> Ledger:
        """Read the file; a line that was cut short was never begun."""
        if self.path.exists():
            whole = self.path.read_bytes().rpartition(b"\n")[0]
            for line in whole.splitlines():
                self._take(json.loads(line))
        return self

    def _take(self, line: Mapping[str, Any]) -> None:
        if "begin" in line:
            told = line["begin"]
            self.open = Entry(**{**told, "puts": [(one[0], one[1]) for one in told["puts"]]})
            self.entries.append(self.open)
            self.begun += 1
        elif "state" in line:
            user = line["user"]
            self.states[user] = [Said(**one) for one in line["state"]]
            self.open = None
        elif self.open is not None:
            self._finish(line["made"])

    def _finish(self, made: Sequence[str]) -> None:
        if self.open is not None:
            user = self.open.user
            self.states[user] = applied(self.states.get(user, []), self.open, made=made)
            self.acknowledged += 1
            self.open = None

    def begin(self, entry: Entry) -> None:
        """Say what is about to be done."""
        told = {name: getattr(entry, name) for name in Entry.__slots__}
        self._write({"begin": told})
        self.open = entry
        self.begun += 1

    def end(self, made: Sequence[str] = ()) -> None:
        """Say that it returned, and with which ids."""
        self._write({"made": list(made)})
        self._finish(made)

    def settle(self, user: str, state: State) -> None:
        """Say what became of the write that was cut short."""
        told = [{name: getattr(one, name) for name in Said.__slots__} for one in state]
        self._write({"user": user, "state": told})
        self.states[user] = state
        self.open = None

    def _write(self, line: Mapping[str, Any]) -> None:
        with self.path.open("ab") as file:
            torn = file.tell() > 0 and self.path.read_bytes()[-1:] != b"\n"
            file.write(b"\n" * torn + json.dumps(line).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
