"""What the handles of one store share, and how it is put together for one of its generations."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from agentmem.administration import Administrator
from agentmem.guards import Admit, HandedOut
from agentmem.ingest import Changer, Clock, Writer, admit_all
from agentmem.monitoring import Drift, DriftSettings, Watched, watched_memory
from agentmem.protocols import Embedder, Reranker, TokenCounter
from agentmem.ranking import Ranking
from agentmem.replay.searching import SearchReplayer
from agentmem.retrieval import Packer, Searcher
from agentmem.storage.resident import Residents
from agentmem.storage.turns import Store
from agentmem.telemetry import Tracing
from agentmem.types.maintenance import MaintenancePolicy

__all__ = ["Parts", "Settings"]


@dataclass(frozen=True, slots=True)
class Settings:
    """What a memory was opened with, whichever generation its store is in."""

    ranking: Ranking
    reranker: Reranker | None
    counter: TokenCounter
    resident_bytes: int
    tracing: Tracing
    clock: Clock
    drift: DriftSettings = field(default_factory=DriftSettings)
    admit: Admit = admit_all
    handed_out: HandedOut | None = None
    maintain: MaintenancePolicy = "off"


@dataclass(frozen=True, slots=True)
class Parts:
    """What the handles of one store share, of one generation."""

    store: Store
    residents: Residents
    embedder: Embedder
    ranking: Ranking
    reranker: Reranker | None
    tracing: Tracing
    writer: Writer
    searcher: Searcher
    packer: Packer
    replayer: SearchReplayer
    administrator: Administrator
    changer: Changer
    watched: Watched
    quiet: Searcher

    @classmethod
    def of(
        cls,
        store: Store,
        *,
        embedder: Embedder,
        settings: Settings,
        present: Callable[[], Store],
        drift: Drift,
    ) -> Parts:
        """Put them together.

        Args:
            store: Of one generation.
            embedder: Of its space.
            settings: What the memory was opened with.
            present: Gives the store of the generation in force.
            drift: Of the memory.
        """
        clock, tracing = settings.clock, settings.tracing
        ranking, reranker = settings.ranking, settings.reranker
        residents = Residents(store, max_bytes=settings.resident_bytes)
        watched = watched_memory(store, embedder=embedder, tables=store.watching)
        search = partial(
            Searcher, store, residents, embedder=embedder, reranker=reranker, now=clock.now
        )
        searcher = search(tracing=tracing, listener=drift.listener(watched))
        replayer = SearchReplayer(
            store,
            residents,
            embedder=embedder,
            ranking=ranking,
            reranker=reranker,
            now=clock.now,
            tracing=tracing,
            present=present,
        )
        administrator = Administrator(store, tracing=tracing, present=clock.present)
        writer = Writer(
            store, embedder=embedder, clock=clock, tracing=tracing, admit=settings.admit
        )
        return cls(
            store=store,
            residents=residents,
            embedder=embedder,
            ranking=ranking,
            reranker=reranker,
            tracing=tracing,
            writer=writer,
            searcher=searcher,
            packer=Packer(
                searcher,
                counter=settings.counter,
                tracing=tracing,
                handed_out=settings.handed_out,
            ),
            replayer=replayer,
            administrator=administrator,
            changer=Changer(
                store, writer=writer, administrator=administrator, clock=clock, tracing=tracing
            ),
            watched=watched,
            quiet=search(tracing=Tracing.silent()),
        )
