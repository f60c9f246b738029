"""What the methods of one router share, and how it is put together."""

from __future__ import annotations

from dataclasses import dataclass

from agentmem.ingest import Clock
from agentmem.protocols import Embedder, TokenCounter
from agentmem.ranking.tools import Routing
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


@dataclass(frozen=True, slots=True)
class Parts:
    """What the methods of one router share."""

    store: ToolStore
    embedder: Embedder
    counter: TokenCounter
    routing: Routing
    registrar: Registrar
    roster: Roster
    holdings: Holdings
    thresholds: Thresholds
    selector: Selector
    calibrator: Calibrator
    teacher: Teacher
    lessons: History
    tracing: Tracing

    @classmethod
    def assemble(
        cls,
        store: ToolStore,
        *,
        embedder: Embedder,
        counter: TokenCounter,
        routing: Routing,
        content: Content,
    ) -> Parts:
        """Put a router together around its store."""
        tracing = Tracing(store.name, content=content)
        clock, roster = Clock(), Roster(store.catalogue)
        holdings = Holdings(store, routing=routing, now=clock.now)
        thresholds = Thresholds(store, routing=routing)
        recorder = Recorder(store.lessons, reserve=clock.reserve)
        selector = Selector(
            holdings,
            embedder=embedder,
            thresholds=thresholds,
            budget=Budget(counter),
            routing=routing,
            tracing=tracing,
        )
        return cls(
            store=store,
            embedder=embedder,
            counter=counter,
            routing=routing,
            registrar=Registrar(
                store,
                roster=roster,
                embedder=embedder,
                counter=counter,
                reserve=clock.reserve,
                tracing=tracing,
            ),
            roster=roster,
            holdings=holdings,
            thresholds=thresholds,
            selector=selector,
            calibrator=Calibrator(
                store,
                holdings=holdings,
                selector=selector,
                thresholds=thresholds,
                log=holdings.log,
                now=lambda: clock.reserve(1),
                tracing=tracing,
            ),
            teacher=Teacher(
                store,
                holdings=holdings,
                recorder=recorder,
                guard=Guard(holdings, config=routing),
                roster=roster,
                embedder=embedder,
                tracing=tracing,
            ),
            lessons=History(holdings.log, recorder=recorder, tracing=tracing),
            tracing=tracing,
        )
