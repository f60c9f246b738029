"""A store moves to another space and back while it is written and read, and processes are killed.

`make test-crash` runs it; `make test` leaves this folder out. It takes minutes: less with
AGENTMEM_CRASH_TURNS=1500, AGENTMEM_CRASH_KILLS=8 and AGENTMEM_CRASH_SPACE=hashed. A run is
repeated with AGENTMEM_CRASH_SEED.
"""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from random import Random, SystemRandom
from typing import Any

import pytest
from crash_room import Room, planned
from crash_spaces import SPACES, spaces
from crash_store import WRITERS, built
from crash_verdict import Verdict, verdict
from crash_workers import told_of

from agentmem import Memory

ROLLBACK_SHARE = 0.4  # of the kills, once more on the way back


def option(name: str, default: str) -> str:
    """Return what the environment says of a run."""
    return os.environ.get(f"AGENTMEM_CRASH_{name}", default)


@pytest.fixture
def run(request: pytest.FixtureRequest, tmp_path: Path) -> Run:
    return Run(request, tmp_path / "room")


class Run:
    """One run, from its options to its verdict."""

    def __init__(self, request: pytest.FixtureRequest, folder: Path) -> None:
        config = request.config
        self._reporter = config.pluginmanager.getplugin("terminalreporter")
        self.seed = int(option("SEED", str(SystemRandom().randrange(10_000))))
        self.kills = int(option("KILLS", "25"))
        self.space = option("SPACE", SPACES[0])
        self.turns = int(option("TURNS", "20000"))
        assert config.cache is not None
        cache = Path(config.cache.mkdir("crash"))
        self.began = built(cache, space=self.space, turns=self.turns)
        self.rng = Random(self.seed)
        self.tell(f"seed {self.seed}: {self.turns:,} turns, {self.kills} kills, {self.space}")
        self.room = Room.copied(self.began, folder, space=self.space, rng=self.rng, tell=self.tell)
        self.told = [told_of(folder, writer) for writer in range(WRITERS)]

    def tell(self, line: str) -> None:
        """Print something, also where output is captured."""
        if self._reporter is not None:
            self._reporter.ensure_newline()
            self._reporter.write_line(line)

    def verdict(self, generation: int) -> Verdict:
        """Say what is stored in the generation that is to be in force."""
        assert self.room.active == generation
        return verdict(
            self.room.folder / "store",
            began=self.began / "store",
            told=self.told,
            embedder=spaces(self.space)[generation - 1],
            rng=self.rng,
        )

    def summarise(self, what: str, *, seconds: float, found: Verdict) -> list[dict[str, Any]]:
        """Print what happened, and return what the readers saw."""
        readers: list[dict[str, Any]] = self.room.readers()
        killed = Counter(self.room.killed)
        self.room.killed = []
        reads = sum(one["reads"] for one in readers)
        told = [one.read_on() for one in self.told]
        self.tell(
            f"{what}: {seconds:.0f} s, {found.turns:,} turns, {found.sampled} vectors made anew\n"
            f"  killed {sum(killed.values())}: "
            f"{', '.join(f'{n} x {kind}' for kind, n in sorted(killed.items()))}\n"
            f"  {sum(one.acknowledged for one in told):,} writes acknowledged, "
            f"{sum(one.unknown for one in told)} in flight when killed; {reads:,} reads, median "
            f"search {min(one['milliseconds'] for one in readers):.0f} ms\n"
            f"  {found.defects or '0 lost, stale, back, altered, duplicate or wrong-space rows'}"
        )
        return readers


def test_a_migration_and_its_rollback_survive_kills_beside_writers_and_readers(run: Run) -> None:
    there = planned(run.kills, rng=run.rng)
    seconds = run.room.run("forward", there)
    assert len(run.room.killed) >= run.kills - 1
    found = run.verdict(2)
    readers = run.summarise("there", seconds=seconds, found=found)
    assert found.defects == {}
    assert [reader["order"] for reader in readers] == [[1, 2]] * len(readers)

    back = planned(round(run.kills * ROLLBACK_SHARE), rng=run.rng, is_back=True)
    seconds = run.room.run("back", back)
    found = run.verdict(1)
    readers = run.summarise("back", seconds=seconds, found=found)
    assert found.defects == {}
    assert [reader["order"] for reader in readers] == [[2, 1]] * len(readers)

    old, new = spaces(run.space)
    with Memory.open(run.room.folder / "store", embedder=old, standby=[new]) as memory:
        history = memory._migrations.history()
    assert [one.state for one in history] == ["done", "rolled_back"]
    assert all(gate.passed for one in history for gate in one.gates)
