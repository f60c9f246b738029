"""What a person reads of lessons, calibrations and lint reports."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from agentmem.cli.render import NAME_CHARS, excerpt, pairs, visible
from agentmem.cli.tools.render import label
from agentmem.types import Calibration, Lesson, LintReport

__all__ = ["calibration_block", "lesson_block", "lessons_block", "lint_block"]

NAMES_SHOWN: Final = 5  # tools of a lesson
FINDINGS_SHOWN: Final = 20  # of each kind: a screen; --json gives them all


def lessons_block(lessons: Iterable[Lesson]) -> RenderableType:
    """Show lessons, each with what became of it."""
    return Group(*(lesson_block(lesson) for lesson in lessons))


def lesson_block(lesson: Lesson) -> RenderableType:
    """Show one lesson: whether it was applied, why, and what it changed."""
    heading = Text.assemble(
        (visible(lesson.id), "bold"),
        f"  {lesson.at:%Y-%m-%d %H:%M}  {visible(lesson.kind)}  ",
        _state(lesson),
    )
    body = [_brought(lesson), visible(lesson.reason)]
    if lesson.before is not None and lesson.after is not None:
        body.append(f"nDCG@5 on held-out queries {lesson.before:.3f} → {lesson.after:.3f}")
    lines = Text("\n".join(part for part in body if part))
    return Group(heading, Padding(lines, (0, 0, 0, 2), expand=False))


def _state(lesson: Lesson) -> tuple[str, str]:
    if not lesson.applied:
        return "not applied", "bold red"
    return ("active", "green") if lesson.active else ("reverted", "yellow")


def _brought(lesson: Lesson) -> str:
    names = ", ".join(excerpt(name, limit=NAME_CHARS) for name in lesson.tools[:NAMES_SHOWN])
    more = (
        f" and {len(lesson.tools) - NAMES_SHOWN:,} more" if len(lesson.tools) > NAMES_SHOWN else ""
    )
    parts = [f"{lesson.observations:,} observation{'' if lesson.observations == 1 else 's'}"]
    parts += [f"of {names}{more}"] if names else []
    parts += [f"by {excerpt(lesson.by, limit=NAME_CHARS)}"] if lesson.by else []
    parts += [f"back to {visible(lesson.reverted_to)}"] if lesson.reverted_to else []
    return ", ".join(parts)


def calibration_block(found: Calibration) -> RenderableType:
    """Show a threshold, what it promises, and what came of it."""
    at = "" if found.at is None else f", fitted {found.at:%Y-%m-%d %H:%M} UTC"
    facts = {
        "threshold": f"{found.threshold:.3f} of the confidence{at}",
        "rests on": visible(found.reason),
        "in force": "yes" if found.valid else "no",
        "queries": f"{found.queries:,} that a tool fits, {found.unanswerable:,} that none fits",
        "wrong refusals": f"{found.alpha:.1%} nominal, at most {found.upper_bound:.1%} "
        "(with 95 % confidence)",
        "right refusals": _share(found.refused),
        "AUROC": "" if found.auroc is None else f"{found.auroc:.3f}",
        "since then": ""
        if found.realised is None
        else f"{found.realised:.1%} wrong refusals in {found.observed:,} reported queries",
    }
    return pairs({name: fact for name, fact in facts.items() if fact})


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.1%} of the queries that no tool fits"


def lint_block(report: LintReport) -> RenderableType:
    """Show what to repair in a catalogue."""
    sections = {
        "Too much alike": [
            f"{one.similarity:.2f}  {label(one.first, namespace=one.namespace)}  ~  "
            f"{excerpt(one.second, limit=NAME_CHARS)}"
            for one in report.collisions
        ],
        "To repair": [
            f"{label(one.tool, namespace=one.namespace)}  {visible(one.rule)}: "
            f"{visible(one.message)}"
            for one in report.issues
        ],
        "Likely to be confused": [
            f"{excerpt(one.tool, limit=NAME_CHARS)} for "
            f"{excerpt(one.mistaken_for, limit=NAME_CHARS)}: {one.examples:,} "
            f"({one.share:.0%}) of its examples, such as “{excerpt(one.query)}”"
            for one in report.confusions
        ],
    }
    blocks = [part for title, lines in sections.items() for part in _section(title, lines)]
    return Group(*blocks, Text(_verdict(report), style="dim"))


def _section(title: str, lines: Sequence[str]) -> Iterator[RenderableType]:
    if not lines:
        return
    yield Text(f"{title} ({len(lines):,})", style="bold")
    yield Padding(Text("\n".join(lines[:FINDINGS_SHOWN])), (0, 0, 0, 2), expand=False)
    if len(lines) > FINDINGS_SHOWN:
        yield Text(f"  … and {len(lines) - FINDINGS_SHOWN:,} more")


def _verdict(report: LintReport) -> str:
    tools = f"{report.tools:,} tool{'' if report.tools == 1 else 's'} looked at"
    recall = report.expected_recall
    expected = (
        "no usage examples to expect confusion from"
        if recall is None
        else f"with each left out in turn, {recall:.1%} of the usage examples find their own tool"
    )
    clean = "" if report.collisions or report.issues else "Nothing to repair. "
    return f"{clean}{tools}; {expected}."
