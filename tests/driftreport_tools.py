"""Findings, checks and migrations for the tests of what is drawn and told of drift."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from typing import Any

import numpy as np

from agentmem.types import (
    DriftCheck,
    DriftFinding,
    DriftKind,
    DriftReport,
    Gate,
    MigrationStatus,
    Passport,
)

NOON = datetime(2026, 5, 1, 12, tzinfo=timezone.utc)
PASSPORT = Passport(
    provider="sentence-transformers", model="all-MiniLM-L6-v2", dimension=384, window=256
)


def finding(kind: DriftKind, **told: Any) -> DriftFinding:
    """Return a finding that is stable where nothing else is said."""
    usual: dict[str, Any] = {
        "status": "stable",
        "severity": "info",
        "statistic": 0.5,
        "p_value": None,
        "effect": None,
        "samples": (40, 20),
        "meaning": f"This is what {kind} means.",
        "recommendation": "nothing",
        "advice": f"This is what to do about {kind}.",
    }
    return DriftFinding(kind=kind, **{**usual, **told})


def report_of(*findings: DriftFinding, **told: Any) -> DriftReport:
    """Return a check of a memory with findings."""
    usual: dict[str, Any] = {
        "store": "chat.mem",
        "subject": "memory",
        "at": NOON,
        "generation": 2,
        "passport": PASSPORT,
        "events": (),
        "milliseconds": {one.kind: 12.5 for one in findings},
    }
    return DriftReport(findings=findings, **{**usual, **told})


def swapped(*, long: bool = True) -> dict[str, Any]:
    """Return the evidence of a model whose window became shorter."""
    rng = np.random.default_rng(0)
    documents = 1 - rng.exponential(2e-5, 64)
    is_long = np.arange(64) >= 48
    documents[is_long] = 1 - rng.exponential(0.15, 16)
    evidence = {"documents": documents, "queries": 1 - rng.exponential(1e-5, 16)}
    return {**evidence, "long_documents": is_long} if long else evidence


def moved(*, sessions: int = 20, names: Sequence[str] | None = None) -> dict[str, Any]:
    """Return the evidence of content that moved."""
    rng = np.random.default_rng(1)
    codes = np.repeat(np.arange(sessions), 3)
    return {
        "null_previous": rng.normal(0, 0.01, 200),
        "null_latest": rng.normal(0, 0.011, 200),
        "statistic_previous": 0.031,
        "statistic_latest": 0.045,
        "reference": rng.normal(size=(200, 2)),
        "current": rng.normal(size=(3 * sessions, 2)) + codes[:, None] / sessions,
        "reference_sessions": np.repeat(np.arange(20), 10),
        "current_sessions": codes,
        "explained": [0.21, 0.12],
        "session_names": [f"s{n}" for n in range(sessions)] if names is None else names,
    }


def sources(**churn: float) -> dict[str, Any]:
    """Return the evidence of sources of texts, by their names."""
    return {
        "sources": list(churn),
        "churn": list(churn.values()),
        "age_days": [2.5] * len(churn),
        "stale": [3] * len(churn),
    }


def everything() -> DriftReport:
    """Return a check of every kind, each with all the evidence there is."""
    rng = np.random.default_rng(2)
    critical, warning = _told("critical"), _told("warning")
    scores = {"similarity_then": rng.normal(0.6, 0.1, 90), "similarity_now": rng.random(40)}
    margins = {"margin_then": rng.random(90), "margin_now": rng.random(40)}
    return report_of(
        finding("model", **critical, statistic=0.55, evidence=swapped()),
        finding("texts", evidence=sources(ada=0.1, weather=0.62)),
        finding("content", **warning, p_value=0.002, effect=0.4, evidence=moved()),
        finding("questions", evidence={**scores, **margins}),
        finding("answers", detail={"recall": 0.98, "rows": 1200, "probes": ["a", "b"]}),
        finding("language", status="insufficient_data", statistic=None, samples=(3, 0)),
        finding("length", evidence={"then": rng.random(40), "now": rng.random(20)}),
    )


def _told(severity: str) -> dict[str, Any]:
    return {"status": "drifted", "severity": severity, "recommendation": "migrate"}


def past(kind: DriftKind, *, count: int = 12, **told: Any) -> list[DriftCheck]:
    """Return checks of one kind, one each six hours until noon."""
    usual: dict[str, Any] = {"subject": "memory", "severity": "info", "p_value": 0.3}
    usual |= {"effect": 0.1, "status": "stable", "statistic": 0.01, "generation": 1}
    return [
        DriftCheck(kind=kind, at=NOON - timedelta(hours=6 * n), **{**usual, **told})
        for n in reversed(range(count))
    ]


def migration(name: str = "m-1", **told: Any) -> MigrationStatus:
    """Return a migration that came through."""
    usual: dict[str, Any] = {
        "state": "done",
        "source": 1,
        "target": 2,
        "source_id": "bbbb",
        "target_id": PASSPORT.id,
        "done": 1000,
        "total": 1000,
        "rate": 120.0,
        "eta_seconds": None,
        "started_at": NOON - timedelta(hours=4),
        "updated_at": NOON,
        "finished_at": NOON - timedelta(hours=1),
        "flipped_at": NOON - timedelta(hours=2),
        "gates": (Gate("parity", passed=True, value=1.0, bound=1.0, detail="every row is there"),),
    }
    return MigrationStatus(id=name, **{**usual, **told})
