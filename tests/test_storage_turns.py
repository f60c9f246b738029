"""The store: each write is one commit, each read sees the newest, and whole turns come and go."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from storage_tools import (
    ADA,
    HOSTILE,
    key_of,
    later,
    open_store,
    rows_of,
    run_python,
    turn,
    turns_at,
    vector_of,
)

from agentmem.errors import ScopeRequired, StoreError
from agentmem.filters import field
from agentmem.storage.handle import COMPACT_AFTER
from agentmem.storage.turns import Store
from agentmem.types import ALL, Scope, Turn

LONG = {"a": ["one", "two", "three"], "b": ["uno", "dos"]}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(tmp_path / "store")


def long_turn(turn_id: str, pieces: list[str], **changes: Any) -> tuple[Turn, Any]:
    """Return a turn of several pieces, and its rows."""
    one = turn(turn_id, content=" ".join(pieces), **changes)
    return one, rows_of([one], pieces=[pieces])


def chunk_count(store: Store) -> int:
    return store.stats().chunks


def test_what_was_appended_is_read_by_row_by_key_and_by_page(store: Store) -> None:
    turns = [turn(f"t{n}", content=text, event_time=later(n)) for n, text in enumerate(HOSTILE)]
    store.append(rows_of(turns))
    assert store.page(scope=ADA, limit=len(turns)) == turns
    assert store.turns_by_key([key_of(t) for t in turns]) == {key_of(t): t for t in turns}
    rows = store.matching_row_ids(scope=ADA, where=field("id") == "t7")
    assert turns_at(store, rows) == [turns[7]]


def test_rows_come_in_the_order_asked_and_those_that_are_gone_are_left_out(store: Store) -> None:
    store.append(rows_of([turn(f"t{n}") for n in range(5)]))
    rows = store.matching_row_ids(scope=ADA)
    shuffled = [int(rows[n]) for n in (3, 0, 4, 1)]
    store.delete(scope=ADA, where=field("id") == "t4")
    assert [t.id for t in turns_at(store, [*shuffled, 10**9])] == ["t3", "t0", "t1"]
    assert set(store.turns_by_row(shuffled)) == set(shuffled) - {int(rows[4])}
    assert turns_at(store, []) == []


def test_another_handle_s_writes_are_seen_at_once(store: Store) -> None:
    other = open_store(Path(store.name))
    before = other.version
    store.append(rows_of([turn()]))
    assert other.version > before
    assert other.count(scope=ADA) == 1


def test_keys_that_are_taken_are_not_stored_again(store: Store) -> None:
    first, second = turn("a"), turn("b")
    store.append(rows_of([first]))
    assert store.insert_absent(rows_of([first, second])) == []
    assert store.count(scope=ADA) == 2
    changed = turn("a", content="something else")
    assert store.insert_absent(rows_of([changed])) == [key_of(changed)]
    assert store.turns_by_key([key_of(first)]) == {key_of(first): first}


@pytest.mark.parametrize(("winner", "loser"), [("a", "b"), ("b", "a")])
def test_a_long_turn_that_loses_a_race_leaves_no_pieces(
    store: Store, winner: str, loser: str
) -> None:
    kept, rows = long_turn("x", LONG[winner])
    store.append(rows)
    lost, rows = long_turn("x", LONG[loser])
    other = turn("y")
    both = rows_of([lost, other], pieces=[LONG[loser], [other.content]])
    assert store.insert_absent(both) == [key_of(lost)]
    assert store.turns_by_key([key_of(lost)]) == {key_of(kept): kept}
    assert chunk_count(store) == len(LONG[winner]) + 1


@pytest.mark.parametrize(("old", "new"), [("a", "b"), ("b", "a"), ("a", "a")])
def test_replacing_a_turn_replaces_all_of_its_pieces_in_one_commit(
    store: Store, old: str, new: str
) -> None:
    before, rows = long_turn("x", LONG[old])
    store.append(rows)
    store.append(rows_of([turn("untouched")]))
    after, rows = long_turn("x", LONG[new], role="assistant")
    version = store.version
    assert store.replace(store.revisions([key_of(before)]), rows) == []
    assert store.version == version + 1
    assert store.turns_by_key([key_of(before)]) == {key_of(after): after}
    assert chunk_count(store) == len(LONG[new]) + 1
    vectors = store.vectors_by_key([key_of(after)])[key_of(after)]
    np.testing.assert_array_equal(vectors, [vector_of(piece) for piece in LONG[new]])


def test_replacing_by_nothing_deletes_and_new_turns_may_come_along(store: Store) -> None:
    old, new = turn("old"), turn("new")
    store.append(rows_of([old]))
    store.replace(store.revisions([key_of(old)]), rows_of([new]))
    assert store.page(scope=ADA, limit=9) == [new]


def test_a_piece_of_a_long_turn_is_read_by_its_row(store: Store) -> None:
    _, rows = long_turn("x", LONG["a"])
    store.append(rows)
    store.append(rows_of([turn("short", content="whole")]))
    batches = list(store.scan(["_rowid", "id", "chunk"], scope=ADA, heads_only=False, batch_rows=9))
    found = [row for batch in batches for row in batch.to_pylist()]
    texts = {(row["id"], row["chunk"]): store.chunk_text(row["_rowid"]) for row in found}
    assert texts == {
        ("x", 0): "one",
        ("x", 1): "two",
        ("x", 2): "three",
        ("short", 0): "whole",
    }
    assert store.chunk_text(10**9) is None


@pytest.mark.parametrize(
    "where",
    [
        None,
        field("content").contains("two"),
        field("content") != "uno dos",
        field("role") == "tool",
    ],
)
def test_a_delete_takes_whole_turns_and_no_others(store: Store, where: Any) -> None:
    doomed, rows = long_turn("x", LONG["a"], role="tool")
    store.append(rows)
    kept, rows = long_turn("y", LONG["b"], user_id="ada" if where is not None else "bob")
    store.append(rows)
    assert store.delete(scope=ADA, where=where) == 1
    assert store.page(scope=ALL, limit=9) == [kept]
    assert chunk_count(store) == len(LONG["b"])
    assert store.delete(scope=ADA, where=field("id") == doomed.id) == 0


def test_a_delete_is_bounded_by_time_and_needs_a_scope(store: Store) -> None:
    store.append(rows_of([turn(f"t{n}", event_time=later(n)) for n in range(5)]))
    with pytest.raises(ScopeRequired):
        store.delete(scope=Scope())
    assert store.delete(scope=ADA, since=later(1), until=later(3)) == 2
    assert [t.id for t in store.page(scope=ADA, limit=9)] == ["t0", "t3", "t4"]
    assert store.delete(scope=ALL) == 3


def test_pages_follow_the_conversation_and_add_up(store: Store) -> None:
    turns = [
        turn(f"t{n}", event_time=later(n // 3), ingested_at=later(100 - n % 3)) for n in range(10)
    ]
    store.append(rows_of(turns[5:]))
    store.append(rows_of(turns[:5]))
    expected = sorted(turns, key=lambda t: (t.event_time, t.ingested_at, t.id))
    pages = [store.page(scope=ADA, offset=offset, limit=4) for offset in (0, 4, 8, 12)]
    assert [len(page) for page in pages] == [4, 4, 2, 0]
    assert [one for page in pages for one in page] == expected
    assert store.page(scope=ADA, where=field("id") == "t3", limit=1) == [turns[3]]


def test_counts_and_sessions_are_those_of_the_scope(store: Store) -> None:
    _, rows = long_turn("x", LONG["a"], session_id="s1", event_time=later(5))
    store.append(rows)
    store.append(
        rows_of(
            [
                turn("y", session_id="s1", event_time=later(1)),
                turn("z", event_time=later(9)),
                turn("x", user_id="bob", session_id="s1"),
                turn("x", user_id=None, agent_id="helper"),
            ]
        )
    )
    assert store.count(scope=ADA) == 3
    assert store.count(scope=ADA, where=field("content").contains("two")) == 1
    assert store.count(scope=ALL, since=later(1), until=later(5)) == 1
    listed = store.sessions(scope=ADA)
    assert [(s.session_id, s.turns, s.first, s.last) for s in listed] == [
        ("s1", 2, later(1), later(5)),
        (None, 1, later(9), later(9)),
    ]
    assert len(store.sessions(scope=ALL)) == 4
    stats = store.stats()
    assert (stats.turns, stats.chunks, stats.sessions, stats.users) == (5, 7, 4, 2)
    assert stats.table_version == store.version
    assert stats.bytes is not None
    assert stats.bytes > 1000


def test_a_scan_sees_one_version_while_others_write(store: Store) -> None:
    store.append(rows_of([turn(f"t{n}") for n in range(20)]))
    scan = store.scan_turns(scope=ADA, batch_turns=4)
    first = next(scan)
    store.delete(scope=ADA)
    store.append(rows_of([turn("new")]))
    rest = [t for batch in scan for t in batch]
    assert {t.id for t in [*first, *rest]} == {f"t{n}" for n in range(20)}
    assert len(first) <= 4


def test_a_pinned_table_stays_as_it_was(store: Store) -> None:
    with store.pinned() as table:
        store.append(rows_of([turn()]))
        assert table.count_rows() == 0
        assert table.version < store.version


def test_an_empty_store_answers_every_read(store: Store) -> None:
    assert store.page(scope=ALL, limit=5) == []
    assert store.sessions(scope=ALL) == []
    assert store.count(scope=ALL) == 0
    assert list(store.scan_turns(scope=ALL, batch_turns=5)) == []
    assert store.matching_row_ids(scope=ALL).dtype == np.uint64
    assert store.turns_by_key([]) == {}
    assert store.vectors_by_key([]) == {}
    assert store.stats().turns == 0


def test_many_keys_are_looked_up_in_one_call(store: Store) -> None:
    store.append(rows_of([turn("last")]))
    keys = [f"{n:032x}" for n in range(25_000)] + [key_of(turn("last"))]
    assert list(store.turns_by_key(keys)) == keys[-1:]


def test_small_commits_are_compacted_and_row_ids_stay(store: Store) -> None:
    store.append(rows_of([turn("first")]))
    row = store.matching_row_ids(scope=ADA)
    for n in range(1, COMPACT_AFTER):
        assert store.stats().fragments == n
        store.append(rows_of([turn(f"t{n}")]))
    assert store.stats().fragments == 1
    assert turns_at(store, row) == [turn("first")]


def test_processes_that_write_once_leave_a_compact_table(tmp_path: Path) -> None:
    for n in range(COMPACT_AFTER):
        visitor = open_store(tmp_path)
        visitor.append(rows_of([turn(f"t{n}")]))
        visitor.close()
    assert open_store(tmp_path).stats().fragments == 1


@pytest.mark.parametrize(
    "write",
    [
        lambda store: store.append(rows_of([turn("new")])),
        lambda store: store.insert_absent(rows_of([turn("new")])),
        lambda store: store.replace({}, rows_of([turn("new")])),
        lambda store: store.delete(scope=ALL),
    ],
)
def test_a_read_only_handle_refuses_every_write(
    store: Store, write: Callable[[Store], object]
) -> None:
    store.append(rows_of([turn()]))
    version = store.version
    reader = open_store(Path(store.name), read_only=True)
    with pytest.raises(StoreError, match="read_only=True"):
        write(reader)
    reader.compact()
    reader.close()
    assert store.version == version


def test_a_closed_store_says_so(store: Store) -> None:
    store.close()
    store.close()
    with pytest.raises(StoreError, match=r"closed.*open it again"):
        store.count(scope=ALL)
    with pytest.raises(StoreError, match="closed"):
        store.append(rows_of([turn()]))


def test_lost_files_are_reported_and_do_not_break_maintenance(store: Store) -> None:
    store.append(rows_of([turn()]))
    shutil.rmtree(Path(store.name) / "turns_g1.lance")
    with pytest.raises(StoreError, match=r"missing.*backup"):
        store.page(scope=ALL, limit=1)
    store.compact()
    store.close()


FORKED = """
import os, sys, warnings
warnings.simplefilter("ignore", DeprecationWarning)  # of forking with threads, which is the point
from agentmem.errors import StoreError
from storage_tools import ADA, open_store, rows_of, turn
store = open_store(sys.argv[1])
if os.fork() == 0:
    for use in (lambda: store.count(scope=ADA), lambda: store.append(rows_of([turn()]))):
        try:
            use()
        except StoreError as error:
            assert "spawn" in str(error)
        else:
            os._exit(1)
    store.close()
    os._exit(7)
assert os.waitstatus_to_exitcode(os.wait()[1]) == 7
store.append(rows_of([turn()]))
print(store.count(scope=ADA), end="")
"""


def test_use_after_fork_is_refused_in_the_child_and_harmless_to_the_parent(tmp_path: Path) -> None:
    assert run_python(FORKED, tmp_path) == "1"


def test_the_folder_for_checkpoints_lies_in_the_store_and_disturbs_nothing(store: Store) -> None:
    folder = store.checkpoints
    assert folder is not None
    folder.mkdir()
    assert open_store(Path(store.name)).count(scope=ALL) == 0
    assert open_store(Path(store.name), read_only=True).checkpoints is None


def test_times_keep_their_microseconds(store: Store) -> None:
    said = later(1) + timedelta(microseconds=1)
    store.append(rows_of([turn(event_time=said)]))
    assert store.page(scope=ADA, limit=1)[0].event_time == said
