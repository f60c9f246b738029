"""A report on drift as one picture: every chart of it below the verdicts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from agentmem.driftreport.charts import Plot, histories_of, plots_of
from agentmem.driftreport.wording import SUBJECTS, as_verdict
from agentmem.pages.drawing import HEIGHT, LIGHT, WIDTH, figure_of, png
from agentmem.pages.wording import as_moment
from agentmem.types import DriftCheck, DriftReport

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["picture_of"]

COLUMNS: Final = 2
TITLE: Final = 40  # height of the title of a chart
LINE: Final = 22  # height of a line of text


def picture_of(reports: Sequence[DriftReport], *, history: Sequence[DriftCheck] = ()) -> bytes:
    """Return the report as the bytes of a PNG file.

    No name of a user, session or source is in it.

    Args:
        reports: Of the memory, of the router, or of both.
        history: Past checks, for the course of each statistic.

    Raises:
        MissingDependency: matplotlib is not installed.
    """
    lines = [
        f"{SUBJECTS[one.subject]}, {as_moment(one.at)} UTC. {as_verdict(one.findings)}"
        for one in reports
    ]
    plots = [
        (f"{plot.title} ({report.subject}, {finding.kind})", plot)
        for report in reports
        for finding in report.findings
        for plot in plots_of(finding, name="")
    ]
    plots += [(plot.title, plot) for plot in histories_of(history)]
    return _drawn(plots, lines=lines or ["Nothing was checked."])


def _drawn(plots: Sequence[tuple[str, Plot]], *, lines: Sequence[str]) -> bytes:
    rows = -(-len(plots) // COLUMNS)
    head = LINE * (len(lines) + 1)
    height = head + rows * (HEIGHT + TITLE)
    with figure_of(LIGHT, width=COLUMNS * WIDTH, height=height) as figure:
        figure.suptitle("\n".join(lines), x=0.01, ha="left", fontsize=12, wrap=True)
        if plots:
            grid = list(figure.subplots(rows, COLUMNS, squeeze=False).flat)
            for axes, (title, plot) in zip(grid, plots, strict=False):
                axes.set_title(title, loc="left", fontsize=11)
                plot.on(axes, palette=LIGHT)
                _explain(axes, plot)
            for axes in grid[len(plots) :]:
                axes.set_axis_off()
        return png(figure)


def _explain(axes: Axes, plot: Plot) -> None:
    """Say what the colours are of, unless that takes names of users."""
    if plot.is_named or not plot.legend:
        return
    from matplotlib.patches import Patch

    keys = [Patch(color=LIGHT.slots[one.slot], label=one.name) for one in plot.legend]
    axes.legend(handles=keys, loc="best", fontsize=9, frameon=False)
