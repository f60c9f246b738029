"""Tools for the tests of applications: an embedder that needs no model.

Vectors are real enough to search by (texts that share words are near), the same on every
machine, and made in microseconds.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from agentmem.embedding.splitting import cut
from agentmem.embedding.vectors import clean_all, unit_rows
from agentmem.errors import InvalidInput
from agentmem.types import Kind, Passport

__all__ = ["HashEmbedder"]

_WORD: Final = re.compile(r"\w+")


class HashEmbedder:
    """Embeds a text as the signed sum of its hashed words.

    Args:
        dimension: Components of a vector; fewer make more words collide.
        window: Longest input in words; longer texts are split.
    """

    def __init__(self, dimension: int = 64, *, window: int = 256) -> None:
        if dimension < 1 or window < 1:
            raise InvalidInput(f"dimension {dimension} and window {window} have to be at least 1.")
        self._passport = Passport(
            provider="agentmem.testing",
            model="hashed-words-v1",
            dimension=dimension,
            window=window,
            pooling="sum",
        )

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._passport.dimension})"

    @property
    def passport(self) -> Passport:
        """The identity of the space."""
        return self._passport

    def embed(self, texts: Sequence[str], *, kind: Kind) -> NDArray[np.float32]:  # noqa: ARG002 - questions and documents are alike here
        """Embed texts; see `protocols.Embedder`."""
        rows = np.zeros((len(texts), self._passport.dimension), dtype=np.float32)
        for row, text in zip(rows, clean_all(texts), strict=True):
            for word in _WORD.findall(text.lower()):
                place, sign = _feature(word, self._passport.dimension)
                row[place] += sign
        return unit_rows(rows)

    def split(self, texts: Sequence[str], *, prefixes: Sequence[str]) -> list[list[str]]:
        """Split texts of more words than the window; see `protocols.Embedder`."""
        return [
            self._split(text, prefix=prefix) for text, prefix in zip(texts, prefixes, strict=True)
        ]

    def tokens(self, texts: Sequence[str]) -> int:
        """Count the words of texts, which are the tokens here."""
        return sum(len(_WORD.findall(text)) for text in texts)

    def _split(self, text: str, *, prefix: str) -> list[str]:
        room = (self._passport.window or 0) - len(_WORD.findall(prefix)) - 1
        starts = np.array([word.start() for word in _WORD.finditer(text)], dtype=np.int64)
        if len(starts) <= room:
            return [text]
        if room < 1:
            raise InvalidInput(f"the prefix {prefix[:60]!r} fills the window. Repair: shorten it.")
        return cut(text, starts, room=room)


@lru_cache(maxsize=65_536)
def _feature(word: str, dimension: int) -> tuple[int, float]:
    digest = int.from_bytes(hashlib.blake2b(word.encode(), digest_size=8).digest(), "big")
    return digest // 2 % dimension, 1.0 if digest % 2 else -1.0
