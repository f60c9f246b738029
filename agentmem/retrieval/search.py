"""One search from question to hits: sight, legs, ranking, and the turns behind the best rows."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Final

import numpy as np
from numpy.typing import NDArray

from agentmem.embedding.queries import embed_query
from agentmem.errors import InvalidInput
from agentmem.filters import Filter
from agentmem.messages import embedding_text
from agentmem.protocols import Embedder, Reranker
from agentmem.ranking import Ranking
from agentmem.ranking.diversity import maximal_marginal_relevance
from agentmem.ranking.fusion import top, zscore
from agentmem.ranking.lexical import bm25
from agentmem.ranking.score import Question, score
from agentmem.retrieval.question import Query, read_query
from agentmem.retrieval.sight import Sight, Sights
from agentmem.storage.resident import Residents
from agentmem.storage.turns import Store
from agentmem.telemetry import record_recall, scope_attributes, span
from agentmem.types import AllScopes, Evidence, Hit, Mode, Recall, Scope, Turn

__all__ = ["Found", "Request", "Searcher"]

MODES: Final = ("hybrid", "dense", "lexical")
EPOCH: Final = datetime(1970, 1, 1, tzinfo=timezone.utc)
DIVERSITY_POOL: Final = 4  # times k: deep enough to find something different, still relevant

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
    where: Filter | None = None
    explain: bool = False


@dataclass(frozen=True, slots=True)
class Found:
    """A recall, and where its hits lie among the turns in sight.

    Attributes:
        recall: The hits.
        sight: The turns that were in sight.
        places: Index in sight of each hit.
        candidates: Which turns passed the filters; `None` if nothing filtered.
    """

    recall: Recall
    sight: Sight
    places: tuple[int, ...]
    candidates: NDArray[np.bool_] | None

    def beside(self, place: int, distance: int) -> int | None:
        """The place so many turns on in the same session, if it may be seen."""
        other, session = place + distance, self.sight.conversation.session
        if not 0 <= other < len(session) or session[other] != session[place]:
            return None
        return other if self.candidates is None or self.candidates[other] else None


@dataclass(frozen=True, slots=True)
class _Ranked:
    """The best rows of a sight, best first, with the terms of every row."""

    order: NDArray[np.int64]
    terms: Mapping[str, Row]


class _Stopwatch:
    """Milliseconds of each phase, in the order in which they end."""

    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, phase: str) -> None:
        now = time.perf_counter()
        self.laps[phase] = (now - self._last) * 1e3
        self._last = now


class Searcher:
    """Searches one store.

    Args:
        store: Where the turns are.
        residents: Its columns in memory.
        embedder: Of the space the store was written in.
        reranker: Reorders the best hits where one is given.
        now: The present in microseconds since 1970 UTC; matters to recency alone.
    """

    def __init__(
        self,
        store: Store,
        residents: Residents,
        *,
        embedder: Embedder,
        reranker: Reranker | None,
        now: Callable[[], int],
    ) -> None:
        self._store = store
        self._residents = residents
        self._embedder = embedder
        self._reranker = reranker
        self._now = now
        self._sights = Sights()

    def search(self, request: Request) -> Recall:
        """Find the turns that answer a query best; see `found`."""
        return self.found(request).recall

    def found(self, request: Request) -> Found:
        """Find the turns that answer a query best, and where they lie.

        Raises:
            InvalidInput: The query, k or mode cannot be used.
            EmbeddingFailed: The query could not be embedded.
            StoreError: The store could not be read.
        """
        attributes = scope_attributes(request.scope) | {
            "gen_ai.memory.store.id": self._store.name,
            "gen_ai.retrieval.top_k": request.k,
        }
        with span("search_memory", attributes) as current:
            found = self._search(request)
            record_recall(current, found.recall)
        return found

    def _search(self, request: Request) -> Found:
        query = _checked(request)
        watch = _Stopwatch()
        vector = None if request.mode == "lexical" else embed_query(self._embedder, query.text)
        watch.lap("embed")
        columns = self._residents.columns(request.scope)
        sight = self._sights.of(columns, scope=request.scope, ranking=request.ranking)
        candidates = self._candidates(sight, request)
        watch.lap("load")
        found = len(sight) if candidates is None else int(candidates.sum())
        hits: dict[int, Hit] = {}
        if found:
            question = query.question(
                sight, vector=vector, mode=request.mode, candidates=candidates, now=self._now()
            )
            ranked = self._rank(sight, question, request)
            watch.lap("rank")
            hits = self._hits(sight, ranked, question=question, query=query, request=request)
            watch.lap("fetch")
        recall = Recall(
            hits=tuple(hits.values()),
            query=query.text,
            mode=request.mode,
            scope=request.scope if isinstance(request.scope, Scope) else Scope(),
            candidates=found,
            table_version=columns.version,
            passport_id=self._embedder.passport.id,
            config_id=request.ranking.id,
            milliseconds=watch.laps,
        )
        return Found(recall, sight, tuple(hits), candidates)

    def _candidates(self, sight: Sight, request: Request) -> NDArray[np.bool_] | None:
        """Which turns in sight pass the filters; `None` if nothing filters."""
        mask: NDArray[np.bool_] | None = None
        times = sight.conversation.event_time
        if request.since is not None:
            mask = times >= _microseconds(request.since)
        if request.until is not None:
            before = times < _microseconds(request.until)
            mask = before if mask is None else mask & before
        if request.where is not None:
            allowed = self._store.matching_row_ids(scope=request.scope, where=request.where)
            matching = np.isin(sight.columns.head_row[sight.rows], allowed)
            mask = matching if mask is None else mask & matching
        return mask

    def _rank(self, sight: Sight, question: Question, request: Request) -> _Ranked:
        """Order the best turns, reranked and diversified where that was asked for."""
        terms = score(sight.conversation, question, ranking=request.ranking)
        total = _total(terms, len(sight))
        ranking, k = request.ranking, request.k
        if self._reranker is not None:
            order = top(total, max(k, ranking.rerank_top), mask=question.candidates)
            seen = order[: ranking.rerank_top]
            terms["reranker"] = self._reranked(sight, seen, total=total, query=request.query)
            order = order[np.argsort(-_total(terms, len(sight))[order], kind="stable")]
        else:
            order = top(
                total, k * DIVERSITY_POOL if ranking.diversity else k, mask=question.candidates
            )
        if ranking.diversity:
            vectors = sight.columns.vectors[sight.first_chunk[order]]
            picks = maximal_marginal_relevance(
                _total(terms, len(sight))[order], vectors, k=k, trade=ranking.diversity
            )
            order = order[picks]
        return _Ranked(order[:k], terms)

    def _reranked(self, sight: Sight, order: NDArray[np.int64], *, total: Row, query: str) -> Row:
        """What puts the reranked turns into the reranker's order, above all the others.

        The reranker's standardised scores replace the fused ones among the turns it saw, from
        the worst of these upwards, so that what it did not see stays below.
        """
        row = np.zeros(len(total), np.float32)
        row_ids = sight.columns.head_row[sight.rows[order]].tolist()
        turns = self._store.turns_by_row(row_ids)
        if self._reranker is None or len(turns) < len(order):
            return row  # a turn was deleted meanwhile: the fused order stands
        texts = ["".join(embedding_text(turns[row_id])) for row_id in row_ids]
        given = np.asarray(self._reranker.score(query, texts), np.float32)
        if given.shape != (len(texts),) or not np.isfinite(given).all():
            raise InvalidInput(
                f"the reranker gave scores of shape {given.shape} for {len(texts)} texts, or some "
                "that are not finite. Repair: return one finite score a text, in order."
            )
        scores = zscore(given)
        row[order] = scores - scores.min() + total[order].min() - total[order]
        return row

    def _hits(
        self,
        sight: Sight,
        ranked: _Ranked,
        *,
        question: Question,
        query: Query,
        request: Request,
    ) -> dict[int, Hit]:
        """Build the hits by their places in sight.

        A turn that was deleted since the columns were read is left out.
        """
        row_ids = sight.columns.head_row[sight.rows[ranked.order]]
        turns = self._store.turns_by_row(row_ids)
        total = _total(ranked.terms, len(sight))
        lengths = sight.conversation.lengths
        words = bm25(question.postings or {}, lengths) if request.explain else {}
        hits = {}
        for place, row_id in zip(ranked.order.tolist(), row_ids.tolist(), strict=True):
            if (turn := turns.get(row_id)) is None:
                continue
            evidence = None
            if request.explain:
                chunk = self._best_chunk(
                    sight, place, turn=turn, question=question, text=query.text
                )
                shares = _shares(words, place, query=query)
                evidence = _evidence(shares, place, question=question, chunk=chunk)
            terms = {name: float(row[place]) for name, row in ranked.terms.items() if row[place]}
            hits[place] = Hit(turn, float(total[place]), terms, evidence)
        return hits

    def _best_chunk(
        self, sight: Sight, place: int, *, turn: Turn, question: Question, text: str
    ) -> str:
        """The part of a long turn that the legs searched rank first; the content of a short one."""
        chunks = sight.chunks_of(place)
        if len(chunks) == 1:
            return turn.content
        postings = {term: sight.chunk_postings(term, chunks) for term in question.postings or {}}
        words = bm25(postings, sight.chunk_lengths(chunks))
        match = zscore(sum(words.values(), np.zeros(len(chunks), np.float32)))
        if question.cosines is not None:
            vector = embed_query(self._embedder, text)
            match = match + zscore(sight.columns.vectors[chunks] @ vector)
        best = chunks[int(np.argmax(match))]
        return self._store.chunk_text(int(sight.columns.row_ids[best])) or turn.content


def _shares(words: Mapping[str, Row], place: int, *, query: Query) -> dict[str, float]:
    """The words of the question that a turn holds, each with its part of the turn's BM25."""
    shares: dict[str, float] = {}
    for term, row in words.items():
        if row[place]:
            word = query.terms.get(term, term)
            shares[word] = shares.get(word, 0.0) + float(row[place])
    return shares


def _evidence(
    shares: Mapping[str, float], place: int, *, question: Question, chunk: str
) -> Evidence:
    """Say in words and cosines why a turn was found."""
    cosine = 0.0 if question.cosines is None else float(question.cosines[place])
    return Evidence(similarity=cosine, bm25=sum(shares.values(), 0.0), words=shares, chunk=chunk)


def _total(terms: Mapping[str, Row], size: int) -> Row:
    return sum(terms.values(), np.zeros(size, np.float32))


def _microseconds(moment: datetime) -> int:
    return (moment - EPOCH) // timedelta(microseconds=1)


def _checked(request: Request) -> Query:
    """Refuse a request that could only give a misleading answer."""
    k: object = request.k
    if isinstance(k, bool) or not isinstance(k, int) or k < 1:
        raise InvalidInput(f"k={k!r}: pass how many hits you want, 1 or more.")
    if request.mode not in MODES:
        raise InvalidInput(f"mode={request.mode!r} is none of {', '.join(MODES)}.")
    return read_query(request.query)
