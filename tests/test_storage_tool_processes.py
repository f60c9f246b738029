"""Several processes on one catalogue: tools stay whole, lessons are neither lost nor doubled."""

from __future__ import annotations

import subprocess
from pathlib import Path

import lancedb
import pytest
from catalogue_tools import open_tools, state_of
from storage_tools import start_python

pytestmark = pytest.mark.skipif(not Path("/proc").exists(), reason="signals as Linux has them")

ROUNDS = 12

REGISTRAR = """
import sys
from catalogue_tools import cut, open_tools, stored, tool, tools_of
store, name, rounds = open_tools(sys.argv[1]), sys.argv[2], int(sys.argv[3])
print("ready", flush=True)
sys.stdin.readline()
lost = 0
for n in range(rounds):
    pieces = 1 + (n + len(name)) % 4
    store.catalogue.insert_absent(stored(tool(f"{name}{n}")))
    said = tool(f"raced{n}", description=name)
    lost += len(store.catalogue.insert_absent(stored(cut(said, pieces), tool(f"both{n}"))))
    changed = cut(tool("changed", description=f"{name} {n} times"), pieces)
    store.catalogue.rewrite([], stored(changed))
    if n % 5 == 4:
        store.catalogue.compact()
store.close()
print(lost)
"""


def outputs(processes: list[subprocess.Popen[str]]) -> list[str]:
    """Let processes that wait for each other go, and return what they print."""
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    printed = []
    for process in processes:
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
        printed.append(out)
    return printed


@pytest.mark.slow
def test_registrars_that_race_leave_every_tool_once_and_whole(tmp_path: Path) -> None:
    open_tools(tmp_path).close()
    names = ("a", "bb", "ccc")
    processes = [start_python(REGISTRAR, tmp_path, name, str(ROUNDS)) for name in names]
    lost = [int(out) for out in outputs(processes)]
    assert sum(lost) == ROUNDS * (len(names) - 1)
    store = open_tools(tmp_path)
    found = state_of(store).heads["name"].to_pylist()
    expected = [f"{name}{n}" for name in (*names, "both", "raced") for n in range(ROUNDS)]
    assert sorted(map(str, found)) == sorted([*expected, "changed"])
    assert_whole(tmp_path)


def assert_whole(folder: Path) -> None:
    """Check that the rows of each tool, as they lie on disk, are one content's, without a gap."""
    rows = lancedb.connect(folder).open_table("tools_g1").search().to_arrow().to_pylist()
    contents: dict[str, set[str]] = {}
    pieces: dict[str, list[int]] = {}
    texts: dict[str, set[str]] = {}
    for row in rows:
        contents.setdefault(row["key"], set()).add(row["content_hash"])
        pieces.setdefault(row["key"], []).append(row["piece"])
        texts.setdefault(row["name"], set()).add(row["text"].rpartition(" ")[0])
    assert {len(of) for of in contents.values()} == {1}
    assert all(sorted(of) == list(range(len(of))) for of in pieces.values())
    assert len(texts["changed"]) == 1


WATCHED = """
import sys
from catalogue_tools import cut, open_tools, stored, tool
store = open_tools(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
for n in range(int(sys.argv[2])):
    pieces = 1 + n % 3
    edited = tool("x", description=f"edit {n} of {pieces}")
    kept = [] if n % 2 else [cut(tool("y"), 2)]
    store.catalogue.rewrite([], stored(cut(edited, pieces), *kept))
print("done", flush=True)
sys.stdin.readline()
"""


def test_a_reader_never_sees_a_tool_missing_or_half(tmp_path: Path) -> None:
    store = open_tools(tmp_path)
    writer = start_python(WATCHED, tmp_path, str(5 * ROUNDS))
    assert writer.stdout is not None
    assert writer.stdin is not None
    assert writer.stdout.readline() == "ready\n"
    writer.stdin.write("go\n")
    writer.stdin.flush()
    version, seen = 0, 0
    while version < 5 * ROUNDS:
        state = store.catalogue.read(version)
        if state is None or not state.heads.num_rows:
            continue
        version, seen = state.version, seen + 1
        assert sorted(map(str, state.heads["name"].to_pylist())) == ["x", "y"]
        place = state.heads["name"].to_pylist().index("x")
        of = [text for text, owner in zip(state.texts, state.owners, strict=True) if owner == place]
        edits = {text.rpartition(" ")[0] for text in of}
        assert len(edits) == 1
        assert of == [f"{next(iter(edits))} {n}" for n in range(int(next(iter(edits)).split()[3]))]
    assert seen > 1
    _, err = writer.communicate("end\n", timeout=60)
    assert writer.returncode == 0, err


TEACHER = """
import sys
from catalogue_tools import open_tools, teach
store, name, rounds = open_tools(sys.argv[1]), sys.argv[2], int(sys.argv[3])
print("ready", flush=True)
sys.stdin.readline()
for n in range(rounds):
    teach(store, f"{name} {n} first", f"{name} {n} second", by=name)
    store.meta.put(f"calibration:{name}", n)
    if n % 5 == 4:
        store.lessons.compact()
store.close()
"""


@pytest.mark.slow
def test_teachers_lose_nothing_and_a_reader_gets_every_observation_once(tmp_path: Path) -> None:
    names, store = ("a", "b", "c"), open_tools(tmp_path)
    store.close()
    processes = [start_python(TEACHER, tmp_path, name, str(2 * ROUNDS)) for name in names]
    for process in processes:
        assert process.stdout is not None
        assert process.stdin is not None
        process.stdout.readline()
        process.stdin.write("go\n")
        process.stdin.flush()
    store = open_tools(tmp_path, read_only=True)
    since: tuple[int | None, int | None] = (None, None)
    lessons: list[str] = []
    queries: list[str] = []
    running = True
    while running:
        running = any(process.poll() is None for process in processes)
        known, fresh = store.lessons.lessons_since(since[0])
        version, rows = store.lessons.observations(since[1])
        since = (known, version)
        lessons += [one["id"] for one in fresh]
        queries += map(str, rows["query"].to_pylist())
    for process in processes:
        _, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
    said = [f"{name} {n} {m}" for name in names for n in range(24) for m in ("first", "second")]
    assert sorted(queries) == sorted(said)
    assert sorted(lessons) == [one["id"] for one in store.lessons.lessons()]
    assert len(set(lessons)) == len(names) * 2 * ROUNDS
    for name in names:
        kept = store.meta.get(f"calibration:{name}")
        assert kept is not None
        assert kept.value == 2 * ROUNDS - 1


KILLED = """
import sys
from catalogue_tools import cut, open_tools, stored, teach, tool
store = open_tools(sys.argv[1])
store.catalogue.insert_absent(stored(cut(tool("x"), 3)))
teach(store, "kept")
print("stored", flush=True)
while True:
    store.catalogue.rewrite([], stored(cut(tool("x", description="again"), 2)))
    teach(store, "more")
"""


def test_what_was_stored_survives_a_kill(tmp_path: Path) -> None:
    writer = start_python(KILLED, tmp_path)
    assert writer.stdout is not None
    assert writer.stdout.readline() == "stored\n"
    writer.kill()
    writer.communicate(timeout=60)
    store = open_tools(tmp_path)
    assert state_of(store).texts in (
        [f"what x does {n}" for n in range(3)],
        [f"again {n}" for n in range(2)],
    )
    known = {one["id"] for one in store.lessons.lessons()}
    rows = store.lessons.observations(None)[1].to_pylist()
    counted = [row["query"] for row in rows if row["lesson_id"] in known]
    assert counted == ["kept"] + ["more"] * (len(known) - 1)
