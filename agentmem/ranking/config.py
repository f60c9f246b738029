"""Every number that tunes a ranking, in one frozen value with a hash.

The defaults come from reasons that held on three kinds of conversation at once (LoCoMo dialogues,
QMSum meetings, BFCL assistant chats) and on LoCoMo with its turns split, interleaved and shuffled;
`agentmem eval memory` repeats the measurement.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from agentmem.errors import InvalidInput
from agentmem.ranking.weights import hash_of, weights_of

__all__ = ["Ranking"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranking:
    """Weights of a ranking, in standard deviations of a leg unless said otherwise.

    Attributes:
        dense: Weight of the cosine between question and turn.
        lexical: What a turn gains whose words are worth the whole question's, by BM25.
        reach: Terms over which a turn's support for its neighbours falls to 1/e.
        gap_minutes: Silence over which it falls to 1/e.
        context: Weight of a neighbour right beside a turn, its words and its cosine, against
            the turn's own.
        coherence: Adjacent-turn coherence (see `neighbours.coherence`) from which neighbours and
            sessions are believed fully; below it in proportion, and not at all at 0.
        session: Weight of BM25 of the whole session a turn lies in.
        speaker: Bonus for turns of a speaker whom the question names.
        length: Weight of the logarithm of a turn's length: short turns seldom hold the answer.
        question: Malus for a turn that itself ends in a question mark.
        date: Bonus for turns said at a date that the question names.
        date_days: Days over which that bonus falls to 1/e outside the date.
        recency: Largest relative gain of a turn said just now, from 0 (off) to 1.
        recency_days: Half-life of that gain.
        importance: Largest relative gain of a turn of importance 1, from 0 (off) to 1.
        diversity: 1 - lambda of maximal marginal relevance; 0 is off, the default, because it
            costs recall on conversations.
        rerank_top: Hits that a reranker sees, where one is given.
    """

    dense: float = 1.0
    lexical: float = 10.0  # a turn that holds the whole question: what a dense outlier is worth
    reach: float = 50.0  # four spoken turns: 40 to 60 measure alike, meetings like more, chats less
    gap_minutes: float = 60.0  # web logs are cut at 30 idle minutes, and chats pause longer
    context: float = 0.4  # who says it outranks who stands beside; more costs multi-hop questions
    coherence: float = 0.1  # four standard errors above unrelated notes; meetings begin here
    session: float = 0.25  # gentle: months-long chats change topic within a session
    speaker: float = 1.0
    length: float = 0.5  # gains on all kinds of conversation; meetings lose a little from 0.8 on
    question: float = 0.5
    date: float = 2.0  # a named date is strong evidence, yet two strong legs may overrule it
    date_days: float = 7.0  # people tell within the week
    recency: float = 0.0
    recency_days: float = 30.0
    importance: float = 0.0
    diversity: float = 0.0
    rerank_top: int = 50

    def __post_init__(self) -> None:
        """Refuse numbers that would turn the ranking upside down."""
        given: Mapping[str, object] = self.weights  # of whatever type the caller passed
        for name, value in given.items():
            if not isinstance(value, (int, float)) or not math.isfinite(value) or value < 0:
                raise InvalidInput(
                    f"Ranking({name}={value!r}): weights are finite numbers, 0 or more"
                )
        for name in ("recency", "importance", "diversity"):
            if getattr(self, name) > 1:
                raise InvalidInput(f"Ranking({name}={getattr(self, name)!r}) is bounded by 1")
        for name in ("reach", "gap_minutes", "date_days", "recency_days", "rerank_top"):
            if not getattr(self, name):
                raise InvalidInput(
                    f"Ranking({name}=0): must be above 0; switch a term off by its weight"
                )
        if type(self.rerank_top) is not int:
            raise InvalidInput(f"Ranking(rerank_top={self.rerank_top!r}): pass a whole number")

    @property
    def id(self) -> str:
        """First 16 hexadecimal digits of the SHA-256 over the canonical JSON of all fields."""
        return hash_of(self)

    @property
    def weights(self) -> dict[str, float]:
        """Every weight, by name."""
        return weights_of(self)

    @classmethod
    def plain(cls) -> Ranking:
        """The two legs alone, standardised and added: no conversation terms. For baselines."""
        return cls(context=0, session=0, speaker=0, length=0, question=0, date=0)
