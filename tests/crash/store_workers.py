"""The workers of the store's crash test: each writes to users of its own and to one of everybody's.

Run as a script, so that a worker can be killed and started again.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any, Final

from store_ledger import Entry, Ledger, Said, State, applied, batches_of

from agentmem import InvalidInput, Memory, NotFound
from agentmem.testing import HashEmbedder

__all__ = ["EMBEDDER", "SHARED", "STOP", "WORKERS", "ledger_of", "main", "state_of", "users_of"]

WORKERS: Final = 4
SESSIONS: Final = 3
STOP: Final = "stop"
SHARED: Final = "shared"
EMBEDDER: Final = HashEmbedder(32, window=16)
SHARES: Final = {  # of the kinds of writes
    "add": 30,
    "replace": 12,
    "delete": 12,
    "delete_session": 1,
    "supersede": 15,
    "update": 10,
    "import": 5,
    "compact": 3,
    "maintain": 2,
    "forget": 3,
    "shared": 12,
}
IMPORTED: Final = 40
BATCH: Final = 8
LOOK: Final = 8  # writes between two looks at everything that was written


def users_of(worker: int) -> tuple[str, str]:
    """Return the users that one worker alone writes to; their ids begin alike."""
    return f"u{worker}", f"u{worker}0"


def ledger_of(room: Path, worker: int) -> Path:
    """Return the file of a worker."""
    return room / f"worker{worker}.jsonl"


def state_of(memory: Memory, user: str) -> State:
    """Return what is stored of a user."""
    return [
        Said(one.id, one.content, one.session_id or "", one.superseded_by, one.pinned)
        for one in memory.turns(user_id=user, limit=1_000_000)
    ]


def is_same(found: State, wanted: State) -> bool:
    """Return whether a user's turns are as they must be, in that order."""
    return len(found) == len(wanted) and all(
        one.fits(other) for one, other in zip(wanted, found, strict=True)
    )


class Worker:
    """Writes, and looks at what it wrote."""

    def __init__(self, room: Path, number: int, *, rng: Random) -> None:
        self._room, self._number, self._rng = room, number, rng
        self._parent = os.getppid()
        self._memory = Memory.open(room / "store", embedder=EMBEDDER)
        self._ledger = Ledger(ledger_of(room, number)).read()
        self._kinds = [kind for kind in SHARES if self._can(kind)]

    def _can(self, kind: str) -> bool:
        return kind not in ("maintain", "forget") or hasattr(self._memory, kind)

    def run(self) -> None:
        """Settle what was cut short, then write until somebody asks for an end."""
        self._settle()
        self._look()
        weights = [SHARES[kind] for kind in self._kinds]
        done = 0
        while os.getppid() == self._parent and not (self._room / STOP).exists():
            (kind,) = self._rng.choices(self._kinds, weights)
            user = self._rng.choice(users_of(self._number))
            if kind == "shared":
                self._write_shared()
            else:
                self._write(kind, user)
            done += 1
            if done % LOOK == 0:
                self._look()
        self._look()
        self._memory.close()

    def _settle(self) -> None:
        """Find out what became of the write that was cut short: all of it, or nothing."""
        cut = self._ledger.open
        if cut is None or cut.user == SHARED:
            return
        found, before = state_of(self._memory, cut.user), self._ledger.states.get(cut.user, [])
        allowed = [before, *(applied(before, one) for one in batches_of(cut))]
        assert any(is_same(found, one) for one in allowed), (
            f"{cut.kind} was cut short and is half done: {cut}\nbefore {before}\nfound  {found}"
        )
        self._ledger.settle(cut.user, found)
        if cut.kind == "import":
            self._do(cut)  # it goes on where it was

    def _look(self) -> None:
        """Compare everything that was acknowledged with what is stored."""
        for user in users_of(self._number):
            wanted, found = self._ledger.states.get(user, []), state_of(self._memory, user)
            assert is_same(found, wanted), f"{user}\nwanted {wanted}\nfound  {found}"
        if wanted:
            said = self._rng.choice([one for one in wanted if one.by is None] or wanted)
            k = len(wanted)
            hits = self._memory.search(said.content, user_id=user, k=k)
            known = {hit.turn.id for hit in hits}
            assert len(known) == len(hits) == sum(one.by is None for one in wanted)

    def _text(self) -> str:
        tag = f"w{self._number}n{self._ledger.begun}r{self._rng.randrange(10**9)}"
        return f"{tag} " + " ".join(
            f"word{self._rng.randrange(99)}" for _ in range(self._rng.choice([4, 9, 60]))
        )

    def _id(self) -> str:
        return f"i{self._number}-{self._ledger.begun}-{self._rng.randrange(10**9)}"

    def _write(self, kind: str, user: str) -> None:
        state = self._ledger.states.get(user, [])
        known = [str(one.id) for one in state]
        current = [str(one.id) for one in state if one.by is None]
        session = f"s{self._rng.randrange(SESSIONS)}"
        if kind == "add":
            count = self._rng.choice([1, 1, 2, 5])
            named = self._rng.random() < 0.5
            puts = [(self._id() if named else None, self._text()) for _ in range(count)]
            self._do(Entry(kind, user, session, puts))
        elif kind == "import":
            puts = [(self._id(), self._text()) for _ in range(IMPORTED)]
            self._do(Entry(kind, user, session, puts, size=BATCH))
        elif kind in ("compact", "maintain", "delete_session"):
            self._do(Entry(kind, user, session))
        elif kind == "supersede" and current:
            old = self._rng.choice(current)
            of = next(one.session for one in state if one.id == old)
            self._do(Entry(kind, user, of, [(self._id(), self._text())], [old]))
        elif kind == "replace" and known:
            old = self._rng.choice(known)
            of = next(one.session for one in state if one.id == old)
            self._do(Entry(kind, user, of, [(old, self._text())]))
        elif known:
            ids = self._rng.sample(known, min(len(known), self._rng.choice([1, 1, 3])))
            self._do(Entry(kind, user, ids=ids, pinned=self._rng.random() < 0.5))

    def _do(self, entry: Entry) -> None:
        self._ledger.begin(entry)
        made = self._made(entry)
        self._ledger.end(made)

    def _made(self, entry: Entry) -> Sequence[str]:
        memory, user = self._memory, entry.user
        if entry.kind in ("add", "replace"):
            return memory.add(
                messages_of(entry),
                user_id=user,
                session_id=entry.session,
                on_conflict="replace" if entry.kind == "replace" else "error",
            )
        if entry.kind == "delete":
            memory.delete(list(entry.ids), user_id=user)
        elif entry.kind == "delete_session":
            memory.delete(user_id=user, session_id=entry.session)
        elif entry.kind == "supersede":
            (new,) = messages_of(entry)
            memory.supersede(entry.ids[0], new, user_id=user)
        elif entry.kind == "update":
            memory.update(list(entry.ids), user_id=user, pinned=entry.pinned)
        elif entry.kind == "import":
            self._import(entry)
        elif entry.kind == "compact":
            memory._home.parts.store.compact()
        else:
            self._maintain_or_forget(entry)
        return ()

    def _maintain_or_forget(self, entry: Entry) -> None:
        """Call what not every memory can do; see `_can`."""
        memory: Any = self._memory
        if entry.kind == "maintain":
            memory.maintain()
        else:
            memory.forget(list(entry.ids), user_id=entry.user, reason="a test", progress=False)

    def _import(self, entry: Entry) -> None:
        """Import a file that is there once it is whole; called again, it goes on."""
        path = self._room / f"import{self._number}.jsonl"
        part = path.with_suffix(".part")
        part.write_text("".join(json.dumps(one) + "\n" for one in messages_of(entry)), "utf-8")
        part.replace(path)
        report = self._memory.import_turns(
            path,
            user_id=entry.user,
            session_id=entry.session,
            batch_size=entry.size,
            progress=False,
        )
        assert report.rejected == 0

    def _write_shared(self) -> None:
        """Write to turns that the others write to as well, at the same moment."""
        kind = self._rng.choice(["add", "add", "supersede", "delete"])
        there = self._memory.turns(user_id=SHARED, limit=10_000)
        current = [one.id for one in there if one.superseded_by is None]
        if kind == "add" or not current:
            turn_id = f"both{self._rng.randrange(200)}"
            self._do_shared(Entry("add", SHARED, "s", [(turn_id, f"what {turn_id} says")]))
        elif kind == "supersede":
            old = self._rng.choice(current[:3])  # so that they meet
            new = f"fix{self._number}x{self._ledger.begun}x{self._rng.randrange(10**6)}"
            self._do_shared(Entry(kind, SHARED, "s", [(new, f"corrects {old} by {new}")], [old]))
        else:
            self._do_shared(Entry(kind, SHARED, ids=[self._rng.choice(there).id]))

    def _do_shared(self, entry: Entry) -> None:
        """Write what another may have made impossible meanwhile."""
        self._ledger.begin(entry)
        try:
            self._made(entry)
        except (InvalidInput, NotFound) as error:
            self._ledger.end([f"refused: {error}"] * len(entry.puts))
        else:
            self._ledger.end([str(one[0]) for one in entry.puts])


def messages_of(entry: Entry) -> list[dict[str, Any]]:
    """Return the messages of a write."""
    return [
        {"role": "user", "content": content} | ({"id": turn_id} if turn_id else {})
        for turn_id, content in entry.puts
    ]


def main(room: str, number: str, seed: str) -> None:
    """Be one worker."""
    Worker(Path(room), int(number), rng=Random(seed)).run()


if __name__ == "__main__":
    main(*sys.argv[1:])
