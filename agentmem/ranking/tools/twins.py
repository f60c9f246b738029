"""Pairs of tools whose descriptions are hardly to be told apart, by exact comparison of all pairs.

Numpy in, numpy out. The matrix of cosines is made a block of rows at a time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["Pairs", "twins"]

BLOCK: Final = 512  # rows of cosines at a time: 20 MB for 10,000 tools

Places = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Pairs:
    """P pairs of tools, the first of each before the second in the catalogue.

    Attributes:
        first: Shape (P,).
        second: Shape (P,).
        similarity: Cosine of their descriptions, shape (P,).
    """

    first: Places
    second: Places
    similarity: NDArray[np.float32]

    def best(self, limit: int) -> Pairs:
        """Return the most alike of them, most alike first; ties in order of the catalogue."""
        order = np.lexsort((self.second, self.first, -self.similarity))[:limit]
        return Pairs(self.first[order], self.second[order], self.similarity[order])

    def joined(self, others: Pairs) -> Pairs:
        """Return these pairs and those of the others that are not among them."""
        own = set(zip(self.first.tolist(), self.second.tolist(), strict=True))
        pairs = zip(others.first.tolist(), others.second.tolist(), strict=True)
        new = np.array([pair not in own for pair in pairs], np.bool_)
        return Pairs(
            np.concatenate([self.first, others.first[new]]),
            np.concatenate([self.second, others.second[new]]),
            np.concatenate([self.similarity, others.similarity[new]]),
        )


def twins(
    vectors: NDArray[np.float32], groups: NDArray[np.int64], *, least: float, limit: int
) -> Pairs:
    """Return the pairs of one group whose vectors are most alike, most alike first.

    Args:
        vectors: Unit rows, shape (N, D).
        groups: Codes; tools of different groups are no pair, shape (N,).
        least: Cosine that makes a pair.
        limit: How many pairs at most.
    """
    found = Pairs(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.float32))
    for start in range(0, len(vectors), BLOCK):
        rows = slice(start, start + BLOCK)
        cosines = vectors[rows] @ vectors[start:].T
        alike = (cosines >= least) & (groups[rows, None] == groups[None, start:])
        first, second = np.nonzero(np.triu(alike, k=1))
        some = Pairs(first + start, second + start, cosines[first, second]).best(limit)
        found = found.joined(some).best(limit)
    return found
