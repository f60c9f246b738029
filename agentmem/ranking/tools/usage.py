"""What usage examples tell of tools: prototypes, a discriminant and a density in one space.

A query's place in that space is its vector beside a sketch of its words. A tool without examples
stands where its description does, so that tools old and new are scored on one scale; how much the
space is believed of a tool grows with its examples.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agentmem.ranking.fusion import FLAT
from agentmem.ranking.tools.config import Routing
from agentmem.ranking.tools.density import log_density
from agentmem.ranking.tools.discriminant import discriminant
from agentmem.ranking.tools.observations import Observations
from agentmem.ranking.tools.prototypes import SCALE, centroids, fit
from agentmem.ranking.tools.sketch import Information, information, sketches

__all__ = ["FIT_FORMAT", "Fitted", "Usage", "UsageLeg", "checkpoint"]

FIT_FORMAT = 2  # raised when the same observations would be fitted to something else
COLD_TOOLS = 10.0  # what all tools without examples weigh when legs are standardised
BACKGROUND = 512  # tools without examples that the others are measured against
GROWTH = 1.1  # prototypes are fitted anew when a tenth more is known: amortised constant work

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Fitted:
    """What was fitted of the examples known at the time; dear to make, and kept until a refit.

    Attributes:
        ground: Places of the tools, ascending, shape (B,).
        moved: How far each prototype moved from its centroid, shape (B, W).
        bias: Of each prototype, shape (B,).
        loadings: Of the discriminant, shape (B, W).
        offsets: Of the discriminant, shape (B,).
        known: Which of the tools were fitted; the others came later, shape (B,).
    """

    ground: Ints
    moved: Floats
    bias: Floats
    loadings: Floats
    offsets: Floats
    known: Mask

    def to_matrix(self) -> Floats:
        """Return what was fitted side by side, one row a tool, shape (B, 2 + 2 W)."""
        columns = (self.bias, self.offsets, self.moved, self.loadings)
        matrix: Floats = np.column_stack(columns).astype(np.float32)
        return matrix

    @classmethod
    def from_matrix(cls, matrix: Floats, *, places: Ints) -> Fitted:
        """Return what `to_matrix` was made of, its tools at these places now; below 0 if gone."""
        there = np.argsort(places, kind="stable")[np.count_nonzero(places < 0) :]
        rows = matrix[there]
        moved, loadings = np.split(rows[:, 2:], 2, axis=1)
        known = np.ones(len(rows), np.bool_)
        return cls(places[there], moved, rows[:, 0], loadings, rows[:, 1], known)

    def aligned(self, ground: Ints) -> Fitted:
        """Return the same for other tools: those that were not fitted have not moved."""
        if np.array_equal(self.ground, ground):
            return self
        known = np.isin(ground, self.ground)
        at = np.searchsorted(self.ground, ground[known])

        def spread(rows: Floats) -> Floats:
            found = np.zeros((len(ground), *rows.shape[1:]), np.float32)
            found[known] = rows[at]
            return found

        return Fitted(
            ground=ground,
            moved=spread(self.moved),
            bias=spread(self.bias),
            loadings=spread(self.loadings),
            offsets=spread(self.offsets),
            known=known,
        )


@dataclass(frozen=True, slots=True)
class UsageLeg:
    """What usage says of one query, over the N tools of a catalogue.

    Attributes:
        score: Standardised, shape (N,).
        prototype: Inner product with each tool's prototype, about a cosine, shape (N,).
        nearest: Cosine of each tool's nearest example or description, shape (N,).
    """

    score: Floats
    prototype: Floats
    nearest: Floats


def checkpoint(lessons: Sequence[int]) -> int:
    """Return of how many observations, counted from the oldest, the prototypes are fitted.

    A fit is due with each lesson that makes a tenth more known than the fit before it knew.
    Depends on nothing else, so that every process comes to the same prototypes.

    Args:
        lessons: How many observations each lesson brought, oldest first.
    """
    known = fitted = 0
    for brought in lessons:
        known += brought
        if known >= GROWTH * fitted:
            fitted = known
    return fitted


@dataclass(frozen=True, slots=True)
class Usage:
    """What was learnt of N tools from usage.

    Attributes:
        trust: How far usage is believed of each tool, from 0 to 1, shape (N,).
        share: Weight of the density.
        fitted: What was fitted, to be handed to the next state.
    """

    trust: Floats
    share: float
    fitted: Fitted
    _config: Routing
    _weights: Information
    _points: Floats
    _owners: Ints
    _point_weights: Floats
    _counts: Floats
    _prototypes: Floats

    @classmethod
    def learn(
        cls,
        observations: Observations,
        *,
        descriptions: Floats,
        documents: Sequence[str],
        config: Routing,
        due: int | None = None,
        fitted: Fitted | None = None,
    ) -> Usage | None:
        """Learn from observations; None where nothing was said of any tool and query yet.

        Args:
            observations: Of the tools of one catalogue.
            descriptions: Unit vectors of the N tools' descriptions, shape (N, D).
            documents: Their terms, joined by spaces.
            config: The weights.
            due: Of how many of the observations, from the oldest, prototypes and discriminant
                are to be fitted (see `checkpoint`); of all if None.
            fitted: An earlier fit of these observations, perhaps when there were other tools; made
                anew if None.
        """
        size = len(descriptions)
        counts = observations.counts(size)
        weighed = observations.known(size, negative=config.negative)
        if not weighed.any():
            return None
        first = len(observations) if due is None else due
        weights = information([*observations.terms[:first], *documents])
        space = _Space(descriptions, documents, weights, config)
        rows, ground = space.rows(observations), _ground(weighed)
        if fitted is None:
            early = observations.only(np.arange(len(observations)) < first)
            fitted = _fitted(early, rows[:first], space=space)
        fitted = fitted.aligned(ground)
        prior = space.prior(ground)
        owners, seen = _local(observations, ground, size=size)
        rows, owners, signed = rows[seen], owners[seen], observations.signed(config.negative)[seen]
        means = centroids(rows, owners, weights=signed, prior=prior, shrinkage=config.shrinkage)
        mean = float(counts.sum() / max(np.count_nonzero(counts), 1))
        return cls(
            trust=weighed / (weighed + np.float32(config.trust)),
            share=config.neighbours * mean / (mean + config.neighbours_half),
            fitted=fitted,
            _config=config,
            _weights=weights,
            _points=np.concatenate([rows, prior]),
            _owners=np.concatenate([owners, np.arange(len(ground))]),
            _point_weights=np.concatenate([signed, np.ones(len(ground), np.float32)]),
            _counts=counts[ground] + 1,
            _prototypes=means + fitted.moved,
        )

    @property
    def norm(self) -> float:
        """Sum of the weights of what is added up, the words' included."""
        config = self._config
        return 1 + config.discriminant + self.share + config.usage_words

    def leg(self, vector: Floats, terms: str, *, mask: Mask | None) -> UsageLeg:
        """Score every tool for a query.

        Args:
            vector: Unit vector of the query, shape (D,).
            terms: Its search terms, joined by spaces.
            mask: Which tools are candidates, shape (N,).
        """
        config, ground, size = self._config, self.fitted.ground, len(self.trust)
        place = _place(vector[None], [terms], weights=self._weights, config=config)[0]
        among = None if mask is None else mask[ground]
        prototype = self._prototypes @ place
        logits = np.float32(SCALE) * prototype + self.fitted.bias
        cosines = self._points @ place
        density = log_density(
            cosines,
            self._owners,
            weights=self._point_weights,
            counts=self._counts,
            bandwidth=config.bandwidth,
        )
        spread = self.fitted.loadings @ place + self.fitted.offsets
        if (known := self.fitted.known).any():
            spread[~known] = spread[known].mean()
        legs = ((logits, 1.0), (density, self.share), (spread, config.discriminant))
        score = np.zeros(len(ground), np.float32)
        for leg, weight in legs:
            score += np.float32(weight) * self._standard(leg, among)
        nearest = np.full(len(ground), -1, np.float32)
        np.maximum.at(nearest, self._owners, np.where(self._point_weights > 0, cosines, -1))
        return UsageLeg(
            _spread_out(score / np.float32(self.norm), ground, size),
            _spread_out(prototype, ground, size),
            _spread_out(nearest, ground, size),
        )

    def _standard(self, leg: Floats, among: Mask | None) -> Floats:
        """Standardise a leg over the candidates that usage is believed of; 0 for no candidates.

        Queries lie closer to queries than to descriptions: measured against tools without
        examples, any tool with some would stand out. Those without count as a few tools, which
        matters while there are few others.
        """
        seen = np.ones(len(leg), bool) if among is None else among
        warm = self.trust[self.fitted.ground] * seen
        cold = seen - warm
        weights = warm + cold * np.float32(COLD_TOOLS / max(float(cold.sum()), COLD_TOOLS))
        total = float(weights.sum())
        if total <= 0:
            return np.zeros(len(leg), np.float32)
        mean = float(weights @ leg) / total
        deviation = math.sqrt(max(float(weights @ (leg - mean) ** 2) / total, 0.0))
        if deviation < FLAT:
            return np.zeros(len(leg), np.float32)
        standard: Floats = (seen * (leg - mean) / deviation).astype(np.float32)
        return standard


@dataclass(frozen=True, slots=True)
class _Space:
    """Where queries and descriptions lie: meaning beside words."""

    descriptions: Floats
    documents: Sequence[str]
    weights: Information
    config: Routing

    def rows(self, observations: Observations) -> Floats:
        """Places of queries, shape (E, W)."""
        told = observations.vectors, observations.terms
        return _place(*told, weights=self.weights, config=self.config)

    def prior(self, ground: Ints) -> Floats:
        """Places of the descriptions of some tools, shape (len(ground), W)."""
        words = [self.documents[place] for place in ground]
        vectors = self.descriptions[ground]
        return _place(vectors, words, weights=self.weights, config=self.config)


def _fitted(early: Observations, rows: Floats, *, space: _Space) -> Fitted:
    """Fit prototypes and discriminant of these observations, and of nothing that came later.

    The weights count from the newest of them, so that whenever it is made the fit is the same.

    Args:
        early: What is to be fitted.
        rows: Places of its queries, shape (E, W).
        space: Where they lie.
    """
    config, size = space.config, len(space.descriptions)
    ground = _ground(early.known(size, negative=config.negative))
    prior = space.prior(ground)
    owners, seen = _local(early, ground, size=size)
    newest = max(float(early.weights[seen].max(initial=0)), FLAT)
    rows, owners = rows[seen], owners[seen]
    signed = early.signed(config.negative, newest=newest)[seen]
    start = centroids(rows, owners, weights=signed, prior=prior, shrinkage=config.shrinkage)
    positive = np.maximum(signed, 0)
    moved, bias = fit(rows, owners, weights=positive, prior=start)
    loadings, offsets = discriminant(rows, owners, weights=positive, means=start)
    every = np.ones(len(ground), np.bool_)
    return Fitted(ground, moved - start, bias, loadings, offsets, every)


def _local(observations: Observations, ground: Ints, *, size: int) -> tuple[Ints, Mask]:
    """Place of each observation's tool on the ground, and which observations tell of one there."""
    local = np.full(size, -1, np.int64)
    local[ground] = np.arange(len(ground))
    owners: Ints = local[observations.owners]
    return owners, (owners >= 0) & (observations.labels != 0)


def _place(
    vectors: Floats, terms: Sequence[str], *, weights: Information, config: Routing
) -> Floats:
    """Put queries or descriptions into the space of usage, shape (E, D + DIMENSIONS)."""
    words = sketches(terms, weights=weights) * np.float32(config.sketch)
    both = np.concatenate([vectors, words], axis=1)
    placed: Floats = (both / np.float32(math.hypot(1.0, config.sketch))).astype(np.float32)
    return placed


def _ground(counts: Floats) -> Ints:
    """Tools with examples, and some of the others, evenly taken."""
    cold = np.flatnonzero(counts <= 0)
    if len(cold) > BACKGROUND:
        cold = cold[np.linspace(0, len(cold) - 1, BACKGROUND).astype(np.int64)]
    return np.sort(np.concatenate([np.flatnonzero(counts > 0), cold])).astype(np.int64)


def _spread_out(values: Floats, places: Ints, size: int) -> Floats:
    row = np.zeros(size, np.float32)
    row[places] = values
    return row
