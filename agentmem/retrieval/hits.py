"""The hits: turns behind the best rows, each with its terms, and its evidence where asked."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from agentmem.embedding.queries import embed_query
from agentmem.protocols import Embedder
from agentmem.ranking.best import Best
from agentmem.ranking.fusion import zscore
from agentmem.ranking.lexical import bm25
from agentmem.ranking.score import Question
from agentmem.retrieval.question import Query
from agentmem.retrieval.sight import Sight
from agentmem.storage.reads import Reads
from agentmem.types import Evidence, Hit, Turn

__all__ = ["Reader"]

Row = NDArray[np.float32]


class Reader:
    """Reads the turns behind the best rows of one search.

    Args:
        sight: What was searched.
        store: At the version of the sight.
        embedder: Embeds the query once more where the best part of a long turn is asked for.
    """

    def __init__(self, sight: Sight, *, store: Reads, embedder: Embedder) -> None:
        self._sight = sight
        self._store = store
        self._embedder = embedder

    def hits(
        self, best: Best, *, question: Question, query: Query, explain: bool
    ) -> dict[int, Hit]:
        """Return the hits by their places in sight."""
        turns = self._sight.turns(best.places, store=self._store)
        words = bm25(question.postings or {}, self._sight.conversation.lengths) if explain else {}
        hits = {}
        for n, (place, turn) in enumerate(zip(best.places.tolist(), turns, strict=True)):
            evidence = None
            if explain:
                shares = _shares(words, place, query=query)
                chunk = self._best_chunk(place, turn=turn, question=question, text=query.text)
                evidence = _evidence(shares, place, question=question, chunk=chunk)
            terms = {name: float(row[n]) for name, row in best.terms.items() if row[n]}
            hits[place] = Hit(turn, float(best.total[n]), terms, evidence)
        return hits

    def _best_chunk(self, place: int, *, turn: Turn, question: Question, text: str) -> str:
        """The part of a long turn that the legs searched rank first; the content of a short one."""
        sight = self._sight
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
