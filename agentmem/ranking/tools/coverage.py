"""Sets of tools that cover a query of several needs, rather than one need several times.

Each clause of the query scores every tool; a set is worth the sum over clauses of its best tool's
score, and of its own scores. That is a facility-location function, monotone and submodular, so
picking greedily is within 1 - 1/e of the best set (Nemhauser, Wolsey & Fisher 1978), and what each
pick adds never grows.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from agentmem.ranking.fusion import top

__all__ = ["cover", "smallest_covering"]

DEPTH = 20  # picks; what comes after keeps the order of its gain, and nobody needs that many tools

Floats = NDArray[np.float32]


def cover(scores: Floats, clauses: Sequence[Floats], *, mask: NDArray[np.bool_] | None) -> Floats:
    """Return scores whose order picks tools that cover the clauses, shape (N,).

    Args:
        scores: Of every tool against the whole query, shape (N,).
        clauses: The same against each of its clauses, where there are several.
        mask: Which tools are candidates.

    Returns:
        What each tool adds when it is picked, as a mean over clauses and whole; the scores
        themselves for a query of one clause.
    """
    if len(clauses) <= 1:
        return scores
    needs = np.maximum(np.stack(clauses), 0)
    covered = np.zeros((len(clauses), 1), np.float32)
    open_ = np.ones(len(scores), bool) if mask is None else mask.copy()
    worth = scores.astype(np.float32).copy()
    for _ in range(min(DEPTH, int(open_.sum()))):
        gain = np.maximum(needs - covered, 0).sum(axis=0) + scores
        best = int(top(gain, 1, mask=open_)[0])
        worth[best], open_[best] = gain[best], False
        covered = np.maximum(covered, needs[:, best : best + 1])
    rest = np.maximum(needs - covered, 0).sum(axis=0) + scores
    worth[open_] = rest[open_]
    whole: Floats = worth / np.float32(len(clauses) + 1)
    return whole


def smallest_covering(probabilities: Floats, *, target: float) -> int:
    """Return the smallest k whose tools are expected to be that share of all needed ones.

    Args:
        probabilities: That each tool is needed, best first, shape (M,).
        target: From 0 to 1.
    """
    total = float(probabilities.sum())
    if total <= 0:
        return 0
    reached = np.cumsum(probabilities) >= target * total - 1e-9
    return int(np.argmax(reached)) + 1
