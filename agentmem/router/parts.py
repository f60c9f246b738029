"""What the methods of one router share, and how it is put together."""

from __future__ import annotations

from agentmem.ingest import Clock
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
from agentmem.telemetry import Content, Tracing

__all__ = ["Parts"]


class Parts:
    """What the methods of one router share, put together around its store.

    Args:
        store: Where tools and lessons are.
        embedder: Of the space it is written in.
        counter: Counts the tokens of definitions.
        routing: The weights.
        content: What spans may say.
    """

    def __init__(
        self,
        store: ToolStore,
        *,
        embedder: Embedder,
        counter: TokenCounter,
        routing: Routing,
        content: Content,
    ) -> None:
        self.store = store
        self.embedder = embedder
        self.counter = counter
        self.routing = routing
        self.tracing = Tracing(store.name, content=content)
        self.tracing.metrics.observe(store.gauges)
        self.roster = Roster(store.catalogue)
        self._clock = Clock()
        self.holdings = Holdings(store, routing=routing, now=self._clock.now)
        self.thresholds = Thresholds(store, routing=routing)
        recorder = Recorder(store.lessons, reserve=self._clock.reserve)
        self.lessons = History(self.holdings.log, recorder=recorder, tracing=self.tracing)
        self.selector, self.replayer = self._choosing(Budget(counter))
        self.teacher = self._teacher(recorder)
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
        )
        replayer = SelectionReplayer(
            self.holdings,
            thresholds=self.thresholds,
            embedder=self.embedder,
            budget=budget,
            routing=self.routing,
            tracing=self.tracing,
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
