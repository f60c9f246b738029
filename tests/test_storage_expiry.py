"""Which versions have to be kept, and how seldom LanceDB is asked when they were made."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path

import lancedb
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lancedb.table import Table

from agentmem.storage import expiry
from agentmem.storage.expiry import Expiry

START = datetime(2026, 1, 1, tzinfo=timezone.utc)
WEEK = timedelta(days=7)
HOUR = timedelta(hours=1)


class Asked:
    """The versions of a table, and how often they were asked for."""

    def __init__(self, made: list[datetime]) -> None:
        self.made = made
        self.times = 0

    def moments(self, _: Table) -> list[datetime]:
        self.times += 1
        return sorted(self.made)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    """Give versions at hours that a test can choose."""
    versions = Asked([START])
    monkeypatch.setattr(expiry, "_moments", versions.moments)
    return versions


@pytest.fixture
def table(tmp_path: Path) -> Table:
    """Return a table with three versions."""
    made = lancedb.connect(str(tmp_path)).create_table("t", pa.table({"n": [1]}))
    made.add(pa.table({"n": [2]}))
    made.add(pa.table({"n": [3]}))
    return made


def test_a_lancedb_table_tells_when_its_versions_were_made(table: Table) -> None:
    now = datetime.now(timezone.utc)
    first, *_, last = expiry._moments(table)
    assert now - timedelta(minutes=1) < first < last <= now
    assert Expiry().since(table, window=WEEK, now=now) == first
    assert Expiry().since(table, window=timedelta(0), now=now) == last


@given(
    st.lists(st.integers(0, 1_000), min_size=1, unique=True), st.integers(1, 500), st.integers(0, 9)
)
def test_what_was_the_newest_version_at_any_moment_of_the_window_is_kept(
    hours: list[int], window: int, later: int
) -> None:
    made = sorted(START + hour * HOUR for hour in hours)
    now = made[-1] + later * HOUR
    since = expiry._found(made, window=window * HOUR, now=now).since
    before = [at for at in made if at <= now - window * HOUR]
    assert since == (before[-1] if before else made[0])


@given(st.lists(st.integers(0, 900), min_size=1, max_size=30, unique=True), st.integers(2, 300))
def test_what_is_remembered_never_lets_go_of_what_has_to_be_kept(
    hours: list[int], window: int
) -> None:
    """An hour passes at a time, versions come, and what is told lags by the slack at most."""
    versions = Asked([])
    remembered, kept_for = Expiry(), window * HOUR
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(expiry, "_moments", versions.moments)
        for hour in range(min(hours), 1_000, 7):
            now = START + hour * HOUR
            versions.made = [START + one * HOUR for one in sorted(hours) if one <= hour]
            told = remembered.since(table=None, window=kept_for, now=now)  # type: ignore[arg-type]
            exact = expiry._found(versions.made, window=kept_for, now=now).since
            lagging = now - kept_for * (1 + expiry.SLACK) - timedelta(hours=7)
            assert told <= exact
            assert told == exact or exact > lagging


def test_lancedb_is_not_asked_again_before_the_next_version_can_be_due(
    asked: Asked, table: Table
) -> None:
    remembered = Expiry()
    asked.made = [START + hour * HOUR for hour in range(100)]
    now = asked.made[-1]
    for minute in range(100):
        at = now + minute * timedelta(minutes=1)
        assert remembered.since(table, window=WEEK, now=at) == START
    assert asked.times == 1
    assert remembered.since(table, window=WEEK, now=START + WEEK + HOUR) == START + HOUR
    assert asked.times == 2


def test_a_steady_store_is_asked_a_hundred_times_a_window(asked: Asked, table: Table) -> None:
    remembered, minute = Expiry(), timedelta(minutes=1)
    asked.made = [START + one * minute for one in range(3 * 24 * 60)]
    day = timedelta(days=1)
    for one in range(24 * 60):
        remembered.since(table, window=day, now=START + 2 * day + one * minute)
    assert 90 <= asked.times <= 101


def test_another_window_is_looked_up_at_once(asked: Asked, table: Table) -> None:
    remembered, now = Expiry(), START + 2 * WEEK
    asked.made = [START, START + WEEK + HOUR]
    assert remembered.since(table, window=WEEK, now=now) == START
    assert remembered.since(table, window=WEEK / 2, now=now) == START + WEEK + HOUR
    assert asked.times == 2
