"""Standardisation, the best k, and reciprocal rank fusion against plain computations."""

from __future__ import annotations

import statistics

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ranking_tools import column

from agentmem.ranking.fusion import reciprocal_rank_fusion, top, zscore

SCORES = st.lists(st.integers(-30, 30).map(lambda n: n / 10), max_size=30)
MASKED = st.lists(st.tuples(st.integers(-30, 30).map(lambda n: n / 10), st.booleans()), max_size=30)


@given(MASKED)
def test_standard_scores_are_deviations_from_the_mean_of_the_candidates(
    drawn: list[tuple[float, bool]],
) -> None:
    scores, mask = column(s for s, _ in drawn), np.array([m for _, m in drawn], np.bool_)
    found, seen = zscore(scores, mask), scores[mask].tolist()
    assert found.dtype == np.float32
    assert not found[~mask].any()
    deviation = statistics.pstdev(seen) if seen else 0
    if deviation < 1e-6:
        assert not found.any()
    else:
        expected = [(score - statistics.fmean(seen)) / deviation for score in seen]
        np.testing.assert_allclose(found[mask], expected, atol=1e-4)


@given(SCORES)
def test_no_mask_means_every_turn(scores: list[float]) -> None:
    everyone = np.ones(len(scores), np.bool_)
    np.testing.assert_array_equal(zscore(column(scores)), zscore(column(scores), everyone))


@pytest.mark.parametrize("value", [0.0, 0.1, 20.1, 37.123, 10_000.3, -5.7])
@pytest.mark.parametrize("size", [1, 2, 1000, 33_333])
def test_equal_scores_say_nothing_however_large(value: float, size: int) -> None:
    """In float32 the mean of a thousand times 20.1 is not 20.1."""
    assert not zscore(np.full(size, value, np.float32)).any()


def test_scores_are_not_changed_in_place() -> None:
    scores, mask = column([1, 2, 3]), np.array([True, True, False])
    zscore(scores, mask)
    assert scores.tolist() == [1, 2, 3]


@given(MASKED, st.integers(0, 40))
def test_the_best_are_those_of_a_sort_that_keeps_the_order_of_equals(
    drawn: list[tuple[float, bool]], k: int
) -> None:
    scores, mask = column(s for s, _ in drawn), np.array([m for _, m in drawn], np.bool_)
    everyone = sorted(range(len(drawn)), key=lambda place: -scores[place])
    assert top(scores, k).tolist() == everyone[:k]
    assert top(scores, k, mask=mask).tolist() == [p for p in everyone if mask[p]][:k]


def test_ranks_are_fused_by_their_reciprocals() -> None:
    rankings = [["a", "b", "c"], ["c", "d"], ["b"]]
    scores = {  # by hand, k = 60
        "a": 1 / 61,
        "b": 1 / 62 + 1 / 61,
        "c": 1 / 63 + 1 / 61,
        "d": 1 / 62,
    }
    assert reciprocal_rank_fusion(rankings) == sorted(scores, key=lambda name: -scores[name])
    assert reciprocal_rank_fusion([["a", "b"], ["b", "a"]]) == ["a", "b"]
    assert reciprocal_rank_fusion([]) == []


def test_a_small_k_favours_first_places() -> None:
    rankings = [["a", "x", "b"], ["y", "z", "b"]]
    assert reciprocal_rank_fusion(rankings, k=0)[0] == "a"
    assert reciprocal_rank_fusion(rankings, k=60)[0] == "b"


@given(st.lists(st.lists(st.sampled_from("abcdef"), unique=True), max_size=3))
def test_fusion_keeps_every_id_once_and_a_unanimous_order(lists: list[list[str]]) -> None:
    fused = reciprocal_rank_fusion(lists)
    assert sorted(fused) == sorted({key for ranked in lists for key in ranked})
    if lists:
        assert reciprocal_rank_fusion([lists[0]] * 3) == lists[0]
