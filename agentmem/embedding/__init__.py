"""Embedders: texts in, unit vectors of one identified space out.

Importing this package loads neither torch nor sentence-transformers; the first passport, split
or embedding does.
"""

from __future__ import annotations

from agentmem.embedding.cache import CachedEmbedder
from agentmem.embedding.transformer import SentenceTransformerEmbedder

__all__ = ["CachedEmbedder", "SentenceTransformerEmbedder"]
