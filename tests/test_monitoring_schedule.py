"""Watching in the background: one check at a time, and one a period, over all processes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from drift_tools import Changeable, Scripted, open_memory, scripted

from agentmem import InvalidInput, Memory, StoreError
from agentmem.monitoring import schedule
from agentmem.monitoring.schedule import LEASED, Lease, Watch
from agentmem.storage.turns import Store

NOW = datetime(2024, 5, 1, 12, tzinfo=timezone.utc)
HOUR = timedelta(hours=1)


def lease_of(folder: Path) -> Lease:
    store = Store.open(folder, passport=Changeable().passport)
    return Lease(store.watching.meta, name="memory")


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Memory]:
    with open_memory(tmp_path) as opened:
        yield opened


def eventually(holds: Callable[[], bool]) -> bool:
    """Whether something becomes true within a while."""
    deadline = time.monotonic() + 20
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.02)
    return holds()


def test_one_process_at_a_time_has_the_lease(tmp_path: Path) -> None:
    one, other = lease_of(tmp_path), lease_of(tmp_path)
    assert one.take(every=HOUR, now=NOW)
    assert not other.take(every=HOUR, now=NOW)
    assert not one.take(every=HOUR, now=NOW)


def test_the_next_check_is_due_a_period_after_the_last_of_anybody(tmp_path: Path) -> None:
    one, other = lease_of(tmp_path), lease_of(tmp_path)
    assert one.take(every=HOUR, now=NOW)
    one.give_back(now=NOW)
    assert not other.take(every=HOUR, now=NOW + HOUR / 2)
    assert other.take(every=HOUR, now=NOW + HOUR)
    assert not one.take(every=HOUR, now=NOW + HOUR)


def test_the_lease_of_a_dead_process_ends(tmp_path: Path) -> None:
    one, other = lease_of(tmp_path), lease_of(tmp_path)
    assert one.take(every=HOUR, now=NOW)
    assert not other.take(every=HOUR, now=NOW + LEASED / 2)
    assert other.take(every=HOUR, now=NOW + LEASED)


def test_a_watch_checks_at_once_and_again(memory: Memory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schedule, "SHORTEST", timedelta(0))
    check = Scripted()
    drift = scripted(memory.drift, check)
    watch = drift.watch(every=timedelta(seconds=0.1))
    assert eventually(lambda: len(check.given) >= 3)
    drift.stop()
    assert not watch.is_running
    made = len(check.given)
    time.sleep(0.4)
    assert len(check.given) == made


def test_a_watch_looks_for_what_it_is_told_to(memory: Memory) -> None:
    content, model = Scripted("content"), Scripted("model")
    scripted(memory.drift, content, model).watch(kinds="model")
    assert eventually(lambda: len(model.given) == 1)
    memory.drift.stop()
    assert content.given == []


def test_two_that_watch_make_one_check_a_period(memory: Memory, tmp_path: Path) -> None:
    one, other = Scripted(), Scripted()
    with open_memory(tmp_path) as second:
        scripted(memory.drift, one).watch(every=HOUR)
        assert eventually(lambda: len(memory.drift.history()) == 1)
        memory.drift.stop()  # so that the lease was given back
        scripted(second.drift, other).watch(every=HOUR)
        time.sleep(0.5)
    assert (len(one.given), len(other.given)) == (1, 0)


def test_closing_the_memory_stops_the_watch(tmp_path: Path) -> None:
    with open_memory(tmp_path) as memory:
        watch = scripted(memory.drift, Scripted()).watch()
    assert not watch.is_running
    assert not [one for one in threading.enumerate() if one.name == "agentmem-drift"]


def test_another_watch_takes_the_place_of_the_first(memory: Memory) -> None:
    drift = scripted(memory.drift, Scripted())
    first = drift.watch()
    second = drift.watch()
    assert not first.is_running
    assert second.is_running


def test_a_check_that_fails_is_logged_and_made_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schedule, "SHORTEST", timedelta(0))
    failures: list[Exception] = [StoreError("the disk is full"), RuntimeError("a bug")]
    calls = []

    def check() -> None:
        calls.append(1)
        if failures:
            raise failures.pop(0)

    lease = lease_of(tmp_path)
    with Watch(check, lease=lambda: lease, every=timedelta(seconds=0.05)):
        assert eventually(lambda: len(calls) >= 3)
    assert "the disk is full" in caplog.text
    assert "a bug" in caplog.text


@pytest.mark.parametrize("every", [timedelta(0), timedelta(hours=-1), 3600, None])
def test_a_period_that_cannot_be_kept_is_refused(memory: Memory, every: timedelta) -> None:
    with pytest.raises(InvalidInput, match="every="):
        memory.drift.watch(every=every)
    with pytest.raises(InvalidInput, match="no drift of kind"):
        memory.drift.watch(kinds="vibes")  # type: ignore[arg-type]
