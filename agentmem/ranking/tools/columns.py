"""The static columns of a catalogue: what each tool says about itself, as arrays.

A tool is seen in three views (name, description, arguments), each of one or more pieces. The
vectors of a view are centred over the catalogue: what all tools have in common tells none apart
(Mu & Viswanath, "All-but-the-Top", ICLR 2018).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agentmem.ranking.fusion import zscore
from agentmem.ranking.lexical import InvertedIndex, Postings, bm25, idf
from agentmem.ranking.tools.config import Routing

__all__ = ["Columns", "Lexical", "View", "unit"]

CENTRE_PRIOR = 10  # tools' worth of no centring at all: the mean of three tools is no common part
NOTHING = 1e-9  # shorter vectors have no direction

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]


def unit(rows: Floats) -> Floats:
    """Scale rows to unit length, shape (N, D); rows without a direction stay as they are."""
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    scaled: Floats = (rows / np.maximum(lengths, NOTHING)).astype(np.float32)
    return scaled


@dataclass(frozen=True, slots=True)
class View:
    """One view of every tool that has it.

    Attributes:
        vectors: Centred unit rows of the pieces, shape (P, D).
        owners: For each piece its tool, ascending, shape (P,).
        size: Number of tools.
    """

    vectors: Floats
    owners: NDArray[np.int64]
    size: int

    @classmethod
    def centred(cls, vectors: Floats, owners: NDArray[np.int64], *, size: int) -> View:
        """Take away from unit rows what they have in common."""
        common = vectors.sum(axis=0) / (len(vectors) + CENTRE_PRIOR)
        return cls(unit(vectors - common), owners, size)

    @property
    def _one_each(self) -> bool:
        """Whether the pieces are those of the tools, one by one."""
        return np.array_equal(self.owners, np.arange(self.size))

    def cosines(self, query: Floats) -> Floats:
        """Cosine of each tool's best piece, shape (size,); NaN for tools without this view."""
        found = self.vectors @ query
        if self._one_each:
            return found
        best = np.full(self.size, -np.inf, np.float32)
        np.maximum.at(best, self.owners, found)
        best[np.isinf(best)] = np.nan
        return best

    def mean(self) -> Floats:
        """Mean of each tool's pieces, shape (size, D); zeros for tools without this view."""
        if self._one_each:
            return self.vectors
        total = np.zeros((self.size, self.vectors.shape[1]), np.float32)
        np.add.at(total, self.owners, self.vectors)
        return unit(total)


@dataclass(frozen=True, slots=True)
class Lexical:
    """How the words of a query meet a catalogue.

    Attributes:
        rows: For each term BM25 of every tool, shape (N,).
        information: For each term its inverse document frequency.
        unknown: Inverse document frequency of a term that no tool knows.
    """

    rows: Mapping[str, Floats]
    information: Mapping[str, float]
    unknown: float

    @property
    def rarity(self) -> float:
        """Mean inverse document frequency of the terms; 0 without terms."""
        return sum(self.information.values()) / max(len(self.information), 1)

    def bm25(self, terms: list[str]) -> Floats | None:
        """BM25 of every tool over some of the terms, shape (N,); None if there are none."""
        if not terms:
            return None
        total: Floats = np.add.reduce([self.rows[term] for term in terms])
        return total

    def leg(self, terms: list[str], *, mask: Mask | None) -> Floats | None:
        """Standardised BM25, scaled by how much of the terms' information the best tool holds.

        The scale is the leg's own confidence: near 1 where one tool says all that was asked,
        near 0 where the catalogue does not speak the query's language.
        """
        found = self.bm25(terms)
        if found is None:
            return None
        standard: Floats = zscore(found, mask) * np.float32(self._share(found, terms, mask=mask))
        return standard

    def grasp(self, terms: list[str], *, mask: Mask | None) -> float:
        """Share of the terms' information that the best tool holds, from 0 to 1."""
        found = self.bm25(terms)
        return 0.0 if found is None else self._share(found, terms, mask=mask)

    def _share(self, found: Floats, terms: list[str], *, mask: Mask | None) -> float:
        asked = sum(self.information[term] for term in terms)
        if asked <= 0:
            return 0.0
        best = float((found if mask is None else found[mask]).max(initial=0.0))
        return min(best / asked, 1.0)


@dataclass(frozen=True, slots=True)
class Columns:
    """What a catalogue of N tools says about itself.

    Attributes:
        views: Each view with its weight, the description first.
        index: Words of every tool, its usage examples' included.
        size: N.
        together: Weighted mean of each tool's views, shape (N, D): one product for them all.
        split: Tools of which a view has several pieces, for which the best piece is sought.
    """

    views: tuple[tuple[View, float], ...]
    index: InvertedIndex
    size: int
    together: Floats
    split: NDArray[np.int64]

    @classmethod
    def of(
        cls,
        name: View,
        *,
        description: View,
        arguments: View,
        index: InvertedIndex,
        config: Routing,
    ) -> Columns:
        """Put the views of a catalogue together."""
        views = ((description, 1.0), (arguments, config.arguments), (name, config.name))
        size = description.size
        told = description.mean()
        total = np.zeros_like(told)
        pieces = np.zeros(size, np.int64)
        for view, weight in views:
            counts = np.bincount(view.owners, minlength=size)
            pieces = np.maximum(pieces, counts)
            total += np.float32(weight) * np.where(counts[:, None] > 0, view.mean(), told)
        total /= np.float32(sum(weight for _, weight in views))
        return cls(views, index, size, total, np.flatnonzero(pieces > 1))

    def cosine(self, query: Floats) -> Floats:
        """Weighted mean of the views' cosines, shape (N,), in [-1, 1].

        Of a view in several pieces the best one counts. A view that a tool lacks is taken to say
        what its description says.
        """
        means: Floats = self.together @ query
        if len(self.split):
            means[self.split] = self._best_pieces(query)[self.split]
        return means

    def words(self, terms: list[str]) -> Lexical:
        """Look the terms of a query up, each once."""
        postings: dict[str, Postings] = {
            term: self.index.postings(term, size=self.size) for term in dict.fromkeys(terms)
        }
        information = {term: idf(len(found[0]), self.size) for term, found in postings.items()}
        found = bm25(postings, self.index.lengths(self.size))
        return Lexical(found, information, idf(0, self.size))

    def _best_pieces(self, query: Floats) -> Floats:
        described = self.views[0][0].cosines(query)
        total = np.zeros_like(described)
        for view, weight in self.views:
            seen = view.cosines(query)
            total += np.float32(weight) * np.where(np.isnan(seen), described, seen)
        mean: Floats = total / np.float32(sum(weight for _, weight in self.views))
        return mean
