"""What searches find: through an index and without, then and now."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from check_tools import DIMENSION, EMBEDDER, Session, said, session, store_sessions, unit, watched
from lancedb.index import IvfFlat
from storage_tools import NOON

from agentmem.monitoring.watched import Watched
from agentmem.storage.probing import (
    Probe,
    draw_probes,
    index_recall,
    neighbours,
    read_probes,
    unchanged_keys,
)
from agentmem.storage.reads import Reads
from agentmem.storage.rows import revision
from agentmem.storage.schema import turn_key

AFTER = revision(NOON + timedelta(hours=1))
RNG = np.random.default_rng(0)


def store_of(one: Watched) -> Reads:
    assert one.store is not None
    return one.store


def key(number: int, place: int = 0) -> str:
    return turn_key(f"{number}-{place}", user_id=f"user {number % 5}", agent_id=None)


def scattered(number: int, *, rows: int, seed: int) -> Session:
    """Return a session of vectors that lie everywhere, which an index of cells finds badly."""
    vectors = unit(np.random.default_rng(seed).standard_normal((rows, DIMENSION)))
    return session(number, texts=[f"text {n}" for n in range(rows)], vectors=vectors)


def index(one: Watched, *, partitions: int) -> None:
    """Make a vector index by LanceDB's own call."""
    opened = store_of(one)._opened
    table = opened.db.open_table(opened.table("turns"))
    table.create_index("vector", config=IvfFlat(distance_type="cosine", num_partitions=partitions))


def test_without_a_vector_index_every_search_is_exact(tmp_path: Path) -> None:
    one = watched(tmp_path)
    store_sessions(one, [said(1, "a", "b")])
    assert index_recall(store_of(one), k=10, rng=RNG) is None


def test_an_index_of_one_cell_finds_all(tmp_path: Path) -> None:
    one = watched(tmp_path)
    store_sessions(one, [scattered(1, rows=600, seed=1)])
    index(one, partitions=1)
    found = index_recall(store_of(one), k=10, rng=RNG)
    assert found is not None
    assert (found.recall, found.queries, found.rows, found.unindexed) == (1, 50, 600, 0)
    assert found.kind == "IVF_FLAT"


def test_an_index_of_many_cells_misses_some_and_says_what_it_does_not_cover(
    tmp_path: Path,
) -> None:
    one = watched(tmp_path)
    store_sessions(one, [scattered(1, rows=3_000, seed=1)])
    index(one, partitions=300)
    store_sessions(one, [scattered(2, rows=50, seed=2)])
    found = index_recall(store_of(one), k=10, rng=RNG)
    assert found is not None
    assert 0.1 < found.recall < 0.9
    assert (found.rows, found.unindexed) == (3_050, 50)


def test_twins_count_as_well_as_each_other(tmp_path: Path) -> None:
    one = watched(tmp_path)
    twins = np.repeat(scattered(1, rows=20, seed=1).vectors, 30, axis=0)
    store_sessions(one, [session(1, texts=[f"text {n}" for n in range(600)], vectors=twins)])
    index(one, partitions=1)
    found = index_recall(store_of(one), k=10, rng=RNG)
    assert found is not None
    assert found.recall == 1


def test_probes_are_what_users_asked(tmp_path: Path) -> None:
    one = watched(tmp_path)
    store_sessions(one, [said(1, "Where is the cat?", "Is it?", "On the mat.", "ok", "猫\uff1f")])
    found = draw_probes(store_of(one), probes=10, rng=RNG)
    assert [(probe.text, probe.user_id) for probe in found] == [
        ("Where is the cat?", "user 1"),
        ("猫\uff1f", "user 1"),
    ]


def test_neighbours_are_of_the_same_user_and_no_younger_than_asked(tmp_path: Path) -> None:
    one = watched(tmp_path)
    store_sessions(one, [said(1, "the cat sat", "the dog ran"), said(2, "the cat sat")])
    later = NOON + timedelta(hours=2)
    store_sessions(one, [said(6, "the cat sat down")], written=later)  # of user 1 as well
    probe = Probe(key(1), "the cat sat", "user 1")
    vectors = EMBEDDER.embed([probe.text], kind="query")
    store = store_of(one)
    then = neighbours(store, [probe], vectors=vectors, written_by=AFTER, k=10)
    now = neighbours(store, [probe], vectors=vectors, written_by=revision(later) + 256, k=10)
    assert then[0].keys == (key(1, 1),)
    assert now[0].keys == (key(6), key(1, 1))
    assert now[0].similarities[0] == pytest.approx(
        float(vectors[0] @ EMBEDDER.embed(["the cat sat down"], kind="document")[0]), abs=1e-5
    )


def test_what_was_replaced_or_deleted_is_not_unchanged(tmp_path: Path) -> None:
    one = watched(tmp_path)
    store_sessions(one, [said(n, f"is it {n}?") for n in (1, 2, 3)])
    store = store_of(one)
    keys = [key(3), key(2), key(1), "gone"]
    assert [probe.text for probe in read_probes(store, keys, written_by=AFTER)] == [
        "is it 3?",
        "is it 2?",
        "is it 1?",
    ]
    other = watched(tmp_path)
    with store.pinned() as table:
        stored = table.search().where("id = '2-0'").to_arrow()
    rewritten = stored.set_column(
        stored.schema.get_field_index("rev"), stored.schema.field("rev"), [[AFTER + 1]]
    )
    other.store.replace(other.store.revisions([key(2)]), rewritten)  # type: ignore[union-attr]
    assert unchanged_keys(store, keys, written_by=AFTER) == {key(1), key(3)}
    assert read_probes(store, [key(2)], written_by=AFTER + 1)[0].text == "is it 2?"
