"""Labelled traces as questions whose answers are known, which a migration must not answer worse."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from agentmem.migration import Labelled

__all__ = ["labelled"]


def labelled(folder: Path | None) -> list[Labelled]:
    """Return the searches of a folder of traces whose labels name turns that answer them."""
    if folder is None:
        return []
    from agentmem.migration import Labelled
    from agentmem.traces import read_labels

    found = [
        Labelled(label.query, frozenset(label.relevant), label.scope)
        for label in read_labels(folder)
        if label.kind == "search" and label.relevant and label.scope is not None
    ]
    if not found:
        raise typer.BadParameter(
            "no label there names the turns that answer a search; `agentmem traces label SPAN "
            "--right` gives one",
            param_hint="--labels",
        )
    return found
