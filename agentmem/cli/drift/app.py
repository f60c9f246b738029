"""The group `agentmem drift`: whether a store drifted, what of it stands, and what to do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import typer

from agentmem.cli.drift import checking, events, staleness

__all__ = ["app"]

app = typer.Typer(
    name="drift",
    help="Drift of a store: its model, its texts, what is talked about, asked and found.",
    no_args_is_help=True,
)


@app.callback()
def _group() -> None:
    """Drift of a store: its model, its texts, what is talked about, asked and found."""


_PANELS: Final[dict[str, dict[str, Callable[..., None]]]] = {
    "Look": {"check": checking.check, "report": checking.report, "events": events.events},
    "Accept": {"acknowledge": events.acknowledge, "rebase": events.rebase},
    "Repair": {"stale": staleness.stale, "reembed": staleness.reembed},
}

for _panel, _commands in _PANELS.items():
    for _name, _function in _commands.items():
        app.command(_name, rich_help_panel=_panel)(_function)
