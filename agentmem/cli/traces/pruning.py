"""The command that deletes spans before their time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from agentmem.cli.machine import print_json
from agentmem.cli.options import AsJson
from agentmem.cli.telling import say
from agentmem.cli.traces.options import Folder, moment, opened_traces

if TYPE_CHECKING:
    from agentmem.traces import Pruned

__all__ = ["prune"]


def prune(
    *,
    older_than: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Spans before that, such as 7d or 2024-05-01T00:00:00Z."),
    ] = None,
    user: Annotated[
        str | None,
        typer.Option("--user", metavar="ID", help="Spans of this user, and the labels on them."),
    ] = None,
    session: Annotated[
        str | None,
        typer.Option("--session", metavar="ID", help="Spans of this session, likewise."),
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="All spans.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Delete without asking.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would go, and delete nothing.")
    ] = False,
    traces: Folder = None,
    as_json: AsJson = False,
) -> None:
    """Delete recorded spans: shows what would go, and asks.

    With --json nothing is asked, and nothing deleted without --yes.
    """
    if yes and dry_run:
        raise typer.BadParameter("give either --yes or --dry-run, not both", param_hint="--yes")
    from agentmem.traces import prune as prune_spans

    folder = opened_traces(traces).path
    before = moment(older_than, option="--older-than")  # read once: asking takes its time

    def pruned(*, dry_run: bool) -> Pruned:
        return prune_spans(
            folder,
            before=before,
            user_id=user,
            session_id=session,
            everything=everything,
            dry_run=dry_run,
        )

    keeping = dry_run or (as_json and not yes)
    if not (as_json or yes or dry_run):
        would = pruned(dry_run=True)
        say(_outcome(would))
        if would.spans or would.labels:
            typer.confirm("Delete them?", abort=True, err=True)
    done = pruned(dry_run=keeping)
    if as_json:
        from agentmem.cli.traces.machine import pruned_form

        print_json(pruned_form(done))
    else:
        say(_outcome(done))


def _outcome(done: Pruned) -> str:
    verb = "would be deleted" if done.dry_run else "deleted"
    labels = f" and {done.labels:,} label{'' if done.labels == 1 else 's'}" if done.labels else ""
    spans = f"{done.spans:,} span{'' if done.spans == 1 else 's'}"
    unread = f" Not readable, and left: {', '.join(done.skipped)}." if done.skipped else ""
    return f"{spans}{labels} {verb}; {done.spans_left:,} left.{unread}"
