"""The ranking of a conversation, as one sentence: legs, neighbours, session, priors, sum.

Takes columns and gives named rows that add up to the score; knows no texts, clocks or storage.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from agentmem.ranking.config import Ranking
from agentmem.ranking.dates import Span
from agentmem.ranking.fusion import zscore
from agentmem.ranking.lexical import K1, B, Postings, bm25, idf
from agentmem.ranking.neighbours import Kernel
from agentmem.ranking.priors import (
    bounded_gain,
    date_bonus,
    length_prior,
    named_speakers,
    recency_gain,
)

__all__ = ["STEPS", "Conversation", "Question", "Terms", "score", "spoken"]

Row = NDArray[np.float32]
Terms: TypeAlias = dict[str, Row]


@dataclass(frozen=True, slots=True)
class Conversation:
    """Columns of the T turns that a read may see, sorted by session and time.

    Attributes:
        session: Codes from 0, (T,).
        lengths: Terms of a turn, or of an average chunk of a long one, (T,).
        speaker: Codes into `speakers`, (T,).
        speakers: The words of each speaker's name, lower case.
        event_time: Microseconds since 1970 UTC, (T,).
        importance: From 0 to 1, NaN where not given, (T,).
        asks: Whether the turn ends in a question mark, (T,).
        kernel: Weights between neighbours.
        coherence: How much alike adjacent turns are.
    """

    session: NDArray[np.int32]
    lengths: Row
    speaker: NDArray[np.int32]
    speakers: Sequence[tuple[str, ...]]
    event_time: NDArray[np.int64]
    importance: Row
    asks: NDArray[np.bool_]
    kernel: Kernel
    coherence: float


@dataclass(frozen=True, slots=True)
class Question:
    """What a query brings to a conversation.

    Attributes:
        cosines: Similarity of each turn in [-1, 1], (T,); `None` leaves the dense leg out.
        postings: For each query term the turns that hold it; `None` leaves the lexical leg out.
        words: The query's words, lower case.
        spans: Dates it names.
        now: The moment it is asked, microseconds since 1970 UTC.
        candidates: Which turns may be found, (T,); `None` for all.
    """

    cosines: Row | None
    postings: Mapping[str, Postings] | None
    words: frozenset[str] = frozenset()
    spans: Sequence[Span] = ()
    now: int = 0
    candidates: NDArray[np.bool_] | None = None


def score(conversation: Conversation, question: Question, *, ranking: Ranking) -> Terms:
    """Score every turn; the rows of the result add up to the score.

    Args:
        conversation: The turns in sight.
        question: What is asked of them. Of turns outside its `candidates` only this matters:
            which terms they hold, which makes terms common, and how long they are, which sets
            the mean length and the distance of the turns around them. Their rows mean nothing.
        ranking: The weights.

    Returns:
        For each term that says anything its row, (T,). `neighbours` holds everything that
        adjacent turns added, in meaning and in words.
    """
    if not len(conversation.session) or not _seen(conversation, question).any():
        return {}
    terms: Terms = {}
    for step in STEPS.values():
        step(terms, conversation, question, ranking)
    return spoken(terms)


def spoken(terms: Terms) -> Terms:
    """Return the terms that say anything."""
    return {name: row for name, row in terms.items() if row.any()}


def _fuse(terms: Terms, conversation: Conversation, question: Question, ranking: Ranking) -> None:
    """Add both legs."""
    if question.cosines is not None and ranking.dense:
        terms["dense"] = ranking.dense * zscore(question.cosines, question.candidates)
    if question.postings is not None and ranking.lexical:
        terms["lexical"] = ranking.lexical * _lexical(conversation, question)


def _neighbours(
    terms: Terms, conversation: Conversation, question: Question, ranking: Ranking
) -> None:
    """Add what turns lend each other, and sessions their turns."""
    believed = _believed(conversation, ranking)
    trust = ranking.context * believed
    lent = np.zeros(len(conversation.session), np.float32)
    if "dense" in terms:
        lent += trust * conversation.kernel.spread(terms["dense"])
    if "lexical" in terms:
        if trust:
            around = ranking.lexical * _around(conversation, question, trust)
            lent += around - terms["lexical"]
        terms["session"] = ranking.session * believed * _session(conversation, question)
    terms["neighbours"] = lent


def _seen(conversation: Conversation, question: Question) -> NDArray[np.bool_]:
    """Which turns are candidates, (T,)."""
    if question.candidates is None:
        return np.ones(len(conversation.session), np.bool_)
    return question.candidates


def _believed(conversation: Conversation, ranking: Ranking) -> float:
    """How far neighbours and sessions are believed in this conversation, from 0 to 1."""
    return float(np.clip(conversation.coherence / max(ranking.coherence, 1e-9), 0, 1))


def _lexical(conversation: Conversation, question: Question) -> Row:
    """The share of the question found in each turn's own words.

    BM25 over the sum of the question's inverse document frequencies, which but for the constant
    k1 + 1 is the most it can be. Bounds from the formula instead of from the candidates are the
    idea of the theoretical min-max of Bruch, Gai & Ingber, "An Analysis of Fusion Functions for
    Hybrid Retrieval" (2022), who take its minimum so. Unlike a z-score it does not grow with the
    number of turns that hold none of the words, and it leaves the decision to the dense leg where
    the question's words are not found at all.
    """
    postings, lengths = question.postings or {}, conversation.lengths
    total = sum(bm25(postings, lengths).values(), np.zeros(len(lengths), np.float32))
    share: Row = total / np.float32(_asked(conversation, question))
    return share


def _around(conversation: Conversation, question: Question, trust: float) -> Row:
    """The same found in each turn's own words and those around it.

    The words around a turn are a further field of it: their frequencies are weighted, added to
    the turn's own and saturated together (Robertson, Zaragoza & Taylor, "Simple BM25 extension
    to multiple weighted fields", CIKM 2004), so that different words of the question found side
    by side count for more than one word found twice.
    """
    postings, lengths = question.postings or {}, conversation.lengths
    size, kernel, seen = len(lengths), conversation.kernel, _seen(conversation, question)
    spread_lengths = lengths + trust * kernel.spread(lengths)
    norm = K1 * (1 - B + B * spread_lengths / max(float(spread_lengths.mean()), 1e-9))
    around = np.zeros(size, np.float32)
    for documents, counts in postings.values():
        lending = seen[documents]
        frequency = trust * kernel.spread_sparse(
            documents[lending].astype(np.int64), counts[lending]
        )
        frequency[documents] += counts
        around += idf(len(documents), size) * frequency * (K1 + 1) / (frequency + norm)
    share: Row = around / np.float32(_asked(conversation, question))
    return share


def _asked(conversation: Conversation, question: Question) -> float:
    """Sum of the inverse document frequencies of the question's terms."""
    size = len(conversation.lengths)
    postings = question.postings or {}
    return sum(idf(len(documents), size) for documents, _ in postings.values()) or 1.0


def _session(conversation: Conversation, question: Question) -> Row:
    """Standardised BM25 of the session each turn lies in: its candidates as one document."""
    seen = _seen(conversation, question).astype(np.float32)
    held = np.bincount(conversation.session, seen) > 0  # sessions that have a candidate
    count = int(held.sum())
    place = np.maximum(np.cumsum(held) - 1, 0)[conversation.session]
    lengths = np.bincount(place, conversation.lengths * seen, minlength=count)
    whole: dict[str, Postings] = {}
    for term, (documents, counts) in (question.postings or {}).items():
        totals = np.bincount(place[documents], counts * seen[documents], minlength=count)
        holding = np.flatnonzero(totals).astype(np.int32)
        whole[term] = holding, totals[holding].astype(np.float32)
    scores = sum(bm25(whole, lengths.astype(np.float32)).values(), np.zeros(count, np.float32))
    row: Row = zscore(scores)[place]
    return row


def _priors(terms: Terms, conversation: Conversation, question: Question, ranking: Ranking) -> None:
    """Add what speaks for a turn besides its match, and the bounded multipliers of it all."""
    named = named_speakers(question.words, conversation.speakers)[conversation.speaker]
    among = named[_seen(conversation, question)]
    if ranking.speaker and among.any() and not among.all():
        terms["speaker"] = ranking.speaker * named.astype(np.float32)
    if ranking.length:
        terms["length"] = ranking.length * length_prior(conversation.lengths, question.candidates)
    if ranking.question:
        terms["question"] = -ranking.question * conversation.asks.astype(np.float32)
    if ranking.date and question.spans:
        bonus = date_bonus(conversation.event_time, question.spans, days=ranking.date_days)
        terms["date"] = ranking.date * bonus
    _gains(terms, conversation, question, ranking)


def _gains(terms: Terms, conversation: Conversation, question: Question, ranking: Ranking) -> None:
    """Add the bounded multipliers, as what they add to the sum of everything before them."""
    if not (ranking.recency or ranking.importance):
        return
    base = sum(terms.values(), np.zeros(len(conversation.session), np.float32))
    if question.candidates is not None:
        base = np.where(question.candidates, base, base[question.candidates].min())
    if ranking.recency:
        gain = recency_gain(
            conversation.event_time, now=question.now, half_life_days=ranking.recency_days
        )
        terms["recency"] = bounded_gain(base, gain, most=ranking.recency)
    if ranking.importance:
        terms["importance"] = bounded_gain(base, conversation.importance, most=ranking.importance)


Step: TypeAlias = Callable[[Terms, Conversation, Question, Ranking], None]
STEPS: Final[Mapping[Literal["fuse", "neighbours", "priors"], Step]] = {
    "fuse": _fuse,
    "neighbours": _neighbours,
    "priors": _priors,
}
"""The steps of `score`, in order; each adds terms to those before it."""
