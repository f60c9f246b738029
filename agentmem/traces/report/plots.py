"""The plots of a report, as SVG that stands inside its page and takes its colours from there.

Numbers in, SVG text out. No text of a user is ever drawn: legends are the page's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from agentmem.pages.drawing import STYLED, drawing, svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Layer", "columns_plot", "histogram_plot"]

MAX_COLUMNS: Final = 60  # more would be lines rather than columns; then several share one
LEAST_COLUMNS: Final = 8  # for which there is room, so that a few stay slim
ROOM: Final = 0.2  # of the width, that a label above a column takes
TICKS: Final = 4  # moments below the columns: more would touch
BINS: Final = (10, 24)  # of a histogram, at least and at most
CROWDED: Final = 300  # values from which single ticks below a histogram merge into a band
TYPICAL: Final = 0.9  # quantile of the columns that decides where the plot ends,
HEADROOM: Final = 1.6  # and how much further it goes; what is longer is cut, and told in numbers
WORTH_CUTTING: Final = 1.5  # times longer than that: less can be seen beside the others

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Layer:
    """One colour of stacked columns.

    Attributes:
        slot: Its colour.
        values: Its height in each column, from the left.
    """

    slot: int
    values: Sequence[float]


def columns_plot(
    layers: Sequence[Layer], *, moments: Sequence[str], unit: str, name: str, cut: bool = False
) -> str:
    """Draw columns of stacked layers, in the order of time.

    Args:
        layers: From the bottom to the top; what is negative hangs below the line.
        moments: When each column was, in words.
        unit: Of the heights.
        name: Tells the drawings of one page apart.
        cut: Whether a few columns much longer than the others are cut, with their height told.

    Raises:
        MissingDependency: matplotlib is not installed.
    """
    stacked, shown = _shared(np.array([layer.values for layer in layers], float), moments)
    with drawing() as (figure, axes):
        limit = _limit(stacked) if cut else None
        _stack(axes, stacked, slots=[layer.slot for layer in layers])
        if limit is not None:
            _cut(axes, stacked.sum(axis=0), limit=limit)
        places = np.unique(np.linspace(0, len(shown) - 1, min(TICKS, len(shown))).round())
        axes.set_xticks(places, [shown[int(place)] for place in places])
        axes.set_xlim(-0.75, max(len(shown), LEAST_COLUMNS) - 0.25)
        axes.set_ylabel(unit)
        axes.axhline(0, color=STYLED.muted, linewidth=0.8)
        return svg(figure, name=name)


def histogram_plot(
    values: Sequence[float], *, marked: Sequence[float] = (), unit: str, name: str
) -> str:
    """Draw how often values occur, with a tick for each and a line at their median.

    Args:
        values: The values; at least one here or among `marked`.
        marked: Others in a second colour, on top.
        unit: Of the values.
        name: Tells the drawings of one page apart.

    Raises:
        MissingDependency: matplotlib is not installed.
    """
    plain, others = np.array(values, float), np.array(marked, float)
    both = np.concatenate([plain, others])
    edges = _edges(both)
    counts = [np.histogram(part, edges)[0].astype(float) for part in (plain, others)]
    with drawing() as (figure, axes):
        middles, width = (edges[:-1] + edges[1:]) / 2, float(edges[1] - edges[0])
        bottom = np.zeros(len(middles))
        for slot, heights in zip((1, 2), counts, strict=True):
            axes.bar(middles, heights, width * 0.94, bottom=bottom, color=STYLED.slots[slot])
            bottom += heights
        if len(both) <= CROWDED:
            floor = -0.045 * float(bottom.max())
            axes.plot(
                both, np.full(len(both), floor), "|", color=STYLED.muted, markersize=5, alpha=0.7
            )
        _median(axes, float(np.median(both)), top=float(bottom.max()))
        axes.locator_params(axis="y", integer=True)
        axes.set_ylabel("retrievals")
        axes.set_xlabel(unit)
        return svg(figure, name=name)


def _shared(heights: Floats, moments: Sequence[str]) -> tuple[Floats, list[str]]:
    """Return the columns; where there are too many, means of neighbours."""
    columns = heights.shape[1]
    if columns <= MAX_COLUMNS:
        return heights, list(moments)
    groups = np.array_split(np.arange(columns), MAX_COLUMNS)
    means = np.stack([heights[:, group].mean(axis=1) for group in groups], axis=1)
    return means, [moments[int(group[0])] for group in groups]


def _stack(axes: Axes, heights: Floats, *, slots: Sequence[int]) -> None:
    """Draw layers on each other: upwards what is positive, downwards what is negative."""
    places = np.arange(heights.shape[1])
    for sign in (heights.clip(min=0), heights.clip(max=0)):
        bottom = np.zeros(heights.shape[1])
        for slot, layer in zip(slots, sign, strict=True):
            if layer.any():
                axes.bar(places, layer, 0.8, bottom=bottom, color=STYLED.slots[slot])
            bottom += layer


def _limit(heights: Floats) -> float | None:
    """Return where the plot ends, if some columns go much further than the others."""
    totals = heights.sum(axis=0)
    limit = float(np.quantile(totals, TYPICAL)) * HEADROOM
    return limit if totals.max() > WORTH_CUTTING * limit > 0 else None


def _cut(axes: Axes, totals: Floats, *, limit: float) -> None:
    """End the plot at a height, and tell above what goes further how far it goes."""
    axes.set_ylim(0, limit)
    room = max(len(totals), LEAST_COLUMNS) * ROOM
    for group in _groups(np.flatnonzero(totals > limit), room=room):
        is_last = group[0] > len(totals) - room
        axes.annotate(
            f"↑ {'up to ' if len(group) > 1 else ''}{totals[group].max():,.0f}",
            (float(group[-1] if is_last else group[0]), limit),
            xytext=(4 if is_last else -4, 3),  # so that the arrow stands on its column
            textcoords="offset points",
            ha="right" if is_last else "left",
            fontsize=10,
            annotation_clip=False,
        )


def _groups(places: NDArray[np.intp], *, room: float) -> list[list[int]]:
    """Put places together that begin within some room of each other: one label has to do."""
    groups: list[list[int]] = []
    for place in places.tolist():
        if groups and place - groups[-1][0] < room:
            groups[-1].append(place)
        else:
            groups.append([place])
    return groups


def _edges(values: Floats) -> Floats:
    """Return the edges of a histogram's bins, at round widths."""
    bins = len(np.histogram_bin_edges(values, "auto")) - 1
    low, high = float(values.min()), float(values.max())
    if low == high:
        low, high = low - 0.5, high + 0.5
    edges: Floats = np.linspace(low, high, min(max(bins, BINS[0]), BINS[1]) + 1)
    return edges


def _median(axes: Axes, median: float, *, top: float) -> None:
    axes.axvline(median, color=STYLED.ink, linewidth=1, linestyle=(0, (4, 3)))
    axes.annotate(
        f"median {median:.2f}",
        (median, top),
        xytext=(4, 4),
        textcoords="offset points",
        fontsize=10,
    )
