"""The group `agentmem traces`: what was recorded, read without a backend."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import typer

from agentmem.cli.traces import labelling, listing, pruning, report

__all__ = ["app"]

app = typer.Typer(
    name="traces",
    help="Recorded searches and selections: the slow, the doubtful and the wrong ones.",
    no_args_is_help=True,
)


@app.callback()
def _group() -> None:
    """Recorded searches and selections: the slow, the doubtful and the wrong ones."""


_PANELS: Final[dict[str, dict[str, Callable[..., None]]]] = {
    "Look": {"list": listing.list_retrievals, "show": listing.show, "report": report.report},
    "Judge": {"label": labelling.label, "labels": labelling.labels},
    "Forget": {"prune": pruning.prune},
}

for _panel, _commands in _PANELS.items():
    for _name, _function in _commands.items():
        app.command(_name, rich_help_panel=_panel)(_function)
