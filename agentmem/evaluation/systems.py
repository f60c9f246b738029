"""The systems an evaluation puts side by side: the product and the baselines it must beat.

A system answers one question from an open Memory with ids, best first. The baselines are bare:
their legs alone, without what the product adds from the conversation around a turn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

import numpy as np

from agentmem.ranking import Ranking
from agentmem.ranking.fusion import reciprocal_rank_fusion, zscore

if TYPE_CHECKING:
    from agentmem.memory import Memory
    from agentmem.types import Mode, Recall

__all__ = [
    "BASELINES",
    "PRODUCT",
    "Answer",
    "Ask",
    "System",
    "answer_of",
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


class Ask(Protocol):
    """Answers one question from the turns of one user."""

    def __call__(self, memory: Memory, question: str, *, user_id: str, k: int) -> Answer:
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


def _product(memory: Memory, question: str, *, user_id: str, k: int) -> Answer:
    return answer_of(memory.search(question, user_id=user_id, k=k))


def _bare(mode: Mode) -> Ask:
    def ask(memory: Memory, question: str, *, user_id: str, k: int) -> Answer:
        ranking = Ranking.plain()
        return answer_of(memory.search(question, user_id=user_id, k=k, mode=mode, ranking=ranking))

    return ask


_DENSE: Final = _bare("dense")
_LEXICAL: Final = _bare("lexical")


def _rrf(memory: Memory, question: str, *, user_id: str, k: int) -> Answer:
    dense = _DENSE(memory, question, user_id=user_id, k=_DEPTH)
    lexical = _LEXICAL(memory, question, user_id=user_id, k=_DEPTH)
    phases = [*dense.milliseconds, *lexical.milliseconds]
    spent = {
        phase: dense.milliseconds.get(phase, 0.0) + lexical.milliseconds.get(phase, 0.0)
        for phase in phases
    }
    return Answer(reciprocal_rank_fusion([dense.ids, lexical.ids])[:k], spent)


def _zscore(memory: Memory, question: str, *, user_id: str, k: int) -> Answer:
    fused: dict[str, float] = {}
    modes: tuple[Mode, ...] = ("dense", "lexical")
    for mode in modes:
        plain = Ranking.plain()
        recall = memory.search(question, user_id=user_id, k=_DEPTH, mode=mode, ranking=plain)
        standard = zscore(np.array([hit.score for hit in recall], np.float32))
        for hit, score in zip(recall, standard.tolist(), strict=True):
            fused[hit.turn.id] = fused.get(hit.turn.id, 0.0) + score
    return Answer(sorted(fused, key=lambda one: -fused[one])[:k], {})


PRODUCT: Final = System("agentmem", "the product's defaults", _product)
BASELINES: Final = (
    System("dense", "cosine of the embeddings alone", _DENSE),
    System("lexical", "BM25 alone", _LEXICAL),
    System("rrf", "equal-weight reciprocal rank fusion of dense and lexical, k=60", _rrf),
    System("zscore", "sum of the legs' z-scores over the best 1,000 of each", _zscore),
)
