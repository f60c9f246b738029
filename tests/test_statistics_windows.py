"""Which sessions are compared with which."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentmem.errors import InvalidInput
from agentmem.statistics import MIN_SESSIONS, latest_windows


@given(st.integers(0, 300), st.integers(0, 100))
def test_windows_are_long_enough_in_order_and_share_no_session(count: int, since: int) -> None:
    found = latest_windows(count, since=since)
    if found is None:
        assert count - since < 3 * MIN_SESSIONS
        return
    assert min(map(len, (found.reference, found.previous, found.latest))) >= MIN_SESSIONS
    assert found.reference.start == since
    assert found.reference.stop <= found.previous.start
    assert found.previous.stop == found.latest.start
    assert found.latest.stop == count
    assert len(found.previous) == len(found.latest)


def test_with_many_sessions_the_reference_is_the_oldest_and_the_windows_the_newest() -> None:
    found = latest_windows(500)
    assert found is not None
    assert (found.reference, found.previous, found.latest) == (
        range(40),
        range(460, 480),
        range(480, 500),
    )


@pytest.mark.parametrize(
    ("count", "sizes"), [(80, (40, 20)), (60, (30, 15)), (32, (16, 8)), (24, (8, 8))]
)
def test_with_few_sessions_all_become_smaller(count: int, sizes: tuple[int, int]) -> None:
    found = latest_windows(count)
    assert found is not None
    assert (len(found.reference), len(found.latest)) == sizes
    assert len(found.reference) + 2 * len(found.latest) == count


def test_too_few_sessions_make_no_windows() -> None:
    assert latest_windows(23) is None
    assert latest_windows(100, since=77) is None
    assert latest_windows(0) is None


def test_a_larger_reference_may_be_asked_for() -> None:
    found = latest_windows(500, since=100, reference=200, current=50)
    assert found is not None
    assert (found.reference, found.latest) == (range(100, 300), range(450, 500))


@pytest.mark.parametrize("given_", [{"reference": 7}, {"current": 7}, {"since": -1}])
def test_windows_that_say_nothing_are_refused(given_: dict[str, int]) -> None:
    with pytest.raises(InvalidInput, match="Repair"):
        latest_windows(100, **given_)
