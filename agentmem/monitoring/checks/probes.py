"""Probes: a few questions that are asked again at every check, and what they found at the baseline.

Of a memory they are turns in which users asked something, of a router the descriptions of tools.
They search only among what has not changed since, where the same question finds the same: what
is new may come first in an answer, and is no drift.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from agentmem.embedding.cache import CachedEmbedder
from agentmem.embedding.queries import embed_queries
from agentmem.monitoring.checks.catalogue import key_digits
from agentmem.storage.arrow import strings
from agentmem.storage.catalogue import DESCRIPTION, CatalogueState
from agentmem.storage.probing import (
    Neighbours,
    Probe,
    draw_probes,
    neighbours,
    read_probes,
    unchanged_keys,
)
from agentmem.storage.reads import Reads

__all__ = ["NEIGHBOURS", "Compared", "Probed", "ToolProbes", "TurnProbes", "ask", "compare"]

NEIGHBOURS: Final = 10  # of a probe; as many as a caller asks for
PROBES: Final = 32  # 320 neighbours: one of them is 0.3 %, and a search each is under a second

Floats = NDArray[np.float32]


class Probed(Protocol):
    """What probes are asked of, as it was at the baseline as far as it has not changed."""

    def draw(self, rng: np.random.Generator) -> list[Probe]:
        """Choose probes."""
        ...

    def still_there(self, keys: Iterable[str]) -> list[Probe]:
        """Return those of these probes that have not changed."""
        ...

    def nearest(self, probes: Sequence[Probe], vectors: Floats) -> list[Neighbours]:
        """Return what each finds, without itself."""
        ...

    def unchanged(self, keys: Iterable[str]) -> set[str]:
        """Return those of these that are there, and have not changed."""
        ...


@dataclass(frozen=True, slots=True)
class TurnProbes:
    """Probes of a store of turns; what was written after a revision is not searched."""

    store: Reads
    written_by: int

    def draw(self, rng: np.random.Generator) -> list[Probe]:
        """Choose turns in which users asked."""
        return draw_probes(self.store, probes=PROBES, rng=rng)

    def still_there(self, keys: Iterable[str]) -> list[Probe]:
        """Return those of these turns that have not changed."""
        return read_probes(self.store, keys, written_by=self.written_by)

    def nearest(self, probes: Sequence[Probe], vectors: Floats) -> list[Neighbours]:
        """Return the turns of the same user nearest to each."""
        return neighbours(
            self.store, probes, vectors=vectors, written_by=self.written_by, k=NEIGHBOURS
        )

    def unchanged(self, keys: Iterable[str]) -> set[str]:
        """Return those of these turns that have not changed."""
        return unchanged_keys(self.store, keys, written_by=self.written_by)


@dataclass(frozen=True, slots=True)
class ToolProbes:
    """Probes of a catalogue of tools; only those in `same` are searched."""

    state: CatalogueState
    same: frozenset[str]

    def draw(self, rng: np.random.Generator) -> list[Probe]:
        """Choose tools, whose descriptions are asked for."""
        keys = sorted(self.unchanged(strings(self.state.heads["key"])))
        chosen = rng.choice(len(keys), size=min(PROBES, len(keys)), replace=False)
        return self.still_there(keys[place] for place in sorted(chosen.tolist()))

    def still_there(self, keys: Iterable[str]) -> list[Probe]:
        """Return those of these tools that have not changed."""
        wanted, texts = self.unchanged(keys), self._descriptions()
        return [Probe(key, texts[key], None) for key in sorted(wanted) if key in texts]

    def nearest(self, probes: Sequence[Probe], vectors: Floats) -> list[Neighbours]:
        """Return the other tools nearest to each, by the nearest of their views."""
        keys = strings(self.state.heads["key"])
        same = self.unchanged(keys)
        allowed = np.array([key in same for key in keys])
        similarities = np.full((len(probes), len(keys)), -np.inf)
        views = vectors @ self.state.vectors.T
        np.maximum.at(similarities.T, self.state.owners, views.T)
        return [
            _nearest(keys, row, allowed=allowed & (np.array(keys) != probe.key))
            for probe, row in zip(probes, similarities, strict=True)
        ]

    def unchanged(self, keys: Iterable[str]) -> set[str]:
        """Return those of these tools that have not changed."""
        return {key for key in keys if key_digits(key) in self.same}

    def _descriptions(self) -> dict[str, str]:
        """Return the first piece of each tool's description."""
        keys = strings(self.state.heads["key"])
        found: dict[str, str] = {}
        views = zip(
            self.state.owners.tolist(), self.state.kinds.tolist(), self.state.texts, strict=True
        )
        for owner, kind, text in views:
            if kind == DESCRIPTION:
                found.setdefault(keys[owner], text)
        return found


def _nearest(
    keys: Sequence[str], similarities: NDArray[np.float64], *, allowed: NDArray[np.bool_]
) -> Neighbours:
    places = np.flatnonzero(allowed & np.isfinite(similarities))
    best = places[np.argsort(-similarities[places], kind="stable")][:NEIGHBOURS]
    return Neighbours(tuple(keys[at] for at in best), tuple(similarities[best].tolist()))


@dataclass(frozen=True, slots=True, eq=False)
class Compared:
    """What N probes find today, and found at the baseline.

    Attributes:
        then: Probes at the baseline; those that are gone or changed, or all of whose neighbours
            are, are not among the N.
        overlap: Share of each one's neighbours of then, as far as they are still there, that it
            finds today, shape (N,).
        top_then: Similarity of the first neighbour then, shape (M,), of the probes none of whose
            neighbours is gone.
        top_now: The same today.
        margin_then: Similarity of the first less that of the second then, shape (M,).
        margin_now: The same today.
    """

    then: int
    overlap: NDArray[np.float64]
    top_then: NDArray[np.float64]
    top_now: NDArray[np.float64]
    margin_then: NDArray[np.float64]
    margin_now: NDArray[np.float64]


def ask(
    source: Probed, probes: Sequence[Probe], *, embedder: CachedEmbedder
) -> list[dict[str, Any]]:
    """Ask probes, and return what each found as JSON to keep.

    Raises:
        EmbeddingFailed: The questions could not be embedded.
        StoreError: The store could not be read.
    """
    found = _asked(source, probes, embedder=embedder)
    return [
        {
            "key": probe.key,
            "keys": list(one.keys),
            "similarities": [round(value, 6) for value in one.similarities],
        }
        for probe, one in zip(probes, found, strict=True)
    ]


def compare(
    source: Probed, kept: Sequence[Mapping[str, Any]], *, embedder: CachedEmbedder
) -> Compared:
    """Ask the probes of the baseline again.

    Args:
        source: What to ask.
        kept: What `ask` gave at the baseline.
        embedder: Embeds the questions; its cache is passed by, which remembers an earlier model.

    Raises:
        EmbeddingFailed: The questions could not be embedded.
        StoreError: The store could not be read.
    """
    then = {one["key"]: one for one in kept}
    probes = source.still_there(then)
    now = _asked(source, probes, embedder=embedder)
    alive = source.unchanged({key for probe in probes for key in then[probe.key]["keys"]})
    overlap, pairs = [], []
    for probe, one in zip(probes, now, strict=True):
        was = then[probe.key]
        left = alive.intersection(was["keys"])
        if left:
            overlap.append(len(left.intersection(one.keys)) / len(left))
        if left and len(left) == len(was["keys"]):
            pairs.append((*_top(was["similarities"]), *_top(one.similarities)))
    columns = np.array(pairs, np.float64).reshape(-1, 4).T
    return Compared(len(kept), np.array(overlap), columns[0], columns[2], columns[1], columns[3])


def _asked(
    source: Probed, probes: Sequence[Probe], *, embedder: CachedEmbedder
) -> list[Neighbours]:
    if not probes:
        return []
    uncached = CachedEmbedder(embedder.inner, max_bytes=0)
    return source.nearest(probes, embed_queries(uncached, [probe.text for probe in probes]))


def _top(similarities: Sequence[float]) -> tuple[float, float]:
    """Return the first similarity, and what it is ahead of the second."""
    first = similarities[0]
    return first, first - similarities[1] if len(similarities) > 1 else 0.0
