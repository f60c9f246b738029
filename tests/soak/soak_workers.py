"""What runs in the processes of the soak: `python soak_workers.py ROLE FOLDER NUMBER`.

Each goes on until the file `stop` is there, and writes what it saw, a line of JSON a second.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any, Final

from agentmem import Memory
from agentmem.maintenance import Maintainer
from agentmem.storage import handle
from agentmem.telemetry import Tracing
from agentmem.testing import HashEmbedder

__all__ = ["KEPT", "USERS", "open_soaked"]

DIMENSION: Final = 384
USERS: Final = 4  # one a writer
KEPT: Final = 400  # turns of a user: what is older is deleted, so that the load stays the same
REST: Final = 0.05  # seconds between two writes
PAUSE: Final = 5.0  # seconds between two maintenances
FILLER: Final = [f"bare text number {n} of the measure" for n in range(2_000)]
WORDS: Final = ("lisbon", "turin", "coffee", "bicycle", "rain", "train", "novel", "garden", "piano")


def open_soaked(folder: Path) -> Memory:
    """Open the store of a soak."""
    return Memory.open(folder / "store", embedder=HashEmbedder(DIMENSION))


def resident_bytes() -> int:
    """Return how much memory this process holds."""
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


class Notes:
    """What a worker saw, a line a second."""

    def __init__(self, folder: Path, name: str) -> None:
        self._path = folder / f"{name}.jsonl"
        self._stop = folder / "stop"
        self._next = 0.0
        self._told: dict[str, list[float]] = {}
        self._errors: list[str] = []
        self._done = 0

    @property
    def is_over(self) -> bool:
        """Whether it is time to end."""
        return self._stop.exists()

    def attempt(self, work: Callable[[], object]) -> None:
        """Do something, and count it, or what it raised."""
        try:
            work()
            self._done += 1
        except Exception as error:  # noqa: BLE001 - every error is a finding
            self._errors.append(f"{type(error).__name__}: {error}"[:500])

    def took(self, what: str, seconds: float) -> None:
        """Note how long something took."""
        self._told.setdefault(what, []).append(seconds)

    def tell(self) -> None:
        """Write a line, if it is time."""
        now = time.time()
        if now < self._next:
            return
        line = {"at": now, "rss": resident_bytes(), "done": self._done, "errors": self._errors}
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({**line, **self._told}) + "\n")
        self._next, self._told, self._errors, self._done = now + 1.0, {}, [], 0


def write(memory: Memory, notes: Notes, *, number: int) -> None:
    """Add, correct, delete and forget turns of one user, whose number stays the same."""
    rng, user, turn = Random(number), f"user{number}", 0
    known: list[str] = []
    while not notes.is_over:
        said = [_said(rng, f"{user}-{turn + n}") for n in range(rng.randint(1, 4))]
        turn += len(said)
        session = f"s{turn // 40}"
        notes.attempt(lambda: known.extend(memory.add(said, user_id=user, session_id=session)))  # noqa: B023 - called at once
        if rng.random() < 0.1 and known:
            old = known[-1]
            new = _said(rng, f"{user}-{turn}-new")
            notes.attempt(lambda: known.append(memory.supersede(old, new, user_id=user)))  # noqa: B023
        if len(known) > KEPT:
            gone = [known.pop(0) for _ in range(len(known) - KEPT)]
            _remove(memory, notes, gone, user=user, forgets=rng.random() < 0.02)
        notes.tell()
        time.sleep(REST)


def _said(rng: Random, turn_id: str) -> dict[str, Any]:
    words = " ".join(rng.choices(WORDS, k=12))
    return {"role": "user", "content": f"{turn_id} {words}", "id": turn_id}


def _remove(memory: Memory, notes: Notes, gone: list[str], *, user: str, forgets: bool) -> None:
    forget = getattr(memory, "forget", None)
    if forgets and forget is not None:
        notes.attempt(lambda: forget(gone, user_id=user, reason="soak"))
    else:
        notes.attempt(lambda: memory.delete(gone, user_id=user))


def read(memory: Memory, notes: Notes, *, number: int) -> None:
    """Search, beside a bare encoding that tells how busy the machine is."""
    rng, bare = Random(number), HashEmbedder(DIMENSION)
    while not notes.is_over:
        user, query = f"user{rng.randrange(USERS)}", " ".join(rng.choices(WORDS, k=4))
        began = time.perf_counter()
        notes.attempt(lambda: memory.search(query, user_id=user, k=5))  # noqa: B023 - called at once
        middle = time.perf_counter()
        bare.embed(FILLER, kind="document")
        notes.took("search", middle - began)
        notes.took("bare", time.perf_counter() - middle)
        notes.tell()
        time.sleep(REST)


def maintain(memory: Memory, notes: Notes, *, number: int) -> None:
    """Look after the store, with an interval that a soak can wait for."""
    del number
    handle.MARGIN = timedelta(seconds=10)  # type: ignore[misc]  # ten minutes are for real stores
    store = memory._home.parts.store
    maintainer = Maintainer(store, tracing=Tracing.silent(), safe_age=timedelta(seconds=120))
    while not notes.is_over:
        report = maintainer.run()
        failed = [f"{one.name} {one.target}: {one.error}" for one in report.errors]
        notes.attempt(lambda: _check(failed))  # noqa: B023 - called at once
        notes.took("maintained", report.seconds)
        notes.took("disk", float(report.bytes_after or 0))
        notes.tell()
        time.sleep(PAUSE)


def _check(failed: list[str]) -> None:
    if failed:
        raise RuntimeError("; ".join(failed))


ROLES: Final = {"writer": write, "reader": read, "maintainer": maintain}

if __name__ == "__main__":
    role, place, which = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    with open_soaked(place) as opened:
        ROLES[role](opened, Notes(place, f"{role}{which}"), number=which)
