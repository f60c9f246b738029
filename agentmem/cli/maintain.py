"""The command `agentmem maintain`: a store looked after, once or again and again."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from agentmem.cli.machine import plain, print_json
from agentmem.cli.options import AsJson, Store, location
from agentmem.cli.telling import say

if TYPE_CHECKING:
    from agentmem.types.maintenance import MaintenanceReport, MaintenanceStep

__all__ = ["maintain", "report_form", "seconds_of"]

FAILED: Final = 1  # exit code where a step failed
NICE: Final = 10  # behind whatever else runs
THREADS: Final = "LANCE_CPU_THREADS"  # read by LanceDB when it starts: all processors otherwise
DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)([smhd])")
SECONDS: Final = {"s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0}


def maintain(
    *,
    store: Store = None,
    every: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Again and again, such as every 10m, until stopped."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done, and change nothing.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Look after a store: delete what is due, compact, prune old versions, clean up.

    Turns go whose date has come or that a retention policy reaches. One process at a time does
    so; others may read and write meanwhile. Exits with 1 if a step failed.
    """
    pause = None if every is None else seconds_of(every)
    _step_back()
    from agentmem.maintenance import Maintainer
    from agentmem.storage.turns import Store as Turns
    from agentmem.telemetry import Tracing

    where = location(store)
    turns = Turns.open(where, passport=None, create=False, read_only=dry_run, strict=False)
    try:
        maintainer = Maintainer(turns, tracing=Tracing(turns.name))
        tell = None if as_json else _told()
        while True:
            report = maintainer.run(dry_run=dry_run, progress=tell)
            _show(report, as_json=as_json)
            if pause is None:
                break
            time.sleep(pause)
    except KeyboardInterrupt:  # how an endless command is ended
        return
    finally:
        turns.close()
    if report.errors:
        raise typer.Exit(FAILED)


def seconds_of(text: str) -> float:
    """Return the seconds of a duration such as 90s, 10m, 6h or 1d."""
    match = DURATION.fullmatch(text.strip())
    seconds = float(match[1]) * SECONDS[match[2]] if match else 0.0
    if seconds <= 0:
        raise typer.BadParameter("write 90s, 10m, 6h or 1d", param_hint="--every")
    return seconds


def report_form(report: MaintenanceReport) -> dict[str, Any]:
    """Return what maintenance did as JSON values."""
    return plain({**asdict(report), "steps": [asdict(step) for step in report.steps]})


def _step_back() -> None:
    """Leave the processors to others, as far as the system allows."""
    os.environ.setdefault(THREADS, "1")
    with suppress(OSError, AttributeError):
        os.nice(NICE)


def _told() -> Callable[[MaintenanceStep], None]:
    """Return what prints a step when it is done."""
    from agentmem.cli.render import make_console, visible

    console = make_console()

    def tell(step: MaintenanceStep) -> None:
        sizes = ""
        if step.bytes_before is not None and step.bytes_after is not None:
            sizes = f"  {step.bytes_before:,} → {step.bytes_after:,} bytes"
        lines = [f"{step.name} {step.target}: {step.error or step.done}{sizes}"]
        lines += [f"  left: {step.left}"] if step.left else []
        style = "red" if step.error else None
        console.print("\n".join(map(visible, lines)), style=style, soft_wrap=True)

    return tell


def _show(report: MaintenanceReport, *, as_json: bool) -> None:
    if as_json:
        print_json(report_form(report))
        return
    if report.skipped is not None:
        say(f"nothing was done: {report.skipped}.")
        return
    sizes = ""
    if report.bytes_before is not None and report.bytes_after is not None:
        sizes = f", {report.bytes_before:,} → {report.bytes_after:,} bytes"
    say(f"{len(report.steps)} steps in {report.seconds:.1f} s{sizes}.")
