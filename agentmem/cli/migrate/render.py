"""What a person sees of migrations: the plan before, where one is, and how its gates came out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any, Final

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from agentmem.cli.render import pairs, visible
from agentmem.types import Gate, MigrationPlan, MigrationStatus, Poisoned

__all__ = ["form", "history_table", "plan_block", "poisoned_table", "status_block"]

SHOWN: Final = 20  # rows that were set aside: a screen; --json gives them all
STYLES: Final = {"done": "green", "failed": "bold red", "paused": "yellow", "cancelled": "dim"}


def plan_block(plan: MigrationPlan) -> RenderableType:
    """Show what a migration would do."""
    rows = ", ".join(f"{count:,} {held.replace('_', ' ')}" for held, count in plan.rows.items())
    told = {
        "store": visible(plan.store),
        "from": f"{visible(plan.source.model)} ({plan.source.id})",
        "to": f"{visible(plan.target.model)} ({plan.target.id})",
        "differs in": ", ".join(plan.differences) or "nothing",
        "rows": rows or "none",
        "long texts": "split anew" if plan.rechunked else "split as before",
        "time": _time(plan),
        "disk": _disk(plan),
    }
    warnings = [Text(f"note: {visible(one)}", style="yellow") for one in plan.warnings]
    return Group(pairs(told), *warnings)


def status_block(status: MigrationStatus) -> RenderableType:
    """Show where a migration is."""
    told = {
        "migration": status.id,
        "state": status.state + (f", {status.requested} asked for" if status.requested else ""),
        "generations": f"{status.source} to {status.target}",
        "rows": f"{status.done:,} of {status.total:,}, {status.rate:.0f} a second",
        "started": _moment(status.started_at),
    }
    if status.eta_seconds and not status.is_finished:
        told["left"] = str(timedelta(seconds=round(status.eta_seconds)))
    if status.flipped_at is not None:
        told["in force since"] = _moment(status.flipped_at)
    if status.poisoned:
        told["set aside"] = f"{status.poisoned:,} rows the model could not embed"
    if status.owner is not None:
        told["run by"] = visible(status.owner)
    error = [Text(visible(status.error, lines=True), style="red")] if status.error else []
    return Group(pairs(told), *([_gates(status.gates)] if status.gates else []), *error)


def history_table(statuses: Iterable[MigrationStatus]) -> Table:
    """Show the finished migrations, the newest last."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for name in ("finished", "state", "generations", "rows", "set aside", "id"):
        table.add_column(name, no_wrap=True)
    for one in statuses:
        finished = "" if one.finished_at is None else _moment(one.finished_at)
        state = Text(one.state.replace("_", " "), style=STYLES.get(one.state, ""))
        moved = f"{one.source} to {one.target}"
        table.add_row(finished, state, moved, f"{one.total:,}", f"{one.poisoned:,}", one.id)
    return table


def poisoned_table(rows: list[Poisoned]) -> Table:
    """Show rows that were set aside, and why."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for name in ("what", "id", "why"):
        table.add_column(name)
    for one in rows[:SHOWN]:
        table.add_row(one.held, visible(one.id), visible(one.error))
    return table


def form(value: MigrationPlan | MigrationStatus | Poisoned) -> dict[str, Any]:
    """Return a value as JSON."""
    told = asdict(value)
    for name, one in told.items():
        if isinstance(one, datetime):
            told[name] = one.isoformat()
    return told


def _gates(gates: Iterable[Gate]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column()
    for gate in gates:
        outcome = Text("holds", style="green") if gate.passed else Text("fails", style="bold red")
        table.add_row(gate.name, outcome, visible(gate.detail))
    return table


def _time(plan: MigrationPlan) -> str:
    if plan.seconds is None or plan.texts_a_second is None:
        return "nothing to embed"
    about = timedelta(seconds=max(1, round(plan.seconds)))
    return f"about {about} at {plan.texts_a_second:,.0f} rows a second, as a sample was embedded"


def _disk(plan: MigrationPlan) -> str:
    more = f"about {plan.bytes_more / 1e6:,.1f} MB more"
    if plan.bytes_now is None:
        return more
    return f"{more}, beside {plan.bytes_now / 1e6:,.1f} MB now"


def _moment(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"
