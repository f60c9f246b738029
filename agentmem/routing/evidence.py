"""Why one tool was ranked where it was: its best view, its words, its nearest examples."""

from __future__ import annotations

from typing import Final

import numpy as np

from agentmem.ranking.tools.score import Ranked
from agentmem.routing.question import Question
from agentmem.routing.sight import Sight
from agentmem.types import ToolEvidence

__all__ = ["evidence"]

EXAMPLES: Final = 3


def evidence(question: Question, sight: Sight, *, ranked: Ranked, place: int) -> ToolEvidence:
    """Return the evidence for one tool.

    Args:
        question: The query.
        sight: The tools.
        ranked: What was ranked.
        place: Of the tool.
    """
    words = {
        word: float(ranked.words[term][place])
        for term, word in question.terms.items()
        if ranked.words[term][place] > 0
    }
    view, similarity = sight.shelf.nearest(place, ranked.vector)
    return ToolEvidence(
        similarity=similarity,
        view=view,
        words=words,
        examples=_examples(sight, ranked=ranked, place=place),
        succeeded=round(float(sight.succeeded[place])),
        failed=round(float(sight.failed[place])),
    )


def _examples(sight: Sight, *, ranked: Ranked, place: int) -> tuple[tuple[str, float], ...]:
    """Return the tool's nearest examples with their cosines, nearest first."""
    known = sight.observations
    if not len(known):
        return ()
    mine = np.flatnonzero((known.owners == place) & (known.labels > 0))
    cosines = known.vectors[mine] @ ranked.vector
    nearest = np.argsort(-cosines, kind="stable")[:EXAMPLES]
    return tuple((known.queries[int(mine[at])], float(cosines[at])) for at in nearest)
