"""Sets that cover a query of several needs, against all sets of that size."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest
from choosing_tools import Floats
from hypothesis import given
from hypothesis import strategies as st

from agentmem.ranking.tools.coverage import DEPTH, cover, smallest_covering

LEVEL = st.integers(0, 12).map(lambda n: n / 4)


@st.composite
def needs(draw: st.DrawFn, *, least: float = -3.0) -> tuple[Floats, list[Floats]]:
    """Draw the scores of up to six tools, and the same for two or three clauses."""
    size, clauses = draw(st.integers(1, 6)), draw(st.integers(2, 3))
    rows = [
        [low + level for level in draw(st.lists(LEVEL, min_size=size, max_size=size))]
        for low in [max(least, -1.0)] + [least] * clauses
    ]
    columns = [np.array(row, np.float32) for row in rows]
    return columns[0], columns[1:]


def worth_of(tools: tuple[int, ...], scores: Floats, clauses: list[Floats]) -> float:
    covered = sum(max(max(float(row[t]), 0.0) for t in tools) for row in clauses)
    return covered + sum(float(scores[t]) for t in tools)


@given(needs())
def test_what_each_pick_adds_never_grows_and_is_what_it_is_worth(
    drawn: tuple[Floats, list[Floats]],
) -> None:
    scores, clauses = drawn
    worth = cover(scores, clauses, mask=None)
    order = np.argsort(-worth, kind="stable")
    picked: tuple[int, ...] = ()
    before = 0.0
    ties = len(set(worth.tolist())) < len(worth)
    for tool in order:
        picked = (*picked, int(tool))
        now = worth_of(picked, scores, clauses)
        if not ties:  # of equal gains the order of the sum is not that of the picks
            assert worth[tool] * (len(clauses) + 1) == pytest.approx(now - before, abs=1e-4)
        before = now
    assert sum(worth) * (len(clauses) + 1) == pytest.approx(before, abs=1e-3)


@given(needs(least=0.0), st.integers(1, 3))
def test_greedy_sets_are_within_the_bound_of_the_best(
    drawn: tuple[Floats, list[Floats]], k: int
) -> None:
    scores, clauses = np.maximum(drawn[0], 0), drawn[1]
    k = min(k, len(scores))
    order = np.argsort(-cover(scores, clauses, mask=None), kind="stable")[:k]
    best = max(worth_of(s, scores, clauses) for s in combinations(range(len(scores)), k))
    mine = worth_of(tuple(order.tolist()), scores, clauses)
    assert mine >= (1 - 1 / math.e) * best - 1e-4


def test_two_needs_bring_two_tools_where_one_need_has_better_doubles() -> None:
    weather = np.array([3.0, 2.9, 0.0, 0.1], np.float32)
    flight = np.array([0.0, 0.0, 2.0, 0.1], np.float32)
    scores = np.array([1.5, 1.45, 1.0, 0.1], np.float32)
    assert np.argsort(-scores)[:2].tolist() == [0, 1]
    assert np.argsort(-cover(scores, [weather, flight], mask=None))[:2].tolist() == [0, 2]


def test_a_query_of_one_clause_keeps_its_scores() -> None:
    scores = np.array([0.5, 0.1], np.float32)
    assert cover(scores, [scores], mask=None) is scores
    assert cover(scores, [], mask=None) is scores


def test_tools_outside_the_mask_cover_nothing() -> None:
    scores = np.array([1.0, 0.9, 0.2], np.float32)
    clauses = [np.array([5, 4, 0], np.float32), np.array([5, 0, 3], np.float32)]
    mask = np.array([False, True, True])
    worth = cover(scores, clauses, mask=mask)
    alone = cover(scores[1:], [row[1:] for row in clauses], mask=None)
    np.testing.assert_allclose(worth[1:], alone)


def test_beyond_its_depth_every_tool_still_has_its_place() -> None:
    drawn = np.random.default_rng(1).random((3, 3 * DEPTH)).astype(np.float32)
    worth = cover(drawn[0], [drawn[1], drawn[2]], mask=None)
    order = np.argsort(-worth)
    assert (np.diff(worth[order]) <= 0).all()
    assert worth[order[:DEPTH]].min() >= worth[order[DEPTH:]].max()


@pytest.mark.parametrize(
    ("probabilities", "target", "size"),
    [
        ([0.9, 0.05, 0.05], 0.9, 1),
        ([0.5, 0.4, 0.1], 0.9, 2),
        ([0.5, 0.5], 1.0, 2),
        ([0.5, 0.5], 0.0, 1),
        ([0.0, 0.0], 0.9, 0),
        ([], 0.9, 0),
    ],
)
def test_the_smallest_set_reaches_the_target(
    probabilities: list[float], target: float, size: int
) -> None:
    assert smallest_covering(np.array(probabilities, np.float32), target=target) == size
