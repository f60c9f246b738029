"""Success rates of tools: a failing one sinks, and recovers."""

from __future__ import annotations

import math

import numpy as np
import pytest
from choosing_tools import Floats

from agentmem.ranking.tools.success import (
    USUAL,
    USUAL_STRENGTH,
    posterior,
    success_term,
    usual_rate,
)


def column(*values: float) -> Floats:
    return np.array(values, np.float32)


def test_rates_are_the_means_of_beta_posteriors() -> None:
    good, bad = column(8, 0, 0), column(0, 4, 0)
    usual = (8 + USUAL * USUAL_STRENGTH) / (12 + USUAL_STRENGTH)
    assert usual_rate(good, bad) == pytest.approx(usual)
    expected = [(8 + 4 * usual) / 12, 4 * usual / 8, usual]
    assert posterior(good, bad, strength=4) == pytest.approx(expected)
    assert success_term(good, bad, strength=4) == pytest.approx(
        [math.log(rate / usual) for rate in expected], abs=1e-6
    )


def test_without_reports_success_says_nothing() -> None:
    assert success_term(column(0, 0), column(0, 0), strength=4) == pytest.approx([0, 0], abs=1e-6)


def test_a_tool_sinks_with_each_failure_and_recovers_with_each_success() -> None:
    sinking = [float(success_term(column(0), column(n), strength=4)[0]) for n in range(5)]
    assert sinking == sorted(sinking, reverse=True)
    assert len(set(sinking)) == 5
    recovering = [float(success_term(column(n), column(4), strength=4)[0]) for n in range(5)]
    assert recovering == sorted(recovering)
    assert len(set(recovering)) == 5


def test_reports_that_fade_leave_no_grudge() -> None:
    fading = [
        float(success_term(column(0), column(4 * 0.5**weeks), strength=4)[0]) for weeks in range(12)
    ]
    assert fading == sorted(fading)
    assert fading[0] < -0.2
    assert fading[-1] == pytest.approx(0, abs=1e-3)
