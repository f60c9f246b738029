"""The command that makes a page of recorded retrievals."""

from __future__ import annotations

import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from agentmem.cli.machine import print_json
from agentmem.cli.options import AsJson
from agentmem.cli.telling import say
from agentmem.cli.traces.options import Folder, Since, moment, opened_traces

__all__ = ["report"]


def report(
    *,
    out: Annotated[
        Path, typer.Option("--out", metavar="FILE", help="The page; one that is there is replaced.")
    ] = Path("report.html"),
    trace: Annotated[
        str | None,
        typer.Option("--trace", metavar="ID", help="Only this trace, by its first digits."),
    ] = None,
    since: Since = None,
    limit: Annotated[
        int, typer.Option(help="At most so many retrievals, the newest.", min=1)
    ] = 200,
    show: Annotated[bool, typer.Option("--show", help="Open it in a browser.")] = False,
    traces: Folder = None,
    as_json: AsJson = False,
) -> None:
    """Make one HTML page: charts, the slow and the doubtful, and every trace with its results."""
    if trace is not None and since is not None:
        raise typer.BadParameter("give either --trace or --since, not both", param_hint="--trace")
    from agentmem.traces.report import write_report

    found = opened_traces(traces)
    summary = write_report(
        found, out, trace_id=trace, since=moment(since, option="--since"), limit=limit
    )
    retrievals, told = summary.figures.count, len(summary.traces)
    if as_json:
        print_json({"file": str(out), "retrievals": retrievals, "traces": told})
    else:
        say(f"{out}: {_many(retrievals, 'retrieval')} of {_many(told, 'trace')}.")
    if show:
        webbrowser.open(out.absolute().as_uri())


def _many(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"
