"""The JSON forms of tools, selections and lessons that `--json` prints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from agentmem.cli.machine import plain
from agentmem.types import (
    Calibration,
    CatalogueChange,
    Explanation,
    Lesson,
    LintReport,
    Selection,
    Tool,
    ToolMatch,
)

__all__ = [
    "calibration_form",
    "change_form",
    "explanation_form",
    "lesson_form",
    "lint_form",
    "selection_form",
    "tool_form",
]


def tool_form(tool: Tool) -> dict[str, Any]:
    """Return a tool as JSON values."""
    return {**asdict(tool), "tags": list(tool.tags)}


def selection_form(selection: Selection) -> dict[str, Any]:
    """Return a selection as JSON values; `evidence` is there when it was asked for."""
    plain_fields = (
        "query",
        "abstained",
        "reason",
        "confidence",
        "threshold",
        "calibrated",
        "tokens",
        "tokens_saved",
        "namespace",
        "catalogue",
        "catalogue_version",
        "examples_version",
        "generation",
        "passport_id",
        "config_id",
    )
    return {
        **{name: getattr(selection, name) for name in plain_fields},
        "needs_tool": dict(selection.needs_tool),
        "unmatched_terms": list(selection.unmatched_terms),
        "called": list(selection.called),
        "asked": plain(asdict(selection.asked)),
        "milliseconds": dict(selection.milliseconds),
        "trace_id": selection.trace_id,
        "span_id": selection.span_id,
        "matches": _matches(selection.matches),
        "candidates": _matches(selection.candidates),
    }


def _matches(matches: Sequence[ToolMatch], *, after: int = 0) -> list[dict[str, Any]]:
    return [_match(match, rank) for rank, match in enumerate(matches, after + 1)]


def _match(match: ToolMatch, rank: int) -> dict[str, Any]:
    form = {
        "rank": rank,
        "name": match.name,
        "namespace": match.tool.namespace,
        "description": match.tool.description,
        "score": match.score,
        "probability": match.probability,
        "terms": dict(match.terms),
    }
    if match.evidence is None:
        return form
    return {**form, "evidence": {**asdict(match.evidence), "words": dict(match.evidence.words)}}


def explanation_form(explanation: Explanation) -> dict[str, Any]:
    """Return an explanation as JSON values; the losers' ranks go on after the chosen tools'."""
    return {
        "selection": selection_form(explanation.selection),
        "losers": _matches(explanation.losers, after=len(explanation.selection)),
        "margin": explanation.margin,
        "text": explanation.text,
    }


def change_form(change: CatalogueChange) -> dict[str, Any]:
    """Return a change of the catalogue as JSON values."""
    return asdict(change)


def lesson_form(lesson: Lesson) -> dict[str, Any]:
    """Return a lesson as JSON values."""
    return plain(asdict(lesson))


def calibration_form(calibration: Calibration) -> dict[str, Any]:
    """Return a calibration as JSON values."""
    return plain(asdict(calibration))


def lint_form(report: LintReport) -> dict[str, Any]:
    """Return what is to be repaired as JSON values."""
    return asdict(report)
