"""How much the turns around a turn say about it, in words and in meaning.

A positional kernel: evidence spreads from a turn to its neighbours of the same session and fades
with the words and the time between them (Lv & Zhai, "Positional Language Models for Information
Retrieval", SIGIR 2009, use the same idea within a document). Whether neighbours are to be believed
at all is measured on the conversation itself: a list of unrelated notes has no neighbours.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agentmem.ranking.vectors import Vectors

__all__ = ["Kernel", "coherence"]

MAX_LAG = 14  # turns to each side: how far short messages reach before the kernel has faded
SAMPLE = 512  # pairs a lag: the standard error of coherence is then 0.03, and it costs 1 ms
COHERENCE_LAGS = (1, 2, 3)
FLAT = 1e-6  # random pairs that differ by less are copies of one text: nothing to compare with


@dataclass(frozen=True, slots=True)
class Kernel:
    """Weights between each turn and the ones up to `MAX_LAG` after it.

    Attributes:
        size: T, the number of turns.
        weights: At [d - 1, i] the weight between the turns i and i + d, from 0 (other session,
            far, or none) to 1, (L, T).
    """

    size: int
    weights: NDArray[np.float32]

    @classmethod
    def build(
        cls,
        session: NDArray[np.int32],
        lengths: NDArray[np.float32],
        *,
        event_time: NDArray[np.int64],
        reach: float,
        gap: float,
    ) -> Kernel:
        """Measure the distances between neighbours.

        Args:
            session: Session code of each turn, turns of a session adjacent and in order, (T,).
            lengths: Terms of each turn, (T,).
            event_time: Microseconds, (T,).
            reach: Terms over which support falls to 1/e.
            gap: Microseconds of silence over which support falls to 1/e.
        """
        place = np.cumsum(lengths, dtype=np.float64) - lengths / 2
        distance = np.diff(place) / reach + np.abs(np.diff(event_time)) / gap
        adjacent = np.where(np.diff(session) == 0, np.exp(-distance), 0).astype(np.float32)
        weights = np.zeros((min(MAX_LAG, len(adjacent)), len(session)), np.float32)
        weights[:1, :-1] = adjacent
        for lag in range(1, len(weights)):  # distances within a session add up
            np.multiply(weights[lag - 1, : -1 - lag], adjacent[lag:], out=weights[lag, : -1 - lag])
        return cls(len(session), weights)

    def spread(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Sum of the neighbours' values by their weights, the turn itself left out, shape (T,)."""
        total = np.zeros(len(values), np.float32)
        for lag, weight in enumerate(self.weights, start=1):
            total[:-lag] += weight[:-lag] * values[lag:]
            total[lag:] += weight[:-lag] * values[:-lag]
        return total

    def spread_sparse(
        self, places: NDArray[np.int64], values: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """`spread` of an array that is zero but at a few places, in time of those alone."""
        total = np.zeros(self.size, np.float32)
        for lag, weight in enumerate(self.weights, start=1):
            back = places >= lag
            np.add.at(total, places[back] - lag, weight[places[back] - lag] * values[back])
            ahead = places < self.size - lag
            np.add.at(total, places[ahead] + lag, weight[places[ahead]] * values[ahead])
        return total

    def around(self, places: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Return the neighbours of some turns and their weights, 0 where there is none, (P, W)."""
        lags = np.arange(1, len(self.weights) + 1)
        before, after = places[:, None] - lags, places[:, None] + lags
        backwards = np.where(before >= 0, self.weights[lags - 1, before], 0)
        forwards = self.weights[lags - 1, places[:, None]]
        beside = np.hstack([np.maximum(before, 0), np.minimum(after, self.size - 1)])
        return beside, np.hstack([backwards, forwards])


def coherence(
    vectors: Vectors | NDArray[np.float32],
    kernel: Kernel,
    *,
    rows: NDArray[np.int64],
    speaker: NDArray[np.int32],
    seed: int = 0,
) -> float:
    """How much alike adjacent turns are, in standard deviations of two random turns' cosine.

    Near 0 for unrelated notes, 0.1 to 0.3 for long meetings, 0.5 and more for chats and
    interviews. Each speaker's mean is taken out first, since every text starts with its speaker.

    Args:
        vectors: Unit rows, shape (C, D).
        kernel: Weights between neighbours.
        rows: Which row is each turn's, (T,).
        speaker: Speaker code of each turn, (T,).
        seed: Of the sample of pairs.

    Returns:
        The kernel-weighted mean over sampled adjacent pairs less its standard error, so that a
        few turns that happen to agree prove nothing; 0 where no turn has a neighbour.
    """
    if not len(kernel.weights):
        return 0.0
    random = np.random.default_rng(seed)
    centre = _speaker_means(vectors, rows, speaker=speaker, random=random)

    def cosines(first: NDArray[np.int64], second: NDArray[np.int64]) -> NDArray[np.float32]:
        a = vectors[rows[first]] - centre[speaker[first]]
        b = vectors[rows[second]] - centre[speaker[second]]
        norms = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
        found: NDArray[np.float32] = np.einsum("ij,ij->i", a, b) / np.maximum(norms, 1e-9)
        return found

    ends = random.integers(0, len(rows), (2, 2 * SAMPLE))
    chance = cosines(*ends[:, ends[0] != ends[1]])
    total = mass = squares = 0.0
    for lag in (lag for lag in COHERENCE_LAGS if lag <= len(kernel.weights)):
        weight = kernel.weights[lag - 1]
        linked = np.flatnonzero(weight > 0)
        if len(linked) > SAMPLE:
            linked = np.sort(random.choice(linked, SAMPLE, replace=False))
        total += float(weight[linked] @ (cosines(linked, linked + lag) - chance.mean()))
        mass += float(weight[linked].sum())
        squares += float(weight[linked] @ weight[linked])
    if not mass or chance.std() <= FLAT:
        return 0.0
    return total / (mass * float(chance.std())) - math.sqrt(squares) / mass


def _speaker_means(
    vectors: Vectors | NDArray[np.float32],
    rows: NDArray[np.int64],
    *,
    speaker: NDArray[np.int32],
    random: np.random.Generator,
) -> NDArray[np.float32]:
    """Mean vector of each speaker, from a sample of turns, shape (speakers, D).

    Summed in float64: less their mean, copies of one vector must leave nothing, not rounding.
    """
    sample = random.choice(len(rows), min(len(rows), 4 * SAMPLE), replace=False)
    sample = sample[np.argsort(speaker[sample], kind="stable")]
    present, starts, counts = np.unique(speaker[sample], return_index=True, return_counts=True)
    means = np.zeros((int(speaker.max()) + 1, vectors.shape[1]), np.float32)
    sums = np.add.reduceat(vectors[rows[sample]], starts, axis=0, dtype=np.float64)
    means[present] = sums / counts[:, None]
    return means
