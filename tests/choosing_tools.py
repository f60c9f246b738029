"""What the tests of the choice of tools share: small catalogues as columns, and what was learnt."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from agentmem.ranking.lexical import InvertedIndex
from agentmem.ranking.tools.co_use import CoUse
from agentmem.ranking.tools.columns import Columns, View, unit
from agentmem.ranking.tools.config import Routing
from agentmem.ranking.tools.observations import Observations
from agentmem.ranking.tools.score import Learnt

Floats = NDArray[np.float32]
DIMENSION = 8


def rows(count: int, *, seed: int, width: int = DIMENSION) -> Floats:
    """Return random unit rows."""
    drawn = np.random.default_rng(seed).standard_normal((count, width))
    return unit(drawn.astype(np.float32))


def view_of(owners: Sequence[int], *, size: int, seed: int = 0) -> View:
    """Return a view of random pieces."""
    return View.centred(rows(len(owners), seed=seed), np.array(owners, np.int64), size=size)


def columns_of(
    documents: Sequence[str],
    *,
    seed: int = 0,
    arguments: Sequence[int] | None = None,
    config: Routing | None = None,
) -> Columns:
    """Return the columns of tools with these words and random vectors.

    Args:
        documents: The terms of each tool, joined by spaces.
        seed: Of the vectors.
        arguments: Owner of each piece of the view of arguments; one piece each if None.
        config: The weights.
    """
    size = len(documents)
    argued = range(size) if arguments is None else arguments
    index = InvertedIndex()
    index.extend(documents)
    return Columns.of(
        view_of(range(size), size=size, seed=seed),
        description=view_of(range(size), size=size, seed=seed + 1),
        arguments=view_of(argued, size=size, seed=seed + 2),
        index=index,
        config=config or Routing(),
    )


def observed(
    owners: Sequence[int],
    *,
    labels: Sequence[int] | None = None,
    vectors: Floats | None = None,
    terms: Sequence[str] | None = None,
    queries: Sequence[str] | None = None,
    seed: int = 9,
) -> Observations:
    """Return observations of tools, of random queries unless told otherwise."""
    count = len(owners)
    return Observations(
        vectors=rows(count, seed=seed) if vectors is None else vectors,
        terms=[f"asked{n}" for n in range(count)] if terms is None else terms,
        owners=np.array(owners, np.int64),
        labels=np.ones(count, np.int8) if labels is None else np.array(labels, np.int8),
        weights=np.ones(count, np.float32),
        queries=[f"query {n}" for n in range(count)] if queries is None else queries,
    )


def nothing_learnt(size: int) -> Learnt:
    """Return what lessons left of tools that nobody reported on."""
    return Learnt(None, CoUse(), np.zeros(size, np.float32))
