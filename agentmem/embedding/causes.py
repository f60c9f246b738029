"""Why canaries moved: the likely cause, guessed from which texts did and how far.

Takes cosines, gives one word and its sentence. The verdict does not depend on it; a person who
has to find what changed behind an address does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = ["REASONS", "Cause", "Moved", "guess_cause"]

Cause: TypeAlias = Literal[
    "none",
    "dimension",
    "length",
    "query_prompt",
    "document_prompt",
    "window",
    "tokenizer",
    "prompt",
    "precision",
    "model",
]

UNTOUCHED: Final = 0.99999  # the same tokens through the same weights; rounding stays above it
PROMPT_RATIO: Final = 2.0  # short over long; a prefix has 6, another pooling or weights at most 0.9
SLIGHT: Final = 0.9  # median: int8 .92, noise of 20 % on a layer .96; pooling and weights below .6

REASONS: Final[Mapping[Cause, str]] = {
    "none": "every canary lies where it lay: the same embedding space",
    "dimension": (
        "the vectors have another number of components: another model, or another truncation"
    ),
    "length": "the vectors have another length: scaling them to unit length was left out, or added",
    "query_prompt": (
        "only questions moved, documents did not: the prompt put before a query has changed"
    ),
    "document_prompt": (
        "only documents moved, questions did not: the prompt put before a document has changed"
    ),
    "window": "only long texts moved: the window is another, or a longer text is cut elsewhere",
    "tokenizer": (
        "some texts moved and others did not at all: the tokenizer, its vocabulary, or what is "
        "cleaned from a text before it (case, punctuation, accents, scripts)"
    ),
    "prompt": (
        "everything moved, short texts most: something is put before every text, or after it"
    ),
    "precision": (
        "everything moved a little: quantised or otherwise rounded weights, or a revision of the "
        "model trained a little further"
    ),
    "model": "everything moved far: another model, other weights, or another pooling",
}


@dataclass(frozen=True, slots=True, eq=False)
class Moved:
    """Cosines between then and now.

    Attributes:
        documents: Of each document.
        queries: Of each query.
        long_documents: Which documents are long.
        long_queries: Which queries are.
        same_texts: Of the documents whose text is among the queries too.
        threshold: Below it a text has moved.
    """

    documents: NDArray[np.float64]
    queries: NDArray[np.float64]
    long_documents: NDArray[np.bool_]
    long_queries: NDArray[np.bool_]
    same_texts: NDArray[np.float64]
    threshold: float


def guess_cause(moved: Moved) -> Cause:
    """Return the cause that such a pattern usually has."""
    documents, queries = moved.documents < moved.threshold, moved.queries < moved.threshold
    if not documents.any() and not queries.any():
        return "none"
    if not documents.any():
        return "query_prompt"
    if not queries.any() and bool((moved.same_texts < moved.threshold).any()):
        return "document_prompt"
    short = ~moved.long_documents
    if not (documents & short).any() and not (queries & ~moved.long_queries).any():
        return "window"
    if (moved.documents[short] >= UNTOUCHED).any():
        return "tokenizer"
    return _everywhere(moved.documents, short=short)


def _everywhere(cosines: NDArray[np.float64], *, short: NDArray[np.bool_]) -> Cause:
    """A prompt is a larger part of a short text than of a long one; weights are the same to all."""
    median = float(np.median(cosines))
    if short.any() and not short.all():
        near, far = 1 - float(np.median(cosines[short])), 1 - float(np.median(cosines[~short]))
        if near > PROMPT_RATIO * far:
            return "prompt"
    return "precision" if median >= SLIGHT else "model"
