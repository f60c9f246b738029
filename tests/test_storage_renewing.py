"""Rows made anew where they are: only of the write that was read, with more or fewer pieces."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from storage_tools import ADA, NOON, PASSPORT, later, turn

from agentmem import StoreError
from agentmem.storage.renewing import Renewal
from agentmem.storage.rows import SALT_BITS, Stamps
from agentmem.storage.schema import turn_key, turn_rows
from agentmem.storage.turns import Store
from agentmem.types import ALL, Turn

FIRST, SECOND = 1 << SALT_BITS, 2 << SALT_BITS


def key_of(one: Turn) -> str:
    return turn_key(one.id, user_id=one.user_id, agent_id=one.agent_id)


def made(one: Turn, *, rev: int, pieces: int = 1, towards: int = 0, passport: str = "") -> pa.Table:
    """Rows of a turn, all of whose vectors point one way."""
    vectors = np.zeros((pieces, PASSPORT.dimension), np.float32)
    vectors[:, towards] = 1
    texts = [f"piece {n}" for n in range(pieces)] if pieces > 1 else [one.content]
    stamps = Stamps([rev], [passport])
    return turn_rows([one], pieces=[texts], lexemes=texts, vectors=vectors, stamps=stamps)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(tmp_path, passport=PASSPORT)


def renewal(store: Store) -> Renewal:
    return store.watching.renewals()["turns"]


def vectors(store: Store, one: Turn) -> Sequence[int]:
    """The way each chunk of a turn points."""
    found: list[int] = store.vectors_by_key([key_of(one)])[key_of(one)].argmax(axis=1).tolist()
    return found


def test_stale_rows_are_those_of_another_space_or_of_none(store: Store) -> None:
    turns = [turn("fresh"), turn("blank"), turn("other")]
    passports = [PASSPORT.id, "", "0123456789abcdef"]
    for one, passport in zip(turns, passports, strict=True):
        store.append(made(one, rev=FIRST, pieces=2, passport=passport))
    there = renewal(store)
    assert set(there.stale(["id"])["id"].to_pylist()) == {"blank", "other"}
    assert there.count() == 3
    assert there.passport_id == PASSPORT.id


def test_rows_of_the_write_that_was_read_are_replaced(store: Store) -> None:
    store.append(made(turn(), rev=FIRST))
    heads = renewal(store).read([key_of(turn()), "no such key"])
    assert heads.num_rows == 1
    assert "vector" not in heads.column_names
    fresh = made(turn(), rev=heads["rev"][0].as_py(), towards=2, passport=PASSPORT.id)
    assert renewal(store).put(fresh) == []
    assert vectors(store, turn()) == [2]
    assert renewal(store).stale(["id"]).num_rows == 0
    assert store.page(scope=ALL, limit=9) == [turn()]


def test_a_turn_that_was_replaced_meanwhile_stays_as_it_is(store: Store) -> None:
    store.append(made(turn(), rev=FIRST))
    newer = replace(turn(), content="said anew")
    store.replace(store.revisions([key_of(turn())]), made(newer, rev=SECOND, towards=1))
    assert renewal(store).put(made(turn(), rev=FIRST, towards=2)) == [key_of(turn())]
    assert vectors(store, turn()) == [1]
    assert store.page(scope=ALL, limit=9) == [newer]


@pytest.mark.parametrize("pieces", [1, 3])
def test_a_turn_that_was_deleted_meanwhile_does_not_come_back(store: Store, pieces: int) -> None:
    store.append(made(turn(), rev=FIRST))
    store.append(made(turn("stays"), rev=FIRST))
    store.delete(scope=ADA, since=NOON, until=later(1))
    fresh = made(turn(), rev=FIRST, pieces=pieces, towards=2)
    assert renewal(store).put(fresh) == [key_of(turn())]
    assert store.count(scope=ALL) == 0
    with store.pinned() as table:
        assert table.count_rows() == 0


@pytest.mark.parametrize(("before", "after"), [(1, 3), (3, 1), (2, 2), (4, 2)])
def test_a_turn_may_be_in_more_or_fewer_pieces_than_before(
    store: Store, before: int, after: int
) -> None:
    other = turn("other")
    store.append(made(turn(), rev=FIRST, pieces=before))
    store.append(made(other, rev=FIRST, pieces=2))
    assert renewal(store).put(made(turn(), rev=FIRST, pieces=after, towards=3)) == []
    assert vectors(store, turn()) == [3] * after
    assert vectors(store, other) == [0, 0]
    with store.pinned() as table:
        rows = table.search().where(f"key = '{key_of(turn())}'").to_arrow()
    assert rows.num_rows == after
    assert set(rows["chunk"].to_pylist()) == {*range(after)}
    assert set(rows["chunks"].to_pylist()) == {after}
    assert set(rows["rev"].to_pylist()) == {FIRST}


def test_pieces_beside_a_turn_that_changes_meanwhile_are_taken_back(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.append(made(turn(), rev=FIRST))
    there, lost = renewal(store), Renewal._lost
    newer, looks = replace(turn(), content="said anew"), []

    def meanwhile(self: Renewal, rows: pa.Table) -> set[str]:
        looks.append(rows.num_rows)
        if len(looks) == 2:  # after the pieces were added, and before it is looked whose they are
            store.replace(store.revisions([key_of(turn())]), made(newer, rev=SECOND, towards=1))
            store.append(made(turn(), rev=FIRST, pieces=3)[2:])
        return lost(self, rows)

    monkeypatch.setattr(Renewal, "_lost", meanwhile)
    there.put(made(turn(), rev=FIRST, pieces=3, towards=2))
    assert vectors(store, turn()) == [1]


def test_replaced_texts_are_counted_also_after_compaction(store: Store) -> None:
    def count(since: int) -> int:
        return int(renewal(store).replaced(["id"], since=since).num_rows)

    for number in range(4):
        store.append(made(turn(f"t{number}"), rev=FIRST))
    assert count(0) == 0
    for number in range(2):
        one = turn(f"t{number}")
        store.replace(store.revisions([key_of(one)]), made(one, rev=SECOND))
    assert count(0) == 2
    store.compact()
    assert (count(0), count(SECOND), count(SECOND + 1)) == (2, 2, 0)


def test_a_store_has_the_holdings_that_were_made(store: Store) -> None:
    assert [*store.watching.renewals()] == ["turns"]


def test_a_read_only_store_is_not_written_to(tmp_path: Path, store: Store) -> None:
    store.append(made(turn(), rev=FIRST))
    reader = Store.open(tmp_path, passport=PASSPORT, read_only=True)
    with pytest.raises(StoreError, match="read_only"):
        renewal(reader).put(made(turn(), rev=FIRST))
