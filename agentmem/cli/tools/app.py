"""The group `agentmem tools`: its commands in four panels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import typer

from agentmem.cli import evaluate_router
from agentmem.cli.tools import catalogue, learning, selecting
from agentmem.cli.traces.recording import recording

__all__ = ["app"]

app = typer.Typer(
    name="tools",
    help="Tools for agents: a catalogue, and the few of it that a query needs.",
    no_args_is_help=True,
)


@app.callback()
def _group(ctx: typer.Context) -> None:
    """Tools for agents: a catalogue, and the few of it that a query needs."""
    if ctx.invoked_subcommand != "eval":  # what it asks, nobody asked
        ctx.with_resource(recording())


_PANELS: Final[dict[str, dict[str, Callable[..., None]]]] = {
    "Ask": {"select": selecting.select, "explain": selecting.explain},
    "Catalogue": {
        "register": catalogue.register,
        "sync": catalogue.sync,
        "list": catalogue.list_tools,
        "get": catalogue.get,
        "remove": catalogue.remove,
    },
    "Learn": {
        "examples": learning.examples,
        "feedback": learning.feedback,
        "history": learning.history,
        "revert": learning.revert,
        "calibrate": learning.calibrate,
    },
    "Check": {"lint": selecting.lint, "eval": evaluate_router.router},
}

for _panel, _commands in _PANELS.items():
    for _name, _function in _commands.items():
        app.command(_name, rich_help_panel=_panel)(_function)
