"""Which tools belong to the toolkit that a conversation uses, as a prior that is bounded below."""

from __future__ import annotations

import math

import numpy as np
import pytest
from choosing_tools import rows
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from agentmem.ranking.tools.toolkit import BANDWIDTH, STAY, toolkit_prior

SIZE = 12
TOOLS = rows(SIZE, seed=4)
PLACES = st.lists(st.integers(0, SIZE - 1), max_size=5)
MASKS = st.none() | st.lists(st.booleans(), min_size=SIZE, max_size=SIZE).map(np.array)


def test_it_is_the_logarithm_of_a_walk_with_restart_over_its_uniform_share() -> None:
    tools = np.array([[1, 0], [0.8, 0.6], [0, 1], [-2, 0]], np.float32)
    steps = np.exp(np.array([0.8, 0.0, -1.0]) / BANDWIDTH)
    walk = steps / steps.sum()
    expected = [0, *(math.log(STAY * 3 * share + 1 - STAY) for share in walk)]
    assert toolkit_prior([0], tools, mask=None) == pytest.approx(expected, abs=1e-5)


@given(PLACES, MASKS)
def test_over_the_candidates_not_called_it_is_a_distribution_and_bounded_below(
    called: list[int], mask: NDArray[np.bool_] | None
) -> None:
    prior = toolkit_prior(called, TOOLS, mask=mask)
    others = np.ones(SIZE, np.bool_) if mask is None else mask.copy()
    others[called] = False
    assert not prior[~others].any()
    if called and others.any():
        assert np.exp(prior[others]).mean() == pytest.approx(1, abs=1e-4)
        assert prior.min() >= math.log(1 - STAY) - 1e-5
    else:
        assert not prior.any()


@given(PLACES)
def test_neither_order_nor_number_of_the_calls_matters(called: list[int]) -> None:
    again = [*called, *called[:2]][::-1]
    np.testing.assert_array_equal(
        toolkit_prior(called, TOOLS, mask=None), toolkit_prior(again, TOOLS, mask=None)
    )


def test_a_larger_catalogue_of_other_tools_lifts_the_toolkit_more() -> None:
    kit = np.eye(40, dtype=np.float32)[:1] + 0.1 * rows(3, seed=1, width=40)
    others = np.eye(40, dtype=np.float32)[1:]
    few, many = (
        toolkit_prior([0], np.concatenate([kit, others[:n]]), mask=None)[1] for n in (5, 39)
    )
    assert 0 < few < many
