"""Embedders: texts in, unit vectors of one identified space out.

Importing this package loads neither torch, sentence-transformers nor an HTTP client; the first
passport, split or embedding does.
"""

from __future__ import annotations

from functools import lru_cache

from agentmem.embedding.cache import CachedEmbedder
from agentmem.embedding.http import HttpEmbedder
from agentmem.embedding.service import EmbeddingUnavailable
from agentmem.embedding.transformer import SentenceTransformerEmbedder

__all__ = [
    "CachedEmbedder",
    "EmbeddingUnavailable",
    "HttpEmbedder",
    "SentenceTransformerEmbedder",
    "default_embedder",
]


@lru_cache(maxsize=1)
def default_embedder() -> CachedEmbedder:
    """Return the process's one embedder with the default model, loaded at first use."""
    return CachedEmbedder(SentenceTransformerEmbedder())
