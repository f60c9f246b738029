"""What is worth a look among retrievals: the slowest, the least sure, those without an answer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from agentmem.pages.wording import as_time
from agentmem.traces.report.summary import Figures, Retrieval

__all__ = ["Listing", "Row", "Tile", "lists_of", "tiles_of"]

LISTED: Final = 8  # of each; whoever wants more filters with `agentmem traces list`


@dataclass(frozen=True, slots=True)
class Tile:
    """One figure.

    Attributes:
        name: What is counted or measured.
        value: How many, or how long.
        more: What it means, in a few words.
    """

    name: str
    value: str
    more: str


@dataclass(frozen=True, slots=True)
class Row:
    """A retrieval in a list.

    Attributes:
        retrieval: It.
        value: What it is listed for.
        beside: What explains that.
    """

    retrieval: Retrieval
    value: str
    beside: str


@dataclass(frozen=True, slots=True)
class Listing:
    """A list of retrievals that are worth a look.

    Attributes:
        title: What they are.
        caption: Why to look, in a sentence.
        measure: What the value is called.
        beside: What explains it.
        rows: The worst first.
        is_number: Whether the value is a number.
    """

    title: str
    caption: str
    measure: str
    beside: str
    rows: tuple[Row, ...]
    is_number: bool = True


def tiles_of(figures: Figures) -> list[Tile]:
    """Return the figures that stand above everything else."""
    kinds = [f"{figures.searches} of turns", f"{figures.selections} of tools"]
    tiles = [
        Tile("retrievals", f"{figures.count:,}", " and ".join(kinds)),
        Tile("median time", _time(figures.median), "half of them were faster"),
        Tile("slow", _time(figures.slow), "one in twenty took longer"),
        Tile("abstained", f"{figures.outcomes['abstained']:,}", "no tool was sure enough"),
        Tile("found nothing", f"{figures.outcomes['nothing']:,}", "no turn in sight"),
        Tile("failed", f"{figures.outcomes['failed']:,}", "with an error"),
    ]
    if figures.unrecorded:
        tiles.append(Tile("without a query", f"{figures.unrecorded:,}", "it was not recorded"))
    return tiles


def lists_of(retrievals: Sequence[Retrieval]) -> list[Listing]:
    """Return the lists that have anything in them; none of one retrieval alone."""
    if len(retrievals) <= 1:
        return []
    every = [_slowest(retrievals), _least_sure(retrievals), _unanswered(retrievals)]
    return [one for one in every if one.rows]


def _slowest(retrievals: Iterable[Retrieval]) -> Listing:
    ranked = sorted(retrievals, key=lambda one: -one.span.milliseconds)
    return Listing(
        "The slowest",
        "The longest phase says where to look: loading follows writes of another process, "
        "embedding is the model.",
        measure="time",
        beside="longest phase",
        rows=tuple(
            Row(one, as_time(one.span.milliseconds), _longest(one)) for one in ranked[:LISTED]
        ),
    )


def _least_sure(retrievals: Iterable[Retrieval]) -> Listing:
    told = [(one.span.margin, one) for one in retrievals if one.span.margin is not None]
    ranked = sorted(told, key=lambda pair: pair[0])
    return Listing(
        "The smallest margins",
        "The second was nearly as good as the first: the order may be chance, or both are right.",
        measure="margin",
        beside="first and second",
        rows=tuple(Row(one, f"{margin:.3f}", _rivals(one)) for margin, one in ranked[:LISTED]),
    )


def _unanswered(retrievals: Iterable[Retrieval]) -> Listing:
    found = [one for one in retrievals if one.outcome != "answered"]
    return Listing(
        "Without an answer",
        "The selection abstained, nothing was in sight, or the call failed; the newest first.",
        measure="what",
        beside="why",
        rows=tuple(Row(one, _outcome(one), one.reason) for one in reversed(found[-LISTED:])),
        is_number=False,
    )


def _longest(one: Retrieval) -> str:
    phase, spent = one.longest
    return f"{phase}, {as_time(spent)}"


def _rivals(one: Retrieval) -> str:
    return " · ".join(result.id for result in one.results[:2])


def _outcome(one: Retrieval) -> str:
    return "found nothing" if one.outcome == "nothing" else one.outcome


def _time(milliseconds: float | None) -> str:
    return "–" if milliseconds is None else as_time(milliseconds)
