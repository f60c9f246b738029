"""What the methods of one router share, and how it is put together for one generation."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial

from agentmem.embedding.queries import embed_queries
from agentmem.ingest import Clock
from agentmem.monitoring import Drift, DriftSettings, watched_router
from agentmem.protocols import Embedder, TokenCounter
from agentmem.ranking.tools import Routing
from agentmem.replay.selecting import SelectionReplayer
from agentmem.routing import (
    Budget,
    Calibrator,
    Guard,
    History,
    Holdings,
    Recorder,
    Registrar,
    Roster,
    Selector,
    Teacher,
    Thresholds,
)
from agentmem.storage.tool_store import ToolStore
from agentmem.telemetry import Tracing

__all__ = ["Parts", "Settings"]


@dataclass(frozen=True, slots=True)
class Settings:
    """What a router was opened with, whichever generation its store is in."""

    counter: TokenCounter
    routing: Routing
    tracing: Tracing
    clock: Clock
    drift: DriftSettings = field(default_factory=DriftSettings)


class Parts:
    """What the methods of one router share, put together around its store.

    Args:
        store: Where tools and lessons are.
        embedder: Of the space it is written in.
        settings: What the router was opened with.
        writing: Gives the parts to write to: see `storage.generations.Spaces.writing`.
        present: Gives the parts of the generation in force.
        drift: Of the router.
    """

    def __init__(
        self,
        store: ToolStore,
        *,
        embedder: Embedder,
        settings: Settings,
        writing: Callable[[], Iterator[Parts]],
        present: Callable[[], Parts],
        drift: Drift,
    ) -> None:
        self.store = store
        self.embedder = embedder
        self.counter = settings.counter
        self.routing = settings.routing
        self.tracing = settings.tracing
        self._present = present
        self._clock = settings.clock
        self.watched = watched_router(store, embedder=embedder, tables=store.watching)
        self._listener = drift.listener(self.watched)
        self.roster = Roster(store.catalogue)
        self.holdings = Holdings(store, routing=self.routing, now=self._clock.now)
        self.thresholds = Thresholds(store, routing=self.routing)
        self.recorder = Recorder(
            store.lessons,
            passport_id=store.passport.id,
            reserve=self._clock.reserve,
            embed=partial(embed_queries, embedder),
            writing=lambda: (parts.recorder for parts in writing()),
        )
        self.lessons = History(
            self.holdings.log, recorder=self.recorder, tracing=self.tracing, audit=store.audit
        )
        self.selector, self.replayer = self._choosing(Budget(self.counter))
        self.teacher = self._teacher(self.recorder)
        self.registrar = self._registrar()
        self.calibrator = self._calibrator()

    def _choosing(self, budget: Budget) -> tuple[Selector, SelectionReplayer]:
        """Make what selects tools, now and as it was."""
        selector = Selector(
            self.holdings,
            embedder=self.embedder,
            thresholds=self.thresholds,
            budget=budget,
            routing=self.routing,
            tracing=self.tracing,
            listener=self._listener,
        )
        replayer = SelectionReplayer(
            self.holdings,
            generation=self.store.generation,
            thresholds=self.thresholds,
            embedder=self.embedder,
            budget=budget,
            routing=self.routing,
            tracing=self.tracing,
            present=lambda: self._present().holdings,
        )
        return selector, replayer

    def _registrar(self) -> Registrar:
        return Registrar(
            self.store,
            roster=self.roster,
            embedder=self.embedder,
            counter=self.counter,
            reserve=self._clock.reserve,
            tracing=self.tracing,
        )

    def _teacher(self, recorder: Recorder) -> Teacher:
        return Teacher(
            self.store,
            holdings=self.holdings,
            recorder=recorder,
            guard=Guard(self.holdings, config=self.routing),
            roster=self.roster,
            embedder=self.embedder,
            tracing=self.tracing,
        )

    def _calibrator(self) -> Calibrator:
        return Calibrator(
            self.store,
            holdings=self.holdings,
            selector=self.selector,
            thresholds=self.thresholds,
            log=self.holdings.log,
            now=lambda: self._clock.reserve(1),
            tracing=self.tracing,
        )
