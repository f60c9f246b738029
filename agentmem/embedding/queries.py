"""Queries of any length to vectors, one each: what is asked of a store or of a router."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from agentmem.protocols import Embedder

__all__ = ["embed_queries", "embed_query"]

SHORTEST: Final = 1e-9  # of a mean of unit vectors that point away from each other


def embed_query(embedder: Embedder, text: str) -> NDArray[np.float32]:
    """Embed a query of any length, shape (D,).

    One that exceeds the model's window is split, and its pieces' mean direction is asked for.
    """
    vector: NDArray[np.float32] = embed_queries(embedder, [text])[0]
    return vector


def embed_queries(embedder: Embedder, texts: Sequence[str]) -> NDArray[np.float32]:
    """Embed queries of any length in one batch, shape (len(texts), D); see `embed_query`."""
    prompt = embedder.passport.query_prompt
    split = embedder.split(texts, prefixes=[prompt] * len(texts))
    pieces = [piece for parts in split for piece in parts]
    vectors = embedder.embed(pieces, kind="query")
    if len(pieces) == len(texts):
        return vectors
    starts = np.cumsum([0, *(len(parts) for parts in split[:-1])])
    sums: NDArray[np.float32] = np.add.reduceat(vectors, starts, axis=0)
    lengths = np.linalg.norm(sums, axis=1, keepdims=True)
    means: NDArray[np.float32] = sums / np.maximum(lengths, np.float32(SHORTEST))
    return means
