"""Numbers of sessions: rank tests, effect sizes, and the plane to look at."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import mannwhitneyu, permutation_test, rankdata

from agentmem.statistics import Shift, project, shift
from agentmem.statistics.ranks import mid_ranks, superiority

Numbers = NDArray[np.float64] | NDArray[np.int64]
LISTS = st.lists(st.integers(0, 5), min_size=1, max_size=20)


def shifted(before: Numbers, after: Numbers, *, rows: int = 1, many: int = 999) -> Shift:
    """Compare sessions of so many equal rows."""
    return shift(
        np.repeat(before, rows),
        np.repeat(after, rows),
        reference_sessions=np.repeat(np.arange(len(before)), rows),
        current_sessions=np.repeat(np.arange(len(after)), rows),
        rng=np.random.default_rng(0),
        permutations=many,
    )


@given(LISTS)
def test_ranks_are_those_of_scipy(values: list[int]) -> None:
    assert mid_ranks(np.array(values, float)).tolist() == rankdata(values).tolist()


@given(LISTS, LISTS)
def test_superiority_is_mann_and_whitneys_share_of_pairs(one: list[int], other: list[int]) -> None:
    found = superiority(np.array(one, float), np.array(other, float))
    expected = mannwhitneyu(one, other, method="asymptotic").statistic / (len(one) * len(other))
    assert found == pytest.approx(expected)


def test_the_p_value_is_that_of_scipys_permutation_test() -> None:
    rng = np.random.default_rng(1)
    before, after = rng.standard_normal(15), rng.standard_normal(10) + 0.8
    ranks = rankdata(np.concatenate([before, after]))
    expected = permutation_test(
        (ranks[:15], ranks[15:]),
        lambda one, other, axis: abs(other.mean(axis=axis) - one.mean(axis=axis)),
        vectorized=True,
        alternative="greater",
        n_resamples=9_999,
        rng=rng,
    )
    found = shifted(before, after, many=9_999)
    assert found.p_value == pytest.approx(expected.pvalue, abs=0.01)


def test_longer_turns_are_noticed_and_told() -> None:
    rng = np.random.default_rng(2)
    found = shifted(rng.poisson(20, 40), rng.poisson(35, 20))
    assert found.verdict == "shifted"
    assert found.delta > 0.8
    assert found.reference == pytest.approx(20, abs=3)
    assert found.current == pytest.approx(35, abs=4)


def test_shorter_ones_are_noticed_as_well() -> None:
    rng = np.random.default_rng(3)
    found = shifted(rng.poisson(35, 40), rng.poisson(20, 20))
    assert (found.verdict, found.p_value) == ("shifted", 0.001)
    assert found.delta < -0.8


def test_a_rate_that_rises_is_noticed() -> None:
    rng = np.random.default_rng(4)
    before, after = (rng.random((count, 10)) < rate for count, rate in ((40, 0.05), (20, 0.3)))
    found = shift(
        before.ravel(),
        after.ravel(),
        reference_sessions=np.repeat(np.arange(40), 10),
        current_sessions=np.repeat(np.arange(20), 10),
        rng=rng,
    )
    assert found.verdict == "shifted"
    assert found.current == pytest.approx(after.mean())


def test_more_rows_of_the_same_sessions_are_no_more_evidence() -> None:
    rng = np.random.default_rng(5)
    before, after = rng.standard_normal(12), rng.standard_normal(10)
    once, often = shifted(before, after), shifted(before, after, rows=50)
    assert (once.p_value, once.delta) == (often.p_value, often.delta)
    assert often.reference == pytest.approx(once.reference)


def test_ordinary_days_keep_the_level() -> None:
    rng = np.random.default_rng(6)
    days = [shifted(rng.poisson(3, 20), rng.poisson(3, 10), many=199).verdict for _ in range(300)]
    assert days.count("shifted") / 300 <= 0.1


def test_one_session_beyond_all_measure_is_no_shift() -> None:
    before = np.arange(20.0)
    after = np.append(np.arange(1.0, 19.0, 2), 10_000)
    assert shifted(before, after).verdict == "alike"


def test_a_number_that_never_changes_does_not_change() -> None:
    found = shifted(np.zeros(10), np.zeros(10))
    assert (found.p_value, found.delta) == (1, 0)


@pytest.mark.parametrize(("before", "after"), [(7, 20), (20, 7), (0, 0)])
def test_too_few_sessions_are_no_verdict(before: int, after: int) -> None:
    found = shifted(np.zeros(before), np.ones(after))
    assert found.verdict == "insufficient data"
    assert found.sessions == (before, after)
    assert np.isnan([found.p_value, found.delta, found.reference, found.current]).all()


@settings(deadline=None)
@given(st.integers(0, 1000))
def test_the_plane_holds_the_most_variance_of_the_reference(seed: int) -> None:
    rng = np.random.default_rng(seed)
    scales = np.array([3, 2, 0.5, 0.1, 0.1])
    rows = (rng.standard_normal((60, 5)) * scales).astype(np.float32)
    found = project(rows, rows[:7] + 1)
    variances = np.linalg.eigvalsh(np.cov(rows.T))[::-1]
    assert found.explained == pytest.approx(variances[:2] / variances.sum(), rel=1e-3)
    assert found.reference.mean(axis=0) == pytest.approx([0, 0], abs=1e-5)
    assert found.reference.var(axis=0, ddof=1) == pytest.approx(variances[:2], rel=1e-3)


def test_both_sides_lie_on_the_same_plane() -> None:
    rows = np.random.default_rng(7).standard_normal((30, 6)).astype(np.float32)
    found = project(rows, rows[3:8])
    assert found.current == pytest.approx(found.reference[3:8], abs=1e-5)


def test_what_lies_off_the_plane_is_told_by_its_variance() -> None:
    rng = np.random.default_rng(8)
    rows = np.zeros((40, 4), np.float32)
    rows[:, :2] = rng.standard_normal((40, 2))
    away = np.zeros((5, 4), np.float32)
    away[:, 3] = 3
    found = project(rows, away)
    assert found.explained.sum() == pytest.approx(1)
    assert found.explained_current.sum() < 0.1


def test_equal_rows_are_one_point() -> None:
    rows = np.ones((5, 3), np.float32)
    found = project(rows, rows)
    assert not found.reference.any()
    assert not found.explained.any()
