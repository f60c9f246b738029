"""Prototypes: centroids against a loop, and the fit against an optimum found another way."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from choosing_tools import rows
from numpy.typing import NDArray
from scipy.optimize import check_grad, minimize
from scipy.special import log_softmax

from agentmem.ranking.tools import prototypes as module
from agentmem.ranking.tools.prototypes import BIAS_RIDGE, RIDGE, SCALE, centroids, fit

CLASSES, WIDTH, EXAMPLES = 4, 3, 40
ROWS = rows(EXAMPLES, seed=1, width=WIDTH)
OWNERS = np.random.default_rng(2).integers(0, CLASSES, EXAMPLES)
WEIGHTS = np.random.default_rng(3).random(EXAMPLES).astype(np.float32)
PRIOR = rows(CLASSES, seed=4, width=WIDTH)

Flat = NDArray[np.float64]


def loss(flat: Flat) -> float:
    """Penalised negative log-likelihood, as the docstring has it, in double precision."""
    moved, bias = flat[:-CLASSES].reshape(CLASSES, WIDTH), flat[-CLASSES:]
    logits = SCALE * (ROWS @ (PRIOR + moved).T) + bias
    told = log_softmax(logits, axis=1)[np.arange(EXAMPLES), OWNERS]
    return float(-(WEIGHTS * told).sum() + RIDGE * (moved**2).sum() + BIAS_RIDGE * (bias**2).sum())


def test_the_fit_is_the_maximum_a_posteriori() -> None:
    fitted, bias = fit(ROWS, OWNERS, weights=WEIGHTS, prior=PRIOR)
    found = np.concatenate([(fitted - PRIOR).ravel(), bias]).astype(np.float64)
    start = np.zeros(len(found))
    best = minimize(loss, start, method="L-BFGS-B", options={"maxiter": 1_000, "ftol": 1e-14})
    assert loss(found) < loss(start) - 1
    assert loss(found) == pytest.approx(best.fun, abs=0.01)


def test_the_gradient_is_that_of_the_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches a wrong slope, with which the optimiser would stop too early."""
    seen: list[Any] = []

    def spy(objective: Any, start: Flat, **options: Any) -> object:
        seen.append(objective)
        return minimize(objective, start, **options)

    monkeypatch.setattr(module, "minimize", spy)
    fit(ROWS, OWNERS, weights=WEIGHTS, prior=PRIOR)
    point = np.random.default_rng(5).standard_normal(CLASSES * WIDTH + CLASSES) * 0.1
    objective = seen[0]
    assert objective(point)[0] == pytest.approx(loss(point), rel=1e-5)

    def slope(at: Flat) -> Flat:
        return np.asarray(objective(at)[1])

    assert check_grad(loss, slope, point) < 1e-3


def test_without_examples_or_rivals_the_prior_stays() -> None:
    nothing = np.zeros((0, WIDTH), np.float32)
    none = np.zeros(0, np.int64)
    fitted, bias = fit(nothing, none, weights=np.zeros(0, np.float32), prior=PRIOR)
    assert np.array_equal(fitted, PRIOR)
    assert not bias.any()
    alone, _ = fit(ROWS, np.zeros(EXAMPLES, np.int64), weights=WEIGHTS, prior=PRIOR[:1])
    assert np.array_equal(alone, PRIOR[:1])


def test_work_beyond_the_bound_is_not_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WORK", 1.0)
    fitted, _ = fit(ROWS, OWNERS, weights=WEIGHTS, prior=PRIOR)
    assert np.array_equal(fitted, PRIOR)


def test_centroids_are_weighted_means_shrunk_to_the_prior() -> None:
    signed = WEIGHTS - np.float32(0.3)
    found = centroids(ROWS, OWNERS, weights=signed, prior=PRIOR, shrinkage=2.0)
    for tool in range(CLASSES):
        mine = tool == OWNERS
        total = 2 * PRIOR[tool] + (signed[mine, None] * ROWS[mine]).sum(axis=0)
        count = 2 + np.maximum(signed[mine], 0).sum()
        np.testing.assert_allclose(found[tool], total / count, atol=1e-5)


def test_a_class_without_rows_stands_at_its_prior() -> None:
    found = centroids(ROWS[:1], np.array([0]), weights=WEIGHTS[:1] + 1, prior=PRIOR, shrinkage=3.0)
    np.testing.assert_allclose(found[1:], PRIOR[1:], atol=1e-6)
    assert not np.allclose(found[0], PRIOR[0])
