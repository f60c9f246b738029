"""How well a store's search still finds: approximate against exact, and neighbours then and now.

A few searches of a bounded sample, through LanceDB's own index and without it, which give
similarities. Nothing is written.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
from lancedb.table import Table
from numpy.typing import NDArray

from agentmem.storage.arrow import matrix, strings
from agentmem.storage.quoting import both, literal
from agentmem.storage.reads import Reads
from agentmem.storage.sql import HEADS, keys_sql

__all__ = [
    "IndexRecall",
    "Neighbours",
    "Probe",
    "draw_probes",
    "index_recall",
    "neighbours",
    "read_probes",
    "unchanged_keys",
]

VECTOR: Final = "vector"
EXACT_ROWS: Final = 4_000_000  # compared by all exact searches together; about 4 s
MOST_QUERIES: Final = 50  # of 10 neighbours each: a standard error of about .01 at recall .9
LEAST_QUERIES: Final = 5
SAME: Final = 1e-6  # of similarities: twins of the tenth neighbour are as good
DRAWN_ROWS: Final = 1_000  # among which probes are looked for; one in ten turns asks
ASKING: Final = ("?", "\uff1f", "\u061f", "\u037e")  # in Latin, Chinese, Arabic and Greek

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class IndexRecall:
    """What an approximate search finds of what an exact one does.

    Attributes:
        recall: Mean share of the exact k nearest, ties among them counted as found; NaN where
            there were no rows to search for.
        queries: Searches that were compared.
        kind: Of the index, such as `IVF_SQ`.
        rows: Of the table.
        unindexed: Rows that the index does not cover, and every search has to scan.
    """

    recall: float
    queries: int
    kind: str
    rows: int
    unindexed: int


@dataclass(frozen=True, slots=True)
class Probe:
    """A question that somebody asked, and whose turns it is asked of.

    Attributes:
        key: Of the turn.
        text: The question.
        user_id: Whose turns.
    """

    key: str
    text: str
    user_id: str | None


@dataclass(frozen=True, slots=True)
class Neighbours:
    """The turns nearest to a probe: their keys and similarities, nearest first."""

    keys: tuple[str, ...]
    similarities: tuple[float, ...]


def index_recall(store: Reads, *, k: int, rng: np.random.Generator) -> IndexRecall | None:
    """Measure the vector index by searching for stored vectors, with it and without.

    The recall of approximate search as ann-benchmarks counts it (Aumüller, Bernhardsson &
    Faithfull, 2018): by similarity, so that one of several equals counts as well as another.

    Args:
        store: Whose index.
        k: How many neighbours, beside the vector itself.
        rng: Draws the vectors.

    Returns:
        None where there is no vector index: every search is exact then.

    Raises:
        StoreError: The store could not be read.
    """
    with store.pinned() as table:
        found = [one for one in table.list_indices() if list(one.columns) == [VECTOR]]
        stats = table.index_stats(found[0].name) if found else None
        if stats is None:
            return None
        count, metric = int(table.count_rows()), stats.distance_type or "l2"
        queries = _drawn(table, count=_affordable(count), columns=[VECTOR], rng=rng)
        vectors = matrix(queries[VECTOR])
        shares = [_share(table, one, metric=metric, k=k) for one in vectors]
    return IndexRecall(
        recall=float(np.mean(shares)) if shares else float("nan"),
        queries=len(shares),
        kind=str(stats.index_type),
        rows=count,
        unindexed=int(stats.num_unindexed_rows),
    )


def draw_probes(store: Reads, *, probes: int, rng: np.random.Generator) -> list[Probe]:
    """Draw turns in which a user asks something; few, or none, where users seldom ask.

    Raises:
        StoreError: The store could not be read.
    """
    columns = ["key", "chunk", "role", "content", "user_id"]
    with store.pinned() as table:
        rows = _drawn(table, count=DRAWN_ROWS, columns=columns, rng=rng)
    asking = [
        Probe(row["key"], row["content"], row["user_id"])
        for row in rows.to_pylist()
        if row["chunk"] == 0 and row["role"] == "user" and _asks(row["content"])
    ]
    return asking[:probes]


def read_probes(store: Reads, keys: Iterable[str], *, written_by: int) -> list[Probe]:
    """Return those of these turns that nobody wrote after a revision, in that order.

    Raises:
        StoreError: The store could not be read.
    """
    wanted = list(keys)
    rows = _unchanged(store, wanted, written_by=written_by, columns=["key", "content", "user_id"])
    found = {row["key"]: row for row in rows.to_pylist()}
    there = [found[key] for key in wanted if key in found]
    return [Probe(row["key"], row["content"], row["user_id"]) for row in there]


def unchanged_keys(store: Reads, keys: Iterable[str], *, written_by: int) -> set[str]:
    """Return those of these turns that are there, and that nobody wrote after a revision.

    Raises:
        StoreError: The store could not be read.
    """
    return set(strings(_unchanged(store, keys, written_by=written_by, columns=["key"])["key"]))


def neighbours(
    store: Reads, probes: Sequence[Probe], *, vectors: Floats, written_by: int, k: int
) -> list[Neighbours]:
    """Search exactly among the turns that each probe's user had at a revision.

    Args:
        store: What to search.
        probes: Whose turns; a probe does not find itself.
        vectors: Of the probes as queries, unit rows, shape (len(probes), D).
        written_by: A revision: turns written later are not searched.
        k: How many neighbours.

    Raises:
        StoreError: The store could not be read.
    """
    usable = f"passport = {literal(store.passport.id)}"
    found = []
    with store.pinned() as table:
        for probe, vector in zip(probes, vectors, strict=True):
            condition = both(
                _of_user(probe.user_id),
                HEADS,
                f"rev <= {written_by:d}",
                usable,
                f"key <> {literal(probe.key)}",
            )
            query = _searching(table, vector, metric="cosine").bypass_vector_index()
            rows = query.where(condition).limit(k).select(["key", "_distance"]).to_arrow()
            similarities = 1 - rows["_distance"].to_numpy().astype(float)
            found.append(Neighbours(tuple(strings(rows["key"])), tuple(similarities.tolist())))
    return found


def _unchanged(
    store: Reads, keys: Iterable[str], *, written_by: int, columns: Sequence[str]
) -> pa.Table:
    condition = both(keys_sql(keys), HEADS, f"rev <= {written_by:d}")
    with store.pinned() as table:
        return table.search().where(condition).select(list(columns)).to_arrow()


def _drawn(
    table: Table, *, count: int, columns: Sequence[str], rng: np.random.Generator
) -> pa.Table:
    """Return random rows of a table."""
    rows = int(table.count_rows())
    offsets = np.sort(rng.choice(rows, size=min(count, rows), replace=False))
    if not len(offsets):
        return table.search().where("false").select(list(columns)).to_arrow()
    return table.take_offsets(offsets.tolist()).select(list(columns)).to_arrow()


def _affordable(rows: int) -> int:
    """Return how many exact searches to make."""
    return int(np.clip(EXACT_ROWS // max(rows, 1), LEAST_QUERIES, MOST_QUERIES))


def _share(table: Table, vector: Floats, *, metric: str, k: int) -> float:
    """Return which share of the exact neighbours of a stored vector the index finds."""
    query = _searching(table, vector, metric=metric).limit(k + 1)
    exact = _similarities(query.bypass_vector_index(), vector)
    found = _similarities(_searching(table, vector, metric=metric).limit(k + 1), vector)
    if len(exact) < 2:  # noqa: PLR2004 - itself alone
        return 1.0
    itself = int((found >= exact[0] - SAME).any())
    return min((int((found >= exact[-1] - SAME).sum()) - itself) / (len(exact) - 1), 1.0)


def _similarities(query: Any, vector: Floats) -> Floats:
    """Return the true similarities of what a search found, the highest first."""
    rows = matrix(query.select([VECTOR, "_distance"]).to_arrow()[VECTOR])
    return np.sort(rows @ vector)[::-1]


def _searching(table: Table, vector: Floats, *, metric: str) -> Any:
    """Begin a search; unit vectors have the same order by every metric."""
    query: Any = table.search(vector, vector_column_name=VECTOR)
    return query.distance_type(metric)


def _of_user(user_id: str | None) -> str:
    return "user_id IS NULL" if user_id is None else f"user_id = {literal(user_id)}"


def _asks(text: str | None) -> bool:
    return text is not None and text.rstrip().endswith(ASKING)
