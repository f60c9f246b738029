"""The order of the best turns: the steps of the ranking, then the reranker and diversity."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from agentmem.errors import InvalidInput
from agentmem.messages import embedding_text
from agentmem.protocols import Reranker
from agentmem.ranking import Ranking
from agentmem.ranking.best import Best, Contest
from agentmem.ranking.diversity import maximal_marginal_relevance
from agentmem.ranking.fusion import zscore
from agentmem.ranking.score import Question
from agentmem.retrieval.sight import Sight
from agentmem.storage.reads import Reads
from agentmem.telemetry import Current
from agentmem.telemetry.describing import of_reranking
from agentmem.types import Turn

__all__ = ["order_turns", "reranker_name"]

DIVERSITY_POOL: Final = 4  # times k: deep enough to find something different, still relevant

Row = NDArray[np.float32]


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
    measured: Callable[[NDArray[np.int64]], Row] | None = None,
) -> Best:
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
        measured: Measures the cosines of a few turns exactly; see `Contest.best`.

    Raises:
        InvalidInput: The reranker gave no usable scores.
    """
    contest = Contest(sight.conversation, question, ranking=ranking)
    wanted = k * DIVERSITY_POOL if ranking.diversity else k
    if reranker is not None:
        wanted = max(k, ranking.rerank_top)
    with current.phase("fuse"):
        contest.take("fuse")
    with current.phase("neighbours"):
        contest.take("neighbours")
    with current.phase("priors"):
        contest.take("priors")
        best = contest.best(wanted, measured=measured)
    if reranker is not None:
        with current.phase("rerank", model=reranker_name(reranker)) as phase:
            phase.set({"reranker.model_name": reranker_name(reranker)})
            seen = sight.turns(best.places[: ranking.rerank_top], store=store)
            given = _scores(reranker, text, turns=seen)
            best = _reranked(best, given)
            phase.describe(lambda: of_reranking(text, phase.content, turns=seen, scores=given))
    if ranking.diversity:
        vectors = sight.columns.vectors[sight.first_chunk[best.places]]
        best = best[maximal_marginal_relevance(best.total, vectors, k=k, trade=ranking.diversity)]
    return best[:k]


def reranker_name(reranker: Reranker) -> str:
    """Return what a reranker is called: its model, or its class."""
    model = getattr(reranker, "model", None)
    return model if isinstance(model, str) and model else type(reranker).__name__


def _scores(reranker: Reranker, query: str, *, turns: Sequence[Turn]) -> Row:
    """Ask a reranker how well turns answer a query."""
    texts = ["".join(embedding_text(turn)) for turn in turns]
    given = np.asarray(reranker.score(query, texts), np.float32)
    if given.shape != (len(texts),) or not np.isfinite(given).all():
        raise InvalidInput(
            f"the reranker gave scores of shape {given.shape} for {len(texts)} texts, or some "
            "that are not finite. Repair: return one finite score a text, in order."
        )
    return given


def _reranked(best: Best, given: Row) -> Best:
    """Put the first of the best into a reranker's order, above all the others.

    The reranker's standardised scores replace the fused ones among the turns it saw, from the
    worst of these upwards, so that what it did not see stays below.
    """
    scores, seen = zscore(given), best.total[: len(given)]
    row = np.zeros(len(best.total), np.float32)
    row[: len(given)] = scores - scores.min() + seen.min() - seen
    total = best.total + row
    reranked = Best(best.places, best.terms | {"reranker": row}, total)
    return reranked[np.argsort(-total, kind="stable")]
