"""A run of the crash test: processes that are started, killed, and started again.

Who is killed when is planned from a seed: at a share of the first pass, or some time after the
migration was seen to check, to catch up, or to make writers wait.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Final

from crash_store import WRITERS
from crash_workers import STOP

from agentmem.migration.records import Record, Records
from agentmem.storage.turns import Store

__all__ = ["Kill", "Room", "planned"]

READERS: Final = 2
LOOK: Final = 0.02  # seconds between two looks at the migration, which cost 5 ms each
LONGEST: Final = 2_400.0  # seconds of one migration
TO_END: Final = 120.0
WORKERS: Final = Path(__file__).with_name("crash_workers.py")
LATE: Final = ("sealed", "checking", "flipped", "catching_up", "sealed", "building")
MIGRATOR_SHARE: Final = 0.6  # of the kills
EARLY_SHARE: Final = 0.5  # of those, in the first pass
LONGEST_DELAY: Final = {  # seconds
    "building": 0.05,
    "catching_up": 0.3,
    "checking": 1.5,
    "sealed": 0.4,
    "flipped": 0.2,
}


@dataclass(frozen=True, slots=True)
class Kill:
    """One kill that is planned.

    Attributes:
        victim: "migrator", or a writer's name.
        state: That the migration is to be in; "sealed" while writers wait.
        share: Of the first pass that is to be through; only in "building".
        delay: Seconds after that was seen.
    """

    victim: str
    state: str
    share: float
    delay: float


def planned(count: int, *, rng: Random, is_back: bool = False) -> list[Kill]:
    """Return kills in the order in which they are due."""
    migrator = round(count * MIGRATOR_SHARE)
    states = ["building"] * round(migrator * (0 if is_back else EARLY_SHARE))
    states += [LATE[n % len(LATE)] for n in range(migrator - len(states))]
    victims = [("migrator", state) for state in states]
    victims += [
        (f"writer{rng.randrange(WRITERS)}", rng.choice(["building", "building", "sealed"]))
        for _ in range(count - migrator)
    ]
    kills = [
        Kill(victim, state, rng.random(), rng.uniform(0, LONGEST_DELAY[state]))
        for victim, state in victims
    ]
    rng.shuffle(kills)
    return sorted(kills, key=lambda kill: kill.share)


class Room:
    """The processes of one run.

    Args:
        folder: With `store` and `turns.json`; takes what processes write as well.
        space: Name of the pair of spaces.
        rng: Plans everything.
        tell: Told of each kill.
    """

    def __init__(
        self, folder: Path, *, space: str, rng: Random, tell: Callable[[str], None]
    ) -> None:
        self.folder = folder
        self._tell = tell
        self.killed: list[str] = []
        self._space = space
        self._rng = rng
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._role = ""
        self._began = 0.0
        store = Store.open(folder / "store", passport=None, read_only=True)
        self._generations = store.whole.generations
        self._records = Records(store.whole.meta)

    @classmethod
    def copied(
        cls, built: Path, folder: Path, *, space: str, rng: Random, tell: Callable[[str], None]
    ) -> Room:
        """Return a room with a copy of a store."""
        shutil.copytree(built, folder)
        return cls(folder, space=space, rng=rng, tell=tell)

    def run(self, role: str, kills: Sequence[Kill]) -> float:
        """Migrate there or back beside writers and readers, and kill as planned.

        Returns:
            How many seconds it took.
        """
        self._role = role
        (self.folder / STOP).unlink(missing_ok=True)
        names = [*(f"writer{n}" for n in range(WRITERS)), *(f"reader{n}" for n in range(READERS))]
        try:
            for name in names:
                self._start(name)
            self._began = time.monotonic()
            self._start("migrator")
            self._kill_as_planned(list(kills), until=self._began + LONGEST)
            took = time.monotonic() - self._began
            self._stop(names)
        finally:
            for process in self._running.values():
                process.kill()
                process.wait(TO_END)
            self._running = {}
        return took

    @property
    def active(self) -> int:
        """Number of the generation in force."""
        return self._generations.read().active

    def readers(self) -> list[dict[str, object]]:
        """Return what the readers said of the last run."""
        paths = [self.folder / f"reader{n}.json" for n in range(READERS)]
        return [json.loads(path.read_text("utf-8")) for path in paths]

    def _kill_as_planned(self, kills: list[Kill], *, until: float) -> None:
        while (code := self._running["migrator"].poll()) is None:
            assert time.monotonic() < until, f"not through: {self._records.current()}"
            self._check_running()
            kill = self._due(kills)
            if kill is not None:
                kills.remove(kill)
                time.sleep(kill.delay)
                self._kill(kill)
            else:
                time.sleep(LOOK)
        assert code == 0, self._said("migrator")
        for kill in kills:  # it was through before they were due
            name = f"writer{self._rng.randrange(WRITERS)}"
            self._kill(Kill(name, "after", kill.share, kill.delay))
            time.sleep(kill.delay)

    def _due(self, kills: Sequence[Kill]) -> Kill | None:
        """Return the first kill that is due now, while the migrator of now is at work."""
        record = self._records.current()
        if record is None or not self._is_run_by(record, "migrator"):
            return None
        status, told = record.status, self._generations.read()
        there: set[str] = {status.state}
        if told.seal is not None:
            there.add("sealed")
        elif told.active == status.target:
            there.add("flipped")
        passed = 1.0 if status.state != "building" else status.done / max(status.total, 1)
        for kill in kills:
            if kill.state in there - {"building"}:
                return kill
            if kill.state == "building" and passed >= kill.share:
                return kill
        return None

    def _is_run_by(self, record: Record, name: str) -> bool:
        return record.status.owner == f"{socket.gethostname()}:{self._running[name].pid}"

    def _kill(self, kill: Kill) -> None:
        process = self._running[kill.victim]
        if process.poll() is not None:
            return  # it was through meanwhile
        process.kill()
        process.wait(TO_END)
        self.killed.append(f"{kill.victim.rstrip('0123456789')} {kill.state}")
        self._tell(f"  {time.monotonic() - self._began:6.1f} s: killed {kill.victim} {kill.state}")
        self._start(kill.victim)

    def _start(self, name: str) -> None:
        role = self._role if name == "migrator" else name.rstrip("0123456789")
        arguments = [role, str(self.folder), self._space, name[-1] if name[-1].isdigit() else "0"]
        one_thread = {} if name == "migrator" else {"OMP_NUM_THREADS": "1"}
        with (self.folder / f"{name}.err").open("ab") as errors:
            self._running[name] = subprocess.Popen(
                [sys.executable, "-W", "error", str(WORKERS), *arguments, str(self._rng.random())],
                env={**os.environ, **one_thread},
                stderr=errors,
            )

    def _check_running(self) -> None:
        """Refuse that a writer or a reader ended by itself, which is an error."""
        for name, process in self._running.items():
            if name != "migrator":
                assert process.poll() is None, f"{name} ended:\n{self._said(name)}"

    def _stop(self, names: Sequence[str]) -> None:
        """Let writers and readers go on for a moment, then end."""
        time.sleep(1.0)
        self._check_running()
        (self.folder / STOP).touch()
        for name in names:
            assert self._running[name].wait(TO_END) == 0, f"{name}:\n{self._said(name)}"

    def _said(self, name: str) -> str:
        return (self.folder / f"{name}.err").read_text("utf-8")[-4_000:]
