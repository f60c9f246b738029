"""The charts of a report on drift: what is drawn of a finding, and what it says."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np

from agentmem.driftreport.evidence import (
    Cosines,
    Null,
    Plane,
    Shift,
    cosines_of,
    nulls_of,
    plane_of,
    shifts_of,
)
from agentmem.driftreport.plots import (
    BASELINE,
    EARLIER,
    SESSIONS,
    STATUSES,
    TODAY,
    coloured_sessions,
    draw_cosines,
    draw_history,
    draw_nulls,
    draw_plane,
    draw_shift,
)
from agentmem.driftreport.wording import KINDS, QUANTITIES, SUBJECTS, as_number
from agentmem.types import DriftCheck, DriftFinding, DriftKind, DriftSubject

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Entry", "Plot", "histories_of", "plots_of"]

Draw: TypeAlias = "Callable[..., None]"

FEWEST: Final = 2  # checks of a kind; one alone is its finding
LATEST: Final = 120  # checks that a history shows: a month of four a day


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a legend.

    Attributes:
        name: What the colour is of.
        slot: The colour.
    """

    name: str
    slot: int


@dataclass(frozen=True, slots=True)
class Plot:
    """One drawing and what it says.

    Attributes:
        name: Tells the drawings of one page apart.
        title: What is drawn.
        caption: How to read it, in a sentence or two.
        alt: What one sees, for those who do not.
        legend: What its colours are.
        draw: Draws it on axes, given a `palette`.
        is_named: Whether names of users stand in the legend.
    """

    name: str
    title: str
    caption: str
    alt: str
    legend: tuple[Entry, ...]
    draw: Draw
    is_named: bool = False

    def on(self, axes: Axes, **how: object) -> None:
        """Draw it."""
        self.draw(axes, **how)


def plots_of(finding: DriftFinding, *, name: str) -> list[Plot]:
    """Return the drawings for which a finding brought evidence.

    Args:
        finding: It.
        name: Tells it apart from the other findings of one report.
    """
    plots = []
    cosines, nulls, plane = cosines_of(finding), nulls_of(finding), plane_of(finding)
    if cosines is not None:
        plots.append(_cosines(cosines, name=name))
    if nulls:
        plots.append(_nulls(nulls, name=name))
    if plane is not None:
        plots.append(_plane(plane, name=name))
    plots += [_shift(one, kind=finding.kind, name=name) for one in shifts_of(finding)]
    return plots


def histories_of(checks: Iterable[DriftCheck]) -> list[Plot]:
    """Return a drawing of each kind that was checked more than once, of the latest checks."""
    ordered = sorted(checks, key=lambda one: one.at)
    kinds = dict.fromkeys((one.subject, one.kind) for one in ordered)
    plots = []
    for subject, kind in sorted(kinds, key=lambda key: (key[0], [*KINDS].index(key[1]))):
        found = [one for one in ordered if (one.subject, one.kind) == (subject, kind)][-LATEST:]
        if len(found) >= FEWEST and any(one.statistic is not None for one in found):
            plots.append(_history(found, subject=subject, kind=kind))
    return plots


def _cosines(cosines: Cosines, *, name: str) -> Plot:
    every, same, other = cosines.all, as_number(cosines.same), as_number(cosines.other)
    moved, far = int((every < cosines.same).sum()), int((every < cosines.other).sum())
    return Plot(
        f"{name}-canaries",
        "The canaries",
        "Fixed texts, embedded when the vectors were made and again now. The least cosine "
        f"decides: at {same} or above the space is the same, below {other} it is another one.",
        alt=f"Cosines of {every.size} fixed texts with what they were: the least is "
        f"{as_number(float(every.min()))}, the median {as_number(float(np.median(every)))}; "
        f"{moved} lie below {same}, {far} of them below {other}.",
        legend=tuple(Entry(one, slot) for slot, one in enumerate(cosines.groups, 1)),
        draw=_first(draw_cosines, cosines),
    )


def _nulls(nulls: Sequence[Null], *, name: str) -> Plot:
    slots = {"previous": EARLIER, "latest": TODAY}
    told = [
        f"in the {one.window} window {as_number(one.statistic)}, which "
        f"{(one.values >= one.statistic).mean():.1%} of the permutations reach"
        for one in nulls
    ]
    return Plot(
        f"{name}-null",
        "Is it more than chance?",
        "The statistic as it would be if sessions had changed places at random, and as it was "
        "measured. Only what lies to the right of nearly all of it, in both windows, is drift.",
        alt=f"Null distributions of {nulls[-1].values.size} permutations; the statistic is "
        f"{' and '.join(told)}.",
        legend=tuple(Entry(f"{one.window} window", slots[one.window]) for one in nulls),
        draw=_first(draw_nulls, nulls),
    )


def _plane(plane: Plane, *, name: str) -> Plot:
    slots = coloured_sessions(plane)
    entries = [Entry("baseline", BASELINE)]
    entries += [Entry(plane.names.get(code, f"session {code}"), s) for code, s in slots.items()]
    sessions = len(set(plane.sessions.tolist()))
    if len(slots) < sessions:
        entries.append(Entry(f"{sessions - len(slots)} other sessions", SESSIONS))
    share = "" if plane.explained is None else f", {plane.explained:.0%} of its variance"
    return Plot(
        f"{name}-plane",
        "Where it lies",
        f"The plane in which the baseline spreads most{share}. Sessions that lie apart from "
        "it are about something else; what differs in other directions does not show.",
        alt=f"{len(plane.reference)} places of the baseline and {len(plane.current)} of "
        f"{sessions} sessions of today on a plane.",
        legend=tuple(entries),
        draw=_first(draw_plane, plane),
        is_named=True,
    )


def _shift(shift: Shift, *, kind: DriftKind, name: str) -> Plot:
    quantity = shift.name or kind
    words = quantity.replace("_", " ")
    title, unit = QUANTITIES.get(quantity, (words.capitalize(), words))
    then, now = (float(np.median(side)) for side in (shift.then, shift.now))
    return Plot(
        f"{name}-{quantity}",
        title,
        "How often values occurred at the baseline and since, as shares of each.",
        alt=f"Two histograms: at the baseline {shift.then.size} values with a median of "
        f"{as_number(then)}, since then {shift.now.size} with a median of {as_number(now)}.",
        legend=(Entry("baseline", BASELINE), Entry("today", TODAY)),
        draw=partial(_first(draw_shift, shift), unit=unit),
    )


def _history(checks: Sequence[DriftCheck], *, subject: DriftSubject, kind: DriftKind) -> Plot:
    words = {"stable": "stable", "drifted": "drifted", "insufficient_data": "too little data"}
    there = {one.status for one in checks}
    drifted = sum(one.status == "drifted" for one in checks)
    return Plot(
        f"{subject}-{kind}-history",
        f"{SUBJECTS[subject]}: {kind}",
        "The statistic of each check. A dotted line is a move to another generation; a tick at "
        "the bottom a check that could measure nothing.",
        alt=f"{len(checks)} checks from {checks[0].at:%Y-%m-%d} to {checks[-1].at:%Y-%m-%d}, "
        f"{drifted} of which found drift.",
        legend=tuple(
            Entry(words[one], slot) for one, (slot, _) in STATUSES.items() if one in there
        ),
        draw=_first(draw_history, checks),
    )


def _first(draw: Callable[..., None], value: object) -> Draw:
    """Return a function of axes that draws a value on them."""

    def drawn(axes: Axes, **how: object) -> None:
        draw(axes, value, **how)

    return drawn
