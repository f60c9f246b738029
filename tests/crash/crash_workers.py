"""The processes of the crash test: writers, readers, and the migration, there and back.

Run as a script: what it is, the folder of the run, the pair of spaces, and a number.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from statistics import median
from typing import Final

from crash_ledger import Change, Ledger, Told
from crash_spaces import spaces
from crash_store import FIXED, KEPT, WRITERS, first_turns, users_of
from crash_texts import fixed_texts, text

from agentmem import Memory, NotFound
from agentmem.migration.steps import Steps
from agentmem.protocols import Embedder
from agentmem.types import Mode, Recall

__all__ = ["STOP", "ledger_of", "main", "told_of"]

STOP: Final = "stop"
SESSIONS: Final = 9
REST: Final = 0.3  # seconds at most between two calls, which leaves the migrator its share
LINGER: Final = 0.4  # seconds; a seal stands for a tenth of one else
MODES: Final[tuple[Mode, ...]] = ("hybrid", "dense", "lexical")


@dataclass(slots=True)
class Job:
    """What a process has to do.

    Attributes:
        room: The folder of the run.
        number: Of the process among its kind.
        memory: The store.
        embedders: Of the space it began in, and of the other.
        rng: Chooses.
        parent: The process that started it.
    """

    room: Path
    number: int
    memory: Memory
    embedders: tuple[Embedder, Embedder]
    rng: Random = field(default_factory=Random)
    parent: int = field(default_factory=os.getppid)

    @property
    def goes_on(self) -> bool:
        """Whether nobody asked for an end, and whoever started it is there."""
        return os.getppid() == self.parent and not (self.room / STOP).exists()


def ledger_of(room: Path, writer: int) -> Path:
    """Return the file of a writer."""
    return room / f"writer{writer}.jsonl"


def told_of(room: Path, writer: int) -> Told:
    """Return what a store must hold of the users of one writer."""
    users = users_of(writer)
    first = {turn: told for turn, told in first_turns(room).items() if turn[0] in users}
    return Told(ledger_of(room, writer), before=first)


class Writer:
    """Adds, replaces and deletes turns of its own users, and reads them back."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._memory, self._rng = job.memory, job.rng
        self._told = told_of(job.room, job.number).read_on()
        self._ledger = Ledger(ledger_of(job.room, job.number), last=self._told.begun)
        self._made = 0

    def run(self) -> None:
        """Write until somebody asks for an end."""
        kinds = [self._add, self._add_nameless, self._replace, self._delete, self._delete_session]
        while self._job.goes_on:
            (kind,) = self._rng.choices(kinds, [30, 15, 35, 18, 2])
            kind(self._rng.choice(users_of(self._job.number)))
            self._told.read_on()
            self._look()
            time.sleep(self._rng.uniform(0, REST))

    def _text(self) -> str:
        self._made += 1
        return text(self._rng, tag=f"w{self._job.number}n{self._told.begun}m{self._made}")

    def _session(self) -> str:
        return f"s{self._rng.randrange(SESSIONS)}"

    def _known(self, user: str) -> list[str]:
        """Return ids of a user's turns that are there, or may be."""
        return [turn[1] for turn, of in self._told.allowed.items() if turn[0] == user and any(of)]

    def _add(self, user: str) -> None:
        count = self._rng.choice([1, 1, 2, 5])
        puts = {f"w{self._told.begun}m{n}": self._text() for n in range(count)}
        self._put(Change(user, self._session(), puts=puts))

    def _add_nameless(self, user: str) -> None:
        change = Change(user, self._session(), nameless=[self._text(), self._text()])
        with self._ledger.change(change) as ids:
            given = [{"role": "user", "content": one} for one in change.nameless]
            ids.extend(self._memory.add(given, user_id=user, session_id=change.session))

    def _replace(self, user: str) -> None:
        known = self._known(user)
        if known:
            turn_id = self._rng.choice(known)
            session = self._told.session[user, turn_id]
            self._put(Change(user, session, puts={turn_id: self._text()}))

    def _put(self, change: Change) -> None:
        given = [{"role": "user", "content": c, "id": n} for n, c in change.puts.items()]
        with self._ledger.change(change):
            self._memory.add(
                given, user_id=change.user, session_id=change.session, on_conflict="replace"
            )

    def _delete(self, user: str) -> None:
        known = self._known(user)
        if known:
            gone = self._rng.sample(known, min(len(known), self._rng.choice([1, 1, 3])))
            with self._ledger.change(Change(user, "", gone=gone)):
                self._memory.delete(gone, user_id=user)

    def _delete_session(self, user: str) -> None:
        change = Change(user, self._session(), everything=True)
        with self._ledger.change(change):
            self._memory.delete(user_id=user, session_id=change.session)

    def _look(self) -> None:
        """Read one's own turn: what was acknowledged is there at once."""
        user = self._rng.choice(users_of(self._job.number))
        turn = (user, self._rng.choice(self._known(user) or [""]))
        if turn in self._told.allowed:
            found = content_of(self._memory, turn)
            allowed = self._told.allowed[turn]
            assert found in allowed, f"wrote {allowed} as {turn}, and read {found!r}"


class Reader:
    """Searches, gets and counts, and refuses what cannot be."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._memory, self._rng = job.memory, job.rng
        self._kept = fixed_texts(KEPT)
        self._told = [told_of(job.room, writer) for writer in range(WRITERS)]
        self._passports = {one.passport.id for one in job.embedders}
        self._seen: dict[int, str] = {}
        self._order: list[int] = []
        self._milliseconds: list[float] = []
        self._reads = 0

    def run(self) -> None:
        """Read until somebody asks for an end, and say what was seen."""
        kinds = [self._search_kept, self._search_any, self._get_kept, self._count, self._follow]
        while self._job.goes_on:
            (kind,) = self._rng.choices(kinds, [40, 20, 10, 10, 20])
            kind()
            self._reads += 1
            time.sleep(self._rng.uniform(0, REST))
        told = {
            "reads": self._reads,
            "order": self._order,
            "milliseconds": median(self._milliseconds),
        }
        path = self._job.room / f"reader{self._job.number}.json"
        path.write_text(json.dumps(told), "utf-8")

    def _search(self, query: str, *, user: str, k: int) -> Recall:
        """Search, and check that the answer is of one space, in scope, and nothing twice."""
        began = time.perf_counter()
        found = self._memory.search(query, user_id=user, k=k, mode=self._rng.choice(MODES))
        self._milliseconds.append((time.perf_counter() - began) * 1e3)
        assert found.passport_id in self._passports
        known = self._seen.setdefault(found.generation, found.passport_id)
        assert known == found.passport_id, "one generation answered from two spaces"
        if self._order[-1:] != [found.generation]:
            self._order.append(found.generation)
        ids = [hit.turn.id for hit in found]
        assert {hit.turn.user_id for hit in found} <= {user}, "a turn of somebody else"
        assert len(set(ids)) == len(ids), "a turn twice in an answer"
        return found

    def _search_kept(self) -> None:
        place = self._rng.randrange(KEPT)
        found = self._search(self._kept[place], user=FIXED, k=3)
        there = {hit.turn.id: hit.turn.content for hit in found}
        assert there.get(f"k{place}") == self._kept[place], "a kept turn was not found"

    def _search_any(self) -> None:
        writer = self._rng.randrange(WRITERS)
        user = self._rng.choice([*users_of(writer), "person1"])
        self._search(text(self._rng, tag="asked")[:300], user=user, k=10)

    def _get_kept(self) -> None:
        place = self._rng.randrange(KEPT)
        found = self._memory.get(f"k{place}", user_id=FIXED)
        assert found.content == self._kept[place]

    def _count(self) -> None:
        assert self._memory.count(user_id=FIXED) == KEPT
        assert len(self._memory.turns(user_id=FIXED, limit=2 * KEPT)) == KEPT

    def _follow(self) -> None:
        """Read a turn that a writer was told is stored, unless it is written again meanwhile."""
        told = self._rng.choice(self._told).read_on()
        lately = list(told.touched)[-50:]
        if not lately:
            return
        turn = self._rng.choice(lately)
        allowed, last = set(told.allowed[turn]), told.touched[turn]
        found = content_of(self._memory, turn)
        told.read_on()
        if told.touched[turn] == last and told.allowed[turn] == allowed:
            assert found in allowed, f"{turn} was told to be {allowed}, and is {found!r}"


def content_of(memory: Memory, turn: tuple[str, str]) -> str | None:
    """Return what a turn says; None where there is none."""
    try:
        return memory.get(turn[1], user_id=turn[0]).content
    except NotFound:
        return None


def linger() -> None:
    """Make the moments right before and after a flip long enough for somebody to see them."""
    flip = Steps.flip

    def slowly(self: Steps) -> bool:
        time.sleep(LINGER)
        flipped = flip(self)
        time.sleep(LINGER)
        return flipped

    Steps.flip = slowly  # type: ignore[method-assign]


def forward(job: Job) -> None:
    """Migrate to the other space, or go on with that."""
    linger()
    under_way = job.memory.migration()
    if under_way is None or under_way.status().state != "done":
        job.memory.migrate(job.embedders[1], share=1.0, progress=False)


def back(job: Job) -> None:
    """Roll the migration back, or go on with that."""
    linger()
    under_way = job.memory.migration()
    assert under_way is not None
    status = under_way.status()
    if status.state == "done":
        under_way.rollback(progress=False)
    elif status.state != "rolled_back":
        ended = under_way.run(progress=False)
        assert ended.state == "rolled_back", ended


ROLES: Final[dict[str, Callable[[Job], None]]] = {
    "writer": lambda job: Writer(job).run(),
    "reader": lambda job: Reader(job).run(),
    "forward": forward,
    "back": back,
}


def main(role: str, room: str, space: str, number: str, seed: str) -> None:
    """Do what a process is for."""
    folder, embedders = Path(room), spaces(space)
    with Memory.open(
        folder / "store", embedder=embedders[0], standby=embedders[1:], create=False
    ) as memory:
        ROLES[role](Job(folder, int(number), memory, embedders, Random(seed)))


if __name__ == "__main__":
    main(*sys.argv[1:])
