"""Canaries: 64 fixed texts whose stored vectors catch a model that changed without a word.

Embedded when a generation is made; a few again at each load of the model (`probe`), all on
demand (`embed_canaries`, `compare`). What counts is the least cosine: a shorter window moves the
long texts only, and leaves the median at 1. Embeds past every cache, and stores nothing.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Final, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from agentmem.embedding.cache import CachedEmbedder
from agentmem.embedding.causes import REASONS, Cause, Moved, guess_cause
from agentmem.embedding.contract import LENGTH_TOLERANCE, embedder_faults
from agentmem.errors import EmbeddingFailed, InvalidInput
from agentmem.protocols import Embedder
from agentmem.types import Kind

__all__ = [
    "CANARY_SET",
    "CANARY_SHA256",
    "OTHER",
    "PROBED",
    "QUERY_PLACES",
    "SAME",
    "Canaries",
    "CanaryCheck",
    "Places",
    "Verdict",
    "canary_texts",
    "compare",
    "embed_canaries",
    "probe",
]

Verdict: TypeAlias = Literal["same", "warn", "other"]

CANARY_SET: Final = "canaries-v1"
CANARY_SHA256: Final = "60ef6223c169a202ab44fa4831a64843bd88829f6095063c0542de688179a258"
"""SHA-256 of the texts as one JSON list: another text is another set, and needs another name."""

SAME: Final = 0.9995  # bfloat16 stays above .9999, noise of 2 % on one layer of six falls below
OTHER: Final = 0.99  # noise of 10 % on one layer falls to .98; int8, prompts and windows below .9

QUERY_PLACES: Final = (5, 7, 14, 15, 16, 17, 18, 19, 20, 21, 30, 32, 36, 39, 44, 50)
"""The canaries that are embedded as questions too: all kinds of text, and a long one."""


@dataclass(frozen=True, slots=True)
class Places:
    """Numbers of the canaries to embed as documents, and of those to embed as queries."""

    documents: tuple[int, ...]
    queries: tuple[int, ...]


ALL_PLACES: Final = Places(documents=tuple(range(64)), queries=QUERY_PLACES)
PROBED: Final = Places(documents=(14, 38, 42, 53), queries=(14, 36))
"""A question, accents, Hebrew (which rounding moves most), 254 of MiniLM's 256 tokens; capitals."""


@dataclass(frozen=True, slots=True, eq=False)
class Canaries:
    """The canaries' vectors in one embedding space, as the embedder gave them.

    Attributes:
        name: Of the set of texts.
        documents: Float32, shape (64, D).
        queries: Float32, shape (16, D), of `QUERY_PLACES`.
    """

    name: str
    documents: NDArray[np.float32]
    queries: NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class CanaryCheck:
    """What a comparison of canaries found.

    Attributes:
        verdict: `same` space, `warn` (a slight change), or an`other` space.
        cause: The likely one, guessed from which of the texts moved.
        reason: The same in words.
        minimum: Least cosine, which decides; 0 where the dimensions differ.
        median: Of all cosines, of documents and queries.
        place: Number of the canary that moved most.
        kind: Whether it did as a document or as a query.
        text: The canary itself.
        places: Which canaries were compared.
        documents: Their cosines, in the order of `places.documents`.
        queries: Their cosines, in the order of `places.queries`.
    """

    verdict: Verdict
    cause: Cause
    reason: str
    minimum: float
    median: float
    place: int
    kind: Kind
    text: str
    places: Places
    documents: NDArray[np.float64]
    queries: NDArray[np.float64]


def canary_texts() -> tuple[str, ...]:
    """Return the 64 texts of `CANARY_SET`, in their order."""
    return tuple(text for _, text in _entries())


def embed_canaries(embedder: Embedder) -> Canaries:
    """Embed every canary with the embedder itself, past any cache.

    Raises:
        EmbeddingFailed: The embedder raised, or gave rows that are missing or not finite.
    """
    return _embedded(embedder, ALL_PLACES)


def probe(embedder: Embedder, stored: Canaries, *, places: Places = PROBED) -> CanaryCheck:
    """Embed a few canaries and compare them with the stored ones: a check for each load.

    Args:
        embedder: Is asked itself, past any cache.
        stored: What it, or its predecessor, made of all of them.
        places: Which ones. A prompt is told from a window only by texts that are in both lists.

    Raises:
        EmbeddingFailed: As `embed_canaries`.
        InvalidInput: The stored ones are of another set of texts, or `places` are not in it.
    """
    _check_places(places)
    _check_name(stored)
    before = Canaries(
        stored.name,
        stored.documents[list(places.documents)],
        stored.queries[[QUERY_PLACES.index(place) for place in places.queries]],
    )
    return _compared(before, _embedded(embedder, places), places=places)


def compare(stored: Canaries, fresh: Canaries) -> CanaryCheck:
    """Compare two embeddings of all the canaries.

    Raises:
        InvalidInput: One of them is of another set of texts.
    """
    _check_name(stored)
    _check_name(fresh)
    return _compared(stored, fresh, places=ALL_PLACES)


def _compared(stored: Canaries, fresh: Canaries, *, places: Places) -> CanaryCheck:
    documents = _cosines(stored.documents, fresh.documents)
    queries = _cosines(stored.queries, fresh.queries)
    cosines = np.concatenate([documents, queries])
    worst = int(cosines.argmin())
    kind: Kind = "document" if worst < len(documents) else "query"
    place = (*places.documents, *places.queries)[worst]
    minimum = float(cosines[worst])
    cause = _cause(stored, fresh, moved=_moved(documents, queries, places=places))
    return CanaryCheck(
        verdict="other" if cause in {"dimension", "length"} else _verdict(minimum),
        cause=cause,
        reason=REASONS[cause],
        minimum=minimum,
        median=float(np.median(cosines)),
        place=place,
        kind=kind,
        text=canary_texts()[place],
        places=places,
        documents=documents,
        queries=queries,
    )


def _cosines(stored: NDArray[np.float32], fresh: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the cosine of each pair of rows; 0 where there is none."""
    if stored.shape != fresh.shape:
        return np.zeros(len(stored))
    before, now = stored.astype(np.float64), fresh.astype(np.float64)
    lengths = np.linalg.norm(before, axis=1) * np.linalg.norm(now, axis=1)
    products: NDArray[np.float64] = np.einsum("ij,ij->i", before, now)
    cosines: NDArray[np.float64] = np.zeros(len(stored))
    np.divide(products, lengths, out=cosines, where=lengths > 0)
    return cosines


def _verdict(minimum: float) -> Verdict:
    if minimum >= SAME:
        return "same"
    return "warn" if minimum >= OTHER else "other"


def _moved(
    documents: NDArray[np.float64], queries: NDArray[np.float64], *, places: Places
) -> Moved:
    long = np.array([about == "long" for about, _ in _entries()])
    again = [place for place in places.queries if place in places.documents]
    return Moved(
        documents=documents,
        queries=queries,
        long_documents=long[list(places.documents)],
        long_queries=long[list(places.queries)],
        same_texts=documents[[places.documents.index(place) for place in again]],
        threshold=SAME,
    )


def _cause(stored: Canaries, fresh: Canaries, *, moved: Moved) -> Cause:
    """Look at the shape of the vectors first: it says more than which of them moved."""
    pairs = ((stored.documents, fresh.documents), (stored.queries, fresh.queries))
    if any(before.shape != now.shape for before, now in pairs):
        return "dimension"
    if not all(_same_lengths(before, now) for before, now in pairs):
        return "length"
    return guess_cause(moved)


def _same_lengths(before: NDArray[np.float32], now: NDArray[np.float32]) -> bool:
    lengths = np.linalg.norm(before, axis=1), np.linalg.norm(now, axis=1)
    return bool(np.all(np.abs(lengths[0] - lengths[1]) <= LENGTH_TOLERANCE))


def _embedded(embedder: Embedder, places: Places) -> Canaries:
    while isinstance(embedder, CachedEmbedder):
        embedder = embedder.inner
    return Canaries(
        CANARY_SET,
        _rows(embedder, places.documents, kind="document"),
        _rows(embedder, places.queries, kind="query"),
    )


def _rows(embedder: Embedder, places: Sequence[int], *, kind: Kind) -> NDArray[np.float32]:
    """Embed as they are, neither split nor scaled: how it cuts and scales them is in question."""
    texts = [canary_texts()[place] for place in places]
    with embedder_faults(embedder), np.errstate(over="ignore"):  # an overflow is not finite
        rows = np.asarray(embedder.embed(texts, kind=kind), dtype=np.float32)
    if rows.ndim != 2 or len(rows) != len(texts) or not np.isfinite(rows).all():  # noqa: PLR2004 - a matrix
        raise EmbeddingFailed(
            f"{type(embedder).__name__}.embed gave no finite vector for each of the {len(texts)} "
            f"canaries, but an array of shape {rows.shape}. They cannot be compared. Nothing was "
            "stored. Repair: return one row a text; check the model and the service behind it."
        )
    return rows


def _check_name(canaries: Canaries) -> None:
    if canaries.name != CANARY_SET:
        raise InvalidInput(
            f"these canaries are {canaries.name!r}, and this agentmem has {CANARY_SET!r}: vectors "
            "of other texts say nothing about the model. Repair: with the embedder that made the "
            "store, embed this set and store it; or use the agentmem that has the other set."
        )


def _check_places(places: Places) -> None:
    known = set(places.documents) <= set(ALL_PLACES.documents)
    known = known and set(places.queries) <= set(QUERY_PLACES)
    if not known or not (places.documents or places.queries):
        raise InvalidInput(
            f"{places} names no canary, or one that was not embedded. Repair: take documents "
            f"from 0 to 63, and queries from {QUERY_PLACES}."
        )


@lru_cache(maxsize=1)
def _entries() -> tuple[tuple[str, str], ...]:
    """What each canary is about, and its text."""
    file = files("agentmem.embedding").joinpath("canaries.json")
    return tuple(
        (str(entry["about"]), str(entry["text"]))
        for entry in json.loads(file.read_text(encoding="utf-8"))
    )
