"""Stores on S3 that move to another space while processes write and read them, and back.

`make test-scale` installs and runs the server; `make test` leaves this folder out.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from subprocess import Popen
from typing import Any, Final, cast

import pytest
from generation_tools import seal, unsealed
from memory_tools import contents, ids, open_hashed, say
from migration_tools import NEXT, OLD, assert_moved, description, rows_in
from object_store import BUCKET, LOGS, Server, running
from router_tools import TOOLS, open_router
from storage_tools import start_python

from agentmem import Memory
from agentmem.storage.generations import POLL_FAR
from agentmem.storage.turns import Store

KEPT = 120
TO_FINISH = 300.0  # seconds; 30 on two cores that have nothing else to do
REQUESTS_A_LOOK = 8
ADA: Final[dict[str, Any]] = {"user_id": "ada"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(tmp_path_factory.mktemp("s3")) as one:
        yield one


@pytest.fixture
def place(server: Server, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give an address, which needs no options in this process and those that it starts."""
    for name, value in server.options.items():
        monkeypatch.setenv(name.upper() if name.startswith("aws") else f"AWS_{name.upper()}", value)
    return cast("Path", f"s3://{BUCKET}/{request.node.name}")


def fill(place: Path) -> None:
    """Make a store of turns that nobody changes."""
    with open_hashed(place) as memory:
        said = [say(f"keepsake{n} of the harbour", id=f"k{n}") for n in range(KEPT)]
        memory.add(said, **ADA, session_id="s")


WRITER = """
import json, random, sys
from memory_tools import contents, open_hashed, say
from agentmem.testing import HashEmbedder
place, name = sys.argv[1:]
rng, stored, order, n = random.Random(name), {}, [], 0
with open_hashed(place, standby=[HashEmbedder(96)]) as memory:
    while order != [1, 2, 1]:
        n += 1
        if stored and rng.random() < 0.2:
            turn_id = rng.choice(list(stored))
            memory.delete(turn_id, user_id=name)
            del stored[turn_id]
        turn_id = rng.choice([f"{name}{n}", *list(stored)[-3:]])
        stored[turn_id] = f"{name}word{n} at the pier"
        memory.add(say(stored[turn_id], id=turn_id), user_id=name, on_conflict="replace")
        found = memory.search(f"{name}word{n}", user_id=name, k=1)
        assert contents(found) == [stored[turn_id]], (contents(found), stored[turn_id])
        assert memory.count(user_id=name) == len(stored)
        if order[-1:] != [found.generation]:
            order.append(found.generation)
            print("in", found.generation, flush=True)
print(json.dumps(stored))
"""

READER = """
import json, random, sys
from memory_tools import contents, open_hashed
from agentmem.testing import HashEmbedder
place, count = sys.argv[1], int(sys.argv[2])
spaces = {1: HashEmbedder(512).passport.id, 2: HashEmbedder(96).passport.id}
rng, order, reads = random.Random(0), [], 0
with open_hashed(place, standby=[HashEmbedder(96)], read_only=True) as memory:
    while order != [1, 2, 1]:
        n = rng.randrange(count)
        found = memory.search(f"keepsake{n}", user_id="ada", k=3)
        assert contents(found)[:1] == [f"keepsake{n} of the harbour"], contents(found)
        assert found.passport_id == spaces[found.generation]
        assert memory.count(user_id="ada") == count
        reads += 1
        if order[-1:] != [found.generation]:
            order.append(found.generation)
            print("in", found.generation, flush=True)
print(json.dumps(reads))
"""


def in_generation(processes: list[Popen[str]], number: int) -> None:
    """Wait until each of these processes says that it is there."""
    for process in processes:
        assert process.stdout is not None
        said = process.stdout.readline()
        assert said == f"in {number}\n", process.communicate(timeout=TO_FINISH)


def finished(process: Popen[str]) -> Any:
    """Return what a process says last."""
    assert process.stdout is not None
    said = process.stdout.readline()
    _, err = process.communicate(timeout=TO_FINISH)
    assert process.returncode == 0, err
    return json.loads(said)


def test_a_store_in_a_bucket_moves_there_and_back_beside_writers_and_a_reader(place: Path) -> None:
    fill(place)
    names = ("eve", "bob")
    writers = [start_python(WRITER, place, name) for name in names]
    reader = start_python(READER, place, str(KEPT))
    everybody = [*writers, reader]
    try:
        in_generation(everybody, 1)
        with open_hashed(place) as memory:
            migration = memory.migrate(NEXT)
            assert migration.status().state == "done"
            in_generation(everybody, 2)
            assert migration.rollback().state == "rolled_back"
            in_generation(everybody, 1)
        stored = {name: finished(one) for name, one in zip(names, writers, strict=True)}
        assert finished(reader) > 2
    finally:
        for process in everybody:
            process.kill()
            with process:  # closes what it wrote to
                pass
    with open_hashed(place, create=False) as memory:
        for name, expected in stored.items():
            found = memory.turns(user_id=name, limit=10_000)
            assert {turn.id: turn.content for turn in found} == expected
            assert len(found) == len(expected)
        assert memory.count(**ADA) == KEPT
        memory.migrate(NEXT)
    assert_moved(place, NEXT)


def test_turns_tools_and_examples_move_in_a_bucket(place: Path) -> None:
    fill(place)
    with open_router(place) as router:
        router.sync(TOOLS)
        router.add_examples({"send_mail": ["write to my aunt"]}, guard=False)
    with open_hashed(place) as memory:
        migration = memory.migrate(NEXT)
        assert all(gate.passed for gate in migration.status().gates)
        assert_moved(place, NEXT)
        for held in ("tools", "tool_examples"):
            assert {row["passport"] for row in rows_in(place, 2, held)} == {NEXT.passport.id}
        assert migration.drop() == 1
    assert list(description(place).generations) == [2]
    with open_router(place, embedder=NEXT) as router:
        assert [one.tool.name for one in router.select("my aunt", k=1)] == ["send_mail"]


MIGRATOR = """
import sys, time
from memory_tools import open_hashed
from agentmem.migration import engines, migrator
from agentmem.testing import HashEmbedder

class Slow(HashEmbedder):
    def embed(self, texts, *, kind):
        time.sleep(0.02 * len(texts))
        return super().embed(texts, kind=kind)

engines.HEADS_A_BATCH = migrator.LEAST_A_COMMIT = 8
with open_hashed(sys.argv[1]) as memory:
    memory.migrate(Slow(96))
"""


def test_a_migration_in_a_bucket_that_was_killed_is_gone_on_with(place: Path) -> None:
    fill(place)
    migrator = start_python(MIGRATOR, place)
    until = time.monotonic() + TO_FINISH
    while len(description(place).generations) < 2 or len(rows_in(place, 2)) < KEPT / 4:
        assert migrator.poll() is None, migrator.communicate()
        assert time.monotonic() < until
    migrator.kill()
    migrator.communicate(timeout=TO_FINISH)
    carried = {row["id"]: row["vector"] for row in rows_in(place, 2)}
    assert KEPT / 4 <= len(carried) < KEPT
    with Memory.open(place, embedder=OLD, standby=[NEXT]) as memory:
        memory.delete("k0", **ADA)
        assert memory.migrate(NEXT).status().state == "done"
    assert_moved(place, NEXT)
    assert len(rows_in(place, 2)) == KEPT - 1


def test_a_writer_waits_for_a_seal_in_a_bucket_and_asks_for_it_seldom(place: Path) -> None:
    fill(place)
    generations = Store.open(place, passport=None).whole.generations
    with open_hashed(place) as memory, ThreadPoolExecutor() as pool:
        seal(generations)
        adding = pool.submit(memory.add, say("the pier", id="late"), **ADA)
        time.sleep(1.0)
        before, began = requests(), time.monotonic()
        time.sleep(4.0)
        looks = (time.monotonic() - began) / POLL_FAR
        assert 2 <= requests() - before <= REQUESTS_A_LOOK * (looks + 1)
        assert not adding.done()
        assert contents(memory.search("keepsake7", **ADA, k=1)) == ["keepsake7 of the harbour"]
        assert generations.change(unsealed("migration")) is not None
        assert adding.result(TO_FINISH) == ["late"]
        assert ids(memory.search("pier", **ADA, k=1)) == ["late"]


def requests() -> int:
    """Return how many requests the server has answered."""
    return (LOGS / "moto.log").read_bytes().count(b"HTTP/1.1")
