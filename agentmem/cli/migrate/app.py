"""The group `agentmem migrate`: move a store to another embedding space while others serve it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agentmem.cli.machine import print_json
from agentmem.cli.migrate import watching
from agentmem.cli.migrate.labels import labelled
from agentmem.cli.migrate.options import (
    DocumentPrompt,
    Flip,
    Labels,
    QueryPrompt,
    Revision,
    ServiceModel,
    Shadow,
    Share,
    To,
    TruncateDim,
    opened_whole,
    target_of,
)
from agentmem.cli.options import AsJson, Store

if TYPE_CHECKING:
    from agentmem.types import MigrationPlan

__all__ = ["app"]

app = typer.Typer(
    name="migrate",
    help="Move a store to another embedding space while it serves, and back.",
)


@app.callback(invoke_without_command=True)
def migrate(
    ctx: typer.Context,
    *,
    to: To = None,
    service_model: ServiceModel = None,
    revision: Revision = None,
    truncate_dim: TruncateDim = None,
    query_prompt: QueryPrompt = None,
    document_prompt: DocumentPrompt = None,
    share: Share = None,
    shadow: Shadow = 0,
    labels: Labels = None,
    flip: Flip = True,
    reembed: Annotated[
        bool, typer.Option("--reembed", help="Embed anew although the passports are equal.")
    ] = False,
    engine: Annotated[str, typer.Option(help='"local" or "ray".')] = "local",
    workers: Annotated[int, typer.Option(help="Processes of --engine ray.")] = 2,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the plan, and change nothing.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Start without asking.")] = False,
    store: Store = None,
    as_json: AsJson = False,
) -> None:
    """Move a store to another embedding space while others serve it.

    Shows the plan, and asks. Killed, it goes on with the same command. Processes that serve need
    the new model as well (`standby`). With --json nothing is done without --yes.
    """
    if ctx.invoked_subcommand is not None:
        return
    if to is None:
        raise typer.BadParameter("name the model to move to", param_hint="--to")
    target = target_of(
        to,
        service_model=service_model,
        revision=revision,
        truncate_dim=truncate_dim,
        query_prompt=query_prompt,
        document_prompt=document_prompt,
    )
    only_plan = dry_run or (as_json and not yes)
    with opened_whole(store, to=target, read_only=only_plan) as memory:
        if only_plan or not yes:
            _show(memory.plan_migration(target), as_json=as_json)
            if only_plan:
                return
            typer.confirm("Move it?", abort=True, err=True)
        how: dict[str, Any] = {"share": share, "shadow": shadow, "flip": flip, "reembed": reembed}
        known, shown = labelled(labels), sys.stderr.isatty()
        migration = memory.migrate(
            target, **how, labels=known, engine=engine, workers=workers, progress=shown
        )
        watching.show(migration.status(), as_json=as_json)


def _show(plan: MigrationPlan, *, as_json: bool) -> None:
    from agentmem.cli.migrate.render import form, plan_block

    if as_json:
        print_json(form(plan))
        return
    from agentmem.cli.render import make_console

    make_console().print(plan_block(plan))


app.command("status", rich_help_panel="Watch")(watching.status)
app.command("history", rich_help_panel="Watch")(watching.history)
app.command("poisoned", rich_help_panel="Watch")(watching.poisoned)
app.command("pause", rich_help_panel="Stop")(watching.pause)
app.command("cancel", rich_help_panel="Stop")(watching.cancel)
app.command("rollback", rich_help_panel="Afterwards")(watching.rollback)
app.command("drop", rich_help_panel="Afterwards")(watching.drop)
