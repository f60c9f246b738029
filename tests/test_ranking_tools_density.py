"""The density of usage examples around a query, against a loop over them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentmem.ranking.tools.density import CROWD, FLOOR, log_density

CLASSES = 3
EXAMPLE = st.tuples(st.integers(-10, 10), st.integers(0, CLASSES - 1), st.integers(-4, 4))
COUNTS = np.array([0.0, 1.0, 9.0], np.float32)


@given(st.lists(EXAMPLE, min_size=1, max_size=20))
def test_each_class_has_the_logarithm_of_its_crowded_mass(
    examples: list[tuple[int, int, int]],
) -> None:
    cosines, owners, weights = (np.array(column) for column in zip(*examples, strict=True))
    found = log_density(
        (cosines / 10).astype(np.float32),
        owners,
        weights=(weights / 4).astype(np.float32),
        counts=COUNTS,
        bandwidth=0.2,
    )
    nearest = max((c / 10 for c, _, w in examples if w > 0), default=-1.0)
    for tool in range(CLASSES):
        mass = sum(w / 4 * math.exp((c / 10 - nearest) / 0.2) for c, o, w in examples if o == tool)
        crowd = max(float(COUNTS[tool]), 1.0) ** CROWD
        assert found[tool] == pytest.approx(math.log(max(mass, 0) / crowd + FLOOR), abs=2e-2)


def test_an_example_against_a_class_takes_mass_from_it() -> None:
    cosines, owners = np.array([0.8, 0.75], np.float32), np.zeros(2, np.int64)
    alone, against = (
        log_density(
            cosines,
            owners,
            weights=np.array(weights, np.float32),
            counts=np.ones(1, np.float32),
            bandwidth=0.1,
        )
        for weights in ([1, 0], [1, -1])
    )
    assert against[0] < alone[0]


@pytest.mark.parametrize("weight", [-1, 0])
def test_what_is_much_nearer_than_all_examples_for_a_class_stays_finite(weight: float) -> None:
    found = log_density(
        np.array([-0.9, 1], np.float32),
        np.zeros(2, np.int64),
        weights=np.array([1, weight], np.float32),
        counts=np.ones(1, np.float32),
        bandwidth=0.005,
    )
    assert np.isfinite(found).all()


def test_without_examples_there_is_none() -> None:
    none = np.zeros(0, np.float32)
    found = log_density(none, none.astype(np.int64), weights=none, counts=COUNTS, bandwidth=0.1)
    assert found.tolist() == [0, 0, 0]
