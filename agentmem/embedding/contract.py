"""What any embedder has to keep, checked on what it gives: rows, pieces, and typed errors.

Embedders are exchangeable, so a fault of one must end as `EmbeddingFailed` under its name,
before anything is stored, and not in an answer that is wrong.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

import numpy as np
from numpy.typing import NDArray

from agentmem.errors import AgentmemError, EmbeddingFailed
from agentmem.protocols import Embedder
from agentmem.types import Kind

__all__ = ["LENGTH_TOLERANCE", "checked_embed", "checked_split", "embedder_faults"]

LENGTH_TOLERANCE: Final = 1e-3  # rounding to half precision or six digits stays below it


def checked_embed(embedder: Embedder, texts: Sequence[str], *, kind: Kind) -> NDArray[np.float32]:
    """Embed one text or more and check what comes back.

    Returns:
        Float32 rows of unit length, shape (len(texts), dimension).

    Raises:
        EmbeddingFailed: The embedder raised, or gave rows of another shape or length.
    """
    with (
        embedder_faults(embedder),
        np.errstate(over="ignore"),
    ):  # an overflow is found by its length
        rows = np.asarray(embedder.embed(texts, kind=kind), dtype=np.float32)
        expected = (len(texts), embedder.passport.dimension)
    if rows.shape != expected:
        raise EmbeddingFailed(
            f"{_name(embedder)}.embed gave vectors of shape {rows.shape}, where {expected} is "
            "needed: a row for each text, as long as its passport says. Nothing was stored. "
            "Repair: return every row, or correct the passport's dimension."
        )
    _check_lengths(rows, name=_name(embedder))
    return rows


def _check_lengths(rows: NDArray[np.float32], *, name: str) -> None:
    lengths = np.sqrt(np.einsum("ij,ij->i", rows, rows))
    wrong = np.flatnonzero(~(np.abs(lengths - 1) <= LENGTH_TOLERANCE))  # so that NaN is wrong too
    if wrong.size:
        raise EmbeddingFailed(
            f"{name}.embed gave unusable vectors for {wrong.size} of {len(rows)} texts: the first, "
            f"at position {wrong[0]} of the call, has length {lengths[wrong[0]]:.4g} instead of 1. "
            "Similarity is only right between finite vectors of unit length. Nothing was stored. "
            "Repair: divide each vector by its length, and give a text without any a fixed one."
        )


def checked_split(
    embedder: Embedder, texts: Sequence[str], *, prefixes: Sequence[str]
) -> list[list[str]]:
    """Split texts and check that each one has its pieces.

    Raises:
        EmbeddingFailed: The embedder raised, or gave no list of pieces for one of the texts.
    """
    with embedder_faults(embedder):
        split: object = embedder.split(texts, prefixes=prefixes)
    repair = (
        "Nothing was stored. Repair: return one list for each text, [text] where it fits whole."
    )
    if not isinstance(split, (list, tuple)) or len(split) != len(texts):
        given = (
            f"{len(split)} lists of pieces" if isinstance(split, (list, tuple)) else _name(split)
        )
        raise EmbeddingFailed(
            f"{_name(embedder)}.split gave {given} for {len(texts)} texts. {repair}"
        )
    for position, pieces in enumerate(split):
        if not _are_pieces(pieces):
            raise EmbeddingFailed(
                f"{_name(embedder)}.split gave no list of strings for the text at position "
                f"{position} of the call, so it could never be found. {repair}"
            )
    return [list(pieces) for pieces in split]


def _are_pieces(pieces: object) -> bool:
    return (
        isinstance(pieces, (list, tuple))
        and len(pieces) > 0
        and all(isinstance(piece, str) for piece in pieces)
    )


@contextmanager
def embedder_faults(embedder: Embedder) -> Iterator[None]:
    """Turn whatever an embedder raises into `EmbeddingFailed`, unless it is typed already."""
    try:
        yield
    except AgentmemError:
        raise
    except Exception as error:  # a service's client, a model's library: no base class in common
        raise EmbeddingFailed(
            f"the embedder {_name(embedder)} failed: {type(error).__name__}: "
            f"{str(error).rstrip('.')}. Nothing was stored. Repair: see the error it chains; "
            "call again if the cause has passed."
        ) from error


def _name(value: object) -> str:
    return type(value).__name__  # not its repr, which may show an API key
