"""`Watched`: the memory or router that is looked at, in one generation of its store."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import numpy as np

from agentmem.embedding.cache import CachedEmbedder
from agentmem.monitoring.baseline import StoredBaseline
from agentmem.monitoring.given import Bounds, Given
from agentmem.protocols import Embedder
from agentmem.storage.reads import Reads
from agentmem.storage.renewing import Renewal
from agentmem.storage.tool_store import ToolStore
from agentmem.storage.turns import Store
from agentmem.storage.watching import DriftTables
from agentmem.telemetry import Audit
from agentmem.types import DriftKind, DriftSubject, Held, Passport

__all__ = ["Watched", "watched_memory", "watched_router"]

OF: Final[Mapping[DriftSubject, tuple[Held, ...]]] = {
    "memory": ("turns",),
    "router": ("tools", "tool_examples"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """What is looked at.

    Attributes:
        subject: A memory or a router.
        name: The folder or address.
        generation: Number of the generation.
        passport: Of its space.
        embedder: Of that space, as far as its passport says.
        tables: What the store keeps to notice drift by.
        store: Its turns; None of a router.
        tools: Its tools; None of a memory.
    """

    subject: DriftSubject
    name: str
    generation: int
    passport: Passport
    embedder: CachedEmbedder
    tables: DriftTables
    store: Reads | None = None
    tools: ToolStore | None = None

    @property
    def audit(self) -> Audit:
        """Where it is written down what is done."""
        return self.tables.journal.audit

    @property
    def read_only(self) -> bool:
        """Whether nothing can be written down."""
        return self.tables.journal.read_only

    @property
    def holdings(self) -> dict[Held, Renewal]:
        """Its tables of vectors that are there by now."""
        there = self.tables.renewals()
        return {held: there[held] for held in OF[self.subject] if held in there}

    def given(self, *, now: datetime, bounds: Bounds) -> Given:
        """Return what its checks are given."""
        baseline = StoredBaseline(
            self.tables.meta,
            subject=self.subject,
            generation=self.generation,
            now=now,
            read_only=self.read_only,
        )
        return Given(
            subject=self.subject,
            name=self.name,
            store=self.store,
            tools=self.tools,
            embedder=self.embedder,
            generation=self.generation,
            canaries=self.tables.canaries,
            holdings=self.holdings,
            questions=self.tables.questions,
            baseline=baseline,
            now=now,
            rng=np.random.default_rng(0),
            bounds=bounds,
        )

    def rng(self, kind: DriftKind, *, now: datetime) -> np.random.Generator:
        """Return the randomness of one check: the same all day long."""
        named = f"{self.name}\n{self.subject}\n{kind}\n{now:%Y-%m-%d}"
        seed = hashlib.blake2b(named.encode("utf-8", "surrogatepass"), digest_size=8).digest()
        return np.random.default_rng(int.from_bytes(seed, "big"))


def watched_memory(store: Store, *, embedder: Embedder, tables: DriftTables) -> Watched:
    """Return a memory, in the generation of its store."""
    return Watched(
        subject="memory",
        name=store.name,
        generation=store.generation,
        passport=store.passport,
        embedder=_cached(embedder),
        tables=tables,
        store=store,
    )


def watched_router(tools: ToolStore, *, embedder: Embedder, tables: DriftTables) -> Watched:
    """Return a router, in the generation of its store."""
    return Watched(
        subject="router",
        name=tools.name,
        generation=tools.generation,
        passport=tools.passport,
        embedder=_cached(embedder),
        tables=tables,
        tools=tools,
    )


def _cached(embedder: Embedder) -> CachedEmbedder:
    return embedder if isinstance(embedder, CachedEmbedder) else CachedEmbedder(embedder)
