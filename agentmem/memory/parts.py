"""What the handles of one store share."""

from __future__ import annotations

from dataclasses import dataclass

from agentmem.administration import Administrator
from agentmem.ingest import Writer
from agentmem.protocols import Embedder, Reranker
from agentmem.ranking import Ranking
from agentmem.replay.searching import SearchReplayer
from agentmem.retrieval import Packer, Searcher
from agentmem.storage.resident import Residents
from agentmem.storage.turns import Store
from agentmem.telemetry import Tracing

__all__ = ["Parts"]


@dataclass(frozen=True, slots=True)
class Parts:
    """What the handles of one store share."""

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
