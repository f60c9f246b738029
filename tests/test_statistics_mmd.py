"""The two-sample test on sessions: its formula, its level, its power, and what it must not see."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from agentmem.errors import InvalidInput
from agentmem.statistics import MIN_SESSIONS, ROWS_A_SESSION, TwoSample, two_sample
from agentmem.statistics.mmd import DAMPING, mmd_squared, regularised, standardised, witness_scores
from agentmem.statistics.permuting import permuted_splits, upper_p_value
from agentmem.statistics.sessions import session_directions, session_means, session_sample

WIDTH = 32

Rows = NDArray[np.float32]
Codes = NDArray[np.int64]


def unit(rows: NDArray[np.float64]) -> Rows:
    found: Rows = (rows / np.linalg.norm(rows, axis=-1, keepdims=True)).astype(np.float32)
    return found


def conversations(
    count: int, *, rng: np.random.Generator, rows: int = 6, foreign: int = 0
) -> tuple[Rows, Codes]:
    """Draw sessions whose rows lie around a topic of their own; the last ones are foreign."""
    topics = rng.standard_normal((count, 1, WIDTH))
    topics[:, :, 0] += 4  # embeddings of any text share a direction
    topics[count - foreign :, :, 1] += 6
    drawn = topics + 0.7 * rng.standard_normal((count, rows, WIDTH))
    return unit(drawn.reshape(-1, WIDTH)), np.repeat(np.arange(count), rows)


def compared(
    reference: tuple[Rows, Codes], current: tuple[Rows, Codes], *, seed: int = 0, many: int = 199
) -> TwoSample:
    return two_sample(
        reference[0],
        current[0],
        reference_sessions=reference[1],
        current_sessions=current[1],
        rng=np.random.default_rng(seed),
        permutations=many,
    )


def looped(gram: NDArray[np.float64], current: NDArray[np.bool_]) -> float:
    """Return equation 3 of Gretton et al. (2012), as it is written."""
    x, y = np.flatnonzero(~current), np.flatnonzero(current)
    xx = sum(gram[i, j] for i in x for j in x if i != j) / (len(x) * (len(x) - 1))
    yy = sum(gram[i, j] for i in y for j in y if i != j) / (len(y) * (len(y) - 1))
    return float(xx + yy - 2 * sum(gram[i, j] for i in x for j in y) / (len(x) * len(y)))


@given(st.integers(2, 6), st.integers(2, 6), st.integers(0, 10_000))
def test_the_statistic_is_that_of_a_loop_over_pairs(n: int, m: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    points = rng.standard_normal((n + m, 4))
    gram = np.exp(-np.square(points[:, None] - points[None]).sum(axis=2))
    splits = permuted_splits(n, m, permutations=3, rng=rng)
    assert mmd_squared(gram, splits) == pytest.approx([looped(gram, split) for split in splits])


@given(st.integers(2, 5), st.integers(2, 5), st.integers(0, 10_000))
def test_the_witness_is_that_of_a_loop_over_the_others(n: int, m: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    points = rng.standard_normal((n + m, 3))
    gram, current = points @ points.T, rng.permutation(np.arange(n + m) < m)
    found = witness_scores(gram, current)
    for one in range(n + m):
        near = [gram[one, j] for j in range(n + m) if j != one and current[j]]
        far = [gram[one, j] for j in range(n + m) if j != one and not current[j]]
        assert found[one] == pytest.approx(np.mean(near) - np.mean(far))


def test_regularising_damps_the_strong_directions_and_keeps_their_order() -> None:
    directions = np.diag([3.0, 2.0, 1.0, 0.5])
    centred = directions - directions.mean(axis=0)
    before = np.linalg.eigvalsh(centred @ centred.T)
    after = np.linalg.eigvalsh(regularised(directions))
    assert after == pytest.approx(before / (before + DAMPING * before[-1]), abs=1e-12)
    assert after[-1] / after[-2] < before[-1] / before[-2]


def test_sessions_that_are_all_the_same_differ_in_nothing() -> None:
    rows = np.tile(unit(np.ones((1, 4))), (20, 1))
    found = compared((rows, np.arange(20)), (rows[:10], np.arange(10)))
    assert (found.verdict, found.p_value, found.effect) == ("alike", 1, 0)
    assert found.auc == pytest.approx(0.5)


def rejections(*, by_session: bool, days: int, level: float) -> float:
    """Return how often ordinary days are called shifted, permuting sessions or rows."""
    rng = np.random.default_rng(1)
    found = []
    for _ in range(days):
        sides = [conversations(count, rng=rng) for count in (24, 12)]
        if not by_session:
            sides = [(rows, np.arange(len(rows))) for rows, _ in sides]
        found.append(compared(sides[0], sides[1], seed=int(rng.integers(10**6))).p_value <= level)
    return float(np.mean(found))


def test_permuting_sessions_keeps_the_level_that_permuting_rows_breaks() -> None:
    assert rejections(by_session=True, days=200, level=0.05) <= 0.1
    assert rejections(by_session=False, days=20, level=0.05) >= 0.9


def test_foreign_sessions_are_noticed_and_named() -> None:
    rng = np.random.default_rng(2)
    days = [
        compared(conversations(40, rng=rng), conversations(20, rng=rng, foreign=10))
        for _ in range(20)
    ]
    assert np.mean([day.verdict == "shifted" for day in days]) >= 0.9
    for day in days:
        named = set(day.shifted[:10].tolist()) & set(range(10, 20))
        assert len(named) >= 8
        assert day.share_beyond >= 0.3
        assert day.auc > 0.5
        assert (np.diff(day.witness) <= 0).all()


def test_what_is_wholly_foreign_is_told_apart_completely() -> None:
    rng = np.random.default_rng(3)
    found = compared(conversations(20, rng=rng), conversations(10, rng=rng, foreign=10))
    assert (found.verdict, found.p_value) == ("shifted", 1 / 200)
    assert found.auc > 0.95
    assert found.share_beyond == 1
    assert found.statistic > found.null.max()
    assert found.effect > 4


def test_the_level_that_was_asked_for_decides() -> None:
    rng = np.random.default_rng(3)
    (first, codes), (second, others) = conversations(20, rng=rng), conversations(10, rng=rng)
    verdicts = [
        two_sample(
            first,
            second,
            reference_sessions=codes,
            current_sessions=others,
            rng=np.random.default_rng(0),
            permutations=99,
            level=level,
        ).verdict
        for level in (0.0, 1.0)
    ]
    assert verdicts == ["alike", "shifted"]


@pytest.mark.parametrize(("before", "after"), [(7, 20), (20, 7), (0, 20), (20, 0), (1, 1)])
def test_too_few_sessions_are_no_verdict(before: int, after: int) -> None:
    rng = np.random.default_rng(4)
    found = compared(conversations(before, rng=rng), conversations(after, rng=rng, foreign=after))
    assert found.verdict == "insufficient data"
    assert found.sessions == (before, after)
    assert np.isnan([found.statistic, found.p_value, found.effect, found.auc]).all()
    assert not len(found.shifted)


def test_as_many_sessions_as_it_takes_are_enough() -> None:
    rng = np.random.default_rng(4)
    sides = conversations(8, rng=rng), conversations(8, rng=rng, foreign=8)
    assert MIN_SESSIONS == 8
    assert compared(*sides).verdict == "shifted"


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10_000))
def test_the_order_of_rows_and_the_names_of_sessions_do_not_matter(seed: int) -> None:
    rng = np.random.default_rng(seed)
    reference, (rows, codes) = conversations(10, rng=rng), conversations(9, rng=rng)
    place = rng.permutation(len(rows))
    one = compared(reference, (rows, codes))
    other = compared(reference, (rows[place], 7 + 3 * codes[place]))
    assert other.statistic == pytest.approx(one.statistic, abs=1e-12)
    assert other.p_value == one.p_value
    assert other.null == pytest.approx(one.null, abs=1e-12)
    assert other.shifted.tolist() == (7 + 3 * one.shifted).tolist()


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10_000))
def test_which_side_is_called_the_reference_does_not_change_the_statistic(seed: int) -> None:
    rng = np.random.default_rng(seed)
    sides = conversations(10, rng=rng), conversations(9, rng=rng, foreign=2)
    one, other = compared(*sides), compared(*reversed(sides))
    assert other.statistic == pytest.approx(one.statistic, abs=1e-12)
    assert other.auc == pytest.approx(one.auc)


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10_000))
def test_turning_the_whole_space_changes_nothing(seed: int) -> None:
    rng = np.random.default_rng(seed)
    (first, codes), (second, others) = conversations(9, rng=rng), conversations(8, rng=rng)
    turn = np.linalg.qr(rng.standard_normal((WIDTH, WIDTH)))[0].astype(np.float32)
    one = compared((first, codes), (second, others))
    other = compared((first @ turn, codes), (second @ turn, others))
    assert other.statistic == pytest.approx(one.statistic, abs=1e-5)


def test_a_seed_gives_the_same_result_again() -> None:
    rng = np.random.default_rng(5)
    sides = conversations(9, rng=rng, rows=30), conversations(8, rng=rng, rows=30)
    one, other = compared(*sides), compared(*sides)
    assert (one.statistic, one.p_value) == (other.statistic, other.p_value)
    assert one.null.tolist() == other.null.tolist()


def test_another_seed_draws_other_rows_of_long_sessions() -> None:
    rng = np.random.default_rng(5)
    sides = conversations(9, rng=rng, rows=30), conversations(8, rng=rng, rows=30)
    assert compared(*sides).statistic != compared(*sides, seed=1).statistic


def test_a_session_gives_a_bounded_sample_of_distinct_rows() -> None:
    sessions = np.repeat([5, 2, 9], [40, 3, 12])[np.random.default_rng(0).permutation(55)]
    kept = session_sample(sessions, rows=ROWS_A_SESSION, rng=np.random.default_rng(6))
    assert len(set(kept.tolist())) == len(kept)
    codes, counts = np.unique(sessions[kept], return_counts=True)
    assert dict(zip(codes.tolist(), counts.tolist(), strict=True)) == {2: 3, 5: 12, 9: 12}


def test_every_row_of_a_long_session_may_be_drawn() -> None:
    rng = np.random.default_rng(7)
    sessions = np.zeros(20, np.int64)
    drawn = np.concatenate([session_sample(sessions, rows=2, rng=rng) for _ in range(400)])
    assert np.bincount(drawn, minlength=20).min() >= 15  # 40 on average


def test_how_many_rows_were_used_is_told() -> None:
    rng = np.random.default_rng(8)
    found = compared(conversations(9, rng=rng, rows=30), conversations(8, rng=rng, rows=5))
    assert found.sessions == (9, 8)
    assert found.rows == (9 * ROWS_A_SESSION, 8 * 5)


@given(st.lists(st.integers(0, 4), min_size=1, max_size=30), st.integers(0, 1000))
def test_means_of_sessions_are_those_of_a_loop(codes: list[int], seed: int) -> None:
    sessions = np.array(codes)
    values = np.random.default_rng(seed).standard_normal((len(codes), 3))
    means, named = session_means(values, sessions)
    assert named.tolist() == sorted(set(codes))
    for mean, code in zip(means, named, strict=True):
        assert mean == pytest.approx(values[sessions == code].mean(axis=0))


def test_vectors_that_cancel_have_no_direction() -> None:
    rows = unit(np.array([[1.0, 0], [-1, 0], [3, 4]]))
    directions, _ = session_directions(rows, np.array([0, 0, 1]))
    assert directions == pytest.approx(np.array([[0, 0], [0.6, 0.8]]), abs=1e-7)


def test_the_observed_is_one_of_its_permutations() -> None:
    assert upper_p_value(np.array([3.0, 1, 2, 2.5])) == 0.25
    assert upper_p_value(np.array([3.0, 3, 2, 4])) == 0.75
    assert upper_p_value(np.array([0.1 + 0.2, 0.3, 0.0, 0.0])) == 0.5  # the same, but for rounding


def test_the_effect_is_in_standard_deviations_of_the_null() -> None:
    assert standardised(np.array([5.0, -1, 1, -1, 1])) == 5
    assert standardised(np.array([0.0, 0, 0])) == 0


@pytest.mark.parametrize("given_", [{"rows": 0}, {"permutations": 0}])
def test_numbers_that_allow_no_test_are_refused(given_: dict[str, int]) -> None:
    rows, codes = conversations(9, rng=np.random.default_rng(9))
    with pytest.raises(InvalidInput, match="Repair"):
        two_sample(
            rows,
            rows,
            reference_sessions=codes,
            current_sessions=codes,
            rng=np.random.default_rng(0),
            **given_,
        )


def test_rows_without_a_session_are_refused() -> None:
    with pytest.raises(InvalidInput, match="one code a row"):
        session_means(np.ones(3), np.zeros(2, np.int64))
