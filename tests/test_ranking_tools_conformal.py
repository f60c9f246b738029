"""Thresholds of refusal: what they promise, by simulation, and their bounds, against scipy."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from agentmem.ranking.tools.conformal import (
    REFUSE_NOTHING,
    auroc,
    lower_bound,
    needed,
    refusal_bound,
    refusal_threshold,
    upper_bound,
)

LEVELS = st.integers(0, 8).map(lambda level: level / 8)  # few levels, so that many are tied
COLUMN = st.lists(LEVELS, min_size=1, max_size=40)
ALPHA = st.integers(1, 99).map(lambda percent: percent / 100)


@given(COLUMN, ALPHA)
def test_the_threshold_is_the_conformal_order_statistic(values: list[float], alpha: float) -> None:
    rank = math.floor(Fraction(round(alpha * 100), 100) * (len(values) + 1))
    expected = sorted(values)[rank - 1] if rank else REFUSE_NOTHING
    assert refusal_threshold(values, alpha=alpha) == expected


@given(COLUMN, ALPHA)
def test_no_more_than_the_nominal_share_lies_below_the_threshold(
    values: list[float], alpha: float
) -> None:
    threshold = refusal_threshold(values, alpha=alpha)
    assert sum(value < threshold for value in values) <= alpha * (len(values) + 1) + 1e-9


@given(ALPHA)
def test_fewer_queries_than_needed_refuse_nothing_and_as_many_refuse_something(
    alpha: float,
) -> None:
    fewest = needed(alpha)
    distinct = np.linspace(0.2, 0.9, fewest)
    assert refusal_threshold(distinct[1:], alpha=alpha) == REFUSE_NOTHING or fewest == 1
    assert refusal_threshold(distinct, alpha=alpha) > REFUSE_NOTHING


@pytest.mark.parametrize(("alpha", "fewest"), [(0.05, 19), (0.1, 9), (0.2, 4), (0.01, 99)])
def test_the_queries_that_are_needed(alpha: float, fewest: int) -> None:
    assert needed(alpha) == fewest


@pytest.mark.parametrize("size", [19, 40, 200])
@pytest.mark.parametrize("alpha", [0.05, 0.1, 0.3])
@pytest.mark.parametrize("digits", [1, 12])
def test_wrong_refusals_are_as_rare_as_promised_whatever_the_distribution(
    size: int, alpha: float, digits: int
) -> None:
    generator = np.random.default_rng(size)
    refused = [_refuses(generator, size=size, alpha=alpha, digits=digits) for _ in range(4_000)]
    slack = 3 * math.sqrt(alpha / 4_000)
    assert np.mean(refused) <= alpha + slack
    if digits > 1:  # without ties the promise is kept with nothing to spare
        assert np.mean(refused) >= math.floor(alpha * (size + 1)) / (size + 1) - slack


def _refuses(generator: np.random.Generator, *, size: int, alpha: float, digits: int) -> bool:
    drawn = np.round(generator.beta(0.5, 2, size + 1), digits)
    return bool(drawn[-1] < refusal_threshold(drawn[:-1], alpha=alpha))


def test_the_true_rate_exceeds_its_bound_as_rarely_as_promised() -> None:
    """Of uniform confidences the true rate of a threshold is the threshold itself."""
    generator = np.random.default_rng(5)
    bound = refusal_bound(60, alpha=0.1, delta=0.05)
    thresholds = [refusal_threshold(generator.random(60), alpha=0.1) for _ in range(4_000)]
    exceeded = float(np.mean(np.array(thresholds) > bound))
    assert exceeded == pytest.approx(0.05, abs=0.011)


def test_a_bound_narrows_with_more_queries_and_is_nothing_where_nothing_is_refused() -> None:
    bounds = [refusal_bound(size, alpha=0.05) for size in (19, 100, 1_000, 100_000)]
    assert bounds == sorted(bounds, reverse=True)
    assert 0.05 < bounds[-1] < 0.052
    assert refusal_bound(18, alpha=0.05) == 0


@given(st.integers(1, 200).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_the_bounds_are_those_of_clopper_and_pearson(counts: tuple[int, int]) -> None:
    wrong, count = counts
    interval = stats.binomtest(wrong, count).proportion_ci(0.9, method="exact")
    assert upper_bound(wrong, count) == pytest.approx(interval.high)
    assert lower_bound(wrong, count) == pytest.approx(interval.low)


@given(COLUMN, COLUMN)
def test_auroc_is_the_mann_whitney_statistic(positive: list[float], negative: list[float]) -> None:
    test = stats.mannwhitneyu(positive, negative)
    assert auroc(positive, negative) == pytest.approx(
        test.statistic / (len(positive) * len(negative))
    )


def test_auroc_of_a_perfect_a_reversed_and_a_silent_confidence() -> None:
    assert auroc([0.9, 0.8], [0.1]) == 1
    assert auroc([0.1, 0.2], [0.9]) == 0
    assert auroc([0.5, 0.5], [0.5]) == 0.5
