"""Held-out queries: left out for real, compared fairly, and judged against chance."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from agentmem.ranking.tools import Routing
from agentmem.ranking.tools.columns import unit
from agentmem.ranking.tools.guard import leave_one_out, ndcg
from agentmem.ranking.tools.held_out import FEWEST, Comparison, Part, compare
from agentmem.ranking.tools.observations import Observations

TOOLS, WIDTH = 20, 24
CONFIG = Routing()

Floats = NDArray[np.float32]


def places(rng: np.random.Generator) -> Floats:
    """Return where the queries of each tool lie; its description is no more than near."""
    return unit(rng.standard_normal((TOOLS, WIDTH)).astype(np.float32))


def observed(
    centres: Floats, count: int, *, rng: np.random.Generator, wrong: float = 0.0
) -> Observations:
    """Draw queries around the centres of tools, and label a share of them at random."""
    owners = np.arange(count) % TOOLS
    noise = rng.standard_normal((count, WIDTH)).astype(np.float32) * 0.15
    mistaken = rng.random(count) < wrong
    labelled = np.where(mistaken, rng.integers(0, TOOLS, count), owners)
    return Observations(
        vectors=unit(centres[owners] + noise),
        terms=[""] * count,
        owners=labelled,
        labels=np.ones(count, np.int8),
        weights=np.ones(count, np.float32),
        queries=[f"query {n} {rng.random()}" for n in range(count)],
    )


def joined(first: Observations, second: Observations) -> Observations:
    return Observations(
        vectors=np.concatenate([first.vectors, second.vectors]),
        terms=[*first.terms, *second.terms],
        owners=np.concatenate([first.owners, second.owners]),
        labels=np.concatenate([first.labels, second.labels]),
        weights=np.concatenate([first.weights, second.weights]),
        queries=[*first.queries, *second.queries],
    )


def compared(first: int, second: int, *, wrong: float, seed: int, most: int = 400) -> Comparison:
    """Compare after so many right examples, and then so many of which a share is wrong."""
    rng = np.random.default_rng(seed)
    centres = places(rng)
    descriptions = unit(centres + 0.3 * places(rng))
    earlier = observed(centres, first, rng=rng)
    both = joined(earlier, observed(centres, second, rng=rng, wrong=wrong))
    new = np.arange(len(both)) >= first
    return compare(descriptions, both, new=new, config=CONFIG, most=most)


@given(st.integers(0, 10_000))
def test_an_observation_is_asked_as_if_neither_it_nor_its_twins_were_there(seed: int) -> None:
    rng = np.random.default_rng(seed)
    centres = places(rng)
    known = observed(centres, 60, rng=rng, wrong=0.3)
    twin = replace(known.only(np.arange(60) < 6), owners=rng.integers(0, TOOLS, 6))
    known = joined(known, twin)
    sample = np.array([2, 5, 40, 62])
    ranks, winners = leave_one_out(centres, known, sample=sample, config=CONFIG)
    for row, asked in enumerate(sample):
        query = known.queries[asked]
        kept = np.array([one != query for one in known.queries])
        alone = known.only(np.arange(len(known)) == asked)
        rest = joined(known.only(kept), replace(alone, weights=np.zeros(1, np.float32)))
        last = np.array([len(rest) - 1])
        expected = leave_one_out(centres, rest, sample=last, config=CONFIG)
        assert (ranks[row], winners[row]) == (expected[0][0], expected[1][0])


def test_a_tool_that_ties_with_others_is_not_held_to_be_found_first() -> None:
    rng = np.random.default_rng(0)
    known = observed(places(rng), 4, rng=rng)
    same = np.ones((TOOLS, WIDTH), np.float32)
    alike = replace(known, vectors=np.zeros_like(known.vectors), labels=np.zeros(4, np.int8))
    ranks, _ = leave_one_out(unit(same), alike, sample=np.arange(4), config=CONFIG)
    assert ranks.tolist() == [TOOLS] * 4


def test_the_gain_of_a_rank_is_the_textbooks() -> None:
    gains = ndcg(np.array([1, 2, 5, 6, 100]), k=5)
    np.testing.assert_allclose(gains, [1, 1 / np.log2(3), 1 / np.log2(6), 0, 0], rtol=1e-6)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("first", [0, 60, 200])
def test_a_fifth_of_the_labels_wrong_is_no_objection(first: int, seed: int) -> None:
    found = compared(first, 120, wrong=0.2, seed=seed)
    assert found.fallen is None
    assert not found.contradicts
    assert found.means is not None


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("wrong", [0.8, 1.0])
def test_mostly_wrong_labels_are_found_out(wrong: float, seed: int) -> None:
    found = compared(200, 120, wrong=wrong, seed=seed)
    assert found.contradicts or found.fallen is not None


@pytest.mark.parametrize(("first", "second"), [(0, FEWEST - 1), (FEWEST - 1, 3)])
def test_a_mean_of_too_few_is_none(first: int, second: int) -> None:
    found = compared(first, second, wrong=1.0, seed=0)
    assert found.means is None
    assert found.fallen is None
    assert not found.contradicts


def test_each_part_needs_enough_of_its_own() -> None:
    found = compared(FEWEST, 3, wrong=1.0, seed=0)
    assert found.earlier is not None
    assert (found.own, found.earlier.queries) == (None, FEWEST)
    assert not found.contradicts


def test_no_more_queries_are_asked_than_allowed() -> None:
    found = compared(200, 120, wrong=0.0, seed=0, most=50)
    assert [(part.queries, part.size) for part in found.parts] == [(50, 200), (50, 120)]


def part(before: float, after: float, *, size: int = 100, error: float = 0.001) -> Part:
    return Part(100, size, before, after, change_error=error, after_error=error)


def test_earlier_queries_may_pay_for_new_ones_that_gain_more() -> None:
    expanding = Comparison(part(0.88, 0.84), part(0.64, 0.86), chance=0.02)
    assert expanding.fallen is None
    small = Comparison(part(0.88, 0.84, size=2_000), part(0.64, 0.86), chance=0.02)
    assert small.fallen is small.earlier


def test_earlier_queries_do_not_pay_for_labels_that_turn_them_round() -> None:
    exchanged = Comparison(part(0.88, 0.84), part(0.05, 0.90), chance=0.02)
    assert exchanged.fallen is exchanged.earlier


def test_a_fall_within_chance_or_of_no_account_is_none() -> None:
    for earlier in (part(0.88, 0.84, error=0.02), part(0.88, 0.876)):
        assert Comparison(earlier, part(0.6, 0.6), chance=0.02).fallen is None
    assert Comparison(part(0.88, 0.87), part(0.6, 0.6), chance=0.02).fallen is not None


def test_labels_contradict_only_where_they_agree_hardly_better_than_chance() -> None:
    assert Comparison(part(0.8, 0.8), part(0.2, 0.2), chance=0.02).contradicts
    assert not Comparison(part(0.8, 0.8), part(0.2, 0.5), chance=0.02).contradicts
    assert not Comparison(part(0.8, 0.8), part(0.2, 0.2, error=0.1), chance=0.02).contradicts
    assert Comparison(part(0.9, 0.9), part(0.4, 0.4), chance=0.3).contradicts
    assert not Comparison(part(0.9, 0.9), part(0.4, 0.4), chance=0.02).contradicts


def test_the_means_weigh_parts_by_their_queries() -> None:
    halves = Comparison(part(0.8, 0.6), part(0.4, 0.6), chance=0.0)
    assert halves.means == pytest.approx((0.6, 0.6))
    assert Comparison(None, None, chance=0.0).means is None
