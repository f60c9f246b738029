"""Colours and words of a report: each phase and each score term has one of both, always the same.

A colour is the number of a slot; the page's style sheet says what it looks like by day and night.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from agentmem.telemetry.conventions import PHASES

__all__ = ["OTHER", "Entry", "phase_entries", "phase_slot", "term_entries", "term_slot"]

OTHER: Final = "other"

_PHASE_SLOTS: Final[Mapping[str, int]] = {  # the rest is too short to see, and grey
    "embeddings": 1,
    "load": 2,
    "fetch": 3,
    "dense": 4,
    "choose": 4,
    "guard": 4,
    "lexical": 5,
    "commit": 5,
    "rerank": 6,
    "fit": 6,
    "pack": 7,
    "neighbours": 8,
    "read": 8,
}
_TERMS: Final[Mapping[str, tuple[int, str]]] = {  # in the order in which they are drawn
    "dense": (1, "cosine of the question with the turn, in standard deviations"),
    "meaning": (1, "cosines of the query with the tool's views, in standard deviations"),
    "lexical": (2, "share of the question's words that the turn holds, by BM25"),
    "words": (2, "share of the query's words that the tool holds, by BM25"),
    "neighbours": (3, "what the turns around it lend, or take"),
    "usage": (3, "likeness to queries that the tool was right for"),
    "session": (4, "how well its whole session fits, by BM25"),
    "called": (4, "likeness to the toolkit in use"),
    "length": (5, "long turns tell more than short ones"),
    "coverage": (5, "what it adds to the tools above it, for a query of several needs"),
    "speaker": (6, "the question names who said it"),
    "co_use": (6, "tools used together with the best ones"),
    "question": (7, "it asks a question itself, and seldom answers one"),
    "success": (7, "how often the tool succeeded, against the usual rate"),
    "date": (8, "it was said at a date that the question names"),
    "followed": (8, "tools that usually come after those just called"),
    "reranker": (9, "how far the reranker moved it"),
    "context": (9, "what was said before, for a query that is too weak alone"),
    "recency": (0, "it was said not long ago"),
    "importance": (0, "it was stored as important"),
    "named": (0, "the query holds the tool's name"),
}


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a legend.

    Attributes:
        name: Of the phase or term.
        slot: Its colour.
        means: What it is, in a few words; empty where that is not known.
    """

    name: str
    slot: int
    means: str


def phase_slot(name: str) -> int:
    """Return the colour of a phase; those without one of their own share the first."""
    return _PHASE_SLOTS.get(name, 0)


def term_slot(name: str) -> int:
    """Return the colour of a score term, likewise."""
    return _TERMS.get(name, (0, ""))[0]


def phase_entries(names: Iterable[str]) -> list[Entry]:
    """Return the legend of phases, in the order in which they happen; others come last."""
    told: dict[str, str] = {name: spec.means for name, spec in PHASES.items()}
    told[OTHER] = "everything else"
    return [Entry(name, phase_slot(name), told.get(name, "")) for name in _sorted(names, told)]


def term_entries(names: Iterable[str]) -> list[Entry]:
    """Return the legend of score terms, in the order in which they are drawn."""
    return [
        Entry(name, term_slot(name), _TERMS.get(name, (0, ""))[1])
        for name in _sorted(names, _TERMS)
    ]


def _sorted(names: Iterable[str], known: Mapping[str, object]) -> list[str]:
    order = {name: place for place, name in enumerate(known)}
    return sorted(set(names), key=lambda name: (order.get(name, len(order)), name))
