"""From turns to rows: the pieces that are embedded, and their terms."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from agentmem.analysis import stored_terms
from agentmem.messages import embedding_text
from agentmem.protocols import Embedder
from agentmem.storage.rows import Stamps
from agentmem.storage.schema import turn_rows
from agentmem.types import Turn

__all__ = ["pieces_of", "rows_of"]


def pieces_of(turns: Sequence[Turn], *, embedder: Embedder) -> tuple[list[list[str]], list[str]]:
    """Return the pieces of each turn without prefix, and flat what is embedded of them."""
    texts = [embedding_text(turn) for turn in turns]
    prefixes = [prefix for prefix, _ in texts]
    pieces = embedder.split([body for _, body in texts], prefixes=prefixes)
    whole = zip(prefixes, pieces, strict=True)
    return pieces, [prefix + piece for prefix, parts in whole for piece in parts]


def rows_of(
    turns: Sequence[Turn],
    *,
    pieces: Sequence[Sequence[str]],
    vectors: NDArray[np.float32],
    stamps: Stamps,
) -> pa.Table:
    """Return the rows of turns, with the terms of their pieces; see `schema.turn_rows`."""
    lexemes = [stored_terms(piece) for parts in pieces for piece in parts]
    return turn_rows(turns, pieces=pieces, lexemes=lexemes, vectors=vectors, stamps=stamps)
