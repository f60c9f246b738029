"""What a check of drift is given, and what every check is.

A check reads, measures and returns a finding. It writes nothing but what its baseline keeps,
opens no span, calls no hook, and raises only what reading and embedding raise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

import numpy as np

from agentmem.embedding.cache import CachedEmbedder
from agentmem.statistics.corrections import WINDOW_LEVEL
from agentmem.storage.canaries import KeptCanaries
from agentmem.storage.questions import Questions
from agentmem.storage.reads import Reads
from agentmem.storage.renewing import Renewal
from agentmem.storage.tool_store import ToolStore
from agentmem.types import DriftFinding, DriftKind, DriftSubject, Held

__all__ = ["Baseline", "Bounds", "Check", "Given"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What a check decides by.

    Attributes:
        level: A finding with a p-value is drift where that is at most this. Of a check over two
            windows the p-value is the larger one, so that both have to reject.
        effect: Smallest effect that is worth a word, however small the p-value.
        churn: Share of a source's texts that may be replaced within a month.
    """

    level: float = WINDOW_LEVEL
    effect: float = 0.0
    churn: float = 0.25  # a quarter a month: within four months nothing would be as it was


class Baseline(Protocol):
    """Since when "today" is, and what was measured then.

    Everything kept is forgotten when the baseline is moved (`drift.rebase()`), and is of one
    generation.
    """

    @property
    def at(self) -> datetime:
        """When the state was accepted that today is compared with (UTC)."""
        ...

    @property
    def is_new(self) -> bool:
        """Whether this very check is the first since: there is nothing to compare with yet."""
        ...

    def kept(self, name: str) -> Any:
        """Return the JSON value kept under a name since this baseline, or None."""
        ...

    def keep(self, name: str, value: Any) -> Any:
        """Keep a JSON value, unless one is kept already; return the one that is kept.

        On a read-only store it is returned and forgotten.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What a check looks at.

    Attributes:
        subject: Whether a memory or a router is checked.
        name: The folder or address of the store.
        store: Its turns; None for a router.
        tools: Its tools; None for a memory.
        embedder: Of the generation in force; `embedder.inner` is past the cache.
        generation: Number of that.
        canaries: Its kept canaries.
        holdings: The tables of vectors that the subject has in it by now.
        questions: The kept sample of what was asked of the subject, in this generation.
        baseline: Since when today is.
        now: The present (UTC).
        rng: The same for the same store, kind and day, so that a check can be repeated.
        bounds: What to decide by.
    """

    subject: DriftSubject
    name: str
    store: Reads | None
    tools: ToolStore | None
    embedder: CachedEmbedder
    generation: int
    canaries: KeptCanaries
    holdings: Mapping[Held, Renewal]
    questions: Questions
    baseline: Baseline
    now: datetime
    rng: np.random.Generator
    bounds: Bounds


class Check(Protocol):
    """Looks for one kind of drift.

    A finding may name in `detail["fingerprint"]` what tells it from others of its kind: while it
    stays the same, nobody is told again. Without one, that is its severity.
    """

    @property
    def kind(self) -> DriftKind:
        """Which kind."""
        ...

    def __call__(self, given: Given) -> DriftFinding:
        """Return what was found.

        Raises:
            EmbeddingFailed: Texts could not be embedded.
            StoreError: The store could not be read.
        """
        ...
