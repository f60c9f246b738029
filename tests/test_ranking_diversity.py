"""Maximal marginal relevance against its formula, written as loops."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from ranking_tools import column

from agentmem.ranking.diversity import maximal_marginal_relevance


def gains(
    scores: NDArray[np.float32], vectors: NDArray[np.float32], picks: list[int], trade: float
) -> dict[int, float]:
    """Compute what each candidate that is left would gain."""
    worst, best = float(scores.min()), float(scores.max())
    relevance = [(float(s) - worst) / (best - worst) if best > worst else 1.0 for s in scores]
    left = set(range(len(scores))) - set(picks)
    if not picks:
        return {place: relevance[place] for place in left}
    return {
        place: (1 - trade) * relevance[place]
        - trade * max(float(vectors[place] @ vectors[pick]) for pick in picks)
        for place in left
    }


@given(st.integers(0, 2**32 - 1), st.integers(1, 12), st.integers(0, 15), st.floats(0, 1))
def test_each_pick_gains_most_by_the_formula(seed: int, size: int, k: int, trade: float) -> None:
    random = np.random.default_rng(seed)
    scores = random.normal(size=size).astype(np.float32)
    vectors = random.normal(size=(size, 3)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    picks = maximal_marginal_relevance(scores, vectors, k=k, trade=trade).tolist()
    assert len(picks) == len(set(picks)) == min(k, size)
    for place, pick in enumerate(picks):
        left = gains(scores, vectors, picks[:place], trade)
        assert left[pick] == pytest.approx(max(left.values()), abs=1e-5)


@given(st.lists(st.integers(0, 50), unique=True, min_size=1), st.integers(1, 10))
def test_without_trade_the_picks_are_the_most_relevant(scores: list[int], k: int) -> None:
    vectors = np.ones((len(scores), 1), np.float32)
    picks = maximal_marginal_relevance(column(scores), vectors, k=k, trade=0)
    assert [scores[pick] for pick in picks] == sorted(scores, reverse=True)[:k]


def test_the_opposite_of_a_pick_is_less_like_it_than_something_unrelated() -> None:
    vectors = np.array([[1, 0], [0, 1], [-1, 0]], np.float32)
    picks = maximal_marginal_relevance(column([1, 0.5, 0.5]), vectors, k=2, trade=0.5)
    assert picks.tolist() == [0, 2]


def test_a_copy_comes_after_what_is_new() -> None:
    vectors = np.array([[1, 0], [1, 0], [0, 1]], np.float32)
    scores = column([1.0, 0.9, 0.5])
    assert maximal_marginal_relevance(scores, vectors, k=3, trade=0.5).tolist() == [0, 2, 1]
    assert maximal_marginal_relevance(scores, vectors, k=3, trade=0.1).tolist() == [0, 1, 2]


def test_nothing_to_pick_from_gives_no_picks() -> None:
    nothing = np.zeros((0, 3), np.float32)
    assert maximal_marginal_relevance(column([]), nothing, k=3, trade=0.5).tolist() == []


def test_equal_scores_are_told_apart_by_difference_alone() -> None:
    vectors = np.array([[1, 0], [0.6, 0.8], [0, 1]], np.float32)
    picks = maximal_marginal_relevance(column([2, 2, 2]), vectors, k=3, trade=0.5)
    assert picks.tolist() == [0, 2, 1]
