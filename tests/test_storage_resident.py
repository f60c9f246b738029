"""Columns in memory: always what the table holds, of the asked scope and no other."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from storage_tools import ADA, NOON, key_of, later, open_store, rows_of, turn, turns_at, vector_of

from agentmem.errors import ScopeRequired, StoreError
from agentmem.storage import resident as resident_module
from agentmem.storage.resident import Columns, Residents
from agentmem.storage.turns import Store
from agentmem.types import ALL, AllScopes, Scope, Turn

OWNERS = (None, "ada", "bob", "")
users = st.sampled_from(OWNERS)
scopes = st.just(ALL) | st.builds(Scope, users, users, users).filter(lambda s: not s.is_empty)
pieces_of = st.lists(st.sampled_from(["cat", "dog", "sun", "rain"]), min_size=1, max_size=3)


@dataclass
class Model:
    """What the store should hold: turns with their pieces, in order of arrival."""

    turns: dict[str, tuple[Turn, list[str]]] = field(default_factory=dict)

    def inside(self, scope: Scope | AllScopes) -> list[tuple[Turn, list[str]]]:
        return [both for both in self.turns.values() if lies_in(both[0], scope)]


def lies_in(one: Turn, scope: Scope | AllScopes) -> bool:
    if isinstance(scope, AllScopes):
        return True
    fields = ("user_id", "agent_id", "session_id")
    return all(getattr(scope, name) in (None, getattr(one, name)) for name in fields)


def microseconds(one: Turn) -> int:
    return round((one.event_time - NOON).total_seconds() * 1e6)


def check(columns: Columns, scope: Scope | AllScopes, model: Model, store: Store) -> None:
    """Compare the part of columns that lies in a scope with the model."""
    inside = columns.mask(scope)
    found = turns_at(store, columns.head_row[inside])
    expected = {key_of(one): (one, parts) for one, parts in model.inside(scope)}
    assert sorted(key_of(one) for one in found) == sorted(expected)
    assert found == [expected[key_of(one)][0] for one in found]

    sessions = columns.session[inside].tolist()
    triples = [one.scope for one in found]
    assert len(set(zip(sessions, triples, strict=True))) == len(set(sessions)) == len(set(triples))
    order = [
        (code, one.event_time, one.ingested_at) for code, one in zip(sessions, found, strict=True)
    ]
    assert order == sorted(order)

    noon = int(NOON.timestamp() * 1e6)
    assert (columns.event_time[inside] - noon).tolist() == [microseconds(one) for one in found]
    assert [columns.speakers[n] for n in columns.speaker[inside]] == [t.speaker for t in found]
    given = [np.nan if one.importance is None else one.importance for one in found]
    np.testing.assert_array_equal(columns.importance[inside], np.array(given, np.float32))

    fresh = Residents(store).columns(scope)
    if inside.all():
        for name in ("row_ids", "chunk_turn", "head_row"):
            np.testing.assert_array_equal(getattr(columns, name), getattr(fresh, name))
        np.testing.assert_array_equal(columns.vectors.codes, fresh.vectors.codes)
    assert columns.turns(np.flatnonzero(inside).tolist()) == found

    texts = texts_by_row(store)
    places = np.flatnonzero(inside)
    for place, one in zip(places, found, strict=True):
        chunks = np.flatnonzero(columns.chunk_turn == place)
        parts = expected[key_of(one)][1]
        vectors = columns.vectors[chunks]
        wanted = np.stack([vector_of(part) for part in parts])
        np.testing.assert_allclose(vectors, wanted, atol=5e-4)  # of float16
        assert [texts[row] for row in columns.row_ids[chunks].tolist()] == parts
        for term in ("cat", "dog", "sun", "rain"):
            holders, _ = columns.lexical.postings(term, size=len(columns.row_ids))
            count = sum(term == part for part in parts)
            assert len(set(holders.tolist()) & set(chunks.tolist())) == count


def texts_by_row(store: Store) -> dict[int, str]:
    read = store.scan(["_rowid", "text", "content"], scope=ALL, heads_only=False, batch_rows=999)
    rows = [row for batch in read for row in batch.to_pylist()]
    return {row["_rowid"]: row["text"] or row["content"] for row in rows}


class ResidentMachine(RuleBasedStateMachine):
    """Two handles write to one store; the columns of either must equal the model."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.stores = [open_store(Path(self.folder.name)) for _ in range(2)]
        self.residents = [Residents(self.stores[0]), Residents(self.stores[1], max_bytes=20_000)]
        self.model = Model()
        self.count = 0

    def teardown(self) -> None:
        self.folder.cleanup()

    def make(self, turn_id: str, parts: list[str], owner: tuple[str | None, ...], at: int) -> Turn:
        self.count += 1
        user, agent, session = owner
        return turn(
            turn_id,
            content=" ".join(parts) if len(parts) > 1 else parts[0],
            user_id=user,
            agent_id=agent,
            session_id=session,
            event_time=later(at),
            ingested_at=later(self.count * (-1) ** self.count),  # clocks of machines differ
            name=(None, "", "Ada")[self.count % 3],
            importance=(None, 0.25)[self.count % 2],
        )

    def put(self, one: Turn, parts: list[str]) -> None:
        self.model.turns[key_of(one)] = (one, parts)

    @rule(
        writer=st.integers(0, 1),
        batch=st.lists(
            st.tuples(pieces_of, st.tuples(users, users, users), st.integers(-3, 3)),
            min_size=1,
            max_size=4,
        ),
    )
    def append(
        self, writer: int, batch: list[tuple[list[str], tuple[str | None, ...], int]]
    ) -> None:
        made = [self.make(f"t{self.count}-{n}", *spec) for n, spec in enumerate(batch)]
        self.stores[writer].append(rows_of(made, pieces=[spec[0] for spec in batch]))
        for one, spec in zip(made, batch, strict=True):
            self.put(one, spec[0])

    @rule(
        writer=st.integers(0, 1),
        turn_id=st.sampled_from(["x", "y"]),
        parts=pieces_of,
        owner=st.tuples(users, users, users),
        at=st.integers(-3, 3),
    )
    def insert_absent(
        self, writer: int, turn_id: str, parts: list[str], owner: tuple[str | None, ...], at: int
    ) -> None:
        one = self.make(turn_id, parts, owner, at)
        self.stores[writer].insert_absent(rows_of([one], pieces=[parts]))
        if key_of(one) not in self.model.turns:
            self.put(one, parts)

    @rule(writer=st.integers(0, 1), data=st.data(), parts=pieces_of, at=st.integers(-3, 3))
    def replace(self, writer: int, data: st.DataObject, parts: list[str], at: int) -> None:
        if not self.model.turns:
            return
        key = data.draw(st.sampled_from(sorted(self.model.turns)))
        old = self.model.turns[key][0]
        new = self.make(old.id, parts, (old.user_id, old.agent_id, data.draw(users)), at)
        self.stores[writer].replace(
            self.stores[writer].revisions([key]), rows_of([new], pieces=[parts])
        )
        self.put(new, parts)

    @rule(writer=st.integers(0, 1), scope=scopes)
    def delete(self, writer: int, scope: Scope | AllScopes) -> None:
        doomed = [key_of(one) for one, _ in self.model.inside(scope)]
        assert self.stores[writer].delete(scope=scope) == len(doomed)
        for key in doomed:
            del self.model.turns[key]

    @rule(writer=st.integers(0, 1))
    def compact(self, writer: int) -> None:
        self.stores[writer].compact()

    @rule(reader=st.integers(0, 1), scope=scopes)
    def read(self, reader: int, scope: Scope | AllScopes) -> None:
        found = self.residents[reader].columns(scope)
        check(found, scope, self.model, self.stores[reader])
        assert found.version == self.stores[reader].version

    @invariant()
    def columns_equal_the_model(self) -> None:
        check(self.residents[0].columns(ALL), ALL, self.model, self.stores[0])
        for scope in (ADA, Scope(session_id="bob")):
            check(self.residents[1].columns(scope), scope, self.model, self.stores[1])


ResidentMachine.TestCase.settings = settings(max_examples=12, stateful_step_count=12, deadline=None)
test_columns_equal_a_plain_model_after_any_sequence_of_writes = ResidentMachine.TestCase


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = open_store(tmp_path / "store")
    store.append(rows_of([turn(f"t{n}", event_time=later(-n)) for n in range(4)]))
    return store


@contextmanager
def unread(store: Store, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Fail if rows are read from the store."""

    def read(*_: object) -> None:
        raise AssertionError

    with monkeypatch.context() as patch:
        patch.setattr(store, "at", read)
        yield


def test_unchanged_tables_are_not_read_again(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    residents = Residents(store)
    columns = residents.columns(ADA)
    with unread(store, monkeypatch):
        assert residents.columns(ADA) is columns
        assert residents.columns(Scope("ada", session_id="s")) is columns


def test_commits_elsewhere_keep_the_arrays_and_move_the_version(store: Store) -> None:
    residents = Residents(store)
    before = residents.columns(ADA)
    store.append(rows_of([turn("b", user_id="bob")]))
    after = residents.columns(ADA)
    assert after.version == store.version > before.version
    assert after.head_row is before.head_row
    assert after.vectors is before.vectors


def test_an_added_turn_moves_no_vectors_and_leaves_old_snapshots_alone(store: Store) -> None:
    residents = Residents(store)
    store.append(rows_of([turn("u")]))
    residents.columns(ADA)
    store.append(rows_of([turn("v")]))
    before = residents.columns(ADA)
    kept = before.vectors.codes.copy(), before.head_row.copy()
    store.append(rows_of([turn("w", event_time=later(-99))]))
    after = residents.columns(ADA)
    assert np.shares_memory(before.vectors.codes, after.vectors.codes)
    assert len(after.row_ids) == len(before.row_ids) + 1
    np.testing.assert_array_equal(before.vectors.codes, kept[0])
    np.testing.assert_array_equal(before.head_row, kept[1])
    assert len(before.lexical.postings("w", size=len(before.row_ids))[0]) == 0


def test_a_snapshot_cannot_be_written(store: Store) -> None:
    columns = Residents(store).columns(ADA)
    with pytest.raises(ValueError, match="read-only"):
        columns.vectors.codes[0] = 0


def test_a_narrower_scope_is_a_mask_on_a_wider_one(store: Store) -> None:
    store.append(rows_of([turn("s", session_id="s"), turn("b", user_id="bob", session_id="s")]))
    columns = Residents(store).columns(Scope("ada", session_id="s"))
    assert len(columns.head_row) == 5
    assert columns.mask(Scope("ada", session_id="s")).sum() == 1
    assert columns.mask(Scope("bob")).sum() == 0
    assert columns.mask(ALL).all()


def test_the_order_of_arrival_outlasts_turns_that_change_place(store: Store) -> None:
    scope = Scope(session_id="s")
    residents = Residents(store)
    store.append(rows_of([turn("first", session_id="s"), turn("last", session_id="s")]))
    residents.columns(scope)
    for moved in ("t1", "first"):
        store.replace(
            store.revisions([key_of(turn(moved))]), rows_of([turn(moved, session_id="s")])
        )
        for columns in (residents.columns(scope), Residents(store).columns(scope)):
            assert (columns.row_ids[1:] > columns.row_ids[:-1]).all()
    ids = [one.id for one in turns_at(store, residents.columns(scope).row_ids)]
    assert ids == ["t1", "first", "last"]


def test_chunks_follow_their_turn_s_order_whatever_order_they_were_stored_in(
    store: Store,
) -> None:
    rows = rows_of([turn("u", content="one two three")], pieces=[["one", "two", "three"]])
    store.append(rows.take([2, 1, 0]))
    columns = Residents(store).columns(ADA)
    expected = np.stack([vector_of(piece) for piece in ("one", "two", "three")])
    np.testing.assert_allclose(columns.vectors[-3:], expected, atol=1e-3)


def test_an_empty_scope_has_empty_columns(store: Store) -> None:
    columns = Residents(store).columns(Scope("nobody"))
    assert columns.vectors.shape == (0, 4)
    assert columns.mask(Scope("nobody")).tolist() == []
    assert columns.speakers == ()


def test_no_scope_is_no_reason_to_read_everything(store: Store) -> None:
    with pytest.raises(ScopeRequired):
        Residents(store).columns(Scope())


def test_the_scopes_read_longest_ago_are_forgotten_first(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.append(rows_of([turn("b", user_id="bob"), turn("c", user_id="cy")]))
    one = Residents(store)
    one.columns(Scope("bob"))
    residents = Residents(store, max_bytes=int(2.5 * one.nbytes))
    for user in ("bob", "cy", "bob", "dan"):
        residents.columns(Scope(user))
    assert residents.nbytes <= 2.5 * one.nbytes
    with unread(store, monkeypatch):
        residents.columns(Scope("bob"))
        residents.columns(Scope("dan"))
        with pytest.raises(AssertionError):
            residents.columns(Scope("cy"))


def test_a_scope_beyond_the_budget_is_read_and_not_kept(store: Store) -> None:
    residents = Residents(store, max_bytes=100)
    assert len(residents.columns(ADA).head_row) == 4
    assert residents.nbytes == 0


def test_a_failed_read_is_made_up_for_by_the_next(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    residents = Residents(store)
    residents.columns(ADA)
    store.append(rows_of([turn("late")]))
    with monkeypatch.context() as patch:
        patch.setattr(resident_module, "matrix", lambda _: (_ for _ in ()).throw(StoreError("no")))
        with pytest.raises(StoreError):
            residents.columns(ADA)
    columns = residents.columns(ADA)
    assert len(columns.head_row) == len(columns.row_ids) == 5


def test_threads_that_read_while_others_write_see_whole_snapshots(store: Store) -> None:
    residents = Residents(store)

    def write(n: int) -> None:
        store.append(rows_of([turn(f"w{n}", content="one two")], pieces=[["one", "two"]]))

    def read(_: int) -> int:
        columns = residents.columns(ADA)
        assert len(columns.vectors) == len(columns.chunk_turn) == len(columns.row_ids)
        assert np.bincount(columns.chunk_turn).tolist().count(2) == len(columns.head_row) - 4
        np.testing.assert_allclose(np.linalg.norm(columns.vectors[:], axis=1), 1, rtol=1e-3)
        return len(columns.head_row)

    with ThreadPoolExecutor(6) as pool:
        writes = [pool.submit(write, n) for n in range(20)]
        sizes = list(pool.map(read, range(60)))
        for done in writes:
            done.result()
    assert max(sizes) <= 24
    assert read(0) == 24
