"""Explanation: why these tools and not the next ones, as evidence and in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final

from agentmem.routing.selector import Request, Selector
from agentmem.types import Explanation, Selection, ToolMatch

__all__ = ["explain"]

LOSERS: Final = 3  # tools shown that were not chosen: beyond them nothing was close
DIFFERENCES: Final = 3  # terms named that set a loser apart
TELLING: Final = 0.05  # of a score; smaller differences decide nothing
VIEW_CHARS: Final = 80  # of a tool's text: a line of a terminal


def explain(request: Request, *, selector: Selector) -> Explanation:
    """Select with evidence, and look on to the nearest tools that were not chosen.

    Raises:
        InvalidInput: The query or an argument cannot be used.
    """
    selection = selector.select(replace(request, explain=True))
    chosen = {_place(match) for match in selection}
    wide = replace(request, explain=True, k=len(chosen) + LOSERS, max_tokens=None)
    next_ones = [one for one in selector.select(wide).candidates if _place(one) not in chosen]
    losers = tuple(next_ones[:LOSERS])
    margin = selection[-1].score - losers[0].score if selection and losers else None
    text = "\n".join(_lines(selection, losers, margin=margin))
    return Explanation(selection, losers, margin, text)


def _place(match: ToolMatch) -> tuple[str, str]:
    return match.tool.namespace, match.name


def _lines(
    selection: Selection, losers: Sequence[ToolMatch], *, margin: float | None
) -> Iterator[str]:
    yield _verdict(selection)
    for rank, match in enumerate(selection, 1):
        yield f"{rank}. {match.name}  {match.score:.2f}: {_terms(match.terms)}"
        yield from _evidence(match)
    if losers:
        yield "Not chosen:"
    for rank, match in enumerate(losers, len(selection) + 1):
        yield f"{rank}. {match.name}  {match.score:.2f}: {_difference(selection, match)}"
        yield from _evidence(match)
    if margin is not None:
        yield f"Margin of the last chosen tool over the next one: {margin:.2f}"
    if selection.needs_tool:
        yield f"A tool fits ({selection.confidence:.0%}), log-odds: {_terms(selection.needs_tool)}"
    if selection.unmatched_terms:
        best = f"the {len(selection.candidates)} best" if selection.candidates else "them"
        yield f"In none of {best}: {', '.join(selection.unmatched_terms)}"


def _verdict(selection: Selection) -> str:
    if not selection.catalogue:
        return "No tool chosen: there is none to choose from."
    reason = f": {selection.reason}" if selection.reason else ""
    if selection.abstained:
        return f"No tool chosen{reason}"
    many = "tool" if len(selection) == 1 else "tools"
    return f"{len(selection)} {many} chosen of {selection.catalogue:,}{reason}"


def _terms(terms: Mapping[str, float]) -> str:
    """Return terms with their values, the weightiest first."""
    ordered = sorted(terms.items(), key=lambda term: -abs(term[1]))
    return ", ".join(f"{name} {value:+.2f}" for name, value in ordered)


def _evidence(match: ToolMatch) -> Iterator[str]:
    found = match.evidence
    if found is None:
        return
    yield f"   nearest view ({found.similarity:.2f}): {_short(found.view)}"
    if found.words:
        yield f"   words: {', '.join(found.words)}"
    for query, similarity in found.examples[:1]:
        yield f"   nearest example ({similarity:.2f}): {_short(query)}"
    if found.succeeded or found.failed:
        yield f"   calls reported: {found.succeeded:,} succeeded, {found.failed:,} failed"


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= VIEW_CHARS else f"{line[: VIEW_CHARS - 1]}…"


def _difference(selection: Selection, loser: ToolMatch) -> str:
    """Say on which terms a tool lost against the last chosen one, or what its score is made of."""
    if not selection:
        return _terms(loser.terms)
    rival = selection[-1]
    names = dict.fromkeys([*rival.terms, *loser.terms])
    behind = {name: rival.terms.get(name, 0.0) - loser.terms.get(name, 0.0) for name in names}
    telling = sorted((name for name in names if behind[name] > TELLING), key=lambda n: -behind[n])
    lost = ", ".join(f"{behind[name]:.2f} on {name}" for name in telling[:DIFFERENCES])
    ahead = [name for name in names if behind[name] < -TELLING]
    won = ", ".join(
        f"{-behind[name]:.2f} on {name}" for name in sorted(ahead, key=behind.__getitem__)
    )
    parts = [f"lost {lost} against {rival.name}" if lost else "", f"ahead by {won}" if won else ""]
    return "; ".join(part for part in parts if part) or f"as good as {rival.name}, which came first"
