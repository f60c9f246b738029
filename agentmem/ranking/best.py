"""The best turns of a conversation, without scoring in full what cannot be among them.

The words around a turn are the one part of the score that takes time for every turn and term. One
pass over all terms together bounds that part from above; only turns whose bound reaches the score
of the k-th best are scored in full. Nothing is lost by it: the pruning of Turtle & Flood, "Query
Evaluation: Strategies and Optimizations" (Information Processing & Management 31, 1995), with
turns in the place of postings.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from agentmem.ranking.config import Ranking
from agentmem.ranking.fusion import FLAT, moments, top
from agentmem.ranking.lexical import K1, idf
from agentmem.ranking.score import (
    PRUNED,
    STEPS,
    Conversation,
    Question,
    StepName,
    Terms,
    asked_of,
    norm_of,
    saturated,
    spoken,
    trust_in,
)

__all__ = ["Best", "Contest"]

SMALL: Final = 2_048  # turns, that are scored in full in less time than bounds take
FIRST: Final = 4  # times k: scored in full first, to learn what a turn has to reach
ROUNDING: Final = 1e-3  # by how much float32 sums in another order may differ, at most

Row = NDArray[np.float32]
Places = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Best:
    """The best turns, best first.

    Attributes:
        places: Which turns, (P,).
        terms: For each term that says anything about one of them its row, (P,).
        total: The scores: the sums of the terms, (P,).
    """

    places: Places
    terms: Terms
    total: Row

    def __getitem__(self, order: Places | slice) -> Best:
        """Return some of them, in the order given."""
        terms = {name: row[order] for name, row in self.terms.items()}
        return Best(self.places[order], terms, self.total[order])


class Contest:
    """Finds the turns of the highest `score`.

    Args:
        conversation: The turns in sight.
        question: What is asked of them.
        ranking: The weights.
    """

    def __init__(self, conversation: Conversation, question: Question, *, ranking: Ranking) -> None:
        self._conversation = conversation
        self._question = question
        self._ranking = ranking
        self._trust = trust_in(conversation, ranking)
        self._terms: Terms = {}
        self._prunes = bool(
            self._trust
            and ranking.lexical
            and question.postings
            and len(conversation) > SMALL
            and not (ranking.recency or ranking.importance)  # which multiply the whole score
        )

    def take(self, name: StepName) -> None:
        """Take one of the steps of `score`: all of them in order before the best are asked for."""
        (STEPS if not self._prunes else PRUNED)[name](
            self._terms, self._conversation, self._question, self._ranking
        )

    def best(self, k: int, *, measured: Callable[[Places], Row] | None = None) -> Best:
        """Return the k best candidates; ties go to the earlier turn.

        Args:
            k: How many at most.
            measured: Measures the cosines of turns more exactly than the question has them. All
                that may be among the k best are then measured, and the question has it of these.
        """
        question, weight = self._question, self._ranking.dense
        if measured is None or question.cosines is None or not weight:
            return self._best(k)
        deviation = moments(question.cosines, question.candidates)[1]
        if deviation < FLAT:
            return self._best(k)
        slope = np.float32(weight / deviation)
        best = self._best(k, slack=float(2 * slope * question.error))
        exact = measured(best.places)
        change = slope * (exact - question.cosines[best.places])
        question.cosines[best.places] = exact
        terms = best.terms | {"dense": best.terms.get("dense", np.float32(0)) + change}
        total = best.total + change
        return Best(best.places, terms, total)[np.argsort(-total, kind="stable")[:k]]

    def _best(self, k: int, *, slack: float = 0.0) -> Best:
        """Return the k best candidates, and all that come so close to the last of them."""
        candidates = self._question.candidates
        total = sum(self._terms.values(), np.zeros(len(self._conversation), np.float32))
        if not self._prunes:
            return self._cut(_close(total, k, slack=slack, mask=candidates), {})
        words = _Words(self._conversation, self._question, trust=self._trust)
        weight = np.float32(self._ranking.lexical)
        bound = total + weight * words.bound()
        likely = top(bound, FIRST * k, mask=candidates)
        reached = np.sort(total[likely] + weight * words.at(likely)[1])[-k:][0]
        could = bound >= reached - np.float32(slack + ROUNDING)
        pool = np.flatnonzero(could if candidates is None else could & candidates)
        own, whole = words.at(pool)
        chosen = _close(total[pool] + weight * whole, k, slack=slack)
        lent = self._terms["neighbours"][pool] + weight * (whole - own)
        changed = {"lexical": weight * own[chosen], "neighbours": lent[chosen]}
        return self._cut(pool[chosen], changed)

    def _cut(self, places: Places, changed: Terms) -> Best:
        terms = spoken({name: row[places] for name, row in self._terms.items()} | changed)
        return Best(places, terms, sum(terms.values(), np.zeros(len(places), np.float32)))


def _close(scores: Row, k: int, *, slack: float, mask: NDArray[np.bool_] | None = None) -> Places:
    """Return the places of the k best, best first, and of all that are within reach of the last."""
    best = top(scores, k, mask=mask)
    if not slack or len(best) < k:
        return best
    close = scores >= scores[best[-1]] - np.float32(slack)
    close = np.flatnonzero(close if mask is None else close & mask)
    return close[np.argsort(-scores[close], kind="stable")]


class _Words:
    """The share of the question found in turns' own words and those around them."""

    def __init__(self, conversation: Conversation, question: Question, *, trust: float) -> None:
        self._turns = conversation
        self._seen = question.candidates
        self._trust = np.float32(trust)
        self._norm = norm_of(conversation.lengths + self._trust * conversation.around)
        self._asked = np.float32(asked_of(conversation, question))
        self._terms = [
            (np.float32(idf(len(held[0]), len(conversation))), conversation.counts(term, held))
            for term, held in (question.postings or {}).items()
        ]

    def bound(self) -> Row:
        """Return what both together are at most, (T,).

        f / (f + norm) is concave, so what neighbours add to a turn's own frequency adds at most
        its share of the norm.
        """
        own, lent = np.zeros((2, len(self._turns)), np.float32)
        for rarity, counts in self._terms:
            places = counts.places
            own[places] += rarity * saturated(counts.counts, self._norm[places])
            lent[places] += rarity * counts.counts
        if self._seen is not None:
            lent *= self._seen
        around = self._trust * self._turns.kernel.spread(lent)
        found: Row = (own + around * (np.float32(K1 + 1) / self._norm)) / self._asked
        return found

    def at(self, places: Places) -> tuple[Row, Row]:
        """Return what it is at some places, of their own words and of both, (P,) each."""
        turns = self._turns
        beside, weights = turns.kernel.around(places)
        if self._seen is not None:
            weights = weights * self._seen[beside]
        alone, norm = norm_of(turns.lengths)[places], self._norm[places]
        own, whole = np.zeros((2, len(places)), np.float32)
        for rarity, counts in self._terms:
            said = counts.row[places]
            near = np.einsum("pw,pw->p", counts.row[beside], weights)
            own += rarity * saturated(said, alone)
            whole += rarity * saturated(said + self._trust * near, norm)
        return own / self._asked, whole / self._asked
