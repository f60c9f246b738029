"""Tests of the measures of a confidence: by brute force, and as properties."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from agentmem.evaluation.confidence import auroc_interval, coverage_at_precision
from agentmem.ranking.tools.conformal import auroc

levels = st.integers(0, 6).map(lambda level: level / 6)  # few levels, so that many are tied
judged = st.lists(st.tuples(levels, st.booleans()), min_size=2, max_size=40)


def area(confidence: NDArray[np.float64], marks: NDArray[np.bool_]) -> float:
    return auroc(confidence[marks], confidence[~marks])


def test_the_interval_holds_the_area_and_narrows_with_more_queries() -> None:
    generator = np.random.default_rng(3)
    widths = []
    for size in (60, 600):
        marks = np.arange(size) % 2 == 0
        confidence = generator.normal(size=size) + marks
        low, high = auroc_interval(confidence, marks, groups=np.arange(size))
        assert low < area(confidence, marks) < high
        widths.append(high - low)
    assert widths[1] < widths[0] / 2


def test_the_interval_agrees_with_resampling_one_by_one() -> None:
    generator = np.random.default_rng(5)
    marks = np.arange(80) % 2 == 0
    confidence = np.round(generator.normal(size=80) + marks, 1)
    drawn = generator.integers(80, size=(4000, 80))
    areas = [area(confidence[rows], marks[rows]) for rows in drawn]
    low, high = auroc_interval(confidence, marks, groups=np.arange(80), resamples=4000)
    assert [low, high] == pytest.approx(np.quantile(areas, [0.025, 0.975]), abs=0.01)


def test_queries_of_one_group_are_drawn_together() -> None:
    marks = np.tile([True, False], 40)
    confidence = np.repeat(np.linspace(0, 1, 40), 2) + 0.01 * marks
    groups = np.repeat(np.arange(40), 2)
    paired = auroc_interval(confidence, marks, groups=groups)
    alone = auroc_interval(confidence, marks, groups=np.arange(80))
    assert paired[1] - paired[0] < (alone[1] - alone[0]) / 2


def test_an_interval_in_blocks_is_the_interval_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    marks = np.arange(30) % 3 == 0
    confidence = np.random.default_rng(1).random(30)
    at_once = auroc_interval(confidence, marks, groups=np.arange(30))
    monkeypatch.setattr("agentmem.evaluation.confidence._BLOCK", 100)
    assert auroc_interval(confidence, marks, groups=np.arange(30)) == pytest.approx(at_once)


def test_a_resample_of_one_kind_alone_has_no_area_and_is_left_out() -> None:
    low, high = auroc_interval([0.1, 0.9], [False, True], groups=[0, 1])
    assert (low, high) == (1, 1)


@given(rows=judged)
def test_coverage_is_the_best_that_any_threshold_gives(rows: list[tuple[float, bool]]) -> None:
    confidence = np.array([value for value, _ in rows])
    right = np.array([mark for _, mark in rows])
    shares = [0.0]
    for threshold in set(confidence.tolist()):
        answered = confidence >= threshold
        if right[answered].mean() >= 0.75:
            shares.append(float(answered.mean()))
    assert coverage_at_precision(confidence, right, precision=0.75) == pytest.approx(max(shares))
