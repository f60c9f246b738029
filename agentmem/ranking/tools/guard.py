"""How well usage predicts itself: each observation asked with itself left out.

Uses the part of the usage model that has a closed form (shrunk centroids and densities beside the
descriptions), so that hundreds of observations are asked in tenths of a second. What is only
learnt by heart is not seen here: a label that its own example alone supports counts as a miss.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agentmem.ranking.fusion import zscore
from agentmem.ranking.tools.config import Routing
from agentmem.ranking.tools.density import log_density
from agentmem.ranking.tools.observations import Observations

__all__ = ["leave_one_out", "ndcg"]

TOGETHER = 256  # queries compared in one product: 15 MB with as many observations as MetaTool has

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]


def leave_one_out(
    descriptions: Floats, observations: Observations, *, sample: Ints, config: Routing
) -> tuple[Ints, Ints]:
    """Rank the tools for sampled observations, each as if it had not been made.

    Other observations of the same query text are left out with it.

    Args:
        descriptions: Unit vectors of the N tools, shape (N, D).
        observations: All that is known.
        sample: Places of the observations to ask, shape (S,); their labels should be 1.
        config: The weights.

    Returns:
        Rank of the observation's own tool, from 1 and behind those that score as much, and the
        tool ranked first, each shape (S,).
    """
    jackknife = _Jackknife.of(descriptions, observations, config=config)
    twins = defaultdict(list)
    for place, query in enumerate(observations.queries):
        twins[query].append(place)
    ranks, winners = np.zeros(len(sample), np.int64), np.zeros(len(sample), np.int64)
    for begin in range(0, len(sample), TOGETHER):
        asked = sample[begin : begin + TOGETHER]
        for row, scores in enumerate(jackknife.scores(asked, twins), start=begin):
            ranks[row] = np.count_nonzero(scores >= scores[observations.owners[sample[row]]])
            winners[row] = int(np.argmax(scores))
    return ranks, winners


def ndcg(ranks: Ints, *, k: int) -> Floats:
    """nDCG@k of queries with one right tool each, given its rank from 1, shape (S,)."""
    gains: Floats = np.where(ranks <= k, 1 / np.log2(ranks + 1), 0).astype(np.float32)
    return gains


@dataclass(frozen=True, slots=True)
class _Jackknife:
    descriptions: Floats
    observations: Observations
    config: Routing
    weights: Floats  # (E,) below 0 where the tool was wrong
    sums: Floats  # (N, D) of weighted vectors
    counts: Floats  # (N,) of positive weights
    owners: Ints  # (E + N,) of the observations and the descriptions

    @classmethod
    def of(cls, descriptions: Floats, observations: Observations, *, config: Routing) -> _Jackknife:
        weights = observations.signed(config.negative)
        sums = np.zeros_like(descriptions)
        np.add.at(sums, observations.owners, observations.vectors * weights[:, None])
        counts = observations.counts(len(descriptions))
        owners = np.concatenate([observations.owners, np.arange(len(descriptions))])
        return cls(descriptions, observations, config, weights, sums, counts, owners)

    def scores(self, asked: Ints, twins: Mapping[str, list[int]]) -> Iterator[Floats]:
        """Score every tool for the query of each of some observations, shape (N,)."""
        known = self.observations
        queries = known.vectors[asked]
        cosines, described = queries @ known.vectors.T, queries @ self.descriptions.T
        told = queries @ self.sums.T
        for row, place in enumerate(asked):
            left_out = np.array(twins[known.queries[place]], np.int64)
            yield self._without(left_out, cosines[row], told=told[row], described=described[row])

    def _without(
        self, left_out: Ints, cosines: Floats, *, told: Floats, described: Floats
    ) -> Floats:
        """Score every tool for a query without some observations, shape (N,)."""
        config, owners = self.config, self.observations.owners[left_out]
        kept, counts = self.weights.copy(), self.counts.copy()
        kept[left_out] = 0
        np.subtract.at(told, owners, self.weights[left_out] * cosines[left_out])
        np.subtract.at(counts, owners, np.maximum(self.weights[left_out], 0))
        prior = np.float32(config.shrinkage)
        prototype = (told + prior * described) / (np.maximum(counts, 0) + prior)
        mean = float(counts.sum() / max(np.count_nonzero(counts > 0), 1))
        share = np.float32(config.neighbours * mean / (mean + config.neighbours_half))
        density = log_density(
            np.concatenate([cosines, described]),
            self.owners,
            weights=np.concatenate([kept, np.ones(len(described), np.float32)]),
            counts=counts + 1,
            bandwidth=config.bandwidth,
        )
        learnt = (zscore(prototype) + share * zscore(density)) / (1 + share)
        trust = counts / (counts + np.float32(config.trust))
        scores: Floats = trust * learnt + (1 - trust) * zscore(described)
        return scores
