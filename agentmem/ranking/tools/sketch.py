"""Words as short dense vectors: a feature-hashing sketch of tf-idf.

Each term is thrown on a few of a fixed number of dimensions with a random sign, so that inner
products of sketches estimate those of the sparse vectors without bias, and no vocabulary has to
be kept (Weinberger et al., "Feature Hashing for Large Scale Multitask Learning", ICML 2009).
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = ["DIMENSIONS", "Information", "information", "sketches"]

DIMENSIONS = 512  # inner products err by 1/sqrt(512) = 0.04; 1,024 measured no better
THROWS = 4  # dimensions a term: one alone would make two terms collide whole

Place: TypeAlias = tuple[NDArray[np.int64], NDArray[np.float64]]


class Information(dict[str, float]):
    """Inverse document frequency of each known term, and of unknown ones."""

    def __init__(self, known: Mapping[str, float], *, unknown: float) -> None:
        super().__init__(known)
        self.unknown = unknown

    def __missing__(self, term: str) -> float:
        return self.unknown


def information(documents: Sequence[str]) -> Information:
    """Inverse document frequency over documents, given as space-joined terms."""
    found = Counter(term for document in documents for term in set(document.split()))
    size = len(documents) + 1
    known = {term: float(np.log(size / (count + 0.5))) for term, count in found.items()}
    return Information(known, unknown=float(np.log(size / 0.5)))


def sketches(documents: Sequence[str], *, weights: Information) -> NDArray[np.float32]:
    """Unit sketches of documents, shape (N, DIMENSIONS); zeros for a document without terms."""
    counted = [Counter(document.split()) for document in documents]
    terms = [term for counts in counted for term in counts]
    if not terms:
        return np.zeros((len(documents), DIMENSIONS), np.float32)
    owners = np.repeat(np.arange(len(counted)), [len(counts) for counts in counted])
    times = np.fromiter((n for counts in counted for n in counts.values()), float, len(terms))
    worth = (1 + np.log(times)) * np.array([weights[term] for term in terms])
    places = np.stack([_place(term)[0] for term in terms])
    signs = np.stack([_place(term)[1] for term in terms])
    flat = np.bincount(
        (owners[:, None] * DIMENSIONS + places).ravel(),
        (signs * worth[:, None]).ravel(),
        minlength=len(documents) * DIMENSIONS,
    )
    rows = flat.reshape(len(documents), DIMENSIONS)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    found: NDArray[np.float32] = (rows / np.maximum(lengths, 1e-9)).astype(np.float32)
    return found


@lru_cache(maxsize=65_536)  # about 20 MB: the vocabulary of very many examples
def _place(term: str) -> Place:
    """Dimensions of a term and their signs, the same in every process."""
    digest = hashlib.blake2b(term.encode("utf-8", "surrogatepass"), digest_size=4 * THROWS)
    numbers = np.frombuffer(digest.digest(), "<u4").astype(np.int64)
    signs = np.where(numbers & 1, 1.0, -1.0) / np.sqrt(THROWS)
    return (numbers >> 1) % DIMENSIONS, signs
