"""The embedding spaces that the crash test moves between: of the real model, or of hashed words."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from agentmem.embedding import SentenceTransformerEmbedder
from agentmem.protocols import Embedder
from agentmem.testing import HashEmbedder
from agentmem.types import Kind

__all__ = ["SPACES", "spaces"]

SPACES: Final = ("minilm", "hashed")
SECONDS_A_TEXT: Final = 0.004  # so that a store of hashed words takes long enough to be killed in


class SlowHashes(HashEmbedder):
    """Hashed words, a few hundred texts a second."""

    def embed(self, texts: Sequence[str], *, kind: Kind) -> NDArray[np.float32]:
        """Embed texts, after a while."""
        time.sleep(SECONDS_A_TEXT * len(texts))
        return super().embed(texts, kind=kind)


def spaces(name: str) -> tuple[Embedder, Embedder]:
    """Return the embedder of the space that a store is in, and of the one it moves to."""
    if name == "hashed":
        return HashEmbedder(128), SlowHashes(96, window=64)
    changed = SentenceTransformerEmbedder(
        truncate_dim=256, query_prompt="query: ", document_prompt="passage: ", device="cpu"
    )
    return SentenceTransformerEmbedder(device="cpu"), changed
