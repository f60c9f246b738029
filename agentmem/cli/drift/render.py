"""What a person sees of drift: checks, events, stale texts, and passports with their differences.

What a store holds is hostile here: see `cli.render`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from agentmem.cli.render import NAME_CHARS, excerpt, pairs, visible
from agentmem.driftreport.wording import as_number, as_verdict, badge, told_state
from agentmem.embedding.passports import Difference
from agentmem.types import DriftEvent, DriftFinding, DriftReport, Reembedded, StaleText

__all__ = [
    "differences_block",
    "events_block",
    "fields_of",
    "reembedded_line",
    "reports_block",
    "stale_block",
]

STYLES: Final = {"bad": "bold red", "warn": "bold yellow", "good": "green", "": "dim"}
SEVERITIES: Final = {"critical": "bold red", "warning": "bold yellow", "info": "dim"}
VALUE_CHARS: Final = 60  # of a field of a passport: a hash is 64, and its beginning tells it apart
SHOWN: Final = 20  # stale texts: a screen; --json gives them all
REASONS: Final = {
    "failed": "the model refused it",
    "space": "another model made its vector",
    "content": "its vector is of another text",
}


def reports_block(reports: Iterable[DriftReport]) -> RenderableType:
    """Show checks: a line for each kind, then what it means and what to do."""
    blocks: list[RenderableType] = []
    for report in reports:
        blocks += [Text()] if blocks else []
        blocks += [
            Text(f"{report.subject.capitalize()}, generation {report.generation}", style="bold"),
            _findings_table(report.findings),
            *(_explained(one) for one in report.findings if one.status != "stable"),
            Text(as_verdict(report.findings), style="dim"),
        ]
    return Group(*blocks)


def _findings_table(findings: Iterable[DriftFinding]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for name in ("kind", "verdict"):
        table.add_column(name, no_wrap=True)
    for name in ("statistic", "p-value", "effect", "samples"):
        table.add_column(name, justify="right", no_wrap=True)
    for one in findings:
        then, now = one.samples
        table.add_row(
            one.kind,
            Text(told_state(one), style=STYLES[badge(one)]),
            *(as_number(value) for value in (one.statistic, one.p_value, one.effect)),
            f"{then:,} / {now:,}" if then or now else "",
        )
    return table


def _explained(finding: DriftFinding) -> RenderableType:
    lines = "\n".join(visible(part, lines=True) for part in (finding.meaning, finding.advice))
    return Group(Text(f"{finding.kind}:", style="bold"), Padding(Text(lines), (0, 0, 0, 2)))


def events_block(events: Iterable[DriftEvent]) -> RenderableType:
    """Show events, each with what it means and what to do."""
    return Group(*(_event(one) for one in events))


def _event(event: DriftEvent) -> RenderableType:
    heading = Text.assemble(
        (visible(event.id), "bold"),
        f"  {event.at:%Y-%m-%d %H:%M}  {event.subject}  {event.kind}  ",
        (event.severity, SEVERITIES[event.severity]),
        (f"  generation {event.generation}", "dim"),
    )
    lines = "\n".join(visible(part, lines=True) for part in (event.meaning, event.advice))
    return Group(heading, Padding(Text(lines), (0, 0, 0, 2), expand=False))


def stale_block(texts: Sequence[StaleText]) -> RenderableType:
    """Show texts whose vectors are stale, those of the sources that change most first."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for name in ("what", "id", "source", "why"):
        table.add_column(name, overflow="fold")
    table.add_column("churn", justify="right", no_wrap=True)
    for one in texts[:SHOWN]:
        table.add_row(
            one.held.replace("_", " "),
            excerpt(one.id, limit=NAME_CHARS),
            excerpt(one.source, limit=NAME_CHARS),
            REASONS[one.reason],
            f"{one.churn:.0%}",
        )
    more = len(texts) - SHOWN
    closing = f"{len(texts):,} in all; --json lists them." if more > 0 else ""
    return Group(table, *([Text(closing, style="dim")] if closing else []))


def reembedded_line(done: Reembedded) -> str:
    """Say what was done about stale texts."""
    texts = f"{done.embedded:,} text{'' if done.embedded == 1 else 's'}"
    verb = "would be embedded anew" if done.dry_run else "embedded anew"
    rest = [f"{done.skipped:,} replaced or deleted meanwhile"] if done.skipped else []
    rest += [f"{len(done.poisoned):,} refused by the model"] if done.poisoned else []
    return "; ".join([f"{texts} {verb}", *rest]) + "."


def fields_of(values: Mapping[str, Any]) -> RenderableType:
    """Show the fields of a passport, one a line."""
    told = {
        name.replace("_", " "): "–" if value is None else _value(value)
        for name, value in values.items()
    }
    return pairs(told)


def differences_block(differences: Sequence[Difference]) -> RenderableType:
    """Show in what two passports differ, what that means, and where it usually comes from."""
    blocks: list[RenderableType] = []
    for one in differences:
        style, word = ("yellow", "comparable") if one.comparable else ("bold red", "incomparable")
        told = {"stored": _value(one.stored), "given": _value(one.given)}
        told |= {"means": one.meaning, "cause": one.cause}
        heading = Text.assemble((one.field.replace("_", " "), "bold"), "  ", (word, style))
        blocks += [heading, Padding(pairs(told), (0, 0, 0, 2), expand=False)]
    return Group(*blocks)


def _value(value: object) -> str:
    text = value if isinstance(value, str) else repr(value)
    return excerpt(text, limit=VALUE_CHARS) if text else '""'
