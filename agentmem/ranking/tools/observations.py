"""What was seen of tools: queries, and whether a tool was right for each; columns, no objects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Observations"]

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Observations:
    """E pairs of a query and a tool, oldest first.

    Attributes:
        vectors: Unit vectors of the queries, shape (E, D).
        terms: Their search terms, joined by spaces.
        owners: Place of the tool in the catalogue, shape (E,).
        labels: 1 where the tool was right, -1 where it was wrong, 0 where that is not known.
        weights: By age, from 0 to 1, shape (E,). So exact that their ratios are the same at any
            age: a fit stops early, and makes much of a last digit.
        queries: The queries as asked.
    """

    vectors: Floats
    terms: Sequence[str]
    owners: Ints
    labels: NDArray[np.int8]
    weights: NDArray[np.float64]
    queries: Sequence[str]

    def __len__(self) -> int:
        return len(self.owners)

    def only(self, kept: Mask) -> Observations:
        """Return those that are kept, shape of `kept` (E,)."""
        places = np.flatnonzero(kept)
        return Observations(
            self.vectors[places],
            [self.terms[int(place)] for place in places],
            self.owners[places],
            self.labels[places],
            self.weights[places],
            [self.queries[int(place)] for place in places],
        )

    def counts(self, size: int, *, label: int = 1) -> Floats:
        """Weight of the observations of each tool with a label, shape (size,)."""
        mine = self.weights * (self.labels == label)
        return np.bincount(self.owners, mine, minlength=size).astype(np.float32)

    def known(self, size: int, *, negative: float) -> Floats:
        """Weight of what was said of each tool, right or wrong, shape (size,)."""
        wrong = self.counts(size, label=-1)
        weighed: Floats = self.counts(size) + np.float32(negative) * wrong
        return weighed

    def signed(self, negative: float, *, newest: float = 1.0) -> Floats:
        """Weight of each, below 0 by that factor where the tool was wrong, shape (E,).

        Args:
            negative: The factor.
            newest: The weight to count as 1.
        """
        against = np.where(self.labels < 0, -negative, self.labels)
        return (self.weights * against / newest).astype(np.float32)
