"""What speaks for a turn besides its match, each from its definition."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ranking_tools import DAY, MAY_2023, column

from agentmem.ranking.priors import (
    bounded_gain,
    date_bonus,
    length_prior,
    named_speakers,
    recency_gain,
)


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["where", "does", "ada", "live"], [True, False, False]),
        (["hopper"], [False, True, False]),
        (["grace", "ada"], [True, True, False]),
        (["j"], [False, False, False]),
        ([], [False, False, False]),
    ],
)
def test_a_speaker_is_named_by_any_word_longer_than_a_letter(
    words: list[str], named: list[bool]
) -> None:
    speakers = (("ada",), ("grace", "hopper"), ("j",))
    assert named_speakers(words, speakers).tolist() == named


def test_nobody_is_named_where_nobody_speaks() -> None:
    assert named_speakers(["ada"], ()).shape == (0,)


def test_longer_turns_count_for_more_by_the_logarithm() -> None:
    found = length_prior(column([0, 3, 15, 1000]), np.array([True, True, True, False]))
    logs = np.log1p([0, 3, 15])
    expected = (logs - logs.mean()) / logs.std()
    np.testing.assert_allclose(found, [*expected, 0], atol=1e-6)


def test_a_named_date_counts_fully_inside_and_less_by_the_day_outside() -> None:
    start, end = MAY_2023
    times = np.array([start, end - 1, start - 7 * DAY, end + 14 * DAY, 0], np.int64)
    bonus = date_bonus(times, [MAY_2023], days=7)
    np.testing.assert_allclose(bonus, [1, 1, math.exp(-1), math.exp(-2), 0], atol=1e-6)


def test_the_nearest_of_several_dates_counts() -> None:
    start = MAY_2023[0]
    other = (start - 100 * DAY, start - 99 * DAY)
    times = np.array([start - 99 * DAY - 1, start - 7 * DAY], np.int64)
    np.testing.assert_allclose(
        date_bonus(times, [other, MAY_2023], days=7), [1, math.exp(-1)], atol=1e-6
    )
    assert date_bonus(times, [], days=7).tolist() == [0, 0]


def test_recency_is_halved_every_half_life_and_the_future_is_now() -> None:
    now = MAY_2023[0]
    times = np.array([now, now - 30 * DAY, now - 60 * DAY, now + DAY], np.int64)
    assert recency_gain(times, now=now, half_life_days=30).tolist() == [1, 0.5, 0.25, 1]


@given(
    st.lists(st.tuples(st.floats(-100, 100, width=32), st.floats(0, 1, width=32)), max_size=20),
    st.floats(0, 1),
)
def test_a_gain_is_a_share_of_the_height_above_the_worst(
    drawn: list[tuple[float, float]], most: float
) -> None:
    scores, gains = column(s for s, _ in drawn), column(g for _, g in drawn)
    found = bounded_gain(scores, gains, most=most)
    height = scores - scores.min(initial=np.inf)
    np.testing.assert_allclose(found, height * most * gains, atol=1e-3)
    assert (found >= 0).all()
    assert (found <= height * (1 + 1e-6)).all()


def test_a_gain_that_was_not_given_is_none() -> None:
    found = bounded_gain(column([0, 5]), column([math.nan, math.nan]), most=1)
    assert found.tolist() == [0, 0]
