"""A report on drift as one HTML page: a verdict for each kind, its evidence, and what came before.

The page needs no network and no script, and the same values give the same page. Names of users,
sessions and sources are hostile here: every text is escaped, and the page's policy allows no
script anyway.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from agentmem.driftreport.charts import Plot, histories_of
from agentmem.driftreport.migrations import courses_of
from agentmem.driftreport.telling import parts_of
from agentmem.driftreport.wording import as_number
from agentmem.pages.drawing import STYLED, drawing, svg
from agentmem.pages.template import filled
from agentmem.types import DriftCheck, DriftReport, MigrationStatus

__all__ = ["page_of"]

PACKAGE: Final = "agentmem.driftreport"
TITLE: Final = "What drifted, and what to do"


def page_of(
    reports: Sequence[DriftReport],
    *,
    history: Sequence[DriftCheck] = (),
    migrations: Sequence[MigrationStatus] = (),
) -> str:
    """Return the report as the text of an HTML page.

    Args:
        reports: Of the memory, of the router, or of both.
        history: Past checks, for the course of each statistic.
        migrations: Those of the store.

    Raises:
        MissingDependency: jinja2 or matplotlib is not installed.
    """
    values = {
        "title": TITLE,
        "parts": parts_of(reports),
        "histories": histories_of(history),
        "migrations": courses_of(migrations),
        "drawn": _drawn,
        "number": as_number,
    }
    return filled(PACKAGE, values)


def _drawn(plot: Plot) -> str:
    with drawing() as (figure, axes):
        plot.on(axes, palette=STYLED)
        return svg(figure, name=plot.name)
