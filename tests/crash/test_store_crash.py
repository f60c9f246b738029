"""Four processes write to one store and are killed at random: what was acknowledged is there.

`make test-crash` runs it; `make test` leaves this folder out. 300 kills take minutes: fewer with
AGENTMEM_CRASH_KILLS. A run is repeated with AGENTMEM_CRASH_SEED.
"""

from __future__ import annotations

import os
from pathlib import Path
from random import Random, SystemRandom

import pytest
from store_ledger import Entry, Said, applied, batches_of
from store_room import StoreRoom, findings

KILLS = int(os.environ.get("AGENTMEM_CRASH_KILLS", "300"))
SEED = int(os.environ.get("AGENTMEM_CRASH_SEED", str(SystemRandom().randrange(10_000))))


def test_what_was_acknowledged_survives_kills(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    reporter = request.config.pluginmanager.getplugin("terminalreporter")

    def tell(line: str) -> None:
        reporter.ensure_newline()
        reporter.write_line(line)

    tell(f"seed {SEED}: {KILLS} kills")
    room = StoreRoom(tmp_path / "room", rng=Random(SEED), tell=tell)
    room.run(KILLS)
    found = findings(room.folder)
    tell(
        f"killed in {dict(room.killed)}\n{found.acknowledged:,} writes acknowledged, {found.cut} "
        f"cut short; {found.turns:,} turns\n{found.defects or '0 defects'}"
    )
    assert found.defects == {}
    assert sum(room.killed.values()) == KILLS
    assert found.acknowledged > KILLS


def test_the_ledger_tells_a_half_done_write_from_a_whole_one() -> None:
    before = [Said("1", "one", "s"), Said("2", "two", "s")]
    correction = Entry("supersede", "u", "s", [("3", "three")], ["1"])
    after = applied(before, correction)
    assert after == [Said("1", "one", "s", by="3"), Said("2", "two", "s"), Said("3", "three", "s")]
    assert [*before, Said("3", "three", "s")] not in (before, after)
    entry = Entry("import", "u", "s", [(str(n), f"text {n}") for n in range(5, 10)], size=2)
    assert [len(applied(before, one)) for one in batches_of(entry)] == [4, 6, 7]
