"""An in-memory inverted index and BM25 over it, for documents or for groups of documents.

Takes documents as space-joined terms (analysis happens elsewhere) and gives float32 scores.
Append-only: a reader that remembers how many documents it may see is never disturbed by a writer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = ["K1", "B", "InvertedIndex", "Postings", "bm25", "idf"]

K1 = 1.2  # term-frequency saturation: Lucene's value, within Robertson & Zaragoza 2009, section 3.5
B = 0.75  # length normalisation: idem
TAIL_SHARE = 4  # merge the unsorted tail once it exceeds 1/4 of the sorted part: amortised O(1)
TAIL_MINIMUM = 20_000  # terms; scanning this many codes costs 10 us a query term, merging costs ms

Postings: TypeAlias = tuple[NDArray[np.int32], NDArray[np.float32]]
"""Documents holding one term, ascending, and how often each holds it."""


@dataclass(frozen=True, slots=True)
class _State:
    """One immutable generation of the index; readers keep the one they started with."""

    starts: NDArray[np.int64]  # (V + 1,) where each term's sorted postings begin
    documents: NDArray[np.int32]  # (P,) sorted by (term, document)
    counts: NDArray[np.float32]  # (P,)
    tail_terms: NDArray[np.int32]  # postings of the newest documents, in arrival order
    tail_documents: NDArray[np.int32]
    tail_counts: NDArray[np.float32]
    lengths: NDArray[np.float32]  # (N,) terms of each document


_EMPTY = _State(
    np.zeros(1, np.int64),
    np.zeros(0, np.int32),
    np.zeros(0, np.float32),
    np.zeros(0, np.int32),
    np.zeros(0, np.int32),
    np.zeros(0, np.float32),
    np.zeros(0, np.float32),
)


class InvertedIndex:
    """Postings of a growing collection. One writer at a time; any number of readers."""

    def __init__(self) -> None:
        self._vocabulary: dict[str, int] = {}
        self._state = _EMPTY

    def __len__(self) -> int:
        return len(self._state.lengths)

    @property
    def nbytes(self) -> int:
        """Bytes held, the vocabulary estimated at 100 a term."""
        state = self._state
        arrays = (state.starts, state.documents, state.counts, state.lengths)
        return (
            sum(a.nbytes for a in arrays) + 12 * len(state.tail_terms) + 100 * len(self._vocabulary)
        )

    def lengths(self, size: int) -> NDArray[np.float32]:
        """Terms of each of the first `size` documents, shape (size,)."""
        return self._state.lengths[:size]

    def extend(self, documents: Sequence[str]) -> None:
        """Append documents, each given as its terms joined by spaces."""
        if not documents:
            return
        state, vocabulary = self._state, self._vocabulary
        split = [document.split() for document in documents]
        lengths = np.fromiter(map(len, split), np.int64, len(split))
        codes = np.fromiter(
            (vocabulary.setdefault(term, len(vocabulary)) for terms in split for term in terms),
            np.int64,
            int(lengths.sum()),
        )
        owners = np.repeat(np.arange(len(split)), lengths) + len(state.lengths)
        pairs, counts = np.unique(owners << 32 | codes, return_counts=True)
        grown = _State(
            state.starts,
            state.documents,
            state.counts,
            np.concatenate([state.tail_terms, (pairs & 0xFFFFFFFF).astype(np.int32)]),
            np.concatenate([state.tail_documents, (pairs >> 32).astype(np.int32)]),
            np.concatenate([state.tail_counts, counts.astype(np.float32)]),
            np.concatenate([state.lengths, lengths.astype(np.float32)]),
        )
        limit = max(TAIL_MINIMUM, len(grown.documents) // TAIL_SHARE)
        self._state = _merge(grown, len(vocabulary)) if len(grown.tail_terms) > limit else grown

    def postings(self, term: str, *, size: int) -> Postings:
        """Documents below `size` that hold a term, ascending, with their counts."""
        code, state = self._vocabulary.get(term), self._state
        if code is None:
            return _EMPTY.documents, _EMPTY.counts
        documents, counts = _EMPTY.documents, _EMPTY.counts
        if code + 1 < len(state.starts):
            found = slice(state.starts[code], state.starts[code + 1])
            documents, counts = state.documents[found], state.counts[found]
        late = np.flatnonzero(state.tail_terms == code)
        if late.size:
            documents = np.concatenate([documents, state.tail_documents[late]])
            counts = np.concatenate([counts, state.tail_counts[late]])
        seen = int(np.searchsorted(documents, size))
        return documents[:seen], counts[:seen]


def _merge(state: _State, terms: int) -> _State:
    """Sort the tail into the postings."""
    counts_sorted = np.diff(state.starts)
    owners = np.repeat(np.arange(len(counts_sorted), dtype=np.int32), counts_sorted)
    codes = np.concatenate([owners, state.tail_terms])
    order = np.argsort(codes, kind="stable")  # documents stay ascending within a term
    starts = np.zeros(terms + 1, np.int64)
    np.cumsum(np.bincount(codes, minlength=terms), out=starts[1:])
    return _State(
        starts,
        np.concatenate([state.documents, state.tail_documents])[order],
        np.concatenate([state.counts, state.tail_counts])[order],
        _EMPTY.tail_terms,
        _EMPTY.tail_documents,
        _EMPTY.tail_counts,
        state.lengths,
    )


def idf(matching: int, total: int) -> float:
    """Inverse document frequency, never negative: Lucene's (Kamphuis et al. 2020, table 1)."""
    return float(np.log1p((total - matching + 0.5) / (matching + 0.5)))


def bm25(
    postings: Mapping[str, Postings], lengths: NDArray[np.float32], *, k1: float = K1, b: float = B
) -> dict[str, NDArray[np.float32]]:
    """BM25 of every document, one row a term so that a score can be explained.

    Robertson & Zaragoza, "The Probabilistic Relevance Framework" (2009), equation 3.15, with the
    inverse document frequency of `idf`.

    Args:
        postings: For each query term the documents that hold it.
        lengths: Terms of each document, shape (N,).
        k1: Saturation of term frequency.
        b: Strength of length normalisation, from 0 to 1.

    Returns:
        For each term its scores, shape (N,); their sum is the document's BM25.
    """
    size = len(lengths)
    average = float(lengths.mean()) if size else 1.0
    norm = k1 * (1 - b + b * lengths / max(average, 1e-9))
    rows = {}
    for term, (documents, counts) in postings.items():
        row = np.zeros(size, np.float32)
        row[documents] = idf(len(documents), size) * counts * (k1 + 1) / (counts + norm[documents])
        rows[term] = row
    return rows
