"""The systems an evaluation puts side by side: the product and the baselines it must beat.

A system answers one question from an open Memory with ids, best first. The baselines are bare:
their legs alone, without what the product adds from the conversation around a turn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np

from agentmem.ranking import Ranking
from agentmem.ranking.fusion import reciprocal_rank_fusion, zscore
from agentmem.types import AllScopes, Mode, Recall, Scope

if TYPE_CHECKING:
    from agentmem.memory import Memory

__all__ = [
    "BASELINES",
    "PRODUCT",
    "Answer",
    "Ask",
    "Query",
    "System",
    "answer_of",
    "weighted",
]

_DEPTH: Final = 1000  # entries of each list that are fused: beyond, 1/(60 + rank) is noise


@dataclass(frozen=True, slots=True)
class Answer:
    """What a system retrieved for one question.

    Attributes:
        ids: Turn ids, best first.
        milliseconds: Wall time of each phase it reports.
        config_id: Hash of its ranking configuration, where there is a single one.
    """

    ids: Sequence[str]
    milliseconds: Mapping[str, float]
    config_id: str | None = None


@dataclass(frozen=True, slots=True)
class Query:
    """What a system is asked.

    Attributes:
        text: The question.
        scope: Whose turns may answer it.
        where: Only turns that match this filter, in its JSON form.
        mode: The legs that the product searches.
    """

    text: str
    scope: Scope | AllScopes
    where: Mapping[str, Any] | None = None
    mode: Mode = "hybrid"


class Ask(Protocol):
    """Answers one question from the turns of one scope."""

    def __call__(self, memory: Memory, query: Query, *, k: int) -> Answer:
        """Return at most k ids, best first."""
        ...


@dataclass(frozen=True, slots=True)
class System:
    """A way of retrieving, with the name it has in a report.

    Attributes:
        name: Short, unique within a report.
        about: One line on what it does.
        ask: How it answers.
    """

    name: str
    about: str
    ask: Ask


def answer_of(recall: Recall) -> Answer:
    """Reduce a recall to what is measured of it."""
    ids = [hit.turn.id for hit in recall]
    return Answer(ids, dict(recall.milliseconds), recall.config_id)


def _searched(weights: Ranking | None, mode: Mode | None = None) -> Ask:
    """Return what asks by these weights and legs; None for the memory's and the query's own."""

    def ask(memory: Memory, query: Query, *, k: int) -> Answer:
        return answer_of(_search(memory, query, k=k, mode=mode or query.mode, ranking=weights))

    return ask


def _search(memory: Memory, query: Query, *, k: int, mode: Mode, ranking: Ranking | None) -> Recall:
    return memory.search(
        query.text, scope=query.scope, where=query.where, k=k, mode=mode, ranking=ranking
    )


def weighted(ranking: Ranking, *, name: str, about: str = "the weights to be tried") -> System:
    """Return the product with other weights, to be asked beside it."""
    return System(name, about, _searched(ranking))


_DENSE: Final = _searched(Ranking.plain(), "dense")
_LEXICAL: Final = _searched(Ranking.plain(), "lexical")


def _rrf(memory: Memory, query: Query, *, k: int) -> Answer:
    dense = _DENSE(memory, query, k=_DEPTH)
    lexical = _LEXICAL(memory, query, k=_DEPTH)
    phases = [*dense.milliseconds, *lexical.milliseconds]
    spent = {
        phase: dense.milliseconds.get(phase, 0.0) + lexical.milliseconds.get(phase, 0.0)
        for phase in phases
    }
    return Answer(reciprocal_rank_fusion([dense.ids, lexical.ids])[:k], spent)


def _zscore(memory: Memory, query: Query, *, k: int) -> Answer:
    fused: dict[str, float] = {}
    modes: tuple[Mode, ...] = ("dense", "lexical")
    for mode in modes:
        recall = _search(memory, query, k=_DEPTH, mode=mode, ranking=Ranking.plain())
        standard = zscore(np.array([hit.score for hit in recall], np.float32))
        for hit, score in zip(recall, standard.tolist(), strict=True):
            fused[hit.turn.id] = fused.get(hit.turn.id, 0.0) + score
    return Answer(sorted(fused, key=lambda one: -fused[one])[:k], {})


PRODUCT: Final = System("agentmem", "the product's defaults", _searched(None))
BASELINES: Final = (
    System("dense", "cosine of the embeddings alone", _DENSE),
    System("lexical", "BM25 alone", _LEXICAL),
    System("rrf", "equal-weight reciprocal rank fusion of dense and lexical, k=60", _rrf),
    System("zscore", "sum of the legs' z-scores over the best 1,000 of each", _zscore),
)
