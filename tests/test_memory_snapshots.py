"""Snapshots of a memory, the memory as it was, and its content put back."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import lancedb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from lancedb.index import BTree
from memory_tools import MAY, at, contents, ids, open_hashed, say
from router_tools import TOOLS, names, open_router
from storage_tools import HOSTILE, run_python, start_python

from agentmem import ALL, Memory
from agentmem.backup import Archive
from agentmem.embedding import CachedEmbedder
from agentmem.errors import EmbedderMismatch, InvalidInput, NotFound, StoreError, VersionGone
from agentmem.storage.handle import Handle
from agentmem.storage.places import Folder
from agentmem.storage.snapshots import FOLDER, INFO
from agentmem.testing import HashEmbedder
from agentmem.types.backup import Restored

ADA: dict[str, Any] = {"user_id": "ada"}
BOB: dict[str, Any] = {"user_id": "bob"}


@pytest.fixture
def memory(tmp_path: Path) -> Any:
    with open_hashed(tmp_path / "store") as one:
        one.add([say("the harbour", id="h"), say("the mole", id="m")], **ADA)
        one.add(say("of somebody else", id="h"), **BOB)
        yield one


def texts(memory: Memory) -> list[str]:
    """Return everything that is said, in alphabetical order."""
    return sorted(contents(memory.turns(scope=ALL)))


def folder_of(memory: Memory) -> Path:
    """Return the folder of a store."""
    return Path(memory._home.name)


def test_a_snapshot_keeps_the_store_while_it_goes_on(memory: Memory) -> None:
    before = texts(memory)
    made = memory.snapshot("first", note="before the storm")
    memory.add("the storm", **ADA)
    memory.delete("h", **ADA)
    assert memory.snapshots() == [made]
    assert (made.tag, made.note, made.generation) == ("first", "before the storm", 1)
    assert made.rows["turns_g1"] == 3
    assert made.passport_id == memory.stats().passport.id
    with memory.at("first") as past:
        assert texts(past) == before
    assert texts(memory) == ["of somebody else", "the mole", "the storm"]


def test_a_snapshot_is_a_store_of_its_own(memory: Memory) -> None:
    made = memory.snapshot("first")
    memory.delete(scope=ALL)
    with open_hashed(Path(made.path), read_only=True) as alone:
        assert texts(alone) == ["of somebody else", "the harbour", "the mole"]
        assert ids(alone.search("harbour", **ADA, k=1)) == ["h"]


def test_a_snapshot_takes_no_room_and_survives_pruning(memory: Memory) -> None:
    for n in range(30):
        memory.add(f"word {n}", **ADA)
    bytes_before = memory.stats().bytes
    made = memory.snapshot("first")
    data = list(Path(made.path).rglob("data/*.lance"))
    assert data
    assert {one.stat().st_nlink for one in data} == {2}
    assert memory.stats().bytes == pytest.approx(bytes_before, abs=2_000)  # its description
    table = lancedb.connect(folder_of(memory)).open_table("turns_g1")
    table.optimize(cleanup_older_than=timedelta(milliseconds=1), delete_unverified=True)
    assert {one.stat().st_nlink for one in data} < {1, 2, 3}
    assert 1 in {one.stat().st_nlink for one in data}
    with memory.at("first") as past:
        assert past.count(scope=ALL) == 33
        assert len(past.search("word", **ADA, k=50)) >= 30


def test_only_what_the_newest_version_needs_is_kept(memory: Memory) -> None:
    for n in range(20):
        memory.add(f"word {n}", **ADA)
    memory.delete("h", **ADA)
    memory._parts.store.compact()
    made = memory.snapshot("first")
    turns = Path(made.path) / "turns_g1.lance"
    assert len(list(turns.glob("_versions/*.manifest"))) == 1
    live = folder_of(memory) / "turns_g1.lance"
    assert len(list(turns.glob("data/*"))) < len(list(live.glob("data/*")))
    assert lancedb.connect(made.path).open_table("turns_g1").count_rows() == 22


def test_deletions_and_indexes_come_along(memory: Memory) -> None:
    memory.add([f"word {n}" for n in range(300)], **ADA)
    table = lancedb.connect(folder_of(memory)).open_table("turns_g1")
    table.create_index("key", config=BTree())
    memory.delete(where={"content": {"in": [f"word {n}" for n in range(5)]}}, **ADA)
    made = memory.snapshot("first")
    copy = lancedb.connect(made.path).open_table("turns_g1")
    assert [one.name for one in copy.list_indices()] == ["key_idx"]
    assert copy.count_rows() == 298
    assert copy.search().where("key = 'none'").to_arrow().num_rows == 0
    assert list((Path(made.path) / "turns_g1.lance" / "_deletions").iterdir())


@pytest.mark.parametrize(
    "tag",
    [
        "",
        ".",
        "..",
        "../x",
        "a/b",
        "a\\b",
        "/etc",
        ".hidden",
        "-x",
        "a b",
        "a\n",
        "ä",
        "a\x00b",
        "x" * 101,
        "a:b",
        "~",
        "$HOME",
        *HOSTILE[:20],
    ],
)
def test_a_hostile_tag_is_refused_everywhere(memory: Memory, tag: str) -> None:
    if tag in {"a", "A", "ab", "b", "_"}:
        pytest.skip("these are tags")
    before = sorted(folder_of(memory).parent.rglob("*"))
    calls = (memory.snapshot, memory.drop_snapshot, memory.restore, memory.at)
    for call in calls:
        with pytest.raises(InvalidInput, match="a tag is a name"):
            call(tag)
    assert sorted(folder_of(memory).parent.rglob("*")) == before


@pytest.mark.parametrize("tag", [None, 7, b"x", ["x"]])
def test_a_tag_that_is_no_text_is_refused(memory: Memory, tag: Any) -> None:
    with pytest.raises(InvalidInput, match="a tag is a name"):
        memory.snapshot(tag)


def test_a_tag_is_given_once(memory: Memory) -> None:
    memory.snapshot("first")
    with pytest.raises(InvalidInput, match="another tag, or drop it first"):
        memory.snapshot("first")
    with pytest.raises(InvalidInput, match="pass text"):
        memory.snapshot("second", note=7)  # type: ignore[arg-type]


def test_a_snapshot_is_dropped_and_the_store_stays(memory: Memory) -> None:
    made = memory.snapshot("first")
    assert memory.drop_snapshot("first", dry_run=True) == made
    assert memory.snapshots() == [made]
    assert memory.drop_snapshot("first") == made
    assert memory.snapshots() == []
    assert list((folder_of(memory) / FOLDER).iterdir()) == []
    assert memory.count(scope=ALL) == 3
    with pytest.raises(NotFound, match="There is none at all"):
        memory.drop_snapshot("first")
    with pytest.raises(NotFound, match="no snapshot 'first'"):
        memory.at("first")


def test_a_damaged_description_of_a_snapshot_is_named(memory: Memory) -> None:
    made = memory.snapshot("first")
    Path(made.path, INFO).write_text("{")
    with pytest.raises(StoreError, match=INFO):
        memory.snapshots()


def test_a_scoped_handle_keeps_no_snapshots_and_sees_its_scope_in_the_past(memory: Memory) -> None:
    memory.snapshot("first")
    bob = memory.scoped(**BOB)
    for call in (bob.snapshot, bob.drop_snapshot, bob.restore, bob.backup):
        with pytest.raises(InvalidInput, match="whole store"):
            call("x")
    with pytest.raises(InvalidInput, match="whole store"):
        bob.snapshots()
    assert contents(bob.at("first").turns()) == ["of somebody else"]
    with pytest.raises(InvalidInput, match="ada"):
        bob.at("first").turns(**ADA)


def test_a_read_only_memory_makes_none_and_looks_at_them(memory: Memory) -> None:
    memory.snapshot("first")
    with open_hashed(folder_of(memory), read_only=True) as reader:
        assert [one.tag for one in reader.snapshots()] == ["first"]
        assert texts(reader.at("first")) == texts(memory)
        assert reader.restore("first", dry_run=True).holdings == (Restored("turns"),)
        for call in (reader.snapshot, reader.drop_snapshot, reader.restore):
            with pytest.raises(StoreError, match="read_only"):
                call("first" if call != reader.snapshot else "second")


def test_the_past_is_told_by_version_by_tag_and_by_moment(memory: Memory) -> None:
    version, before = memory.stats().table_version, texts(memory)
    moment = datetime.now(timezone.utc)
    memory.snapshot("first")
    time.sleep(0.01)
    memory.add("the storm", **ADA)
    memory.delete("h", **ADA)
    for when in (version, "first", moment, moment.astimezone(timezone(timedelta(hours=5)))):
        with memory.at(when) as past:
            assert texts(past) == before
            assert past.get("h", **ADA).content == "the harbour"
            assert past.count(**ADA) == 2
            assert [one.turns for one in past.sessions(**ADA)] == [2]
            assert past.stats().turns == 3
            assert past.stats().table_version == version
            assert "h" in ids(past.search("harbour", **ADA, k=5))
            assert "harbour" in past.context("harbour", **ADA, max_tokens=50).text
            assert "the storm" not in contents(past.search("storm", **ADA))
    assert texts(memory.at(memory.stats().table_version)) == texts(memory)


def test_the_past_is_exported(memory: Memory, tmp_path: Path) -> None:
    version = memory.stats().table_version
    memory.delete(scope=ALL)
    assert memory.at(version).export(tmp_path / "then.jsonl", scope=ALL, progress=False) == 3


def test_the_past_stays_what_it_was_while_the_store_goes_on(memory: Memory) -> None:
    past = memory.at(memory.stats().table_version)
    for n in range(5):
        memory.add(f"later {n}", **ADA)
        assert past.count(scope=ALL) == 3
        assert len(past.search("later", scope=ALL, k=50)) == 3
    past.close()
    assert memory.count(scope=ALL) == 8
    with pytest.raises(StoreError, match="closed"):
        past.count(scope=ALL)


def test_the_past_cannot_be_written_to(memory: Memory, tmp_path: Path) -> None:
    memory.snapshot("first")
    lines = tmp_path / "more.jsonl"
    lines.write_text(json.dumps(say("more")) + "\n")
    for when in ("first", memory.stats().table_version):
        before = texts(memory)
        past = memory.at(when)
        for write in writes_to(past, lines):
            with pytest.raises(StoreError, match="the past does not change"):
                write()
        assert texts(memory) == texts(past) == before
        assert [one.tag for one in memory.snapshots()] == ["first"]


def writes_to(past: Memory, lines: Path) -> list[Callable[[], object]]:
    """Return one call of each kind of write."""
    return [
        lambda: past.add("new", **ADA),
        lambda: past.delete("h", **ADA),
        lambda: past.supersede("h", "new", **ADA),
        lambda: past.update("h", pinned=True, **ADA),
        lambda: past.forget("h", reason="asked", **ADA),
        lambda: past.import_turns(lines, progress=False, **ADA),
        lambda: past.snapshot("second"),
        lambda: past.drop_snapshot("first"),
        lambda: past.restore("first"),
    ]


def test_the_present_of_the_past_is_then(tmp_path: Path) -> None:
    with open_hashed(tmp_path) as memory:
        memory.add(say("the ticket", id="t", created_at=MAY), ttl=timedelta(seconds=0.5), **ADA)
        then = datetime.now(timezone.utc)
        memory.snapshot("first")
        assert memory.count(**ADA) == 1
        time.sleep(0.6)
        assert memory.count(**ADA) == 0
        assert memory.search("ticket", **ADA).hits == ()
        for when in (then, "first"):
            past = memory.at(when)
            assert past.count(**ADA) == 1
            assert ids(past.search("ticket", **ADA)) == ["t"]


def test_what_is_no_longer_kept_is_named_with_the_earliest_moment(memory: Memory) -> None:
    pruned = memory.stats().table_version
    memory.add("the storm", **ADA)
    table = lancedb.connect(folder_of(memory)).open_table("turns_g1")
    table.optimize(cleanup_older_than=timedelta(milliseconds=1), delete_unverified=True)
    kept = table.list_versions()[0]["timestamp"].astimezone(timezone.utc)
    for when in (pruned, kept - timedelta(seconds=1)):
        with pytest.raises(VersionGone) as gone:
            memory.at(when)
        assert kept.isoformat() in str(gone.value)
    for when in (0, -1, 10**6):
        with pytest.raises(VersionGone, match="are kept"):
            memory.at(when)
    assert memory.at(datetime.now(timezone.utc) + timedelta(days=1)).count(scope=ALL) == 4


@pytest.mark.parametrize("when", [None, True, 1.5, b"x", datetime(2024, 5, 1, 12)])  # noqa: DTZ001
def test_a_moment_that_is_none_is_refused(memory: Memory, when: Any) -> None:
    with pytest.raises(InvalidInput):
        memory.at(when)


def rows_of(memory: Memory, table: str = "turns_g1") -> list[dict[str, Any]]:
    """Return the rows of a table without their revision, which a restore makes anew."""
    rows = lancedb.connect(folder_of(memory)).open_table(table).to_arrow().to_pylist()
    key = "chunk_key" if "chunk_key" in rows[0] else "view_key"
    return sorted(({**row, "rev": 0} for row in rows), key=lambda row: str(row[key]))


def test_a_restore_puts_back_what_changed_in_one_commit(memory: Memory) -> None:
    long = "a long story of the sea " * 400  # several chunks
    memory.add([say(long, id="l", metadata={"n": [1, None]}), say("kept", id="k")], **ADA)
    memory.add(say("pinned", id="p"), ttl=timedelta(days=9), **ADA)
    before = rows_of(memory)
    assert len(before) > 6
    memory.snapshot("first")
    memory.delete("h", **ADA)
    memory.add(say("another story", id="l"), **ADA, on_conflict="replace")
    memory.add([say(long, id="n"), say("new", id="o")], **ADA)
    memory.update("p", pinned=True, **ADA)
    memory.supersede("m", say("the new mole", id="m2"), **ADA)
    expected = (Restored("turns", added=1, changed=3, removed=3),)
    changed, version = rows_of(memory), memory.stats().table_version
    would = memory.restore("first", dry_run=True)
    assert (would.holdings, would.dry_run, would.safety) == (expected, True, None)
    assert rows_of(memory) == changed
    done = memory.restore("first")
    assert (done.holdings, done.dry_run) == (expected, False)
    assert memory.stats().table_version == version + 1
    assert rows_of(memory) == before
    assert "h" in ids(memory.search("harbour", **ADA, k=1))
    assert done.safety is not None
    assert done.safety.startswith("before-restore-")
    assert memory.restore("first", dry_run=True).holdings == (Restored("turns"),)
    memory.restore(done.safety, safety=False)
    assert rows_of(memory) == changed
    assert len(memory.snapshots()) == 2


def test_a_restored_turn_is_a_new_write_to_other_generations(memory: Memory) -> None:
    memory.snapshot("first")
    path = folder_of(memory)
    revs = {row["id"]: row["rev"] for row in table_rows(path)}
    memory.add(say("the pier", id="h"), **ADA, on_conflict="replace")
    memory.restore("first", safety=False)
    after = {row["id"]: row["rev"] for row in table_rows(path)}
    assert after["m"] == revs["m"]
    assert sum(after[name] != revs[name] for name in after) == 1


def table_rows(path: Path) -> list[dict[str, Any]]:
    """Return Ada's rows of the turns of a store."""
    rows = lancedb.connect(path).open_table("turns_g1").to_arrow().to_pylist()
    return [row for row in rows if row["user_id"] == "ada"]


def test_other_handles_see_a_restore_at_once(memory: Memory) -> None:
    memory.snapshot("first")
    with open_hashed(folder_of(memory)) as other:
        other.add("the storm", **ADA)
        assert contents(other.search("storm", **ADA, k=1)) == ["the storm"]
        memory.restore("first")
        assert texts(other) == texts(memory) == ["of somebody else", "the harbour", "the mole"]
        assert "the storm" not in contents(other.search("storm", **ADA, k=9))


def test_tools_are_put_back_and_lessons_stay(tmp_path: Path) -> None:
    with open_hashed(tmp_path) as memory, open_router(tmp_path) as router:
        memory.snapshot("empty")
        router.sync(TOOLS)
        router.add_examples({"send_mail": ["write to my aunt"]})
        memory.snapshot("full")
        before = names(router)
        router.remove("send_mail")
        back = memory.restore("full").holdings
        assert back == (Restored("turns"), Restored("tools", added=1))
        assert names(router) == before
        assert memory.restore("empty").holdings[1].removed == len(before)
        assert names(router) == []
        assert len(router.history()) == 1
        assert memory.restore("full").holdings[1].added == len(before)
        assert router.select("write to my aunt", k=1)[0].tool.name == "send_mail"


def test_tools_come_back_into_a_store_that_lost_their_table(tmp_path: Path) -> None:
    with open_hashed(tmp_path) as memory, open_router(tmp_path) as router:
        router.sync(TOOLS)
        memory.snapshot("full")
        before = rows_of(memory, "tools_g1")
    lancedb.connect(tmp_path).drop_table("tools_g1")
    with open_hashed(tmp_path) as memory:
        assert memory.restore("full").holdings[1] == Restored("tools", added=len(TOOLS))
        assert rows_of(memory, "tools_g1") == before


def test_what_must_not_come_back_does_not(memory: Memory) -> None:
    memory.snapshot("first")
    memory.delete("h", **ADA)
    memory.add(say("the pier", id="m"), **ADA, on_conflict="replace")
    archive = Archive(
        memory._parts.store.whole,
        forgotten=lambda rows: pc.and_(
            pc.equal(rows["user_id"], pa.scalar("ada")), pc.is_in(rows["id"], pa_strings("h", "m"))
        ),
    )
    expected = (Restored("turns", forgotten=2),)
    assert archive.restore("first", dry_run=True, safety=False).holdings == expected
    assert archive.restore("first", dry_run=False, safety=False).holdings == expected
    assert texts(memory) == ["of somebody else", "the pier"]


def pa_strings(*values: str) -> Any:
    """Return texts as Arrow has them."""
    return pa.array(values)


def test_what_was_forgotten_does_not_come_back(memory: Memory) -> None:
    text = "the number of the safe is 4711 in words"
    memory.add(say(text, id="s"), **ADA)
    memory._parts.store.tombstones.put(
        [memory.get("s", **ADA)], receipt_id="r", at=datetime.now(timezone.utc)
    )
    memory.snapshot("first")
    memory.delete("s", **ADA)
    memory.delete("h", **ADA)
    assert memory.restore("first").holdings == (Restored("turns", added=1, forgotten=1),)
    assert texts(memory) == ["of somebody else", "the harbour", "the mole"]


def test_a_snapshot_of_another_space_is_refused_with_the_repair(memory: Memory) -> None:
    memory.snapshot("first")
    other = HashEmbedder(64)
    memory.migrate(other, progress=False, reembed=True).wait()
    with open_hashed(folder_of(memory), embedder=other) as moved:
        before = texts(moved)
        for dry_run in (True, False):
            with pytest.raises(StoreError, match=r"rollback.*serve_old"):
                moved.restore("first", dry_run=dry_run)
        assert texts(moved) == before
        with pytest.raises(EmbedderMismatch):
            moved.at("first").search("harbour", **ADA)
        moved.snapshot("second")
        moved.add("after", **ADA)
        assert moved.restore("second", safety=False).holdings == (Restored("turns", removed=1),)


def test_a_restore_after_a_flip_to_the_same_space_is_found_by_every_handle(
    memory: Memory,
) -> None:
    memory.snapshot("first")
    memory.add("the storm", **ADA)
    same = HashEmbedder(512)
    memory.migrate(CachedEmbedder(same), progress=False, reembed=True).wait()
    assert memory._parts.store.generation == 2
    assert memory.restore("first").holdings == (Restored("turns", removed=1),)
    assert texts(memory) == ["of somebody else", "the harbour", "the mole"]


def test_writers_during_a_restore_lose_nothing_that_came_after_it_began(
    memory: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory.snapshot("first")
    memory.add("before", **ADA)
    commit = Handle.commit

    def late(self: Handle, operation: Any, *, action: str) -> Any:
        if action == "restore the snapshot":
            monkeypatch.setattr(Handle, "commit", commit)
            memory.add("meanwhile", **ADA)
        return commit(self, operation, action=action)

    monkeypatch.setattr(Handle, "commit", late)
    memory.restore("first", safety=False)
    assert texts(memory) == ["meanwhile", "of somebody else", "the harbour", "the mole"]


WRITER = """
import sys
from memory_tools import open_hashed, say
folder, name = sys.argv[1:3]
memory = open_hashed(folder)
print("ready", flush=True)
n = 0
while not sys.stdin.closed and n < 10_000:
    memory.add([say(f"{name} {n} first"), say(f"{name} {n} second")], user_id=name)
    if n % 7 == 3:
        memory.delete(where={"content": f"{name} {n - 1} first"}, user_id=name)
    print(n, flush=True)
    n += 1
"""
PRUNER = """
import sys, time
from datetime import timedelta
import lancedb
db = lancedb.connect(sys.argv[1])
print("ready", flush=True)
while True:
    for name in ("turns_g1", "meta"):
        try:
            db.open_table(name).optimize(cleanup_older_than=timedelta(seconds=2))
        except (RuntimeError, OSError):
            pass
    print("pruned", flush=True)
    time.sleep(0.05)
"""


@pytest.mark.slow
def test_snapshots_are_whole_under_three_writers_and_a_pruner(tmp_path: Path) -> None:
    folder = tmp_path / "store"
    with open_hashed(folder) as memory:
        memory.add("the first", user_id="nobody")
        processes = [start_python(WRITER, folder, name) for name in "abc"]
        processes.append(start_python(PRUNER, folder))
        for one in processes:
            assert one.stdout is not None
            assert one.stdout.readline() == "ready\n"
        told: list[str] = []
        until, seen = time.monotonic() + 6, 0
        try:
            while len(told) < 6 or time.monotonic() < until:
                before = memory.count(user_id="a")
                tag = f"s{len(told)}"
                made = memory.snapshot(tag)
                told.append(tag)
                past = memory.at(tag)
                turns = past.turns(scope=ALL, limit=100_000)
                assert past.count(user_id="a") >= before - 1
                whole_pairs(contents(turns))
                assert len(turns) == made.rows["turns_g1"] >= seen
                seen = len(turns) - 10  # deletions of a moment
                assert len(past.search("first", scope=ALL, k=5)) == 5 or len(turns) < 5
        finally:
            for one in processes:
                one.kill()
                one.communicate(timeout=60)
        assert memory.count(scope=ALL) > 50


def whole_pairs(said: list[str]) -> None:
    """Check that each write is there whole; of some the first message was deleted afterwards."""
    numbers = {tuple(text.split()[:2]) for text in said if text.endswith("second")}
    firsts = {tuple(text.split()[:2]) for text in said if text.endswith("first")} - {
        ("the", "first")
    }
    assert firsts <= numbers
    assert {n for _, n in numbers - firsts} <= {str(n) for n in range(2, 10_000, 7)}


KILLED = """
import os, signal, sys
from memory_tools import open_hashed
from agentmem.storage import places, snapshots
folder, place, after = sys.argv[1:4]
calls = 0

def dying(name, function):
    def call(*arguments, **options):
        global calls
        calls += 1
        if name == place and calls > int(after):
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*arguments, **options)
    return call

owner = snapshots if place in ("check_readable", "_move") else places.Folder
setattr(owner, place, dying(place, getattr(owner, place)))
memory = open_hashed(folder)
if place == "remove":
    memory.drop_snapshot("old")
memory.snapshot("new")
"""


@pytest.mark.slow(keep=1)
@pytest.mark.parametrize(
    ("place", "after"),
    [
        ("share", "0"),
        ("share", "3"),
        ("check_readable", "1"),
        ("write", "0"),
        ("_move", "0"),
        ("remove", "0"),
    ],
)
def test_a_snapshot_that_was_killed_is_none(memory: Memory, place: str, after: str) -> None:
    memory.snapshot("old")
    process = start_python(KILLED, folder_of(memory), place, after)
    _, err = process.communicate(timeout=60)
    assert process.returncode == -9, err
    dropped = place == "remove"
    assert [one.tag for one in memory.snapshots()] == ([] if dropped else ["old"])
    left = [p.name for p in (folder_of(memory) / FOLDER).iterdir() if p.name.startswith(".")]
    assert len(left) == ((place, after) != ("share", "0"))
    assert texts(memory) == ["of somebody else", "the harbour", "the mole"]
    assert memory.snapshot("new").rows["turns_g1"] == 3
    for name in left:  # as if it had been long ago
        os.utime(folder_of(memory) / FOLDER / name, (0, 0))
    memory.snapshot("newer")
    assert [p.name for p in (folder_of(memory) / FOLDER).iterdir() if p.name[0] == "."] == []


def test_a_file_that_vanishes_is_looked_for_again(
    memory: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    share = Folder.share
    failed: list[str] = []

    def vanishing(self: Folder, path: str, *, to: str) -> None:
        if "turns" in path and not failed:
            failed.append(path)
            memory.add("meanwhile", **ADA)
            raise FileNotFoundError(path)
        share(self, path, to=to)

    monkeypatch.setattr(Folder, "share", vanishing)
    assert memory.snapshot("first").rows["turns_g1"] == 4

    def gone(self: Folder, path: str, *, to: str) -> None:
        raise FileNotFoundError(f"{self.uri}/{path} for {to}")

    monkeypatch.setattr(Folder, "share", gone)
    with pytest.raises(StoreError, match="kept vanishing"):
        memory.snapshot("second")
    assert [one.tag for one in memory.snapshots()] == ["first"]
    assert [p.name for p in (folder_of(memory) / FOLDER).iterdir()] == ["first"]


FULL = """
import resource, signal, sys
from memory_tools import open_hashed
from agentmem.errors import StoreError
memory = open_hashed(sys.argv[1])
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (64, 64))
for call in (lambda: memory.snapshot("new"), lambda: memory.backup(sys.argv[2], progress=False)):
    try:
        call()
    except StoreError as error:
        assert "full" in str(error), error
    else:
        raise SystemExit("it was not refused")
"""


def test_a_full_disk_leaves_no_half_snapshot_and_no_half_backup(
    memory: Memory, tmp_path: Path
) -> None:
    run_python(FULL, folder_of(memory), tmp_path / "backups")
    assert memory.snapshots() == []
    assert not list((folder_of(memory) / FOLDER).iterdir())
    assert not list((tmp_path / "backups").rglob("*.part"))
    assert memory.snapshot("new").rows["turns_g1"] == 3


def test_vectors_come_back_bit_for_bit(memory: Memory) -> None:
    def vectors() -> Any:
        rows = sorted(table_rows(folder_of(memory)), key=lambda row: row["id"])
        return np.array([row["vector"] for row in rows], np.float32).tobytes()

    before = vectors()
    memory.snapshot("first")
    memory.delete(**ADA)
    memory.restore("first")
    assert vectors() == before
    assert at(0) == MAY
