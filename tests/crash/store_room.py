"""A run of the store's crash test: workers that are killed at random moments, and started again."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, Final

import lancedb
from store_ledger import Entry, Ledger
from store_workers import EMBEDDER, SHARED, STOP, WORKERS, is_same, ledger_of, state_of, users_of

from agentmem import Memory

__all__ = ["Findings", "StoreRoom", "findings"]

SCRIPT: Final = Path(__file__).with_name("store_workers.py")
EARLY_SHARE: Final = 0.15  # of the kills hit a worker that is still opening the store
LONGEST: Final = 0.6  # seconds of work before a kill, at most
TO_BEGIN: Final = 120.0  # seconds until a worker writes
TO_END: Final = 180.0


class StoreRoom:
    """The workers of one run, on one store.

    Args:
        folder: Takes the store and what workers write.
        rng: Plans everything.
        tell: Told how it goes.
    """

    def __init__(self, folder: Path, *, rng: Random, tell: Callable[[str], None]) -> None:
        self.folder = folder
        self.killed: Counter[str] = Counter()
        self._rng = rng
        self._tell = tell
        self._running: dict[int, subprocess.Popen[bytes]] = {}
        folder.mkdir(parents=True, exist_ok=True)

    def run(self, kills: int) -> None:
        """Kill so many workers, each in the middle of something, then let all of them end."""
        try:
            for number in range(WORKERS):
                self._start(number)
            for done in range(1, kills + 1):
                self._kill_one()
                if done % 50 == 0:
                    self._tell(f"  {done} killed")
            (self.folder / STOP).touch()
            for number, process in self._running.items():
                assert process.wait(TO_END) == 0, self._said(number)
        finally:
            for process in self._running.values():
                process.kill()
                process.wait(TO_END)

    def _start(self, number: int) -> None:
        arguments = [str(self.folder), str(number), str(self._rng.random())]
        with (self.folder / f"worker{number}.err").open("ab") as errors:
            self._running[number] = subprocess.Popen(
                [sys.executable, "-W", "error", str(SCRIPT), *arguments],
                env={**os.environ, "OMP_NUM_THREADS": "1"},
                stderr=errors,
            )

    def _kill_one(self) -> None:
        number = self._rng.randrange(WORKERS)
        if self._rng.random() > EARLY_SHARE:
            self._wait_for_work(number)
        time.sleep(self._rng.uniform(0, LONGEST))
        for other, process in self._running.items():
            assert process.poll() is None, f"worker {other} ended:\n{self._said(other)}"
        self._running[number].kill()
        self._running[number].wait(TO_END)
        cut = Ledger(ledger_of(self.folder, number)).read().open
        self.killed["between writes" if cut is None else cut.kind] += 1
        self._start(number)

    def _wait_for_work(self, number: int) -> None:
        """Wait until a worker wrote something since it was started."""
        path, until = ledger_of(self.folder, number), time.monotonic() + TO_BEGIN
        before = path.stat().st_size if path.exists() else 0
        while not path.exists() or path.stat().st_size == before:
            assert self._running[number].poll() is None, self._said(number)
            assert time.monotonic() < until, f"worker {number} does not begin"
            time.sleep(0.01)

    def _said(self, number: int) -> str:
        return (self.folder / f"worker{number}.err").read_text("utf-8")[-6_000:]


@dataclass
class Findings:
    """What a store holds after a run.

    Attributes:
        turns: How many there are.
        acknowledged: Writes that returned.
        cut: Writes that were begun and did not return.
        defects: Of each kind, some examples.
    """

    turns: int = 0
    acknowledged: int = 0
    cut: int = 0
    defects: dict[str, list[Any]] = field(default_factory=dict)

    def add(self, kind: str, example: object) -> None:
        """Note a defect."""
        self.defects.setdefault(kind, []).append(example)


def findings(folder: Path) -> Findings:
    """Compare what is stored with what every worker was told."""
    found = Findings()
    ledgers = [Ledger(ledger_of(folder, number)).read() for number in range(WORKERS)]
    with Memory.open(folder / "store", embedder=EMBEDDER, create=False, read_only=True) as memory:
        for number, ledger in enumerate(ledgers):
            found.acknowledged += ledger.acknowledged
            found.cut += ledger.begun - ledger.acknowledged
            for user in users_of(number):
                wanted, there = ledger.states.get(user, []), state_of(memory, user)
                found.turns += len(there)
                if not is_same(there, wanted):
                    found.add("lost, phantom or out of order", (user, wanted, there))
        _look_at_shared(found, memory, [one for ledger in ledgers for one in ledger.entries])
    _look_at_rows(found, folder / "store")
    return found


def _look_at_shared(found: Findings, memory: Memory, entries: list[Entry]) -> None:
    """Look at the turns that all of them wrote to: nothing half done, whoever won."""
    there = {one.id: one for one in memory.turns(user_id=SHARED, limit=1_000_000)}
    shared = [one for one in entries if one.user == SHARED]
    told = {one.puts[0][0]: one for one in shared if one.puts}
    gone = {turn_id for one in shared if one.kind == "delete" for turn_id in one.ids}
    found.turns += len(there)
    for turn_id, turn in there.items():
        entry = told.get(turn_id)
        if entry is None or turn.content != entry.puts[0][1]:
            found.add("phantom", turn_id)
        elif entry.kind == "supersede":
            (old,) = entry.ids
            if old not in gone and there[old].superseded_by != turn_id:
                found.add("a correction that ended nothing", (turn_id, there[old]))
        by = turn.superseded_by
        if by is not None and by not in there and by not in gone:
            found.add("ended by nothing", (turn_id, by))


def _look_at_rows(found: Findings, store: Path) -> None:
    """Look for keys that are there twice, and turns that are not whole."""
    columns = ["chunk_key", "key", "chunk", "chunks", "rev", "content_hash"]
    table = lancedb.connect(store).open_table("turns_g1")
    rows: list[dict[str, Any]] = table.search().select(columns).to_arrow().to_pylist()
    for key, count in Counter(row["chunk_key"] for row in rows).items():
        if count > 1:
            found.add("duplicate", key)
    by_key: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        by_key.setdefault(row["key"], []).append(row)
    for key, of in by_key.items():
        writes = {(row["rev"], row["content_hash"], row["chunks"]) for row in of}
        if len(writes) > 1 or sorted(row["chunk"] for row in of) != list(range(of[0]["chunks"])):
            found.add("not whole", (key, sorted(writes)))
