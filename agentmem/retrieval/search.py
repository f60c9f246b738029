"""One search from question to hits: sight, legs, ranking, and the turns behind the best rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from agentmem.checks import EPOCH, shown
from agentmem.embedding.queries import embed_query
from agentmem.embedding.tracing import embedding_phase
from agentmem.errors import InvalidInput
from agentmem.filters import Filter, to_json
from agentmem.protocols import Embedder, Reranker
from agentmem.ranking import Ranking
from agentmem.ranking.dates import Span
from agentmem.ranking.lexical import Postings
from agentmem.retrieval.hits import Reader
from agentmem.retrieval.ordering import order_turns, reranker_name
from agentmem.retrieval.question import Query, read_query
from agentmem.retrieval.sight import Sight, Sights
from agentmem.storage.questions import Listener, Question
from agentmem.storage.reads import Reads
from agentmem.storage.resident import Columns
from agentmem.telemetry import Attributes, Current, Tracing
from agentmem.telemetry.describing import of_recall
from agentmem.types import AllScopes, Dates, Hit, Mode, Recall, Scope, SearchAsked

__all__ = ["Found", "Holding", "Request", "Searcher"]

MODES: Final = ("hybrid", "dense", "lexical")

Row = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A search as it was asked for, its arguments already checked and in UTC."""

    query: str
    scope: Scope | AllScopes
    k: int
    mode: Mode
    ranking: Ranking
    since: datetime | None = None
    until: datetime | None = None
    as_of: datetime | None = None
    known_at: datetime | None = None
    now: datetime | None = None
    dates: Dates = "hint"
    where: Filter | None = None
    explain: bool = False


class Holding(Protocol):
    """Holds the columns of a store, as `Residents` do."""

    def columns(self, scope: Scope | AllScopes) -> Columns:
        """Return the columns of a scope, or of a wider one."""
        ...


@dataclass(frozen=True, slots=True)
class Found:
    """A recall, and where its hits lie among the turns in sight.

    Attributes:
        recall: The hits.
        sight: The turns that were in sight.
        places: Index in sight of each hit.
        candidates: Which turns passed the filters; `None` if nothing filtered.
        store: At the version that was searched.
        vector: Of the question; `None` where only words were looked for.
        similarity: Cosine of the question and the best hit; `None` likewise, or without hits.
    """

    recall: Recall
    sight: Sight
    places: tuple[int, ...]
    candidates: NDArray[np.bool_] | None
    store: Reads
    vector: Row | None = None
    similarity: float | None = None

    def beside(self, place: int, distance: int) -> int | None:
        """The place so many turns on in the same session, if it may be seen."""
        other, session = place + distance, self.sight.conversation.session
        if not 0 <= other < len(session) or session[other] != session[place]:
            return None
        return other if self.candidates is None or self.candidates[other] else None


class Searcher:
    """Searches one store.

    Args:
        store: Where the turns are.
        residents: Its columns in memory.
        embedder: Of the space the store was written in.
        reranker: Reorders the best hits where one is given.
        now: The present in microseconds since 1970 UTC; matters to recency alone.
        tracing: Opens spans.
        listener: Hears of every question once it is answered.
    """

    def __init__(
        self,
        store: Reads,
        residents: Holding,
        *,
        embedder: Embedder,
        reranker: Reranker | None,
        now: Callable[[], int],
        tracing: Tracing,
        listener: Listener | None = None,
    ) -> None:
        self._listener = listener
        self._store = store
        self._residents = residents
        self._embedder = embedder
        self._reranker = reranker
        self._now = now
        self._tracing = tracing
        self._sights = Sights()

    def search(self, request: Request) -> Recall:
        """Find the turns that answer a query best; see `found`."""
        return self.found(request).recall

    def found(self, request: Request) -> Found:
        """Find the turns that answer a query best, and where they lie.

        Everything is read at one version of the table: what others write meanwhile is not seen.

        Raises:
            InvalidInput: The query, k or mode cannot be used.
            EmbeddingFailed: The query could not be embedded.
            StoreError: The store could not be read.
        """
        attributes: Attributes = {
            "gen_ai.memory.store.id": self._store.name,
            "agentmem.search.mode": request.mode if request.mode in MODES else None,
            "agentmem.filtered": request.where is not None,
        }
        with self._tracing.operation("search_memory", attributes, scope=request.scope) as current:
            found = self._search(request, current)
            recall = found.recall
            current.describe(lambda: of_recall(recall, current.content))
            if request.mode != "lexical" and recall.candidates:
                current.set({"agentmem.bytes_scanned": found.sight.columns.vectors.codes.nbytes})
            scores = tuple(hit.score for hit in recall[:2])
            current.metrics.found("search_memory", scores=scores, results=len(recall))
        if self._listener is not None and found.vector is not None:
            self._listener.asked(_question(found, vector=found.vector))
        return found

    def _search(self, request: Request, current: Current) -> Found:
        query = _checked(request)
        now = self._now() if request.now is None else _microseconds(request.now)
        vector = None
        if request.mode != "lexical":
            vector = self._embedded(query.text, current)
        with current.phase("load"):
            columns = self._residents.columns(request.scope)
            store = self._store.at(columns.version)
            sight = self._sights.of(columns, scope=request.scope, ranking=request.ranking)
            spans = [] if request.dates == "ignore" else query.spans(sight, now=now)
            candidates = _candidates(sight, request, spans=spans, now=now, store=store)
        found = len(sight) if candidates is None else int(candidates.sum())
        hits: dict[int, Hit] = {}
        similarity: float | None = None
        if found:
            with current.phase("dense"):
                cosines = None if vector is None else sight.cosines(vector)
            with current.phase("lexical"):
                postings = None if request.mode == "dense" else query.postings(sight)
                current.describe(lambda: _told(postings, candidates, turns=len(sight)))
            question = query.question(
                cosines=cosines,
                postings=postings,
                candidates=candidates,
                spans=spans,
                now=now,
                error=0.0 if vector is None else sight.columns.vectors.error(vector),
            )
            best = order_turns(
                sight,
                question,
                text=query.text,
                k=request.k,
                ranking=request.ranking,
                reranker=self._reranker,
                store=store,
                current=current,
                measured=None if vector is None else partial(sight.measured, vector),
            )
            with current.phase("fetch"):
                reader = Reader(sight, store=store, embedder=self._embedder)
                hits = reader.hits(best, question=question, query=query, explain=request.explain)
            if hits and cosines is not None:
                similarity = float(cosines[next(iter(hits))])
        recall = self._recall(
            request, current, hits=hits.values(), candidates=found, version=columns.version, now=now
        )
        return Found(recall, sight, tuple(hits), candidates, store, vector, similarity)

    def _recall(
        self,
        request: Request,
        current: Current,
        *,
        hits: Iterable[Hit],
        candidates: int,
        version: int,
        now: int,
    ) -> Recall:
        trace_id, span_id = current.ids
        return Recall(
            hits=tuple(hits),
            query=request.query,
            mode=request.mode,
            scope=request.scope,
            asked=self._as_asked(request, now=now),
            candidates=candidates,
            table_version=version,
            passport_id=self._embedder.passport.id,
            config_id=request.ranking.id,
            milliseconds=current.milliseconds,
            trace_id=trace_id,
            span_id=span_id,
            generation=self._store.generation,
        )

    def _embedded(self, text: str, current: Current) -> Row:
        with embedding_phase(current, embedder=self._embedder, texts=[text]):
            return embed_query(self._embedder, text)

    def _as_asked(self, request: Request, *, now: int) -> SearchAsked:
        return SearchAsked(
            k=request.k,
            ranking=request.ranking.weights,
            at=EPOCH + timedelta(microseconds=now),
            since=request.since,
            until=request.until,
            as_of=request.as_of,
            known_at=request.known_at,
            dates=request.dates,
            where=None if request.where is None else to_json(request.where),
            reranker=None if self._reranker is None else reranker_name(self._reranker),
            store=self._store.name,
        )


def _question(found: Found, *, vector: Row) -> Question:
    """What is kept of a question where a sample of them is: no words of it."""
    recall = found.recall
    scores = [hit.score for hit in recall[:2]]
    return Question(
        vector=vector,
        at=recall.asked.at,
        scope=Scope() if isinstance(recall.scope, AllScopes) else recall.scope,
        similarity=found.similarity,
        score=scores[0] if scores else None,
        margin=scores[0] - scores[1] if len(scores) > 1 else None,
        hits=len(recall),
    )


def _candidates(
    sight: Sight, request: Request, *, spans: Sequence[Span], now: int, store: Reads
) -> NDArray[np.bool_] | None:
    """Which turns in sight pass the filters; `None` if nothing filters."""
    masks = list(_lived(sight, request, now=now))
    times = sight.conversation.event_time
    if request.since is not None:
        masks.append(times >= _microseconds(request.since))
    if request.until is not None:
        masks.append(times < _microseconds(request.until))
    if request.as_of is not None:
        masks.append(times <= _microseconds(request.as_of))
    if request.dates == "filter" and spans:
        masks.append(np.any([(times >= start) & (times < end) for start, end in spans], axis=0))
    if request.where is not None:
        allowed = store.matching_row_ids(scope=request.scope, where=request.where)
        masks.append(np.isin(sight.columns.head_row[sight.rows], allowed))
    return np.logical_and.reduce(masks) if masks else None


def _lived(sight: Sight, request: Request, *, now: int) -> Iterator[NDArray[np.bool_]]:
    """Which turns were true, not forgotten, and known at the moments that are asked about."""
    known = None if request.known_at is None else _microseconds(request.known_at)
    if sight.ends:
        at = now if request.as_of is None else _microseconds(request.as_of)
        yield sight.life.is_true(at, known_at=known)
        yield sight.life.expires_at > now
    if known is not None:
        yield sight.life.ingested_at <= known


def _told(
    postings: Mapping[str, Postings] | None,
    candidates: NDArray[np.bool_] | None,
    *,
    turns: int,
) -> Attributes:
    """How many of the candidates hold a term of the query."""
    if postings is None:
        return {}
    holding = np.zeros(turns, np.bool_)  # twenty times faster than to look for distinct rows
    for rows, _ in postings.values():
        holding[rows] = True
    count = int(np.count_nonzero(holding if candidates is None else holding & candidates))
    return {"agentmem.search.lexical_candidates": count}


def _microseconds(moment: datetime) -> int:
    return (moment - EPOCH) // timedelta(microseconds=1)


def _checked(request: Request) -> Query:
    """Refuse a request that could only give a misleading answer."""
    k: object = request.k
    if isinstance(k, bool) or not isinstance(k, int) or k < 1:
        raise InvalidInput(f"k={shown(k)}: pass how many hits you want, 1 or more.")
    if request.mode not in MODES:
        raise InvalidInput(f"mode={shown(request.mode)} is none of {', '.join(MODES)}.")
    return read_query(request.query)
