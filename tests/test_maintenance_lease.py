"""The lease: one holder, taken over from the dead and the silent, lost aloud."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from storage_tools import open_store, start_python

from agentmem.errors import ConcurrentWrite
from agentmem.migration.records import Owner as OfMigrations
from agentmem.storage.lease import MAINTENANCE, Lease, Seen, look
from agentmem.storage.meta import Meta
from agentmem.storage.owners import Owner
from agentmem.storage.turns import Store

HOLDER = """
import sys, time
from storage_tools import open_store
from agentmem.storage.lease import Lease
meta = open_store(sys.argv[1]).whole.meta
with Lease(meta, beat=0.05):
    print("held", flush=True)
    time.sleep(60)
"""
RACER = """
import sys
from storage_tools import open_store
from agentmem.storage.lease import Lease
meta = open_store(sys.argv[1]).whole.meta
sys.stdin.readline()
won = Lease(meta).take()
print("won" if won else "lost", flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    found = open_store(tmp_path / "store")
    yield found
    found.close()


@pytest.fixture
def meta(store: Store) -> Meta:
    return store.whole.meta


def test_one_holds_it_and_the_next_has_it_when_it_is_given_back(meta: Meta) -> None:
    first, second = Lease(meta), Lease(meta)
    assert first.take()
    assert not second.take()
    seen = look(meta)
    assert seen is not None
    assert seen.owner is not None
    assert seen.owner.pid == os.getpid()
    first.give_back()
    assert second.take()


def test_it_beats_while_it_is_held(meta: Meta) -> None:
    with Lease(meta, beat=0.02):
        before = look(meta)
        time.sleep(0.2)
        after = look(meta)
    assert before is not None
    assert after is not None
    assert after.beat > before.beat
    assert after.owner == before.owner
    free = look(meta)
    assert free is not None
    assert free.owner is None


def test_a_holder_whose_counter_goes_on_is_left_alone(meta: Meta) -> None:
    with Lease(meta, beat=0.05):
        other = Lease(meta, silence=0.3)
        assert not other.take(wait=1.0)


def test_a_silent_holder_loses_it_and_learns_of_it_at_its_next_beat(meta: Meta) -> None:
    silent = Lease(meta)
    assert silent.take()  # and no beat follows
    other = Lease(meta, silence=0.2)
    assert other.take(wait=5.0)
    with pytest.raises(ConcurrentWrite, match="took it over"):
        silent.renew()
    with pytest.raises(ConcurrentWrite, match="took it over"):
        silent.renew()
    silent.give_back()  # changes nothing: it is somebody else's
    other.renew()


def test_work_under_a_lease_that_was_lost_stops(meta: Meta) -> None:
    def work() -> None:
        with Lease(meta, beat=0.02) as lease:
            stolen = look(meta)
            assert stolen is not None
            meta.put(f"lease:{MAINTENANCE}", Seen(Owner.me(), stolen.beat + 7).to_json())
            for _ in range(200):
                time.sleep(0.01)
                lease.renew()

    with pytest.raises(ConcurrentWrite, match="Repair"):
        work()


def test_of_many_threads_one_takes_it(meta: Meta) -> None:
    leases = [Lease(meta) for _ in range(8)]
    won: list[bool] = []
    threads = [threading.Thread(target=lambda one=one: won.append(one.take())) for one in leases]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(won) == [False] * 7 + [True]


@pytest.mark.slow
def test_of_several_processes_one_takes_it(tmp_path: Path, store: Store) -> None:
    assert store.version > 0
    racers = [start_python(RACER, tmp_path / "store") for _ in range(3)]
    try:
        for racer in racers:
            assert racer.stdin is not None
            racer.stdin.write("go\n")
            racer.stdin.flush()
        said = [racer.stdout.readline().strip() for racer in racers if racer.stdout is not None]
    finally:
        for racer in racers:
            racer.communicate("over\n", timeout=60)
    assert sorted(said) == ["lost", "lost", "won"]


def test_the_lease_of_a_killed_process_is_free_at_once(tmp_path: Path, meta: Meta) -> None:
    holder = start_python(HOLDER, tmp_path / "store")
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline().strip() == "held"
        assert not Lease(meta).take()
        holder.send_signal(signal.SIGKILL)
        holder.wait(30)
        began = time.monotonic()
        assert Lease(meta).take(wait=5.0)
        assert time.monotonic() - began < 2.0
    finally:
        holder.kill()
        holder.communicate(timeout=30)


def test_an_owner_is_gone_when_its_process_is_or_another_one_has_its_number() -> None:
    me = Owner.me()
    assert not me.is_gone
    assert replace(me, pid=2**22 + 1).is_gone
    if me.started is not None:
        assert replace(me, started=me.started - 1).is_gone


def test_of_another_machine_boot_or_room_nothing_is_said() -> None:
    me = replace(Owner.me(), pid=2**22 + 1)
    assert not replace(me, host="elsewhere").is_gone
    assert not replace(me, boot="another boot").is_gone


def test_an_owner_of_an_earlier_agentmem_is_read() -> None:
    me = Owner.me()
    told = {"host": me.host, "pid": me.pid, "token": "t", "of a newer one": 1}
    read = OfMigrations.from_json(told)
    assert (read.started, read.boot) == (None, None)
    assert not read.is_gone
    assert OfMigrations.from_json(me.to_json()) == me
