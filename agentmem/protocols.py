"""What agentmem asks of the parts that can be exchanged: embedder, reranker, token counter.

Structural types of one to four members each: any object of that shape will do, and nothing
has to be inherited or registered.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from agentmem.types import Kind, Passport

__all__ = ["Embedder", "Reranker", "TokenCounter"]


@runtime_checkable
class Embedder(Protocol):
    """Turns texts into unit vectors of one embedding space.

    One that also has `tokens(texts) -> int | None` gets its tokens counted on spans.
    """

    @property
    def passport(self) -> Passport:
        """The identity of the space. May load the model to learn it."""
        ...

    def embed(self, texts: Sequence[str], *, kind: Kind) -> NDArray[np.float32]:
        """Embed texts.

        Args:
            texts: Any number of texts, each within the window (see `split`).
            kind: Whether they are questions or documents; models may prompt them differently.

        Returns:
            Float32 rows of unit length, shape (len(texts), passport.dimension).

        Raises:
            EmbeddingFailed: The model could not be loaded or gave non-finite vectors.
        """
        ...

    def split(self, texts: Sequence[str], *, prefixes: Sequence[str]) -> list[list[str]]:
        """Split each text so that its prefix and any piece of it fit the model's window.

        Args:
            texts: Texts of any length.
            prefixes: What will be put before every piece of the text at the same place.

        Returns:
            For each text its pieces in order, overlapping; `[text]` where it fits whole.
        """
        ...


@runtime_checkable
class Reranker(Protocol):
    """Scores texts against a query more carefully, and more slowly, than retrieval does."""

    def score(self, query: str, texts: Sequence[str]) -> NDArray[np.float64]:
        """Return one relevance score per text, higher is better, shape (len(texts),)."""
        ...


@runtime_checkable
class TokenCounter(Protocol):
    """Counts tokens the way the reader of a context will."""

    def count(self, text: str) -> int:
        """Return the exact number of tokens of a text."""
        ...
