"""What is looked for after an erasure: the bytes that the erased rows had in files.

Short pieces of each, because many strings are looked for at once: a key and an id whole, of a text
its beginning, middle and end, of a vector a few
components in a row, unless it is sparse.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["COLUMNS", "TEXTS", "bytes_of", "text_windows"]

TEXTS: Final = ("id", "content", "text", "lexemes", "attachments")
COLUMNS: Final = ("key", *TEXTS, "vector")
WINDOW: Final = 40  # characters; twelve such pieces a turn keep the search for thousands in memory
LEAST: Final = 12  # bytes: a shorter string is in any file by chance, or somebody else's word
FLOATS: Final = 12  # components of a vector that are looked for, 48 bytes


def bytes_of(row: Mapping[str, Any]) -> Iterator[tuple[bytes, str]]:
    """Give the byte strings of one row, each with what it is.

    Args:
        row: Values of `COLUMNS`.
    """
    yield row["key"].encode(), "key"
    for name in TEXTS:
        for window in text_windows(row[name] or ""):
            yield window, name
    yield _telling(np.asarray(row["vector"], np.float32)), "vector"


def text_windows(text: str) -> Iterator[bytes]:
    """Give the beginning, middle and end of a text; nothing of one that is too short to tell."""
    middle = max((len(text) - WINDOW) // 2, 0)
    pieces: Iterable[str] = (text[:WINDOW], text[middle : middle + WINDOW], text[-WINDOW:])
    for piece in dict.fromkeys(pieces):
        encoded = piece.encode()
        if len(encoded) >= LEAST:
            yield encoded


def _telling(vector: NDArray[np.float32]) -> bytes:
    """Return the bytes of a few components in a row that are not zero, or of the whole vector."""
    size = min(FLOATS, len(vector))
    windows = np.lib.stride_tricks.sliding_window_view(vector, size)
    full = np.flatnonzero(np.count_nonzero(windows, axis=1) == size)
    chosen: bytes = (windows[full[0]] if len(full) else vector).tobytes()
    return chosen
