"""Reports, checks, events and migrations as JSON values: what `--json` prints and a file holds.

Numbers that JSON has no word for (not a number, infinite) become null.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from datetime import datetime
from typing import Any

import numpy as np

from agentmem.types import (
    DriftCheck,
    DriftEvent,
    DriftFinding,
    DriftReport,
    MigrationStatus,
    Passport,
)

__all__ = ["check_form", "event_form", "finding_form", "migration_form", "report_form"]


def report_form(report: DriftReport, *, evidence: bool = False) -> dict[str, Any]:
    """Return a check as JSON values.

    Args:
        report: It.
        evidence: Whether the arrays that plots are made of are wanted too.
    """
    form: dict[str, Any] = _values(report)
    findings = [finding_form(one, evidence=evidence) for one in report.findings]
    return {**form, "drifted": report.drifted, "findings": findings}


def finding_form(finding: DriftFinding, *, evidence: bool = False) -> dict[str, Any]:
    """Return what was found of one kind, likewise."""
    form: dict[str, Any] = _values(finding)
    if not evidence:
        del form["evidence"]
    return form


def event_form(event: DriftEvent) -> dict[str, Any]:
    """Return an event as JSON values."""
    form: dict[str, Any] = _values(event)
    return form


def check_form(check: DriftCheck) -> dict[str, Any]:
    """Return a row of the history as JSON values."""
    form: dict[str, Any] = _values(check)
    return form


def migration_form(status: MigrationStatus) -> dict[str, Any]:
    """Return where a migration is, or how it came out, as JSON values."""
    form: dict[str, Any] = _values(status)
    return form


def _values(value: Any) -> Any:
    if isinstance(value, Passport):
        return {"id": value.id, **_fields(value)}
    if is_dataclass(value) and not isinstance(value, type):
        return _fields(value)
    if isinstance(value, Mapping):
        return {str(name): _values(one) for name, one in value.items()}
    if isinstance(value, np.ndarray):
        return _values(value.tolist())
    if isinstance(value, Iterable) and not isinstance(value, (str, bytes)):
        return [_values(one) for one in value]
    return _single(value)


def _fields(value: Any) -> dict[str, Any]:
    return {one.name: _values(getattr(value, one.name)) for one in fields(value)}


def _single(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if isinstance(value, (bool, int, float, str)) or value is None else str(value)
