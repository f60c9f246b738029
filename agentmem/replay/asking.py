"""One past search, asked over the columns of one version and under conditions that are given.

Leaves no span and no measurement: what is run again is no traffic.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from cachetools import LRUCache

from agentmem.checks import EPOCH
from agentmem.filters import Filter
from agentmem.protocols import Embedder, Reranker
from agentmem.ranking import Ranking
from agentmem.retrieval import Request, Searcher
from agentmem.storage.resident import Columns, Residents
from agentmem.storage.schema import key_of
from agentmem.storage.turns import Store
from agentmem.telemetry import Tracing
from agentmem.types import AllScopes, Recall, Scope, SearchRecord, Turn

__all__ = ["Asked", "Asker", "Conditions", "Run", "weights_of"]

MICROSECOND: Final = timedelta(microseconds=1)
KEPT_BYTES: Final = 64 << 20  # of past columns: a batch of replays stays at a version for a while


@dataclass(frozen=True, slots=True)
class Asked:
    """A past search with what was not recorded of it."""

    record: SearchRecord
    query: str
    where: Filter | None

    def request(self, ranking: Ranking) -> Request:
        """Ask it with some weights."""
        record = self.record
        return Request(
            query=self.query,
            scope=record.scope,
            k=record.k,
            mode=record.mode,
            ranking=ranking,
            since=record.since,
            until=record.until,
            as_of=record.as_of,
            known_at=record.known_at,
            dates=record.dates,
            where=self.where,
        )


@dataclass(frozen=True, slots=True)
class Conditions:
    """What an answer depends on beside the question and the data.

    Attributes:
        ranking: The weights.
        reranker: Reorders the best hits, if any.
        at: The present that recency is measured from.
    """

    ranking: Ranking
    reranker: Reranker | None
    at: datetime


@dataclass(frozen=True, slots=True)
class Run:
    """What came of asking once.

    Attributes:
        recall: The answer.
        answer: Scores by the key of a turn, best first.
        turns: The turns by key.
    """

    recall: Recall
    answer: Mapping[str, float]
    turns: Mapping[str, Turn]


class Asker:
    """Asks over one store. Safe for several threads.

    Args:
        store: Where the turns are.
        embedder: Of the space the store is written in.
    """

    def __init__(self, store: Store, *, embedder: Embedder) -> None:
        self._store = store
        self._embedder = embedder
        self._tracing = Tracing.silent()
        self._lock = threading.Lock()
        self._kept: LRUCache[tuple[int, Scope | AllScopes], Columns] = LRUCache(
            KEPT_BYTES, getsizeof=lambda columns: columns.nbytes
        )

    def columns(self, version: int, scope: Scope | AllScopes) -> Columns:
        """Return the columns of a scope at a past version.

        Raises:
            VersionGone: That version is not kept.
            StoreError: The store could not be read.
        """
        self._store.check_kept(version)
        with self._lock:
            kept = self._kept.get((version, scope))
        if kept is not None:
            return kept
        read = Residents(self._store.at(version)).columns(scope)
        with self._lock:
            if read.nbytes <= KEPT_BYTES:
                self._kept[version, scope] = read
        return read

    def ask(self, asked: Asked, columns: Columns, *, under: Conditions) -> Run:
        """Search the version that columns are of.

        Args:
            asked: What is asked.
            columns: Of its scope, or of a wider one.
            under: What the answer depends on besides.

        Raises:
            EmbeddingFailed: The question could not be embedded.
            StoreError: The store could not be read.
        """
        moment = (under.at - EPOCH) // MICROSECOND
        searcher = Searcher(
            self._store,
            _Held(columns),
            embedder=self._embedder,
            reranker=under.reranker,
            now=lambda: moment,
            tracing=self._tracing,
        )
        recall = searcher.search(asked.request(under.ranking))
        keys = [key_of(hit.turn) for hit in recall]
        return Run(
            recall,
            answer={key: hit.score for key, hit in zip(keys, recall, strict=True)},
            turns={key: hit.turn for key, hit in zip(keys, recall, strict=True)},
        )


@dataclass(frozen=True, slots=True)
class _Held:
    """The columns of one version, whatever is written meanwhile."""

    held: Columns

    def columns(self, scope: Scope | AllScopes) -> Columns:  # noqa: ARG002 - they are of one scope
        """Return them."""
        return self.held


def weights_of(record: SearchRecord) -> Ranking:
    """Return the weights of a search.

    Raises:
        TypeError: One of them is none of this agentmem's.
        InvalidInput: One of them is no weight.
    """
    weights: dict[str, Any] = dict(record.ranking)
    return Ranking(**weights)
