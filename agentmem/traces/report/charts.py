"""The charts of a report: what is drawn of the searches and of the selections, and what it says."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, get_args

import numpy as np

from agentmem.pages.wording import as_brief, as_time
from agentmem.traces.report.legend import OTHER, Entry, phase_entries, term_entries
from agentmem.traces.report.plots import MAX_COLUMNS, Layer, columns_plot, histogram_plot
from agentmem.traces.report.summary import Kind, Retrieval, Summary

__all__ = ["Part", "Plot", "parts_of"]

FEWEST: Final = 3  # retrievals of a kind; fewer are read faster than drawn
VISIBLE: Final = 0.01  # share of all time from which a phase gets a colour of its own
WORDS: Final[Mapping[Kind, str]] = {"search": "search", "selection": "selection"}


@dataclass(frozen=True, slots=True)
class Plot:
    """One drawing and what it says.

    Attributes:
        title: What is drawn.
        caption: How to read it, in a sentence.
        alt: What one sees, for those who do not.
        svg: The drawing.
        legend: What its colours are.
    """

    title: str
    caption: str
    alt: str
    svg: str
    legend: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class Part:
    """The drawings of one kind of retrieval.

    Attributes:
        kind: Which.
        plots: Its drawings.
    """

    kind: Kind
    plots: tuple[Plot, ...]


def parts_of(summary: Summary) -> list[Part]:
    """Return the drawings of each kind of which there is enough to draw.

    Raises:
        MissingDependency: matplotlib is not installed.
    """
    parts = []
    for kind in get_args(Kind):
        found = [one for one in summary.of_kind(kind) if one.outcome != "failed"]
        if len(found) >= FEWEST:
            drawn = (draw(found, kind) for draw in (_times, _terms, _scores, _margins))
            parts.append(Part(kind, tuple(plot for plot in drawn if plot is not None)))
    return parts


def _times(found: Sequence[Retrieval], kind: Kind) -> Plot | None:
    rows = _merged([one.phases for one in found])
    entries = phase_entries({name for row in rows for name in row})
    whole = [one.span.milliseconds for one in found]
    return Plot(
        "Time by phase",
        f"{_column(found, kind)} is split into its phases; a few that took much longer than the "
        "others are cut, with their time above.",
        alt=f"Stacked columns of {len(found)} {_plural(kind)}. Median {as_time(_median(whole))}, "
        f"slowest {as_time(max(whole))}.",
        svg=columns_plot(
            _layers(rows, entries),
            moments=as_brief([one.span.started_at for one in found]),
            unit="ms",
            name=f"{kind}-time",
            cut=True,
        ),
        legend=tuple(entries),
    )


def _terms(found: Sequence[Retrieval], kind: Kind) -> Plot | None:
    best = [one for one in found if one.results and one.results[0].terms]
    if len(best) < FEWEST:
        return None
    rows = [{bar.name: bar.value for bar in one.results[0].terms} for one in best]
    entries = term_entries({name for row in rows for name in row})
    return Plot(
        "What the best score is made of",
        f"{_column(best, kind)} is the score of its first result: what adds to it stands on the "
        "line, what takes from it hangs below.",
        alt=f"Stacked columns of the score terms of {len(best)} best results; "
        f"the largest term is {_largest(rows)} on average.",
        svg=columns_plot(
            _layers(rows, entries),
            moments=as_brief([one.span.started_at for one in best]),
            unit="score",
            name=f"{kind}-terms",
        ),
        legend=tuple(entries),
    )


def _scores(found: Sequence[Retrieval], kind: Kind) -> Plot | None:
    return _histogram(
        found,
        kind,
        lambda one: one.span.top_score,
        title="Best scores",
        says="how well the best result fits; a hump far to the left is of queries that nothing "
        "fits. Scores count within one retrieval, so compare groups, not single values.",
        unit="score of the best result",
    )


def _margins(found: Sequence[Retrieval], kind: Kind) -> Plot | None:
    return _histogram(
        found,
        kind,
        lambda one: one.span.margin,
        title="Margins",
        says="how far the first is ahead of the second; near 0 the order may be chance.",
        unit="score of the first minus that of the second",
    )


def _histogram(
    found: Sequence[Retrieval],
    kind: Kind,
    measure: Callable[[Retrieval], float | None],
    *,
    title: str,
    says: str,
    unit: str,
) -> Plot | None:
    told = [(value, one) for one in found if (value := measure(one)) is not None]
    told = [(value, one) for value, one in told if np.isfinite(value)]
    if len(told) < FEWEST:
        return None
    plain = [value for value, one in told if one.outcome != "abstained"]
    marked = [value for value, one in told if one.outcome == "abstained"]
    both = [*plain, *marked]
    legend = (Entry("answered", 1, ""), Entry("abstained", 2, "")) if marked else ()
    return Plot(
        title,
        f"How many {_plural(kind)} reached which value: {says}",
        alt=f"Histogram of {len(both)} {_plural(kind)}, from {min(both):.2f} to {max(both):.2f}, "
        f"median {_median(both):.2f}.",
        svg=histogram_plot(
            plain, marked=marked, unit=unit, name=f"{kind}-{title.rsplit(maxsplit=1)[-1]}"
        ),
        legend=legend,
    )


def _merged(rows: Sequence[Mapping[str, float]]) -> list[dict[str, float]]:
    """Return the phases of each retrieval, those too short to see as one."""
    whole = sum(sum(row.values()) for row in rows)
    names = {name for row in rows for name in row}
    small = {n for n in names if sum(row.get(n, 0.0) for row in rows) < VISIBLE * whole} | {OTHER}
    return [
        {
            **{n: v for n, v in row.items() if n not in small},
            OTHER: sum(v for n, v in row.items() if n in small),
        }
        for row in rows
    ]


def _layers(rows: Sequence[Mapping[str, float]], entries: Iterable[Entry]) -> list[Layer]:
    return [Layer(one.slot, [row.get(one.name, 0.0) for row in rows]) for one in entries]


def _largest(rows: Sequence[Mapping[str, float]]) -> str:
    totals: dict[str, float] = {}
    for row in rows:
        for name, value in row.items():
            totals[name] = totals.get(name, 0.0) + value
    return max(sorted(totals), key=lambda name: totals[name])


def _column(found: Sequence[Retrieval], kind: Kind) -> str:
    """Say what one column stands for."""
    if len(found) <= MAX_COLUMNS:
        return f"Each {WORDS[kind]}, in the order of time,"
    return f"The mean of about {round(len(found) / MAX_COLUMNS)} {_plural(kind)} next to each other"


def _plural(kind: Kind) -> str:
    return "searches" if kind == "search" else "selections"


def _median(values: Sequence[float]) -> float:
    return float(np.median(values))
