"""The ranking of a conversation, as one sentence: legs, neighbours, session, priors, sum.

Takes columns and gives named rows that add up to the score; knows no texts, clocks or storage.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from agentmem.ranking.config import Ranking
from agentmem.ranking.dates import Span
from agentmem.ranking.fusion import zscore
from agentmem.ranking.lexical import K1, B, Postings, idf
from agentmem.ranking.neighbours import Kernel
from agentmem.ranking.priors import (
    bounded_gain,
    date_bonus,
    length_prior,
    named_speakers,
    recency_gain,
)

__all__ = [
    "KEPT",
    "PRUNED",
    "STEPS",
    "Conversation",
    "Counts",
    "Question",
    "Step",
    "StepName",
    "Terms",
    "asked_of",
    "norm_of",
    "saturated",
    "score",
    "seen_of",
    "spoken",
    "trust_in",
]

FREQUENT: Final = 1 / 8  # of the turns hold a term: from here on arrays are faster than lists
KEPT: Final = 64  # such terms at once, a byte a turn each

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
        around: Terms of the turns around each, by their weights, (T,).
        session_lengths: Terms of each session, (S,).
        length_prior: See `priors.length_prior`, (T,).
        frequent: Counts of frequent terms, at most `KEPT`.
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
    around: Row = field(init=False)
    session_lengths: Row = field(init=False)
    length_prior: Row = field(init=False)
    frequent: dict[str, Counts] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        """Work out what no question changes."""
        of_sessions = np.bincount(self.session, self.lengths).astype(np.float32)
        object.__setattr__(self, "around", self.kernel.spread(self.lengths))
        object.__setattr__(self, "session_lengths", of_sessions)
        object.__setattr__(self, "length_prior", length_prior(self.lengths, None))

    def __len__(self) -> int:
        return len(self.session)

    def counts(self, term: str, postings: Postings) -> Counts:
        """Return postings as an array over all turns; those of frequent terms are kept."""
        kept = self.frequent.get(term)
        if kept is not None:
            return kept
        documents, found = postings
        small = found.max(initial=0) <= np.iinfo(np.uint8).max
        row = np.zeros(len(self), np.uint8) if small else np.zeros(len(self), np.float32)
        row[documents] = found
        if not self.is_frequent(postings):
            return Counts(documents, found, row)
        if len(self.frequent) >= KEPT:
            self.frequent.clear()
        totals = np.bincount(self.session, row).astype(np.float32)
        self.frequent[term] = counts = Counts(slice(None), row, row, totals)
        return counts

    def session_counts(self, term: str, postings: Postings) -> Row:
        """Return how often each session holds a term, (S,)."""
        totals = self.counts(term, postings).sessions if self.is_frequent(postings) else None
        if totals is None:
            places, size = self.session[postings[0]], len(self.session_lengths)
            totals = np.bincount(places, postings[1], minlength=size).astype(np.float32)
        return totals

    def is_frequent(self, postings: Postings) -> bool:
        """Whether so many turns hold a term that an array over all of them is worth its while."""
        return len(postings[0]) > FREQUENT * len(self)


@dataclass(frozen=True, slots=True)
class Counts:
    """How often each of T turns holds a term.

    Attributes:
        places: Turns that hold it, or all of them.
        counts: How often each of these does.
        row: The same of all turns, (T,).
        sessions: How often each session holds it, (S,), where that is kept.
    """

    places: NDArray[np.int32] | slice
    counts: Row | NDArray[np.uint8]
    row: Row | NDArray[np.uint8]
    sessions: Row | None = None


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
        error: By how much a cosine may be off.
    """

    cosines: Row | None
    postings: Mapping[str, Postings] | None
    words: frozenset[str] = frozenset()
    spans: Sequence[Span] = ()
    now: int = 0
    candidates: NDArray[np.bool_] | None = None
    error: float = 0.0


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
    if not len(conversation.session) or not seen_of(conversation, question).any():
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


def _dense_alone(
    terms: Terms, conversation: Conversation, question: Question, ranking: Ranking
) -> None:
    """Add the dense leg."""
    _fuse(terms, conversation, replace(question, postings=None), ranking)


def _neighbours(
    terms: Terms, conversation: Conversation, question: Question, ranking: Ranking
) -> None:
    """Add what turns lend each other, and sessions their turns."""
    _meaning(terms, conversation, question, ranking)
    trust = trust_in(conversation, ranking)
    if "lexical" in terms and trust:
        around = ranking.lexical * _around(conversation, question, trust)
        terms["neighbours"] += around - terms["lexical"]


def _meaning(
    terms: Terms, conversation: Conversation, question: Question, ranking: Ranking
) -> None:
    """Add what turns lend each other in meaning alone, and sessions their turns."""
    trust = trust_in(conversation, ranking)
    lent = np.zeros(len(conversation), np.float32)
    if "dense" in terms and trust:
        lent = trust * conversation.kernel.spread(terms["dense"])
    terms["neighbours"] = lent
    if question.postings is not None and ranking.lexical:
        weight = ranking.session * _believed(conversation, ranking)
        terms["session"] = weight * _session(conversation, question)


def trust_in(conversation: Conversation, ranking: Ranking) -> float:
    """Weight of what the turns around a turn say, against its own, in this conversation."""
    return ranking.context * _believed(conversation, ranking)


def seen_of(conversation: Conversation, question: Question) -> NDArray[np.bool_]:
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
    own = np.zeros(len(conversation), np.float32)
    norm = norm_of(conversation.lengths)
    for documents, counts in (question.postings or {}).values():
        rarity = idf(len(documents), len(conversation))
        own[documents] += rarity * saturated(counts, norm[documents])
    share: Row = own / np.float32(asked_of(conversation, question))
    return share


def norm_of(lengths: Row) -> Row:
    """The frequency of a term at which its worth is half of the most it can be, by length."""
    mean = float(lengths.mean()) if len(lengths) else 1.0
    norm: Row = K1 * (1 - B + B * lengths / max(mean, 1e-9))
    return norm


def saturated(frequency: Row | NDArray[np.uint8], norm: Row) -> Row:
    """What a term is worth at a frequency, before its rarity (see `lexical.bm25`)."""
    worth: Row = frequency * np.float32(K1 + 1) / (frequency + norm)
    return worth


def _around(conversation: Conversation, question: Question, trust: float) -> Row:
    """The same found in each turn's own words and those around it.

    The words around a turn are a further field of it: their frequencies are weighted, added to
    the turn's own and saturated together (Robertson, Zaragoza & Taylor, "Simple BM25 extension
    to multiple weighted fields", CIKM 2004), so that different words of the question found side
    by side count for more than one word found twice.
    """
    kernel, seen = conversation.kernel, seen_of(conversation, question)
    norm = norm_of(conversation.lengths + trust * conversation.around)
    around = np.zeros(len(conversation), np.float32)
    for documents, counts in (question.postings or {}).values():
        lending = seen[documents]
        frequency = trust * kernel.spread_sparse(
            documents[lending].astype(np.int64), counts[lending]
        )
        frequency[documents] += counts
        around += idf(len(documents), len(conversation)) * saturated(frequency, norm)
    share: Row = around / np.float32(asked_of(conversation, question))
    return share


def asked_of(conversation: Conversation, question: Question) -> float:
    """Sum of the inverse document frequencies of the question's terms."""
    size = len(conversation.lengths)
    postings = question.postings or {}
    return sum(idf(len(documents), size) for documents, _ in postings.values()) or 1.0


def _session(conversation: Conversation, question: Question) -> Row:
    """Standardised BM25 of the session each turn lies in: its candidates as one document."""
    postings, seen = question.postings or {}, question.candidates
    if seen is None:
        place: NDArray[np.int32 | np.int64] = conversation.session
        lengths = conversation.session_lengths
        held = [conversation.session_counts(term, found) for term, found in postings.items()]
    else:
        place = _numbered(np.bincount(conversation.session, seen) > 0)[conversation.session]
        lengths = np.bincount(place[seen], conversation.lengths[seen]).astype(np.float32)
        held = [
            np.bincount(place[documents], counts * seen[documents], len(lengths)).astype(np.float32)
            for documents, counts in postings.values()
        ]
    scores, norm = np.zeros(len(lengths), np.float32), norm_of(lengths)
    for totals in held:
        rarity = np.float32(idf(int(np.count_nonzero(totals)), len(lengths)))
        scores += rarity * saturated(totals, norm)
    row: Row = zscore(scores)[place]
    return row


def _numbered(some: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Number those that are true from 0 on; of the others any of these numbers."""
    numbers: NDArray[np.int64] = np.maximum(np.cumsum(some) - 1, 0)
    return numbers


def _priors(terms: Terms, conversation: Conversation, question: Question, ranking: Ranking) -> None:
    """Add what speaks for a turn besides its match, and the bounded multipliers of it all."""
    named = named_speakers(question.words, conversation.speakers)[conversation.speaker]
    among = named[seen_of(conversation, question)]
    if ranking.speaker and among.any() and not among.all():
        terms["speaker"] = ranking.speaker * named.astype(np.float32)
    if ranking.length:
        prior = conversation.length_prior
        if question.candidates is not None:
            prior = length_prior(conversation.lengths, question.candidates)
        terms["length"] = ranking.length * prior
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
StepName: TypeAlias = Literal["fuse", "neighbours", "priors"]
STEPS: Final[Mapping[StepName, Step]] = {
    "fuse": _fuse,
    "neighbours": _neighbours,
    "priors": _priors,
}
"""The steps of `score`, in order; each adds terms to those before it."""
PRUNED: Final[Mapping[StepName, Step]] = {**STEPS, "fuse": _dense_alone, "neighbours": _meaning}
"""The same but for the words of turns and those around them, which `best` bounds first."""
