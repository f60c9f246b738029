"""Leaving one observation out, against a model made without it."""

from __future__ import annotations

import math

import numpy as np
import pytest
from choosing_tools import Floats, observed, rows
from hypothesis import given
from hypothesis import strategies as st

from agentmem.ranking.fusion import zscore
from agentmem.ranking.tools import guard as module
from agentmem.ranking.tools.config import Routing
from agentmem.ranking.tools.density import log_density
from agentmem.ranking.tools.guard import leave_one_out, ndcg
from agentmem.ranking.tools.observations import Observations

SIZE = 4
CONFIG = Routing()
DESCRIPTIONS = rows(SIZE, seed=1)
SEEN = st.lists(
    st.tuples(st.integers(0, SIZE - 1), st.sampled_from([1, 1, -1]), st.integers(0, 5)),
    min_size=1,
    max_size=12,
)


def drawn(seen: list[tuple[int, int, int]]) -> Observations:
    """Return observations of a few queries, several of them asked more than once."""
    owners, labels, asked = (list(column) for column in zip(*seen, strict=True))
    vectors = rows(6, seed=5)[asked]
    queries = [f"query {n}" for n in asked]
    return observed(owners, labels=labels, vectors=vectors, queries=queries)


def without(known: Observations, asked: int) -> Floats:
    """Score the tools by a model that never saw the query asked."""
    kept = known.only(np.array([q != known.queries[asked] for q in known.queries]))
    query = known.vectors[asked]
    signed = np.where(kept.labels < 0, -CONFIG.negative, 1.0).astype(np.float32)
    counts = kept.counts(SIZE)
    sums = CONFIG.shrinkage * DESCRIPTIONS
    for owner, vector, weight in zip(kept.owners, kept.vectors, signed, strict=True):
        sums[owner] += weight * vector
    prototype = (sums @ query) / (counts + CONFIG.shrinkage)
    mean = counts.sum() / max(np.count_nonzero(counts), 1)
    share = CONFIG.neighbours * mean / (mean + CONFIG.neighbours_half)
    density = log_density(
        np.concatenate([kept.vectors @ query, DESCRIPTIONS @ query]).astype(np.float32),
        np.concatenate([kept.owners, np.arange(SIZE)]),
        weights=np.concatenate([signed, np.ones(SIZE, np.float32)]),
        counts=counts + 1,
        bandwidth=CONFIG.bandwidth,
    )
    learnt = (zscore(prototype.astype(np.float32)) + share * zscore(density)) / (1 + share)
    trust = counts / (counts + CONFIG.trust)
    scores: Floats = trust * learnt + (1 - trust) * zscore(DESCRIPTIONS @ query)
    return scores


@given(SEEN)
def test_an_observation_is_asked_as_if_it_had_not_been_made(
    seen: list[tuple[int, int, int]],
) -> None:
    known = drawn(seen)
    sample = np.arange(len(known))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "TOGETHER", 5)
        ranks, winners = leave_one_out(DESCRIPTIONS, known, sample=sample, config=CONFIG)
    for place in sample:
        scores = without(known, int(place))
        own = scores[known.owners[place]]
        assert scores[winners[place]] == pytest.approx(scores.max(), abs=1e-3)
        least, most = (1 + np.count_nonzero(scores > own + edge) for edge in (2e-3, -2e-3))
        assert least <= ranks[place] <= most


def test_what_is_learnt_by_heart_does_not_count() -> None:
    query = rows(1, seed=7)[0]
    known = observed([3], vectors=query[None])
    ranks, _ = leave_one_out(DESCRIPTIONS, known, sample=np.array([0]), config=CONFIG)
    cold = DESCRIPTIONS @ query
    assert ranks[0] == 1 + np.count_nonzero(cold > cold[3])


def test_ndcg_falls_with_the_rank_and_ends_at_k() -> None:
    found = ndcg(np.array([1, 2, 5, 6]), k=5)
    assert found == pytest.approx([1, 1 / math.log2(3), 1 / math.log2(6), 0])
