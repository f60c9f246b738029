"""Probabilities fitted to scores: found again where they are known, and monotone."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from agentmem.ranking.tools.scaling import IDENTITY, Scale, fit_scale, fit_temperature

CHANCE = st.integers(1, 99).map(lambda percent: percent / 100)
CHANCES = st.lists(CHANCE, min_size=1, max_size=30)


def sigmoid(odds: NDArray[np.float64]) -> NDArray[np.float64]:
    chance: NDArray[np.float64] = 1 / (1 + np.exp(-odds))
    return chance


@pytest.mark.parametrize("line", [Scale(0.4, -1.0), Scale(2.0, 0.5), Scale(1.0, 0.0)])
def test_the_line_behind_the_labels_is_found_again(line: Scale) -> None:
    generator = np.random.default_rng(3)
    confidence = sigmoid(generator.normal(0, 2, 6_000))
    truth = np.array([line(float(value)) for value in confidence])
    fits = generator.random(6_000) < truth
    found = fit_scale(confidence[fits], confidence[~fits])
    assert found.slope == pytest.approx(line.slope, rel=0.15)
    assert found.intercept == pytest.approx(line.intercept, abs=0.15)


@given(CHANCES, CHANCES)
@settings(max_examples=40)
def test_a_fitted_scale_keeps_the_order_and_gives_probabilities(
    answerable: list[float], unanswerable: list[float]
) -> None:
    scale = fit_scale(answerable, unanswerable)
    scaled = [scale(value) for value in (0.0, *sorted(answerable + unanswerable), 1.0)]
    assert all(0 <= value <= 1 for value in scaled)
    assert scaled == sorted(scaled)


def test_separate_kinds_give_a_finite_line() -> None:
    scale = fit_scale([0.9] * 20, [0.1] * 20)
    assert 0.9 < scale(0.9) < 0.999
    assert 0.001 < scale(0.1) < 0.1


def test_a_confidence_that_is_upside_down_is_left_as_it_is() -> None:
    assert fit_scale([0.1, 0.2, 0.3], [0.7, 0.8, 0.9]) == IDENTITY


@given(CHANCE)
def test_no_scale_changes_nothing(confidence: float) -> None:
    assert IDENTITY(confidence) == confidence


@pytest.mark.parametrize("temperature", [0.2, 1.5, 20.0])
def test_the_temperature_behind_the_labels_is_found_again(temperature: float) -> None:
    generator = np.random.default_rng(7)
    gaps = np.sort(generator.gamma(2, temperature, (2_000, 6)), axis=1)
    gaps[:, 0] = 0
    confidence = generator.uniform(0.5, 1, 2_000)
    needed = generator.random(gaps.shape) < confidence[:, None] * np.exp(-gaps / temperature)
    assert fit_temperature(confidence, gaps, needed=needed) == pytest.approx(temperature, rel=0.1)


def test_a_few_queries_that_need_one_tool_each_do_not_rule_a_second_one_out() -> None:
    gaps = np.tile([0.0, 1.0, 2.0], (5, 1))
    needed = gaps == 0
    few = fit_temperature(np.full(5, 0.9), gaps, needed=needed)
    many = fit_temperature(
        np.full(500, 0.9), np.tile(gaps, (100, 1)), needed=np.tile(needed, (100, 1))
    )
    assert few is not None
    assert many is not None
    assert few > 0.1
    assert many < few


def test_a_catalogue_of_one_tool_has_no_temperature() -> None:
    assert fit_temperature([0.9, 0.8], [[0.0], [0.0]], needed=[[True], [True]]) is None
