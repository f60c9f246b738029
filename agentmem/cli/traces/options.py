"""The options that the trace commands share, and the folder that they lead to."""

from __future__ import annotations

import re
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from agentmem.cli.telling import say
from agentmem.errors import StoreNotFound

if TYPE_CHECKING:
    from agentmem.traces import Traces

__all__ = [
    "VARIABLE",
    "Folder",
    "Since",
    "Wanted",
    "duration",
    "moment",
    "opened_traces",
    "traces_folder",
]

VARIABLE: Final = "AGENTMEM_TRACES"
UNITS: Final = {
    "ms": timedelta(milliseconds=1),
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
    "w": timedelta(weeks=1),
}
DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|w)")

Folder = Annotated[
    str | None,
    typer.Option(
        "--traces",
        envvar=VARIABLE,
        metavar="PATH",
        help="Folder of the recorded spans. Without it: agentmem-traces among your user data.",
    ),
]
Wanted = Annotated[
    str, typer.Argument(metavar="SPAN", help="Id of a span or trace, or its first digits.")
]
Since = Annotated[
    str | None,
    typer.Option(metavar="TIME", help="Since then, such as 2h, 7d or 2024-05-01T09:30:00Z."),
]


def traces_folder(folder: str | None) -> Path:
    """Return where traces are; the default is named on a terminal, so that nobody wonders."""
    if folder is not None:
        return Path(folder)
    from platformdirs import user_data_path

    default = user_data_path("agentmem-traces", appauthor=False)
    if sys.stderr.isatty():
        say(f"traces: {default} (--traces or {VARIABLE} names another)", err=True)
    return default


def opened_traces(folder: str | None) -> Traces:
    """Open the folder of traces for one command."""
    from agentmem.traces import open_traces

    try:
        return open_traces(traces_folder(folder))
    except StoreNotFound as error:
        raise StoreNotFound(
            f"{error} Here, every command records its spans where {VARIABLE}=PATH is set."
        ) from error


def duration(text: str, *, option: str) -> timedelta:
    """Read a duration such as 50ms, 1.5s, 10m, 2h, 7d or 4w."""
    read = DURATION.fullmatch(text.strip().lower())
    try:
        if read is not None:
            return float(read[1]) * UNITS[read[2]]
    except OverflowError:
        pass
    raise typer.BadParameter(
        f"{text!r} is no duration. Write 50ms, 1.5s, 10m, 2h, 7d or 4w.", param_hint=option
    )


def moment(text: str | None, *, option: str) -> datetime | str | None:
    """Read a moment, or how long ago one is; whether a date is one is for the traces to say."""
    if text is None or not DURATION.fullmatch(text.strip().lower()):
        return text
    try:
        return datetime.now(timezone.utc) - duration(text, option=option)
    except OverflowError:
        raise typer.BadParameter(f"{text!r} ago is before any date", param_hint=option) from None
