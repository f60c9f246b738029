"""The two rules every embedder keeps: texts a tokenizer can read, rows of unit length.

Takes what callers and models give; refuses what cannot be used, by position.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agentmem.errors import EmbeddingFailed, InvalidInput

__all__ = ["clean", "clean_all", "unit_rows"]

_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


def clean(text: str) -> str:
    """Replace lone surrogates, which no tokenizer can read, by U+FFFD.

    One character for one, so offsets into the result are offsets into the text. Only what is
    embedded changes: pieces are cut from the original.
    """
    return text if text.isascii() else _LONE_SURROGATE.sub("\ufffd", text)


def clean_all(texts: Sequence[str]) -> list[str]:
    """Clean each text.

    Raises:
        InvalidInput: A single string was given, or something that is no string.
    """
    if isinstance(texts, str):
        raise InvalidInput("texts is one string, but a sequence is needed. Repair: pass [text].")
    for position, text in enumerate(texts):
        if not isinstance(text, str):
            raise InvalidInput(
                f"texts[{position}] is {type(text).__name__}, but only strings can be embedded. "
                "Repair: pass the text of the message."
            )
    return [clean(text) for text in texts]


def unit_rows(vectors: NDArray[Any]) -> NDArray[np.float32]:
    """Scale rows to unit length.

    A row of zeros is a text of which the model knows no word. It becomes the row of equal
    components, so that it can be stored and compared like any other.

    Args:
        vectors: Shape (n, dimension).

    Raises:
        EmbeddingFailed: A row holds NaN or infinity.
    """
    rows = np.asarray(vectors, dtype=np.float32)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    unusable = np.flatnonzero(~np.isfinite(lengths[:, 0]))
    if unusable.size:
        raise EmbeddingFailed(
            f"the model gave non-finite values for {unusable.size} of {len(rows)} texts, the first "
            f"at position {unusable[0]}. Nothing was stored. Half precision overflows this way, "
            "and so do damaged weights. Repair: load the model in float32, or download it again."
        )
    blank = lengths[:, 0] == 0.0
    if blank.any():
        rows = np.where(blank[:, None], np.float32(1.0), rows)
        lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    unit: NDArray[np.float32] = rows / lengths
    return unit
