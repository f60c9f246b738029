"""A report on recorded retrievals as one HTML page: charts, what is worth a look, every trace.

The page needs no network and no script, and the same spans give the same page. What people said
is hostile here: every text is escaped, and the page's policy allows no script anyway.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from agentmem.checks import location
from agentmem.pages.files import write_text
from agentmem.pages.template import filled
from agentmem.traces.report.charts import parts_of
from agentmem.traces.report.legend import term_entries
from agentmem.traces.report.lists import lists_of, tiles_of
from agentmem.traces.report.summary import Summary
from agentmem.traces.report.telling import summary_of

if TYPE_CHECKING:
    from agentmem.traces.folder import Traces

__all__ = ["LIMIT", "page_of", "write_report"]

LIMIT: Final = 200  # retrievals; a page of about 2 MB, which a phone still opens at once
TITLE: Final = "What was retrieved, and why"
PACKAGE: Final = "agentmem.traces.report"


def write_report(
    traces: Traces,
    path: str | os.PathLike[str],
    *,
    trace_id: str | None = None,
    since: datetime | str | None = None,
    limit: int = LIMIT,
) -> Summary:
    """Write a report on recorded retrievals.

    Args:
        traces: Where they are recorded.
        path: The HTML file; one that is there is replaced.
        trace_id: Of this trace alone; its first digits do.
        since: Only retrievals that began then or later.
        limit: At most so many, the newest.

    Returns:
        What the report says.

    Raises:
        InvalidInput: `trace_id` is no id or means several, or `since` is no moment.
        MissingDependency: jinja2 or matplotlib is not installed.
        NotFound: There is no such trace.
        StoreError: The file cannot be written.
    """
    target = Path(location(path, what="path"))
    summary = _gathered(traces, trace_id=trace_id, since=since, limit=limit)
    page = page_of(summary, folder=str(traces.path), skipped=traces.skipped)
    write_text(target, page)
    return summary


def page_of(
    summary: Summary, *, folder: str, skipped: Mapping[str, str] = MappingProxyType({})
) -> str:
    """Return the report as the text of an HTML page.

    Args:
        summary: What it says.
        folder: Where the traces are, for the commands it shows.
        skipped: Files that could not be read, each with the reason.

    Raises:
        MissingDependency: jinja2 or matplotlib is not installed.
    """
    names = {name for one in summary.retrievals for hit in one.results for name in hit.names}
    values = {
        "title": TITLE,
        "summary": summary,
        "every": summary.retrievals,
        "tiles": tiles_of(summary.figures),
        "parts": parts_of(summary),
        "lists": lists_of(summary.retrievals),
        "terms": [entry for entry in term_entries(names) if entry.means],
        "folder": folder,
        "skipped": skipped,
    }
    return filled(PACKAGE, values)


def _gathered(
    traces: Traces, *, trace_id: str | None, since: datetime | str | None, limit: int
) -> Summary:
    verdicts: dict[str, str] = {label.span_id: label.verdict for label in traces.labels()}
    if trace_id is not None:
        return summary_of([traces.trace(trace_id)], verdicts=verdicts)
    spans = traces.retrievals(since=since, limit=limit)
    wanted = {span.span_id for span in spans}
    trees = traces.trees(dict.fromkeys(span.trace_id for span in spans))
    return summary_of(trees, wanted=lambda span: span.span_id in wanted, verdicts=verdicts)
