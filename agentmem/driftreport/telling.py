"""From checks to what a report says of them: a part for each, with a section for each kind."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Final

from agentmem.driftreport.charts import Plot, plots_of
from agentmem.driftreport.evidence import Source, sources_of
from agentmem.driftreport.wording import KINDS, SUBJECTS, as_number, as_verdict, badge, told_state
from agentmem.pages.wording import as_time
from agentmem.types import DriftFinding, DriftReport, Passport

__all__ = ["Part", "Section", "Tile", "parts_of"]

MAX_FACT: Final = 300  # characters of one number or list of a finding; the JSON has it whole
MAX_SOURCES: Final = 20  # of a table: a screen


@dataclass(frozen=True, slots=True)
class Tile:
    """One figure.

    Attributes:
        name: What is counted or measured.
        value: How many, or how long.
        more: What it means, in a few words.
    """

    name: str
    value: str
    more: str


@dataclass(frozen=True, slots=True)
class Section:
    """What was found of one kind.

    Attributes:
        name: Tells sections of one page apart.
        kind: Of drift.
        title: Of the section.
        state: How it came out, in a word or two.
        badge: The style of that.
        measures: Statistic, p-value, effect and samples, as far as there are any.
        meaning: What it means.
        recommendation: What to do, in a word or two.
        advice: The same in a sentence.
        facts: Further numbers, by name.
        plots: Its drawings.
        sources: Where texts come from, those that change fastest first.
        more_sources: How many further ones there are.
    """

    name: str
    kind: str
    title: str
    state: str
    badge: str
    measures: dict[str, str]
    meaning: str
    recommendation: str
    advice: str
    facts: dict[str, str]
    plots: tuple[Plot, ...]
    sources: tuple[Source, ...]
    more_sources: int


@dataclass(frozen=True, slots=True)
class Part:
    """One check.

    Attributes:
        title: Of what.
        report: The check.
        verdict: How it came out, in a sentence.
        tiles: The figures that stand above everything else.
        sections: One for each kind, in the order in which they were checked.
        passport: Of the space the store is in, field by field.
    """

    title: str
    report: DriftReport
    verdict: str
    tiles: tuple[Tile, ...]
    sections: tuple[Section, ...]
    passport: dict[str, str]


def parts_of(reports: Iterable[DriftReport]) -> list[Part]:
    """Return a part for each check, in the order given."""
    return [
        Part(
            SUBJECTS[report.subject],
            report,
            as_verdict(report.findings),
            _tiles(report),
            tuple(
                _section(one, name=f"{report.subject}-{place}-{one.kind}")
                for one in report.findings
            ),
            _passport(report.passport),
        )
        for place, report in enumerate(reports, 1)
    ]


def _tiles(report: DriftReport) -> tuple[Tile, ...]:
    counts = dict.fromkeys(("drifted", "stable", "insufficient_data"), 0)
    for one in report.findings:
        counts[one.status] += 1
    return (
        Tile("drifted", f"{counts['drifted']}", f"of {len(report.findings)} kinds checked"),
        Tile("stable", f"{counts['stable']}", "as at the baseline"),
        Tile("too little data", f"{counts['insufficient_data']}", "no verdict rather than a guess"),
        Tile("new", f"{len(report.events)}", "told to the hooks by this check"),
        Tile("generation", f"{report.generation}", f"space {report.passport.id}"),
        Tile("time", as_time(sum(report.milliseconds.values())), "for all checks"),
    )


def _section(finding: DriftFinding, *, name: str) -> Section:
    sources = sources_of(finding)
    return Section(
        name=name,
        kind=finding.kind,
        title=KINDS[finding.kind],
        state=told_state(finding),
        badge=badge(finding),
        measures=_measures(finding),
        meaning=finding.meaning,
        recommendation=finding.recommendation.replace("_", " "),
        advice=finding.advice,
        facts=_facts(finding.detail),
        plots=tuple(plots_of(finding, name=name)),
        sources=tuple(sources[:MAX_SOURCES]),
        more_sources=max(0, len(sources) - MAX_SOURCES),
    )


def _measures(finding: DriftFinding) -> dict[str, str]:
    then, now = finding.samples
    told = {
        "statistic": as_number(finding.statistic),
        "p-value": as_number(finding.p_value),
        "effect": as_number(finding.effect),
        "samples": f"{then:,} / {now:,}" if then or now else "",
    }
    return {name: value or "–" for name, value in told.items()}


def _facts(detail: Mapping[str, object]) -> dict[str, str]:
    return {str(name).replace("_", " "): _fact(value) for name, value in detail.items()}


def _fact(value: object) -> str:
    if isinstance(value, float):
        return as_number(value)
    if isinstance(value, str):
        text = value
    elif isinstance(value, int) and not isinstance(value, bool):
        text = f"{value:,}"
    else:
        text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= MAX_FACT else text[: MAX_FACT - 1] + "…"


def _passport(passport: Passport) -> dict[str, str]:
    told = {"id": passport.id, **asdict(passport)}
    return {
        name.replace("_", " "): str(value)
        for name, value in told.items()
        if value not in {None, ""}
    }
