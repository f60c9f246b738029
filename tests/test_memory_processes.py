"""Threads and processes that share a store: nothing lost, nothing twice, no errors."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from memory_tools import Meddling, contents, ids, open_hashed, say
from storage_tools import run_python, start_python

THREADS = 8
WRITERS = ("a", "b")
ADDS = 25

WRITER = """
import sys
from memory_tools import open_hashed, say
folder, name, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
memory = open_hashed(folder)
print("ready", flush=True)
sys.stdin.readline()
for n in range(count):
    text = f"{name}word{n} of the harbour"
    memory.add([say(text), say("said by both", id=f"both{n}")], user_id="ada")
    for mode in ("lexical", "dense"):
        (hit,) = memory.search(f"{name}word{n}", user_id="ada", k=1, mode=mode)
        assert hit.turn.content == text, hit
memory.close()
"""


def test_threads_share_one_memory(tmp_path: Path) -> None:
    with open_hashed(tmp_path) as memory:

        def talk(thread: int) -> list[str]:
            mine = memory.scoped(session_id=f"s{thread}")
            new: list[str] = []
            for n in range(10):
                text = f"word{thread}x{n} of the harbour"
                new += mine.add(say(text), user_id="ada")
                found = memory.search(f"word{thread}x{n}", user_id="ada", k=1)
                assert contents(found) == [text]
                assert len(memory.context("harbour", user_id="ada", max_tokens=200).turns) > 0
                assert contents(mine.turns())[-1] == text
            return new

        with ThreadPoolExecutor(THREADS) as pool:
            added = [one for new in pool.map(talk, range(THREADS)) for one in new]
        assert sorted(ids(memory.turns(user_id="ada", limit=1_000))) == sorted(added)
        assert len(set(added)) == 10 * THREADS
        assert len(memory.search("harbour", user_id="ada", k=1_000)) == 10 * THREADS


def test_threads_that_add_one_id_at_once_store_it_once(tmp_path: Path) -> None:
    with open_hashed(tmp_path) as memory:

        def add(_: int) -> list[str]:
            return memory.add([say("the same", id="1"), say("too", id="2")], user_id="ada")

        with ThreadPoolExecutor(THREADS) as pool:
            assert list(pool.map(add, range(THREADS))) == [["1", "2"]] * THREADS
        assert sorted(contents(memory.turns(user_id="ada"))) == ["the same", "too"]
        assert memory.stats().chunks == 2


def test_processes_add_while_another_searches(tmp_path: Path) -> None:
    memory = open_hashed(tmp_path)
    writers = [start_python(WRITER, tmp_path, name, str(ADDS)) for name in WRITERS]
    for writer in writers:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write("go\n")
        writer.stdin.flush()
    seen: set[str] = set()
    while any(writer.poll() is None for writer in writers):
        found = ids(memory.search("harbour", user_id="ada", k=1_000))
        assert len(found) == len(set(found))
        assert seen <= set(found)
        seen = set(found)
    for writer in writers:
        _, err = writer.communicate(timeout=60)
        assert writer.returncode == 0, err
    expected = [f"{name}word{n} of the harbour" for name in WRITERS for n in range(ADDS)]
    expected += ["said by both"] * ADDS
    for turns in (
        memory.turns(user_id="ada", limit=1_000),
        memory.search("harbour", user_id="ada", k=1_000),
    ):
        assert sorted(contents(turns)) == sorted(expected)
        assert len(set(ids(turns))) == len(expected)
    memory.close()


def remember(folder: Path, name: str) -> None:
    """Add one turn: the work of a process started by spawn."""
    with open_hashed(folder) as memory:
        memory.add(say(f"from {name}"), user_id="ada")


def test_spawned_workers_write_beside_an_open_parent(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    with open_hashed(tmp_path) as memory:
        memory.add("from the parent", user_id="ada")
        workers = [context.Process(target=remember, args=(tmp_path, name)) for name in WRITERS]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join(60)
            assert worker.exitcode == 0
        found = contents(memory.search("from", user_id="ada"))
        assert sorted(found) == ["from a", "from b", "from the parent"]


KILLED = """
import sys
from memory_tools import open_hashed, say
memory, n = open_hashed(sys.argv[1]), 0
while True:
    print(*memory.add([say(f"one {n}"), say(f"two {n}")], user_id="ada"), flush=True)
    n += 1
"""


def test_what_add_returned_survives_a_kill_and_is_whole(tmp_path: Path) -> None:
    writer = start_python(KILLED, tmp_path)
    assert writer.stdout is not None
    acknowledged = [one for _ in range(10) for one in writer.stdout.readline().split()]
    writer.kill()
    writer.communicate(timeout=60)
    with open_hashed(tmp_path, create=False) as memory:
        stored = memory.turns(user_id="ada", limit=10_000)
        assert set(acknowledged) <= set(ids(stored))
        assert len(stored) % 2 == 0
        assert len(memory.search("one two", user_id="ada", k=10_000)) == len(stored)
        assert memory.add("after", user_id="ada")


def test_a_turn_deleted_by_another_process_is_not_found(tmp_path: Path) -> None:
    with open_hashed(tmp_path) as memory:
        first, second = memory.add([say("the harbour"), say("the pier")], user_id="ada")
        assert len(memory.search("harbour", user_id="ada")) == 2
        run_python(
            "import sys; from memory_tools import open_hashed\n"
            "with open_hashed(sys.argv[1]) as memory: memory.delete(sys.argv[2], user_id='ada')",
            tmp_path,
            first,
        )
        assert ids(memory.search("harbour", user_id="ada")) == [second]


@pytest.mark.parametrize("reading", ["search", "context"])
def test_a_turn_deleted_while_a_question_is_embedded_is_left_out(
    tmp_path: Path, reading: str
) -> None:
    embedder = Meddling()
    with open_hashed(tmp_path, embedder=embedder) as memory, open_hashed(tmp_path) as other:
        memory.add([say("the harbour", id="1"), say("the pier", id="2")], user_id="ada")
        memory.search("warm", user_id="ada")
        embedder.meanwhile = lambda: other.delete("1", user_id="ada")
        calls: dict[str, Any] = {
            "search": lambda: memory.search("harbour", user_id="ada"),
            "context": lambda: memory.context("harbour", user_id="ada", max_tokens=99).turns,
        }
        assert ids(calls[reading]()) == ["2"]
