"""Many tests: over windows in a row and over stores."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import false_discovery_control

from agentmem.statistics import WINDOW_LEVEL, adjusted, alarms, confirmed

P = st.floats(0, 1)


@given(st.lists(P, min_size=1, max_size=20))
def test_adjusting_is_benjamini_and_hochbergs(p_values: list[float]) -> None:
    assert adjusted(p_values) == pytest.approx(false_discovery_control(p_values))


@given(st.lists(st.one_of(P, st.just(float("nan"))), min_size=1, max_size=20))
def test_a_store_without_data_is_not_counted_and_stays_unknown(p_values: list[float]) -> None:
    known = ~np.isnan(p_values)
    found = adjusted(p_values)
    assert np.isnan(found[~known]).all()
    assert found[known].tolist() == adjusted(np.array(p_values)[known]).tolist()


@given(st.lists(P, min_size=2, max_size=20))
def test_the_order_of_stores_does_not_matter(p_values: list[float]) -> None:
    assert adjusted(p_values[::-1])[::-1] == pytest.approx(adjusted(p_values))


def test_of_no_stores_none_alarms() -> None:
    assert not len(alarms(np.zeros((0, 2))))


def test_one_odd_window_is_no_alarm() -> None:
    p_values = [[0.001, 0.4], [0.4, 0.001], [0.001, 0.002], [0.001, np.nan]]
    assert confirmed(p_values)[:3].tolist() == [0.4, 0.4, 0.002]
    assert alarms(p_values).tolist() == [False, False, True, False]


def test_a_single_store_alarms_where_both_windows_reach_the_level() -> None:
    assert alarms([[WINDOW_LEVEL, 0.001]]).tolist() == [True]
    assert alarms([[WINDOW_LEVEL + 0.001, 0.001]]).tolist() == [False]


def test_many_ordinary_stores_do_not_alarm_for_being_many() -> None:
    rng = np.random.default_rng(0)
    rounds = [alarms(rng.random((300, 2))).any() for _ in range(200)]
    alone = [(rng.random((300, 2)).max(axis=1) <= WINDOW_LEVEL).any() for _ in range(200)]
    assert np.mean(rounds) <= 0.05
    assert np.mean(alone) > 0.4


def test_a_store_that_changed_stands_out_among_many() -> None:
    p_values = np.random.default_rng(1).random((200, 2))
    p_values[7] = 0.0002
    assert np.flatnonzero(alarms(p_values)).tolist() == [7]
