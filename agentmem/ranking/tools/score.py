"""The score of every tool for one query: views, words, usage, conversation, success, coverage.

Arrays in, arrays out; nothing is known of storage, names or text. All legs are standard deviations
over the candidates, so that their weights compare.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from agentmem.ranking.fusion import top, zscore
from agentmem.ranking.tools.co_use import LEADERS, CoUse
from agentmem.ranking.tools.columns import Columns, Lexical
from agentmem.ranking.tools.confidence import COLD, BestTool, log_odds, sigmoid
from agentmem.ranking.tools.config import Routing
from agentmem.ranking.tools.coverage import cover
from agentmem.ranking.tools.toolkit import toolkit_prior
from agentmem.ranking.tools.usage import Usage, UsageLeg

__all__ = ["Learnt", "Need", "Ranked", "rank"]

ELLIPTIC = 1  # terms: "and tomorrow?" or "now do it" lean on what was said before
DOUBTED = 20  # tools among which the best one has to stand out
HEARSAY = 0.5  # what was said before counts half as evidence that a tool is needed now
NAMED = 30.0  # a tool named as it is written comes first: more than most scores reach

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Learnt:
    """What lessons left of N tools.

    Attributes:
        usage: From usage examples; None where there are none.
        co_use: Which tools go together, and follow each other.
        success: Logarithm of each tool's success rate against the usual one, shape (N,).
    """

    usage: Usage | None
    co_use: CoUse
    success: Floats


@dataclass(frozen=True, slots=True)
class Need:
    """One query, read.

    Attributes:
        vector: Its unit vector, shape (D,).
        terms: Its search terms, each once.
        clauses: The terms of each clause, where there are several.
        named: Places of the tools it names as they are written.
        called: Places of the tools called in the last turn that called any, oldest first.
        used: Places of all tools called so far.
        context: Unit vector of what was said before, shape (D,); None without.
    """

    vector: Floats
    terms: list[str]
    clauses: Sequence[list[str]] = ()
    named: Sequence[int] = ()
    called: Sequence[int] = ()
    used: Sequence[int] = ()
    context: Floats | None = None


@dataclass(frozen=True, slots=True)
class Ranked:
    """Every tool of a catalogue, scored for one query.

    Attributes:
        scores: Rank scores, shape (N,).
        order: Places of the candidates, best first.
        terms: Each contribution to `scores`, shape (N,); they add up to it.
        needs_tool: Terms of the log-odds that a candidate fits; they add up to them.
        words: For each term of the query BM25 of every tool, shape (N,).
        usage: What usage said; None without.
        vector: Of the query, shape (D,).
    """

    scores: Floats
    order: Ints
    terms: Mapping[str, Floats]
    needs_tool: Mapping[str, float]
    words: Mapping[str, Floats]
    usage: UsageLeg | None
    vector: Floats

    @property
    def confidence(self) -> float:
        """Probability that a candidate fits, at equal odds."""
        return sigmoid(sum(self.needs_tool.values())) if len(self.order) else 0.0


def rank(
    need: Need, columns: Columns, *, learnt: Learnt, config: Routing, mask: Mask | None
) -> Ranked:
    """Score every tool of a catalogue for one query.

    Args:
        need: The query.
        columns: What the N tools say about themselves.
        learnt: What was learnt of them.
        config: The weights.
        mask: Which tools are candidates, shape (N,); all of them if None.
    """
    words = columns.words(need.terms)
    usage = learnt.usage
    leg = None if usage is None else usage.leg(need.vector, " ".join(need.terms), mask=mask)
    legs = _Legs(
        columns.cosine(need.vector),
        words,
        words.bm25(need.terms),
        usage,
        leg,
        scale=1 + config.lexical * words.grasp(need.terms, mask=mask),
    )
    lexical = legs.lexical_weight(config)
    terms = legs.terms(need, config=config, mask=mask)
    if learnt.success.any():
        terms["success"] = np.float32(config.success) * learnt.success
    alone = _add(terms, columns.size)
    odds = legs.log_odds(alone, mask=mask)
    confidence = sigmoid(sum(odds.values()))
    went_before = _conversation(
        need,
        columns,
        learnt=learnt,
        config=config,
        mask=mask,
        doubt=_doubt(alone, mask=mask, config=config),
        weakness=1 - confidence,
        is_weak=confidence < config.threshold or len(need.terms) <= ELLIPTIC,
    )
    if went_before:
        terms |= went_before
        odds = legs.log_odds(_add(terms, columns.size), mask=mask)
    if "context" in terms:
        odds |= _spoken_of(need, columns, scores=_add(terms, columns.size), mask=mask, legs=legs)
    if learnt.co_use.together:
        scores = _add(terms, columns.size)
        rates = learnt.co_use.companions(scores, top(scores, LEADERS, mask=mask).tolist())
        terms["co_use"] = np.float32(config.co_use) * rates
    scores = _add(terms, columns.size)
    parts = [words.leg(clause, mask=mask) for clause in need.clauses]
    needs = [scores - terms["words"] + lexical * part for part in parts if part is not None]
    worth = cover(scores, needs, mask=mask)
    if worth is not scores:
        terms["coverage"] = worth - scores
    if need.named:
        terms["named"] = _ones(need.named, columns.size) * np.float32(_lift(worth, need.named))
        worth = worth + terms["named"]
    return Ranked(
        scores=worth,
        order=top(worth, columns.size, mask=mask),
        terms=terms,
        needs_tool=odds,
        words=words.rows,
        usage=leg,
        vector=need.vector,
    )


@dataclass(frozen=True, slots=True)
class _Legs:
    """What the legs found for one query."""

    cosines: Floats
    words: Lexical
    bm25: Floats | None
    usage: Usage | None
    leg: UsageLeg | None
    scale: float
    """Weight of all that a cold tool is judged by: a warm one's usage weighs as much, so that tools
    known by their descriptions and by their usage compare."""

    @property
    def cold(self) -> Floats:
        """How far each tool is judged by what it says of itself, from 0 to 1, shape (N,)."""
        if self.usage is None:
            return np.ones(len(self.cosines), np.float32)
        cold: Floats = 1 - self.usage.trust
        return cold

    def lexical_weight(self, config: Routing) -> Floats:
        """Weight of the words for each tool, shape (N,)."""
        weight: Floats = np.float32(config.lexical) * self.cold
        if self.usage is not None:
            warm = self.scale * config.usage_words / self.usage.norm
            weight += self.usage.trust * np.float32(warm)
        return weight

    def terms(self, need: Need, *, config: Routing, mask: Mask | None) -> dict[str, Floats]:
        """Return the terms of each tool's score on its own, each of shape (N,)."""
        terms: dict[str, Floats] = {"meaning": self.cold * zscore(self.cosines, mask)}
        if self.usage is not None and self.leg is not None:
            terms["usage"] = self.usage.trust * np.float32(self.scale) * self.leg.score
        found = self.words.leg(need.terms, mask=mask)
        nothing = np.zeros(len(self.cosines), np.float32)
        terms["words"] = nothing if found is None else self.lexical_weight(config) * found
        return terms

    def log_odds(self, scores: Floats, *, mask: Mask | None) -> dict[str, float]:
        """Return the terms of the log-odds that the best tool fits; none without candidates."""
        first = top(scores, 1, mask=mask)
        if not len(first):
            return {}
        place, usage, leg = int(first[0]), self.usage, self.leg
        best = BestTool(
            cosine=float(self.cosines[place]),
            words=0.0 if self.bm25 is None else float(self.bm25[place]) / self.words.unknown,
            score=float(scores[place]),
            rarity=self.words.rarity / self.words.unknown,
        )
        if usage is None or leg is None:
            return log_odds(best)
        trust, prototype = float(usage.trust[place]), float(leg.prototype[place])
        known = replace(best, trust=trust, prototype=prototype, nearest=float(leg.nearest[place]))
        return log_odds(known)


def _conversation(
    need: Need,
    columns: Columns,
    *,
    learnt: Learnt,
    config: Routing,
    mask: Mask | None,
    doubt: float,
    weakness: float,
    is_weak: bool,
) -> dict[str, Floats]:
    """What went before: the toolkit in use, the tools that usually follow, and what was said."""
    terms: dict[str, Floats] = {}
    if need.used:
        toolkit = toolkit_prior(need.used, columns.together, mask=mask)
        cold = 1 if learnt.usage is None else 1 - learnt.usage.trust
        terms["called"] = np.float32(config.affinity * doubt * weakness) * cold * toolkit
    if need.called:
        lift = np.maximum(learnt.co_use.transitions(need.called, size=columns.size), 0)
        terms["followed"] = np.float32(config.transition * doubt) * lift
    if need.context is not None and is_weak:
        said = zscore(columns.cosine(need.context), mask)
        terms["context"] = np.float32(config.context) * said
    return terms


def _spoken_of(
    need: Need, columns: Columns, *, scores: Floats, mask: Mask | None, legs: _Legs
) -> dict[str, float]:
    """Evidence from what was said before, where it speaks for the best tool and the query less.

    A query such as "and tomorrow?" means nothing alone.
    """
    first = top(scores, 1, mask=mask)
    if need.context is None or not len(first):
        return {}
    place = int(first[0])
    more = float(columns.cosine(need.context)[place] - legs.cosines[place])
    return {"context": HEARSAY * COLD["similarity"] * more} if more > 0 else {}


def _doubt(scores: Floats, *, mask: Mask | None, config: Routing) -> float:
    """Probability that another tool than the best one is meant, by a softmax of the best scores."""
    best = scores[top(scores, DOUBTED, mask=mask)]
    if not len(best):
        return 0.0
    return 1 - 1 / float(np.exp((best - best[0]) / config.temperature).sum())


def _add(terms: Mapping[str, Floats], size: int) -> Floats:
    total = np.zeros(size, np.float32)
    for term in terms.values():
        total = total + term
    return total


def _lift(scores: Floats, named: Sequence[int]) -> float:
    """Return what puts the tools named above all others, however rare the words of those are."""
    behind = float(scores.max() - scores[list(named)].min())
    return max(NAMED, behind + 1)


def _ones(places: Sequence[int], size: int) -> Floats:
    row = np.zeros(size, np.float32)
    row[list(places)] = 1
    return row
