"""The plots of a report on drift: each a function that draws numbers on axes, in given colours.

Numbers in, marks on axes out: the same drawing stands in a page and in a figure of its own. No
text of a user is ever drawn: legends are the page's.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime, timezone
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from agentmem.driftreport.evidence import Cosines, Null, Plane, Shift
from agentmem.pages.drawing import SLOTS, Palette
from agentmem.pages.wording import as_brief
from agentmem.types import DriftCheck, DriftStatus

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = [
    "BASELINE",
    "EARLIER",
    "SESSIONS",
    "STATUSES",
    "TODAY",
    "coloured_sessions",
    "draw_cosines",
    "draw_history",
    "draw_nulls",
    "draw_plane",
    "draw_shift",
]

BASELINE: Final = 0  # slots of colours: what was is grey,
TODAY: Final = 1  # what is stands out,
EARLIER: Final = 5  # and the window before lies between
CLOSEST: Final = 1e-6  # of 1 - cosine that is told apart: float32 has no more
COSINES: Final = {1e-6: "1", 1e-4: ".9999", 1e-3: ".999", 1e-1: ".9", 1.0: "0"}
BINS: Final = 24  # of a histogram: enough to see a second hump, few enough to be filled
MARKS: Final = "osD^vP*Xp"  # shapes of sessions, for those who do not see their colours
SESSIONS: Final = SLOTS - 1  # that have a colour of their own; the rest share the last
DOT: Final = 4.5  # size of a mark on a plane
STATUSES: Final[dict[DriftStatus, tuple[int, str]]] = {  # colour and shape
    "stable": (3, "o"),
    "drifted": (7, "X"),
    "insufficient_data": (0, "|"),
}
TICKS: Final = 4  # moments below a history: more would touch
FLOOR: Final = 0.03  # height at which checks without a statistic are marked, as a share

Floats = NDArray[np.float64]


def draw_cosines(axes: Axes, cosines: Cosines, *, palette: Palette) -> None:
    """Draw cosines with what they were, best first within short texts, long ones and queries.

    How far each is from 1 is drawn on a logarithmic axis, so that both bounds can be seen.
    """
    at, middles = 0, []
    for slot, (name, values) in enumerate(cosines.groups.items(), 1):
        far = np.sort((1 - values).clip(CLOSEST))
        places = np.arange(at, at + len(far))
        axes.plot(places, far, MARKS[slot - 1], color=palette.slots[slot], markersize=4)
        middles.append((float(places.mean()), name))
        at += len(far) + 3
    for bound, words in ((cosines.same, "the same"), (cosines.other, "another one")):
        axes.axhline(1 - bound, color=palette.ink, linewidth=1, linestyle=(0, (4, 3)))
        axes.annotate(
            f"{bound:g} {words}".removeprefix("0"),
            (at - 1, 1 - bound),
            xytext=(0, 3),
            textcoords="offset points",
            ha="right",
        )
    axes.set_yscale("log")
    axes.set_yticks([*COSINES], [*COSINES.values()])
    axes.minorticks_off()
    worst = float((1 - cosines.all).max())
    axes.set_ylim(max(2 * worst, 4 * (1 - cosines.other)), CLOSEST / 2)
    axes.set_xticks([place for place, _ in middles], [name for _, name in middles])
    axes.set_xlim(-2, at)
    axes.set_ylabel("cosine with what it was")


def draw_nulls(axes: Axes, nulls: Sequence[Null], *, palette: Palette) -> None:
    """Draw what a statistic would be by chance, and where it was, in each window."""
    every = np.concatenate([[*null.values, null.statistic] for null in nulls])
    edges = _edges(every)
    for null in nulls:
        is_latest = null.window == "latest"
        slot = TODAY if is_latest else EARLIER
        counts = np.histogram(null.values, edges)[0]
        axes.stairs(counts, edges, fill=True, color=palette.slots[slot], alpha=0.35)
        axes.axvline(
            null.statistic,
            color=palette.slots[slot],
            linewidth=2,
            linestyle="-" if is_latest else (0, (4, 2)),
        )
    axes.locator_params(axis="y", integer=True)
    axes.set_ylabel("permutations")
    axes.set_xlabel("statistic; the lines are what was measured")


def draw_plane(axes: Axes, plane: Plane, *, palette: Palette) -> None:
    """Draw both sides on their plane: the baseline hollow and grey, today's sessions coloured."""
    muted = palette.slots[BASELINE]
    x, y = plane.reference.T
    axes.plot(x, y, "o", markersize=DOT, markerfacecolor="none", markeredgecolor=muted)
    slots = coloured_sessions(plane)
    for code in dict.fromkeys(plane.sessions.tolist()):
        slot = slots.get(code, SLOTS - 1)
        rows = plane.current[plane.sessions == code]
        x, y = rows.T
        axes.plot(
            *(x, y, MARKS[slot - 1]),
            color=palette.slots[slot],
            markersize=DOT,
            markeredgewidth=0,
        )
    axes.grid(visible=False)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_aspect("equal", adjustable="datalim")


def coloured_sessions(plane: Plane) -> dict[int, int]:
    """Return the colour of the sessions that have one of their own: those furthest away first."""
    middle = plane.reference.mean(axis=0)
    codes = list(dict.fromkeys(plane.sessions.tolist()))
    away = {
        code: float(np.linalg.norm(plane.current[plane.sessions == code].mean(axis=0) - middle))
        for code in codes
    }
    ranked = sorted(codes, key=lambda code: (-away[code], code))
    own = ranked if len(ranked) <= SESSIONS else ranked[: SESSIONS - 1]
    return {code: slot for slot, code in enumerate(own, 1)}


def draw_shift(axes: Axes, shift: Shift, *, unit: str, palette: Palette) -> None:
    """Draw how often values occurred at the baseline and today, as shares of each side."""
    edges = _edges(np.concatenate([shift.then, shift.now]))
    for slot, values in ((BASELINE, shift.then), (TODAY, shift.now)):
        shares = np.histogram(values, edges)[0] / len(values)
        colour = palette.slots[slot]
        axes.stairs(shares, edges, fill=True, color=colour, alpha=0.35)
        axes.stairs(shares, edges, color=colour, linewidth=1.6)
        style = "-" if slot == TODAY else (0, (4, 2))
        axes.axvline(float(np.median(values)), color=colour, linewidth=2, linestyle=style)
    axes.set_ylabel("share")
    axes.set_xlabel(f"{unit}; the lines are medians")


def draw_history(axes: Axes, checks: Sequence[DriftCheck], *, palette: Palette) -> None:
    """Draw a statistic over the checks of one kind, in the order of time."""
    at = np.array([check.at.timestamp() for check in checks])
    values = np.array([math.nan if one.statistic is None else one.statistic for one in checks])
    measured = np.isfinite(values)
    axes.plot(at[measured], values[measured], color=palette.muted, linewidth=1)
    for status, (slot, mark) in STATUSES.items():
        rows = measured & np.array([one.status == status for one in checks])
        axes.plot(at[rows], values[rows], mark, color=palette.slots[slot], markersize=7)
    floor = np.full(int((~measured).sum()), FLOOR)
    axes.plot(
        *(at[~measured], floor, "|"),
        color=palette.slots[BASELINE],
        transform=axes.get_xaxis_transform(),
    )
    for before, check in pairwise(checks):
        if check.generation != before.generation:
            moved = check.at.timestamp()
            axes.axvline(moved, color=palette.ink, linewidth=1, linestyle=(0, (1, 2)))
    ticks = np.linspace(at[0], at[-1], TICKS)
    axes.set_xticks(ticks, as_brief([datetime.fromtimestamp(one, timezone.utc) for one in ticks]))
    axes.set_ylabel("statistic")


def _edges(values: Floats) -> Floats:
    low, high = float(values.min()), float(values.max())
    if low == high:
        low, high = low - 0.5, high + 0.5
    edges: Floats = np.linspace(low, high, BINS + 1)
    return edges
