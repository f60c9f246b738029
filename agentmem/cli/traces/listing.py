"""The commands that look at spans: list and show."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from agentmem.cli.machine import print_json
from agentmem.cli.options import AsJson
from agentmem.cli.telling import say
from agentmem.cli.traces.options import Folder, Since, Wanted, duration, moment, opened_traces

if TYPE_CHECKING:
    from agentmem.traces import Branch, Label, SpanTree, Traces

__all__ = ["list_retrievals", "show"]


def list_retrievals(
    *,
    slow: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Only those that took longer, such as 50ms."),
    ] = None,
    below: Annotated[
        float | None,
        typer.Option(metavar="SCORE", help="Only those whose best score is lower, or missing."),
    ] = None,
    abstained: Annotated[
        bool, typer.Option("--abstained", help="Only selections that found no tool to fit.")
    ] = False,
    errors: Annotated[bool, typer.Option("--errors", help="Only those that failed.")] = False,
    operation: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="This operation in place of retrievals, such as create_memory."
        ),
    ] = None,
    since: Since = None,
    user: Annotated[str | None, typer.Option("--user", metavar="ID", help="Of this user.")] = None,
    session: Annotated[
        str | None, typer.Option("--session", metavar="ID", help="Of this session.")
    ] = None,
    limit: Annotated[int, typer.Option(help="At most so many, the newest.", min=1)] = 20,
    traces: Folder = None,
    as_json: AsJson = False,
) -> None:
    """List recorded searches and selections, the newest first."""
    found = opened_traces(traces)
    rows = found.retrievals(
        slower_than=None if slow is None else duration(slow, option="--slow"),
        below=below,
        abstained=abstained,
        errors=errors,
        operation=operation,
        user_id=user,
        session_id=session,
        since=moment(since, option="--since"),
        limit=limit,
    )
    if as_json:
        from agentmem.cli.traces.machine import span_form

        print_json([span_form(row) for row in rows])
        return
    from agentmem.cli.render import make_console
    from agentmem.cli.traces.render import spans_table

    make_console().print(spans_table(rows) if rows else "No spans.")
    tell_skipped(found)


def show(wanted: Wanted, *, traces: Folder = None, as_json: AsJson = False) -> None:
    """Show a span or a trace as a tree, and of a retrieval its results with their scores."""
    found = opened_traces(traces)
    branch = found.branch(wanted)
    if as_json:
        from agentmem.cli.traces.machine import shown_form

        print_json(shown_form(branch))
        return
    _print(branch, found)


def _print(branch: Branch | SpanTree, found: Traces) -> None:
    from agentmem.cli.render import make_console
    from agentmem.cli.traces.render import retrieval_block, tree_block

    console = make_console()
    console.print(tree_block(branch))
    labels: dict[str, Label] = {label.span_id: label for label in found.labels()}
    for _, span in branch.walk():
        if span.is_retrieval and span.status != "ERROR":
            part = found.retrieval(span.span_id)
            console.print()
            console.print(retrieval_block(part, label=labels.get(span.span_id)))
    tell_skipped(found)


def tell_skipped(found: Traces) -> None:
    """Name the files that could not be read, on standard error."""
    for name, reason in found.skipped.items():
        say(f"left out: {name} ({reason})", err=True)
