"""Which sessions are compared with which."""

from __future__ import annotations

import numpy as np
from check_tools import at
from hypothesis import given
from hypothesis import strategies as st

from agentmem.monitoring.checks.stretches import Stretches, stretches
from agentmem.statistics import MIN_SESSIONS, REFERENCE_SESSIONS


def chosen(*, before: int, after: int, going_on: int = 0) -> Stretches:
    """Choose among one session an hour, the baseline being after the first of them."""
    count = before + after + going_on
    last = np.array([at(n).timestamp() * 1e6 for n in range(count)], np.int64)
    return stretches(last, baseline=at(before - 0.5), now=at(before + after))


@given(before=st.integers(0, 90), after=st.integers(0, 90), going_on=st.integers(0, 5))
def test_windows_come_one_after_another_and_leave_out_what_goes_on(
    before: int, after: int, going_on: int
) -> None:
    found = chosen(before=before, after=after, going_on=going_on)
    windows = found.windows
    assert (found.before, found.after) == (before, after)
    assert found.substitute == (before < MIN_SESSIONS)
    enough = before + after >= 3 * MIN_SESSIONS if found.substitute else after >= 2 * MIN_SESSIONS
    assert (windows is not None) == enough
    if windows is None:
        assert str(MIN_SESSIONS) in found.lacking
        return
    assert windows.reference.stop <= windows.previous.start
    assert windows.previous.stop == windows.latest.start
    assert windows.latest.stop == before + after
    assert len(windows.previous) == len(windows.latest) >= MIN_SESSIONS
    assert found.places == sorted(set(found.places))


@given(before=st.integers(MIN_SESSIONS, 90), after=st.integers(2 * MIN_SESSIONS, 90))
def test_a_baseline_is_its_newest_sessions_and_windows_are_all_after_it(
    before: int, after: int
) -> None:
    windows = chosen(before=before, after=after).windows
    assert windows is not None
    assert windows.reference == range(max(before - REFERENCE_SESSIONS, 0), before)
    assert windows.previous.start >= before
