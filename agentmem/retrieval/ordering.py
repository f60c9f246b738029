"""The order of the best turns: the steps of the ranking, then the reranker and diversity."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from agentmem.errors import InvalidInput
from agentmem.messages import embedding_text
from agentmem.protocols import Reranker
from agentmem.ranking import Ranking
from agentmem.ranking.diversity import maximal_marginal_relevance
from agentmem.ranking.fusion import top, zscore
from agentmem.ranking.score import STEPS, Question, Terms, spoken
from agentmem.retrieval.sight import Sight
from agentmem.storage.reads import Reads
from agentmem.telemetry import Current
from agentmem.telemetry.describing import of_reranking

__all__ = ["Ranked", "order_turns", "reranker_name"]

DIVERSITY_POOL: Final = 4  # times k: deep enough to find something different, still relevant

Row = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Ranked:
    """The best rows of a sight, best first, with the terms and the score of every row."""

    order: NDArray[np.int64]
    terms: Mapping[str, Row]
    total: Row


def order_turns(
    sight: Sight,
    question: Question,
    *,
    text: str,
    k: int,
    ranking: Ranking,
    reranker: Reranker | None,
    store: Reads,
    current: Current,
) -> Ranked:
    """Order the best turns, reranked and diversified where that was asked for.

    Args:
        sight: The turns.
        question: What is asked of them; there is a candidate.
        text: The same in words.
        k: How many are wanted.
        ranking: The weights.
        reranker: Reads the best ones, if any.
        store: At the version of the sight.
        current: The search under way.

    Raises:
        InvalidInput: The reranker gave no usable scores.
    """
    terms: Terms = {}
    for name, step in STEPS.items():
        with current.phase(name):
            step(terms, sight.conversation, question, ranking)
    total = _total(terms := spoken(terms), len(sight))
    if reranker is not None:
        order = top(total, max(k, ranking.rerank_top), mask=question.candidates)
        seen = order[: ranking.rerank_top]
        with current.phase("rerank", model=reranker_name(reranker)) as phase:
            phase.set({"reranker.model_name": reranker_name(reranker)})
            turns = _Turns(sight, seen, store)
            terms["reranker"], given = turns.reranked(reranker, text, total=total)
            phase.describe(
                lambda: of_reranking(text, phase.content, turns=turns.turns, scores=given)
            )
        total = _total(terms, len(sight))
        order = order[np.argsort(-total[order], kind="stable")]
    else:
        pool = k * DIVERSITY_POOL if ranking.diversity else k
        order = top(total, pool, mask=question.candidates)
    if ranking.diversity:
        vectors = sight.columns.vectors[sight.first_chunk[order]]
        picks = maximal_marginal_relevance(total[order], vectors, k=k, trade=ranking.diversity)
        order = order[picks]
    return Ranked(order[:k], terms, total)


def reranker_name(reranker: Reranker) -> str:
    """Return what a reranker is called: its model, or its class."""
    model = getattr(reranker, "model", None)
    return model if isinstance(model, str) and model else type(reranker).__name__


class _Turns:
    """The turns a reranker reads, by their places in sight."""

    def __init__(self, sight: Sight, order: NDArray[np.int64], store: Reads) -> None:
        row_ids = sight.columns.head_row[sight.rows[order]].tolist()
        turns = store.turns_by_row(row_ids)
        self._order = order
        self.turns = [turns[row_id] for row_id in row_ids if row_id in turns]

    def reranked(self, reranker: Reranker, query: str, *, total: Row) -> tuple[Row, Row]:
        """Return what puts them into the reranker's order, above all the others, and its scores.

        The reranker's standardised scores replace the fused ones among the turns it saw, from
        the worst of these upwards, so that what it did not see stays below.
        """
        row = np.zeros(len(total), np.float32)
        texts = ["".join(embedding_text(turn)) for turn in self.turns]
        given = np.asarray(reranker.score(query, texts), np.float32)
        if given.shape != (len(texts),) or not np.isfinite(given).all():
            raise InvalidInput(
                f"the reranker gave scores of shape {given.shape} for {len(texts)} texts, or some "
                "that are not finite. Repair: return one finite score a text, in order."
            )
        scores, order = zscore(given), self._order
        row[order] = scores - scores.min() + total[order].min() - total[order]
        return row, given


def _total(terms: Mapping[str, Row], size: int) -> Row:
    return sum(terms.values(), np.zeros(size, np.float32))
