"""Measures of a ranked list against its gold, and bootstrap intervals of their means.

Numpy in, numpy out. Gains are binary. A question is reduced to `relevant`, one boolean a retrieved
turn, best first, and `gold`, the number of turns that should have been found.
"""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from agentmem.errors import InvalidInput

__all__ = [
    "all_at",
    "any_at",
    "bootstrap_ci",
    "measure",
    "ndcg_at",
    "precision_at",
    "recall_at",
    "reciprocal_rank",
    "relevance",
]

_RESAMPLES: Final = 2000  # percentile ends move by less than 0.001 beyond this on LoCoMo
_BLOCK: Final = 4_000_000  # weights drawn at once: 32 MB whatever the number of questions


def relevance(retrieved: Sequence[str], gold: AbstractSet[str]) -> NDArray[np.bool_]:
    """Mark which retrieved ids are gold; an id that comes again counts once.

    Args:
        retrieved: Ids, best first.
        gold: Ids that should be found.

    Returns:
        Booleans, shape (len(retrieved),).
    """
    first = {key: place for place, key in reversed(list(enumerate(retrieved)))}
    marks = np.zeros(len(retrieved), dtype=bool)
    marks[[first[key] for key in gold if key in first]] = True
    return marks


def recall_at(relevant: NDArray[np.bool_], *, gold: int, k: int) -> float:
    """Return fractional recall: the share of the gold that is in the first k."""
    return float(relevant[:k].sum() / gold)


def any_at(relevant: NDArray[np.bool_], *, k: int) -> float:
    """Return 1 if any gold is in the first k, else 0 (also called success or hit rate)."""
    return float(relevant[:k].any())


def all_at(relevant: NDArray[np.bool_], *, gold: int, k: int) -> float:
    """Return 1 if all gold is in the first k, else 0."""
    return float(relevant[:k].sum() == gold)


def precision_at(relevant: NDArray[np.bool_], *, k: int) -> float:
    """Return the share of the first k places that hold gold; empty places count as wrong."""
    return float(relevant[:k].sum() / k)


def reciprocal_rank(relevant: NDArray[np.bool_]) -> float:
    """Return one over the rank of the first gold, or 0 where none was retrieved."""
    return float(1 / (np.argmax(relevant) + 1)) if relevant.any() else 0.0


def ndcg_at(relevant: NDArray[np.bool_], *, gold: int, k: int) -> float:
    """Return normalised discounted cumulative gain (Järvelin and Kekäläinen, 2002) at k."""
    discounts = 1 / np.log2(np.arange(2, k + 2))
    found = discounts[: len(relevant)][relevant[:k]].sum()
    return float(found / discounts[:gold].sum())


def measure(
    retrieved: Sequence[str], gold: AbstractSet[str], *, ks: Sequence[int]
) -> dict[str, float]:
    """Measure one ranked list.

    Args:
        retrieved: Ids, best first, at least the largest k where there are so many.
        gold: Ids that should be found; not empty.
        ks: Depths, each 1 or more.

    Returns:
        `recall@k`, `any@k`, `all@k`, `ndcg@k` and `precision@k` at every depth, and `mrr` over
        the list as deep as it was retrieved.

    Raises:
        InvalidInput: There is no gold, or a depth is below 1.
    """
    if not gold or min(ks, default=0) < 1:
        raise InvalidInput("a question needs at least one gold id, and depths of 1 or more")
    relevant, size = relevance(retrieved, gold), len(gold)
    values = {f"recall@{k}": recall_at(relevant, gold=size, k=k) for k in ks}
    values |= {f"any@{k}": any_at(relevant, k=k) for k in ks}
    values |= {f"all@{k}": all_at(relevant, gold=size, k=k) for k in ks}
    values |= {f"ndcg@{k}": ndcg_at(relevant, gold=size, k=k) for k in ks}
    values |= {f"precision@{k}": precision_at(relevant, k=k) for k in ks}
    return values | {"mrr": reciprocal_rank(relevant)}


def bootstrap_ci(
    values: ArrayLike,
    *,
    groups: ArrayLike | None = None,
    level: float = 0.95,
    resamples: int = _RESAMPLES,
    seed: int = 0,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Bound the mean of each column by the percentile bootstrap (Efron, 1979).

    Args:
        values: One row a question, shape (n,) or (n, metrics), n at least 1.
        groups: A label a row where rows of one group are not independent, such as questions about
            one conversation: whole groups are drawn then. Default: every row on its own.
        level: Share of resampled means between the bounds.
        resamples: How many times the rows are drawn again, with replacement.
        seed: The same seed gives the same bounds.

    Returns:
        Lower and upper bounds, each of the shape of one row.
    """
    table = np.asarray(values, dtype=np.float64)
    labels = np.arange(len(table)) if groups is None else np.asarray(groups)
    _, member = np.unique(labels, return_inverse=True)
    sizes = np.bincount(member).astype(np.float64)
    sums = np.zeros((len(sizes), *table.shape[1:]))
    np.add.at(sums, member, table)

    generator = np.random.default_rng(seed)
    block = max(1, _BLOCK // len(sizes))
    means = [
        _resampled(sums, sizes=sizes, count=min(block, resamples - done), generator=generator)
        for done in range(0, resamples, block)
    ]
    tail = (1 - level) / 2
    low, high = np.quantile(np.concatenate(means), [tail, 1 - tail], axis=0)
    return low, high


def _resampled(
    sums: NDArray[np.float64],
    *,
    sizes: NDArray[np.float64],
    count: int,
    generator: np.random.Generator,
) -> NDArray[np.float64]:
    """Return `count` means, each over as many groups as there are, drawn with replacement."""
    shares = np.full(len(sizes), 1 / len(sizes))
    drawn = generator.multinomial(len(sizes), shares, size=count).astype(np.float64)
    totals = drawn @ sizes
    return (drawn @ sums) / totals.reshape(-1, *(1,) * (sums.ndim - 1))
