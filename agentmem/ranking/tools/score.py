"""The score of every tool for one query: views, words, usage, conversation, success, coverage.

Arrays in, arrays out; nothing is known of storage, names or text. All legs are standard deviations
over the candidates, so that their weights compare.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agentmem.ranking.fusion import top, zscore
from agentmem.ranking.tools.co_use import CoUse
from agentmem.ranking.tools.columns import Columns
from agentmem.ranking.tools.confidence import BestTool, log_odds, sigmoid
from agentmem.ranking.tools.config import Routing
from agentmem.ranking.tools.coverage import cover
from agentmem.ranking.tools.usage import Usage, UsageLeg

__all__ = ["Learnt", "Need", "Ranked", "rank"]

NAMED = 30.0  # a tool named as it is written comes first: more than any score was seen to reach

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
        called: Places of the tools called before in the conversation, oldest first.
        context: Unit vector of what was said before, shape (D,); None without.
    """

    vector: Floats
    terms: list[str]
    clauses: Sequence[list[str]] = ()
    named: Sequence[int] = ()
    called: Sequence[int] = ()
    context: Floats | None = None


@dataclass(frozen=True, slots=True)
class Ranked:
    """Every tool of a catalogue, scored for one query.

    Attributes:
        scores: Rank scores, shape (N,).
        order: Places of the candidates, best first.
        terms: Each contribution to `scores`, shape (N,); they add up to it.
        needs_tool: Terms of the log-odds that a candidate fits; they add up to them.
        cosines: Weighted mean of the views' cosines, shape (N,).
        words: For each term of the query BM25 of every tool, shape (N,).
        usage: What usage said; None without.
        vector: Of the query, shape (D,).
    """

    scores: Floats
    order: Ints
    terms: Mapping[str, Floats]
    needs_tool: Mapping[str, float]
    cosines: Floats
    words: Mapping[str, Floats]
    usage: UsageLeg | None
    vector: Floats

    @property
    def confidence(self) -> float:
        """Probability that a candidate fits, at equal odds."""
        return sigmoid(sum(self.needs_tool.values())) if len(self.order) else 0.0


def rank(
    need: Need, columns: Columns, learnt: Learnt, *, config: Routing, mask: Mask | None
) -> Ranked:
    """Score every tool of a catalogue for one query.

    Args:
        need: The query.
        columns: What the N tools say about themselves.
        learnt: What was learnt of them.
        config: The weights.
        mask: Which tools are candidates, shape (N,); all of them if None.
    """
    usage = learnt.usage
    cosines = columns.cosine(need.vector)
    words = columns.words(need.terms)
    leg = None if usage is None else usage.leg(need.vector, " ".join(need.terms), mask=mask)
    cold = 1 - usage.trust if usage is not None else np.ones(columns.size, np.float32)
    lexical_weight = np.float32(config.lexical) * cold
    terms: dict[str, Floats] = {"meaning": cold * zscore(cosines, mask)}
    if usage is not None and leg is not None:
        lexical_weight += usage.trust * np.float32(config.usage_words / usage.norm)
        terms["usage"] = usage.trust * leg.score
    found = words.leg(need.terms, mask=mask)
    terms["words"] = lexical_weight * (
        np.zeros(columns.size, np.float32) if found is None else found
    )
    if learnt.success.any():
        terms["success"] = np.float32(config.success) * learnt.success
    alone = _add(terms, columns.size)
    bm25 = words.bm25(need.terms)
    best = _best(alone, mask=mask, cosines=cosines, bm25=bm25, usage=usage, leg=leg)
    odds = log_odds(best) if best is not None else {}
    terms |= _conversation(
        need, columns, learnt, config=config, mask=mask, doubt=1 - sigmoid(sum(odds.values()))
    )
    scores = _add(terms, columns.size)
    clauses = [words.leg(clause, mask=mask) for clause in need.clauses]
    parts = [
        scores - terms["words"] + lexical_weight * part for part in clauses if part is not None
    ]
    worth = cover(scores, parts, mask=mask)
    if worth is not scores:
        terms["coverage"] = worth - scores
    if need.named:
        terms["named"] = _ones(need.named, columns.size) * np.float32(NAMED)
        worth = worth + terms["named"]
    return Ranked(
        scores=worth,
        order=top(worth, columns.size, mask=mask),
        terms=terms,
        needs_tool=odds,
        cosines=cosines,
        words=words.rows,
        usage=leg,
        vector=need.vector,
    )


def _conversation(
    need: Need,
    columns: Columns,
    learnt: Learnt,
    *,
    config: Routing,
    mask: Mask | None,
    doubt: float,
) -> dict[str, Floats]:
    """What went before: the tools called, what was said, and what goes together with the best."""
    terms: dict[str, Floats] = {}
    if need.called:
        likeness = zscore(_likeness(need.called, columns), mask)
        lift = learnt.co_use.transitions(need.called, size=columns.size)
        terms["called"] = np.float32(config.affinity) * likeness
        terms["followed"] = np.float32(config.transition) * lift
    if need.context is not None:
        said = zscore(columns.cosine(need.context), mask)
        terms["context"] = np.float32(config.context * doubt) * said
    return terms


def _likeness(called: Sequence[int], columns: Columns) -> Floats:
    """Mean likeness of each tool to those called, itself not counted, shape (N,)."""
    known = columns.together
    found = known @ known[list(called)].mean(axis=0)
    share = np.bincount(list(called), minlength=columns.size) / len(called)
    own = np.einsum("nd,nd->n", known, known)
    likeness: Floats = (found - own * share).astype(np.float32)
    return likeness


def _best(
    scores: Floats,
    *,
    mask: Mask | None,
    cosines: Floats,
    bm25: Floats | None,
    usage: Usage | None,
    leg: UsageLeg | None,
) -> BestTool | None:
    first = top(scores, 2, mask=mask)
    if not len(first):
        return None
    place = int(first[0])
    lead = float(scores[place] - scores[first[1]]) if len(first) > 1 else 0.0
    known = usage is not None and leg is not None
    return BestTool(
        cosine=float(cosines[place]),
        bm25=0.0 if bm25 is None else float(bm25[place]),
        lead=lead,
        trust=float(usage.trust[place]) if usage is not None and known else 0.0,
        prototype=float(leg.prototype[place]) if leg is not None else 0.0,
        nearest=float(leg.nearest[place]) if leg is not None else 0.0,
    )


def _add(terms: Mapping[str, Floats], size: int) -> Floats:
    total = np.zeros(size, np.float32)
    for term in terms.values():
        total = total + term
    return total


def _ones(places: Sequence[int], size: int) -> Floats:
    row = np.zeros(size, np.float32)
    row[list(places)] = 1
    return row
