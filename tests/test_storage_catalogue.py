"""The catalogue: each write is one commit, each read one version, and tools come and go whole."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from threading import Barrier
from typing import Any, get_args

import lancedb
import numpy as np
import pytest
from catalogue_tools import (
    cut,
    fragments_of,
    key,
    lesson,
    open_tools,
    row_of,
    state_of,
    stored,
    texts_of,
    tool,
    tools_of,
)
from storage_tools import ADA, HOSTILE, NOON, open_store, rows_of, run_python, turn, vector_of

from agentmem.errors import StoreError
from agentmem.storage import late, opening
from agentmem.storage.catalogue import ARGUMENTS, DESCRIPTION, NAME
from agentmem.storage.handle import COMPACT_AFTER
from agentmem.storage.tool_schema import ViewKind
from agentmem.storage.tool_store import ToolStore

LATER = NOON + timedelta(hours=1)


@pytest.fixture
def store(tmp_path: Path) -> ToolStore:
    return open_tools(tmp_path / "store")


def raw(store: ToolStore) -> list[dict[str, object]]:
    """Return what is in the table, whatever a reader would make of it."""
    rows: list[dict[str, object]] = (
        lancedb.connect(store.name).open_table("tools_g1").search().to_arrow().to_pylist()
    )
    return rows


def test_what_was_inserted_is_read_in_the_order_it_was_given(store: ToolStore) -> None:
    given = [tool(f"{n}{text}", namespace=text or "-") for n, text in enumerate(HOSTILE)]
    assert store.catalogue.insert_absent(stored(*given)) == []
    later = tool("later", tags=("a", "b"), parameters={"type": "object"})
    assert store.catalogue.insert_absent(stored(later, now=LATER)) == []
    assert tools_of(store) == [*given, later]
    heads = state_of(store).heads
    assert heads["tags"].to_pylist()[-2:] == [[], ["a", "b"]]
    assert heads["tokens"].to_pylist()[-1] == len(later.description)
    assert heads["lexemes_description"].to_pylist()[-1] == "what later does"
    assert "vector" not in heads.column_names


def test_pieces_of_one_tool_lie_together_in_order_with_their_vectors(store: ToolStore) -> None:
    store.catalogue.insert_absent(stored(tool("b"), now=LATER))
    store.catalogue.insert_absent(stored(cut(tool("long"), 12), tool("a")))
    state = state_of(store)
    assert state.heads["name"].to_pylist() == ["long", "a", "b"]
    assert state.owners.tolist() == [0] * 12 + [1, 1, 2, 2]
    assert state.kinds.tolist() == [0] * 12 + [0, 1, 0, 1]
    assert texts_of(state)["long"] == [f"what long does {n}" for n in range(12)]
    np.testing.assert_array_equal(state.vectors, [vector_of(text) for text in state.texts])
    assert state.vectors.flags.c_contiguous
    assert (state.owners.dtype.name, state.kinds.dtype.name) == ("int32", "int8")


def test_each_view_of_a_tool_is_known_by_its_kind(store: ToolStore) -> None:
    pieces: list[tuple[ViewKind, str]] = [(kind, f"the {kind}") for kind in get_args(ViewKind)]
    store.catalogue.insert_absent(stored(row_of(tool(), pieces=pieces)))
    state = state_of(store)
    texts = dict(zip(state.kinds.tolist(), state.texts, strict=True))
    expected = {DESCRIPTION: "the description", ARGUMENTS: "the arguments", NAME: "the name"}
    assert texts == expected


def test_an_unchanged_catalogue_is_not_read_again(store: ToolStore) -> None:
    empty = state_of(store)
    assert (empty.version, empty.heads.num_rows, empty.vectors.shape) == (0, 0, (0, 4))
    assert store.catalogue.read(0) is None
    store.catalogue.insert_absent(stored(tool()))
    state = store.catalogue.read(0)
    assert state is not None
    assert state.version == store.catalogue.version
    assert store.catalogue.read(state.version) is None
    store.catalogue.rewrite([key()], None)
    emptied = store.catalogue.read(state.version)
    assert emptied is not None
    assert emptied.heads.num_rows == 0


def test_another_handle_s_writes_are_seen_at_once(store: ToolStore) -> None:
    other = open_tools(store.name)
    assert other.catalogue.version == 0
    store.catalogue.insert_absent(stored(tool()))
    assert other.catalogue.version == store.catalogue.version > 0
    assert tools_of(other) == [tool()]


def test_tools_are_told_apart_by_namespace(store: ToolStore) -> None:
    here, there = tool("a"), tool("a", namespace="o'there", description="another")
    store.catalogue.insert_absent(stored(here, there))
    keys = [key("a"), key("a", namespace="o'there")]
    assert store.catalogue.names(None) == dict.fromkeys(keys, "a")
    assert store.catalogue.names("o'there") == {keys[1]: "a"}
    assert store.catalogue.hashes("default") == {keys[0]: row_of(here).content_hash}
    assert store.catalogue.hashes("nowhere") == {}
    assert list(store.catalogue.definitions([keys[1], "0" * 32])) == [keys[1]]


def test_names_that_are_taken_are_not_stored_again(store: ToolStore) -> None:
    store.catalogue.insert_absent(stored(tool("a")))
    assert store.catalogue.insert_absent(stored(tool("a"), tool("b"))) == []
    changed = tool("a", description="something else")
    assert store.catalogue.insert_absent(stored(changed, tool("c"), now=LATER)) == [key("a")]
    assert tools_of(store) == [tool("a"), tool("b"), tool("c")]


@pytest.mark.parametrize(("winner", "loser"), [(1, 3), (3, 1), (2, 2)])
def test_a_tool_that_loses_a_race_leaves_no_pieces(
    store: ToolStore, winner: int, loser: int
) -> None:
    kept, lost = cut(tool("x"), winner), cut(tool("x", description="late"), loser)
    store.catalogue.insert_absent(stored(kept))
    assert store.catalogue.insert_absent(stored(lost, tool("y"))) == [key("x")]
    assert tools_of(store) == [tool("x"), tool("y")]
    assert len(raw(store)) == winner + 2


def test_of_many_that_register_a_name_at_once_one_wins(store: ToolStore) -> None:
    rivals = [open_tools(store.name) for _ in range(4)]
    store.catalogue.insert_absent(stored(tool("there")))
    for round_ in range(5):
        name, start = f"t{round_}", Barrier(len(rivals))

        def register(place: int, name: str = name, start: Barrier = start) -> list[str]:
            rows = stored(cut(tool(name, description=f"by {place}"), 1 + place))
            start.wait()
            return rivals[place].catalogue.insert_absent(rows)

        with ThreadPoolExecutor(len(rivals)) as pool:
            lost = list(pool.map(register, range(len(rivals))))
        assert sorted(lost) == [[], *[[key(name)]] * (len(rivals) - 1)]
        rows = [row for row in raw(store) if row["name"] == name]
        assert len(rows) == 1 + lost.index([])
        assert {row["content_hash"] for row in rows} == {store.catalogue.hashes(None)[key(name)]}


def test_a_whole_catalogue_may_lose_a_race(store: ToolStore) -> None:
    names = [f"t{n}" for n in range(5_000)]
    store.catalogue.insert_absent(stored(*(cut(tool(name), 1) for name in names)))
    late_ones = stored(*(tool(name, description="late") for name in names))
    assert len(store.catalogue.insert_absent(late_ones)) == len(names)
    assert len(raw(store)) == len(names)


def test_pieces_that_a_loser_has_yet_to_delete_are_not_seen(store: ToolStore) -> None:
    store.catalogue.insert_absent(stored(cut(tool("x"), 1), tool("y")))
    strays = stored(cut(tool("x", description="late"), 3), cut(tool("gone"), 2))
    table = lancedb.connect(store.name).open_table("tools_g1")
    table.add(strays.filter(strays["piece"].to_numpy() > 0))
    assert texts_of(state_of(store)) == {
        "x": ["what x does 0"],
        "y": ["what y does", "of y"],
    }
    assert state_of(store).vectors.shape[0] == 3
    store.catalogue.rewrite([], stored(cut(tool("x", description="new"), 2)))
    assert len([row for row in raw(store) if row["name"] == "x"]) == 2


@pytest.mark.parametrize(("old", "new"), [(1, 3), (3, 1), (2, 2)])
def test_a_rewrite_replaces_adds_and_removes_in_one_commit(
    store: ToolStore, old: int, new: int
) -> None:
    store.catalogue.insert_absent(stored(cut(tool("x"), old), tool("gone"), tool("stays")))
    version = store.catalogue.version
    edited, added = tool("x", description="edited"), tool("added")
    rows = stored(cut(edited, new), added, now=LATER)
    assert store.catalogue.rewrite([key("gone"), key("x")], rows) == version + 1
    assert tools_of(store) == [tool("stays"), edited, added]
    assert texts_of(state_of(store))["x"] == [f"edited {n}" for n in range(new)]
    assert len(raw(store)) == new + 4


def test_a_rewrite_makes_the_first_tools_and_may_remove_all(store: ToolStore) -> None:
    assert store.catalogue.rewrite([key("never there")], None) == 0
    assert not (Path(store.name) / "tools_g1.lance").exists()
    store.catalogue.rewrite([], stored(tool("a"), tool("b")))
    version = store.catalogue.version
    assert store.catalogue.rewrite([], None) == version
    assert store.catalogue.rewrite([], stored()) == version
    store.catalogue.rewrite([key("a"), key("b")], stored())
    assert tools_of(store) == []


def test_nothing_is_made_for_no_tools(store: ToolStore) -> None:
    assert store.catalogue.insert_absent(stored()) == []
    assert store.catalogue.hashes(None) == store.catalogue.names(None) == {}
    assert store.catalogue.definitions([key()]) == {}
    store.catalogue.compact()
    assert store.catalogue.version == 0
    assert not (Path(store.name) / "tools_g1.lance").exists()


@pytest.mark.parametrize("first", ["turns", "tools"])
def test_turns_and_tools_share_a_folder(tmp_path: Path, first: str) -> None:
    if first == "tools":
        open_tools(tmp_path).catalogue.insert_absent(stored(tool()))
    open_store(tmp_path).append(rows_of([turn()]))
    if first == "turns":
        open_tools(tmp_path).catalogue.insert_absent(stored(tool()))
    assert tools_of(open_tools(tmp_path, create=False)) == [tool()]
    assert open_store(tmp_path, create=False).count(scope=ADA) == 1


def test_a_read_only_store_without_tools_reads_as_empty(tmp_path: Path) -> None:
    open_store(tmp_path).close()
    before = sorted(tmp_path.iterdir())
    reader = open_tools(tmp_path, read_only=True)
    assert tools_of(reader) == []
    assert reader.lessons.lessons() == []
    assert sorted(tmp_path.iterdir()) == before


WRITES: list[Callable[[ToolStore], object]] = [
    lambda store: store.catalogue.insert_absent(stored(tool("new"))),
    lambda store: store.catalogue.insert_absent(stored()),
    lambda store: store.catalogue.rewrite([key()], stored(tool("new"))),
    lambda store: store.catalogue.rewrite([key()], None),
    lambda store: store.catalogue.rewrite([], None),
    lambda store: store.lessons.append(lesson()),
    lambda store: store.meta.put("a", 1),
]


@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize("filled", [True, False])
def test_a_read_only_store_refuses_every_write(
    store: ToolStore, write: Callable[[ToolStore], object], *, filled: bool
) -> None:
    if filled:
        store.catalogue.insert_absent(stored(tool()))
        store.lessons.append(lesson())
    versions = (store.catalogue.version, store.lessons.version)
    reader = open_tools(store.name, read_only=True)
    with pytest.raises(StoreError, match="read_only=True"):
        write(reader)
    reader.catalogue.compact()
    reader.lessons.compact()
    reader.close()
    assert (store.catalogue.version, store.lessons.version) == versions
    assert store.meta.get("a") is None


USES: list[Callable[[ToolStore], object]] = [
    lambda store: store.catalogue.version,
    lambda store: store.catalogue.read(None),
    lambda store: store.lessons.lessons(),
    lambda store: store.lessons.observations(None),
    lambda store: store.meta.get("a"),
    *WRITES,
]


@pytest.mark.parametrize("use", USES)
def test_a_closed_store_says_so(store: ToolStore, use: Callable[[ToolStore], object]) -> None:
    store.catalogue.insert_absent(stored(tool()))
    store.close()
    store.close()
    with pytest.raises(StoreError, match=r"closed.*open it again"):
        use(store)


def test_small_commits_are_compacted(store: ToolStore) -> None:
    for n in range(COMPACT_AFTER):
        store.catalogue.insert_absent(stored(tool(f"t{n:02d}"), now=NOON + timedelta(seconds=n)))
    assert fragments_of(store, "tools_g1") == 1
    assert tools_of(store) == [tool(f"t{n:02d}") for n in range(COMPACT_AFTER)]


def test_a_table_whose_creation_was_cut_short_is_no_table_and_is_made(store: ToolStore) -> None:
    (Path(store.name) / "tools_g1.lance" / "data").mkdir(parents=True)
    assert tools_of(store) == []
    store.catalogue.insert_absent(stored(tool()))
    assert tools_of(store) == [tool()]


def test_a_creator_that_comes_second_writes_into_the_first_one_s_table(
    store: ToolStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    make, rivals = opening.open_or_make, [open_tools(store.name)]

    def make_second(*args: Any, **options: Any) -> object:
        if rivals:
            rivals.pop().catalogue.insert_absent(stored(tool("first")))
        return make(*args, **options)

    monkeypatch.setattr(late, "open_or_make", make_second)
    store.catalogue.insert_absent(stored(tool("second"), now=LATER))
    assert tools_of(store) == [tool("first"), tool("second")]


def test_lost_files_are_reported(store: ToolStore) -> None:
    store.catalogue.insert_absent(stored(tool()))
    shutil.rmtree(Path(store.name) / "tools_g1.lance")
    with pytest.raises(StoreError, match=r"could not read tools in .*missing.*backup"):
        store.catalogue.hashes(None)
    store.close()


FORKED = """
import os, sys, warnings
warnings.simplefilter("ignore", DeprecationWarning)  # of forking with threads, which is the point
from agentmem.errors import StoreError
from catalogue_tools import open_tools, stored, tool, tools_of
store = open_tools(sys.argv[1])
if os.fork() == 0:
    for use in (lambda: store.catalogue.version, lambda: store.meta.put("a", 1),
                lambda: store.catalogue.insert_absent(stored(tool()))):
        try:
            use()
        except StoreError as error:
            assert "spawn" in str(error)
        else:
            os._exit(1)
    store.close()
    os._exit(7)
assert os.waitstatus_to_exitcode(os.wait()[1]) == 7
store.catalogue.insert_absent(stored(tool()))
print(len(tools_of(store)), end="")
"""


def test_use_after_fork_is_refused_in_the_child_and_harmless_to_the_parent(tmp_path: Path) -> None:
    assert run_python(FORKED, tmp_path) == "1"
