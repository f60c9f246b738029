"""Migrations on Ray: in one session of two workers, whatever becomes of them.

`make test-scale` installs Ray; `make test` leaves this folder out.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from memory_tools import contents, ids, open_hashed, say
from migration_tools import assert_moved, description, rows_in
from ray_tools import (
    TO_COME,
    Abroad,
    Deadly,
    Failing,
    Marking,
    Same,
    Unloadable,
    Unpicklable,
    gone,
    numbered,
    until,
)
from router_tools import TOOLS, open_router
from storage_tools import start_python

from agentmem import EmbeddingFailed, Memory, MigrationFailed
from agentmem.migration import cluster, ray_engine
from agentmem.migration.cluster import WorkersLost, encode_with_ray
from agentmem.testing import HashEmbedder

TURNS = 1_500


@pytest.fixture(scope="module", autouse=True)
def session() -> Iterator[str]:
    """Give the address of a session that goes on from test to test, as on a cluster."""
    ray = cluster.import_ray()
    with cluster._session(ray, workers=2, address=None):
        yield ray.get_runtime_context().gcs_address


@pytest.fixture
def marked(tmp_path: Path) -> Path:
    folder = tmp_path / "marks"
    folder.mkdir()
    return folder


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Memory]:
    """Open a store of turns, more than are embedded without Ray."""
    with open_hashed(tmp_path / "store") as opened:
        said = [say(f"word{n} of the harbour", id=f"t{n}") for n in range(TURNS)]
        opened.add(said, user_id="ada", session_id="s")
        yield opened


def batches(count: int, *, size: int = 4) -> Iterator[pa.Table]:
    """Give so many batches of rows."""
    return (numbered(n * size, (n + 1) * size) for n in range(count))


def test_rows_come_back_once_each_also_when_a_worker_is_killed() -> None:
    taken, most, seen, pids = 0, 0, list[int](), list[int]()

    def given() -> Iterator[pa.Table]:
        nonlocal taken
        for batch in batches(60):
            taken += 1
            yield batch

    for place, rows in enumerate(encode_with_ray(given(), Same(), workers=2)):
        seen += map(int, rows["id"].to_numpy())
        pids.append(rows["pid"][0].as_py())
        most = max(most, taken - place)
        if place == 6:
            os.kill(pids[-1], signal.SIGKILL)
    assert sorted(seen) == list(range(240))
    assert len(set(pids)) == 3
    assert most <= 5


def test_a_batch_that_ends_every_worker_is_given_up() -> None:
    with pytest.raises(WorkersLost, match="over the same 4 rows"):
        list(encode_with_ray(batches(6), Deadly(), workers=2))


def test_an_error_comes_back_as_it_was_raised() -> None:
    with pytest.raises(ValueError, match=r"^nothing becomes of 4 rows$") as caught:
        list(encode_with_ray(batches(1), Failing(), workers=2))
    assert type(caught.value) is ValueError


def test_a_worker_that_cannot_load_what_embeds_is_told() -> None:
    with pytest.raises(EmbeddingFailed, match="not here"):
        list(encode_with_ray(batches(1), Unloadable(), workers=2))


def test_workers_end_with_whom_they_work_for_and_the_session_goes_on() -> None:
    rows = encode_with_ray(batches(1_000), Same(), workers=2)
    pids = {next(rows)["pid"][0].as_py() for _ in range(4)}
    rows.close()
    gone(pids)
    assert len(list(encode_with_ray(batches(3), Same(), workers=1))) == 3


def test_a_stop_is_heard_while_workers_are_busy() -> None:
    asked = 0

    def alive() -> None:
        nonlocal asked
        asked += 1
        if asked == 3:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        list(encode_with_ray(batches(1_000), Same(), workers=2, alive=alive))


def test_turns_tools_and_examples_move_and_workers_embed_the_turns(
    memory: Memory, tmp_path: Path, marked: Path
) -> None:
    store, target = tmp_path / "store", Marking(marked)
    with open_router(store) as router:
        router.sync(TOOLS)
        router.add_examples({"send_mail": ["write to my aunt"]}, guard=False)
    status = memory.migrate(target, engine="ray", workers=2).status()
    assert (status.state, status.poisoned) == ("done", 0)
    assert len(target.workers()) == 2
    assert target.marks()[os.getpid()] < TURNS / 2
    assert_moved(store, target)
    for held in ("tools", "tool_examples"):
        assert {row["passport"] for row in rows_in(store, 2, held)} == {target.passport.id}
    assert memory.search("word7", user_id="ada", k=1).generation == 2
    with open_router(store, embedder=target) as router:
        assert [one.tool.name for one in router.select("my aunt", k=1)] == ["send_mail"]


def test_a_text_that_cannot_be_embedded_is_set_aside_and_named(
    memory: Memory, tmp_path: Path, marked: Path
) -> None:
    memory.add(say("word7 is unspeakable", id="bad"), user_id="bob")
    migration = memory.migrate(Marking(marked, poison="unspeakable"), engine="ray")
    assert (migration.status().state, migration.status().poisoned) == ("done", 1)
    (told,) = migration.poisoned()
    assert (told.held, told.id, told.user_id) == ("turns", "bad", "bob")
    assert "the model gave up" in told.error
    assert contents(memory.search("word7", user_id="bob")) == ["word7 is unspeakable"]
    blank = [row["id"] for row in rows_in(tmp_path / "store", 2) if row["passport"] == ""]
    assert blank == ["bad"]


def test_a_worker_that_is_killed_loses_nothing_and_repeats_nothing(
    memory: Memory, tmp_path: Path, marked: Path
) -> None:
    target = Marking(marked, seconds=0.01)
    migration = memory.migrate(target, engine="ray", workers=2, background=True)
    until(target.workers)
    killed = target.workers()[0]
    os.kill(killed, signal.SIGKILL)
    memory.add(say("word0 said meanwhile", id="late"), user_id="ada")
    assert migration.wait(TO_COME).state == "done"
    assert len(set(target.workers()) - {killed}) == 2
    assert_moved(tmp_path / "store", target)
    assert "late" in ids(memory.search("meanwhile", user_id="ada", k=1))


def test_a_pause_is_heard_and_gone_on_from(memory: Memory, tmp_path: Path, marked: Path) -> None:
    target = Marking(marked, seconds=0.02)
    migration = memory.migrate(target, engine="ray", workers=2, background=True)
    until(target.workers)
    migration.pause()
    paused = migration.wait(TO_COME)
    assert (paused.state, paused.done < TURNS) == ("paused", True)
    gone(target.workers())
    assert memory.migrate(target, engine="ray").status().state == "done"
    assert_moved(tmp_path / "store", target)


def test_a_model_that_fails_in_the_workers_is_told_in_its_own_words(
    memory: Memory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_engine, "FIRST_WAIT", 0.001)
    with pytest.raises(MigrationFailed, match=r"Abroad failed: .*there is no weights\.bin"):
        memory.migrate(Abroad(), engine="ray")
    migration = memory.migration()
    assert migration is not None
    status = migration.status()
    assert status.state == "failed"
    assert "Traceback" not in str(status.error)
    assert description(tmp_path / "store").active == 1
    assert memory.migrate(Abroad(), engine="local").status().state == "done"


def test_an_embedder_that_cannot_be_sent_to_workers_is_refused(memory: Memory) -> None:
    with pytest.raises(MigrationFailed, match="__getstate__"):
        memory.migrate(Unpicklable(), engine="ray")
    assert memory.search("word7", user_id="ada", k=1).generation == 1


def test_few_turns_are_embedded_without_workers(tmp_path: Path, marked: Path) -> None:
    target = Marking(marked)
    with open_hashed(tmp_path / "store") as memory:
        memory.add("the harbour", user_id="ada")
        memory.migrate(target, engine="ray")
    assert target.workers() == []


JOINING = """
import sys
from memory_tools import open_hashed
from agentmem.testing import HashEmbedder
with open_hashed(sys.argv[1]) as memory:
    print(memory.migrate(HashEmbedder(96), engine="ray", workers=2).status().state)
"""


def test_a_cluster_that_the_environment_names_is_joined_and_left_running(
    memory: Memory, tmp_path: Path, session: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", session)
    other = start_python(JOINING, tmp_path / "store")
    out, err = other.communicate(timeout=TO_COME)
    assert (out, err, other.returncode) == ("done\n", "", 0)
    assert_moved(tmp_path / "store", HashEmbedder(96))
    assert len(list(encode_with_ray(batches(3), Same(), workers=1))) == 3
