"""Pairs of tools that are too much alike, against all pairs compared one by one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentmem.ranking.tools import twins as module
from agentmem.ranking.tools.twins import Pairs, twins

DIRECTIONS = np.eye(3, 4, dtype=np.float32) + np.float32(0.2)
DIRECTIONS /= np.linalg.norm(DIRECTIONS, axis=1, keepdims=True)
PLACED = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 1)), max_size=30)


def as_set(pairs: Pairs) -> set[tuple[int, int]]:
    return set(zip(pairs.first.tolist(), pairs.second.tolist(), strict=True))


@given(PLACED)
def test_every_pair_of_a_group_that_is_alike_is_found(placed: list[tuple[int, int]]) -> None:
    vectors = DIRECTIONS[[direction for direction, _ in placed]].reshape(-1, 4)
    groups = np.array([group for _, group in placed], np.int64)
    expected = {
        (i, j)
        for i in range(len(placed))
        for j in range(i + 1, len(placed))
        if placed[i] == placed[j]
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "BLOCK", 4)
        assert as_set(twins(vectors, groups, least=0.99, limit=1_000)) == expected


def test_the_most_alike_come_first_and_the_rest_is_cut() -> None:
    angles = np.array([0, 0.5, 0.1, 0.55])
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    found = twins(vectors, np.zeros(4, np.int64), least=0.8, limit=2)
    assert list(zip(found.first, found.second, strict=True)) == [(1, 3), (0, 2)]
    assert found.similarity == pytest.approx([np.cos(0.05), np.cos(0.1)], abs=1e-6)


def test_joined_pairs_are_each_there_once() -> None:
    one = Pairs(np.array([0, 1]), np.array([1, 2]), np.array([0.9, 0.8], np.float32))
    other = Pairs(np.array([0, 0]), np.array([1, 3]), np.array([0.9, 0.95], np.float32))
    both = one.joined(other)
    assert as_set(both) == {(0, 1), (1, 2), (0, 3)}
    assert len(both.first) == 3
    assert both.best(1).second.tolist() == [3]
