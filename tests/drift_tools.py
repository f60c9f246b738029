"""What the tests of drift share: a model that changes silently, a store, a journal, events."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agentmem import EmbeddingFailed, Memory, ToolRouter
from agentmem.monitoring import Drift, Given
from agentmem.testing import HashEmbedder
from agentmem.tokens import CallableCounter
from agentmem.types import DriftEvent, DriftFinding, DriftKind, Kind, Passport

SPACE = Passport(provider="test", model="tiny", dimension=64)
THEN = datetime(2024, 5, 1, 12, tzinfo=timezone.utc)


class Changeable(HashEmbedder):
    """A model behind a passport that stays the same, whatever becomes of the model.

    Attributes:
        is_another: Whether it gives other vectors than before.
        noise: How much of another direction is mixed into every vector.
        refused: Texts with one of these words cannot be embedded; "*" is all of them.
        calls: How often it was asked.
    """

    def __init__(self, dimension: int = 64) -> None:
        super().__init__(dimension)
        self.is_another = False
        self.noise = 0.0
        self.refused: set[str] = set()
        self.calls = 0

    def embed(self, texts: Sequence[str], *, kind: Kind) -> NDArray[np.float32]:
        """Embed texts, as the model is by now."""
        self.calls += 1
        for text in texts:
            if "*" in self.refused or any(word in text for word in self.refused):
                raise EmbeddingFailed("the model refuses this text")
        given = [text[::-1] for text in texts] if self.is_another else list(texts)
        rows = super().embed(given, kind=kind)
        if self.noise:
            rows = rows + np.float32(self.noise) * np.roll(rows, 1, axis=1)
            rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        return rows


def open_memory(folder: Path, embedder: HashEmbedder | None = None, **options: Any) -> Memory:
    """Open a memory whose model may change."""
    chosen = Changeable() if embedder is None else embedder
    return Memory.open(folder, embedder=chosen, token_counter=CallableCounter(len), **options)


def open_router(folder: Path, embedder: HashEmbedder | None = None, **options: Any) -> ToolRouter:
    """Open a router whose model may change."""
    chosen = Changeable() if embedder is None else embedder
    return ToolRouter.open(folder, embedder=chosen, token_counter=CallableCounter(len), **options)


def event(number: int = 1, **changes: Any) -> DriftEvent:
    """Return an event with these fields changed."""
    fields: dict[str, Any] = {
        "id": f"event{number}",
        "at": THEN,
        "store": "here",
        "subject": "memory",
        "kind": "model",
        "severity": "critical",
        "statistic": 0.2,
        "p_value": None,
        "effect": 1.0,
        "samples": (80, 80),
        "meaning": "The model is another one.",
        "recommendation": "migrate",
        "advice": "Migrate.",
        "generation": 1,
        "passport": SPACE,
        "given": SPACE,
        "detail": {"cause": "model"},
    }
    return DriftEvent(**{**fields, **changes})


def finding(kind: DriftKind = "content", **changes: Any) -> DriftFinding:
    """Return a finding of drift with these fields changed."""
    fields: dict[str, Any] = {
        "kind": kind,
        "status": "drifted",
        "severity": "warning",
        "statistic": 0.4,
        "p_value": 0.01,
        "effect": 0.5,
        "samples": (40, 20),
        "meaning": "It moved.",
        "recommendation": "evaluate",
        "advice": "Evaluate.",
    }
    return DriftFinding(**{**fields, **changes})


class Scripted:
    """A check that finds what it is told to."""

    def __init__(self, kind: DriftKind = "content", **changes: Any) -> None:
        self.kind: DriftKind = kind
        self.changes = changes
        self.given: list[Given] = []

    def __call__(self, given: Given) -> DriftFinding:
        """Return the finding."""
        self.given.append(given)
        return finding(self.kind, **self.changes)

    def is_calm(self) -> None:
        """Find nothing from now on."""
        self.changes = {"status": "stable", "severity": "info", "recommendation": "nothing"}


def scripted(drift: Drift, *checks: Scripted) -> Drift:
    """Give a memory's or router's drift these checks in place of its own."""
    drift._monitor._checks = checks
    return drift
