"""Which tools are used together and after which, as rates that one occasion does not settle."""

from __future__ import annotations

import math

import numpy as np
import pytest

from agentmem.ranking.tools.co_use import AFTER_PRIOR, RARE, TOGETHER_PRIOR, CoUse

SCORES = np.array([3, 1, 0, 0], np.float32)


def test_companions_are_rates_shrunk_by_uses_alone() -> None:
    counts = CoUse()
    for _ in range(6):
        counts.observe([0, 2], called=[])
    rates = counts.companions(SCORES, [0])
    assert rates == pytest.approx([0, 0, 6 / (6 + TOGETHER_PRIOR), 0])


def test_the_companions_of_several_leaders_count_by_their_lead() -> None:
    counts = CoUse()
    counts.observe([0, 2], called=[])
    counts.observe([1, 3], called=[])
    rates = counts.companions(SCORES, [0, 1])
    assert rates[2] / rates[3] == pytest.approx(math.exp(3 - 1))


def test_a_tool_is_no_companion_of_itself_and_counts_once() -> None:
    counts = CoUse()
    counts.observe([0, 0], called=[])
    assert counts.used[0] == 1
    assert not counts.companions(SCORES, [0]).any()


def test_without_leaders_or_calls_nothing_follows() -> None:
    counts = CoUse()
    counts.observe([0, 1], called=[2])
    assert not counts.companions(SCORES, []).any()
    assert not counts.transitions([], size=4).any()
    assert not counts.transitions([3], size=4).any()  # never called before anything


def test_transitions_are_shrunk_log_ratios() -> None:
    counts = CoUse()
    for _ in range(10):
        counts.observe([1], called=[0])
    for _ in range(10):
        counts.observe([2], called=[])
    usual = 0.5
    followed = (10 + AFTER_PRIOR * usual) / (10 + AFTER_PRIOR)
    missed = AFTER_PRIOR * usual / (10 + AFTER_PRIOR)
    lift = counts.transitions([0], size=4)
    assert lift[1] == pytest.approx(math.log((followed + RARE) / (usual + RARE)), abs=1e-5)
    assert lift[2] == pytest.approx(math.log((missed + RARE) / (usual + RARE)), abs=1e-5)
    assert lift[1] > 0 > lift[2]
    assert lift[3] == 0


def test_calls_are_averaged_and_each_counts_once() -> None:
    counts = CoUse()
    counts.observe([1], called=[0])
    counts.observe([2], called=[3])
    both = counts.transitions([0, 3], size=4)
    single = [counts.transitions([one], size=4) for one in (0, 3)]
    np.testing.assert_allclose(both, np.mean(single, axis=0), atol=1e-6)
    np.testing.assert_allclose(counts.transitions([0, 0], size=4), single[0], atol=1e-6)
