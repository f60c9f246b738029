"""Vectors in eight bits: how far off their products are, and what is found by them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from agentmem.ranking.vectors import Vectors, quantised


def units(rows: int, dimension: int = 384, *, seed: int = 0) -> NDArray[np.float32]:
    """Draw unit rows that lie around a few centres, as texts about a few topics do."""
    random = np.random.default_rng(seed)
    centres = random.normal(size=(16, dimension))
    drawn = centres[random.integers(16, size=rows)] + random.normal(size=(rows, dimension))
    drawn /= np.linalg.norm(drawn, axis=1, keepdims=True)
    return drawn.astype(np.float32)


@given(st.integers(0, 2**32 - 1), st.sampled_from((8, 33, 384, 1024)))
def test_products_are_within_the_error_they_state(seed: int, dimension: int) -> None:
    rows, query = units(200, dimension, seed=seed), units(1, dimension, seed=seed + 1)[0]
    vectors = Vectors.of(rows)
    assert np.abs(vectors.cosines(query) - rows @ query).max() <= vectors.error(query)
    assert np.abs(vectors[:] @ query - rows @ query).max() < 1e-3


def test_the_error_is_small_enough_to_leave_few_to_look_at_again() -> None:
    rows = units(10_000)
    query = units(1, seed=1)[0]
    assert 0 < Vectors.of(rows).error(query) < 0.01


def test_eight_bits_alone_find_almost_the_same_ten() -> None:
    rows, queries = units(20_000), units(100, seed=1)
    vectors = Vectors.of(rows, precise=False)
    shared = 0
    for query in queries:
        expected = set(np.argsort(-(rows @ query))[:10].tolist())
        shared += len(expected & set(np.argsort(-vectors.cosines(query))[:10].tolist()))
    assert shared / 1000 > 0.95


def test_ten_are_found_exactly_once_those_within_the_error_are_measured() -> None:
    rows, queries = units(20_000), units(100, seed=1)
    vectors, shared = Vectors.of(rows), 0
    for query in queries:
        coarse = vectors.cosines(query)
        tenth = np.partition(coarse, -10)[-10]
        near = np.flatnonzero(coarse >= tenth - 2 * vectors.error(query))
        found = near[np.argsort(-(vectors[near] @ query))[:10]]
        shared += len(set(found.tolist()) & set(np.argsort(-(rows @ query))[:10].tolist()))
    assert shared / 1000 >= 0.999


@pytest.mark.parametrize("precise", [True, False])
def test_rows_are_read_joined_and_taken(*, precise: bool) -> None:
    rows = units(9, 16)
    near = 1e-3 if precise else 1e-2
    parts = [Vectors.of(part, precise=precise) for part in (rows[:4], rows[4:4], rows[4:])]
    joined = Vectors.joined(parts)
    assert (len(joined), joined.shape) == (9, (9, 16))
    np.testing.assert_allclose(joined[:], rows, atol=near)
    np.testing.assert_allclose(joined[3], rows[3], atol=near)
    order = np.array([8, 0, 3])
    np.testing.assert_allclose(joined[order], rows[order], atol=near)
    np.testing.assert_array_equal(joined.take(order)[:], joined[order])
    assert joined.nbytes == 9 * (16 + 4 + (32 if precise else 0))


def test_no_rows_have_no_products() -> None:
    none, query = Vectors.none(16, precise=True), units(1, 16)[0]
    assert none.cosines(query).shape == (0,)
    assert none.error(query) == 0
    assert none[:].shape == (0, 16)


def test_rows_of_zeros_stay_zeros() -> None:
    codes, scales = quantised(np.zeros((2, 8), np.float32))
    assert not codes.any()
    assert not scales.any()
    assert Vectors.of(np.zeros((2, 8), np.float32)).cosines(units(1, 8)[0]).tolist() == [0, 0]
