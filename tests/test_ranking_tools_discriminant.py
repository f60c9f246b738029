"""Fisher's discriminant, against distances in the metric of the spread."""

from __future__ import annotations

import numpy as np
from choosing_tools import rows

from agentmem.ranking.tools.discriminant import ENOUGH, SHRINKAGE, discriminant

CLASSES, WIDTH, EXAMPLES = 3, 5, 60
ROWS = rows(EXAMPLES, seed=1, width=WIDTH)
OWNERS = np.random.default_rng(2).integers(0, CLASSES, EXAMPLES)
WEIGHTS = np.random.default_rng(3).random(EXAMPLES).astype(np.float32)
MEANS = rows(CLASSES, seed=4, width=WIDTH)
QUERY = rows(1, seed=5, width=WIDTH)[0]


def test_scores_differ_as_half_the_squared_mahalanobis_distances() -> None:
    loadings, offsets = discriminant(ROWS, OWNERS, weights=WEIGHTS, means=MEANS)
    spread = ROWS - MEANS[OWNERS]
    pooled = np.einsum("e,ei,ej->ij", WEIGHTS, spread, spread) / WEIGHTS.sum()
    pooled += SHRINKAGE * np.trace(pooled) / WIDTH * np.eye(WIDTH)
    away = QUERY - MEANS
    distances = np.einsum("ci,ij,cj->c", away, np.linalg.inv(pooled), away)
    scores = loadings @ QUERY + offsets
    np.testing.assert_allclose(
        scores - scores[0], -0.5 * (distances - distances[0]), rtol=1e-3, atol=1e-4
    )


def test_rows_without_weight_do_not_count() -> None:
    some = WEIGHTS.copy()
    some[::2] = 0
    kept = some > 0
    with_them = discriminant(ROWS, OWNERS, weights=some, means=MEANS)
    without = discriminant(ROWS[kept], OWNERS[kept], weights=some[kept], means=MEANS)
    for one, other in zip(with_them, without, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


def test_too_few_rows_say_nothing() -> None:
    few = slice(0, ENOUGH - 1)
    loadings, offsets = discriminant(ROWS[few], OWNERS[few], weights=WEIGHTS[few], means=MEANS)
    assert not loadings.any()
    assert not offsets.any()


def test_rows_that_are_all_alike_have_no_spread_to_fail_on() -> None:
    same = np.repeat(MEANS[:1], 20, axis=0)
    zeros = np.zeros(20, np.int64)
    loadings, offsets = discriminant(same, zeros, weights=np.ones(20, np.float32), means=MEANS)
    assert np.isfinite(loadings).all()
    assert int(np.argmax(loadings @ MEANS[0] + offsets)) == 0
