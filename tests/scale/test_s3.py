"""Stores on S3, by the public interface, beside the same in a folder; with writers that race.

`make test-scale` installs and runs the server; `make test` leaves this folder out.
"""

from __future__ import annotations

import json
import multiprocessing
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Final

import pytest
from memory_tools import contents, ids, open_hashed, say
from object_store import BUCKET, Server, free_port, running
from router_tools import FLIGHT, MAIL, TOOLS, WEATHER, names, open_router
from storage_tools import start_python

from agentmem import Memory, ToolRouter
from agentmem.errors import EmbedderMismatch, StoreError, StoreNotFound
from agentmem.storage.guard import Guard
from agentmem.storage.opening import open_meta, open_store
from agentmem.testing import HashEmbedder
from agentmem.types import Selection

WRITERS = ("a", "b", "c")
ADDS = 40
SWAPS = 20
TO_FINISH = 300.0  # seconds; three writers take 45 on two cores with other work
SOON = 30.0  # seconds in which a server that cannot be used must be reported
ADA: Final[dict[str, Any]] = {"user_id": "ada"}


@dataclass(frozen=True)
class Place:
    """Where a store is to be: an address, and how it is reached."""

    uri: str
    options: Mapping[str, str]

    def memory(self, **options: Any) -> Memory:
        """Open it as a memory."""
        return open_hashed(self.uri, storage_options=self.options, **options)  # type: ignore[arg-type]

    def router(self, **options: Any) -> ToolRouter:
        """Open it as a router."""
        return open_router(self.uri, storage_options=self.options, **options)  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(tmp_path_factory.mktemp("s3")) as one:
        yield one


@pytest.fixture
def place(server: Server, request: pytest.FixtureRequest) -> Place:
    return Place(f"s3://{BUCKET}/{request.node.name}", server.options)


def test_a_memory_answers_from_a_bucket_as_from_a_folder(place: Place, tmp_path: Path) -> None:
    assert converse(place, tmp_path) == converse(Place(str(tmp_path / "store"), {}), tmp_path)


def converse(place: Place, folder: Path) -> list[Any]:
    """Do everything a memory does, and return what came out, closed and opened again between."""
    exported = folder / "exported.jsonl"
    with place.memory() as memory:
        pier = [say(f"pier {n}", id=f"p{n}", session_id="s") for n in range(5)]
        done: list[Any] = [memory.add(pier, **ADA), memory.add(say("the harbour", id="h"), **ADA)]
        done += [memory.add(say("the mole", id="p1", session_id="s"), **ADA, on_conflict="replace")]
        done += [memory.delete("p2", **ADA), contents(memory.search("harbour mole", **ADA, k=2))]
        done += [memory.export(exported, **ADA, overwrite=True), memory.count(**ADA)]
        memory.add("of somebody else", user_id="bob")
    with place.memory(create=False) as memory:
        done += [sorted(contents(memory.turns(**ADA))), contents(memory.search("mole", **ADA))]
        done += [memory.context("harbour", **ADA, max_tokens=50).text.split("]")[1]]
        done += [memory.stats().turns, memory.add(say("after", id="z"), **ADA)]
        done += [memory.import_turns(exported, user_id="eve").stored, memory.count(user_id="eve")]
    return done


def test_a_router_answers_from_a_bucket_as_from_a_folder(place: Place, tmp_path: Path) -> None:
    assert choose(place) == choose(Place(str(tmp_path), {}))


def choose(place: Place) -> list[Any]:
    """Do what a router does, and return what came out, closed and opened again between."""
    with place.router() as router:
        change = router.sync(TOOLS)
        selected = router.select("a seat on a plane", k=1)
        router.feedback(selected, used="book_flight", succeeded=True)
        router.add_examples({"send_mail": ["write to my aunt"]})
        done: list[Any] = [change.added, picked(selected)]
    with place.router(create=False) as router:
        changed = {**WEATHER, "description": "Says whether to take an umbrella."}
        change = router.sync([changed, FLIGHT, MAIL])
        done += [change.changed, change.unchanged, names(router)]
        done += [picked(router.select(query, k=1)) for query in ("umbrella", "my aunt")]
        router.remove("send_mail")
        done += [names(router), len(router.history())]
    return done


def picked(selection: Selection) -> list[str]:
    """Return the names of the tools that were chosen, best first."""
    return [match.tool.name for match in selection]


def test_a_memory_and_a_router_share_a_bucket(place: Place) -> None:
    with place.memory() as memory, place.router() as router:
        memory.add("the harbour", **ADA)
        router.sync(TOOLS)
        assert contents(memory.search("harbour", **ADA)) == ["the harbour"]
        assert picked(router.select("a seat on a plane", k=1)) == ["book_flight"]


def test_one_handle_sees_what_another_wrote_and_deleted(place: Place) -> None:
    with place.memory() as one, place.memory() as other:
        (turn,) = one.add("the harbour", **ADA)
        assert ids(other.search("harbour", **ADA)) == [turn]
        other.delete(turn, **ADA)
        assert not one.search("harbour", **ADA)


def test_many_small_writes_are_compacted(place: Place, server: Server) -> None:
    with place.memory() as memory:
        for n in range(60):
            memory.add(f"word{n} of the harbour", **ADA)
        assert memory.stats().fragments < 30
        assert contents(memory.search("word7", **ADA, k=1)) == ["word7 of the harbour"]
        assert memory.count(**ADA) == 60


def write(place: Place, name: str) -> None:
    """Add many turns, some of which the other writers add as well: the work of a process."""
    with place.memory() as memory:
        for n in range(ADDS):
            both = say("said by all", id=f"all{n}")
            memory.add([say(f"{name}word{n} of the harbour"), both], **ADA)


def test_processes_that_make_one_store_and_write_lose_nothing_and_repeat_nothing(
    place: Place,
) -> None:
    finish([(write, (place, name)) for name in WRITERS])
    expected = Counter(f"{name}word{n} of the harbour" for name in WRITERS for n in range(ADDS))
    expected["said by all"] = ADDS
    with place.memory(create=False) as memory:
        stored = memory.turns(**ADA, limit=1_000)
        assert Counter(contents(stored)) == expected
        assert len(set(ids(stored))) == len(stored)
        assert Counter(contents(memory.search("harbour", **ADA, k=1_000))) == expected


def count_up(place: Place) -> None:
    """Raise a number by compare-and-swap, again after each one lost: the work of a process."""
    opened = open_store(place.uri, passport=None, create=False, options=place.options)
    meta = open_meta(opened, guard=Guard(place.uri, read_only=False))
    meta.put_if_absent("number", 0)
    won = 0
    while won < SWAPS:
        found = meta.get("number")
        assert found is not None
        won += meta.compare_and_swap("number", found.value + 1, rev=found.rev)


def test_of_processes_that_swap_one_value_exactly_one_wins_each_time(place: Place) -> None:
    place.memory().close()
    finish([(count_up, (place,)) for _ in WRITERS])
    opened = open_store(place.uri, passport=None, create=False, options=place.options)
    found = open_meta(opened, guard=Guard(place.uri, read_only=True)).get("number")
    assert found is not None
    assert (found.value, found.rev) == (SWAPS * len(WRITERS), SWAPS * len(WRITERS))


def finish(work: list[tuple[Callable[..., None], tuple[Any, ...]]]) -> None:
    """Run each piece of work in a process of its own, all at once; each must end well."""
    context = multiprocessing.get_context("spawn")
    workers: list[BaseProcess] = [context.Process(target=one, args=given) for one, given in work]
    try:
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join(TO_FINISH)
        assert [worker.exitcode for worker in workers] == [0] * len(workers)
    finally:
        for worker in workers:
            if worker.is_alive():
                worker.kill()


KILLED = """
import json, sys
from memory_tools import open_hashed, say
uri, options = sys.argv[1], json.loads(sys.argv[2])
memory, n = open_hashed(uri, storage_options=options), 0
while True:
    print(*memory.add([say(f"one {n}"), say(f"two {n}")], user_id="ada"), flush=True)
    n += 1
"""


def test_what_add_returned_survives_a_kill_and_is_whole(place: Place) -> None:
    writer = start_python(KILLED, place.uri, json.dumps(dict(place.options)))
    assert writer.stdout is not None
    acknowledged = [one for _ in range(10) for one in writer.stdout.readline().split()]
    writer.kill()
    _, err = writer.communicate(timeout=60)
    assert len(acknowledged) == 20, err
    with place.memory(create=False) as memory:
        stored = memory.turns(**ADA, limit=10_000)
        assert set(acknowledged) <= set(ids(stored))
        assert len(stored) % 2 == 0
        assert len(memory.search("one two", **ADA, k=10_000)) == len(stored)
        assert memory.add("after", **ADA)


def test_a_commit_whose_answer_is_lost_is_made_once(place: Place, server: Server) -> None:
    table = f"{place.uri.rpartition('/')[2]}/turns_g1.lance/"
    with place.memory() as memory:
        with server.losing(table):
            memory.add("of a new id", **ADA)
        with server.losing(table):
            memory.add(say("the harbour", id="1"), **ADA)
        with server.losing(table):
            memory.add(say("the pier", id="1"), **ADA, on_conflict="replace")
        assert sorted(contents(memory.turns(**ADA))) == ["of a new id", "the pier"]
        with server.losing(table):
            assert memory.delete("1", **ADA).turns == 1
        assert contents(memory.turns(**ADA)) == ["of a new id"]


def test_a_swap_whose_answer_is_lost_was_won(place: Place, server: Server) -> None:
    place.memory().close()
    opened = open_store(place.uri, passport=None, create=False, options=place.options)
    meta = open_meta(opened, guard=Guard(place.uri, read_only=False))
    meta.put_if_absent("number", 0)
    with server.losing(f"{place.uri.rpartition('/')[2]}/meta.lance/"):
        assert meta.compare_and_swap("number", 1, rev=0)
    assert not meta.compare_and_swap("number", 2, rev=0)


def test_a_store_that_is_only_read_is_not_changed(place: Place, server: Server) -> None:
    with place.memory() as memory:
        (turn,) = memory.add("the harbour", **ADA)
    before = server.objects(place.uri.rpartition("/")[2])
    with place.memory(read_only=True) as memory:
        assert contents(memory.search("harbour", **ADA)) == ["the harbour"]
        for refused in (lambda: memory.add("x", **ADA), lambda: memory.delete(turn, **ADA)):
            with pytest.raises(StoreError, match="read_only=True"):
                refused()
    assert server.objects(place.uri.rpartition("/")[2]) == before


def test_a_bucket_without_a_store_is_left_empty_by_a_reader(place: Place, server: Server) -> None:
    for options in ({"create": False}, {"read_only": True}):
        with pytest.raises(StoreNotFound, match="create=True"):
            place.memory(**options)
        with pytest.raises(StoreNotFound, match="create=True"):
            place.router(**options)
    assert "<Key>" not in server.objects(place.uri.rpartition("/")[2])


def test_another_embedder_is_refused(place: Place) -> None:
    place.memory().close()
    with pytest.raises(EmbedderMismatch):
        place.memory(embedder=HashEmbedder(16))


def refusal(opening: Callable[[], object]) -> str:
    """Return the message of a refusal, which must come soon."""
    started = time.monotonic()
    with pytest.raises(StoreError) as refused:
        opening()
    assert time.monotonic() - started < SOON
    return str(refused.value)


def test_keys_that_the_server_does_not_know_are_told(place: Place, server: Server) -> None:
    with place.memory() as memory:
        memory.add("the harbour", **ADA)
        with server.refusing():
            for call in (
                lambda: place.memory(create=False),
                place.router,
                lambda: memory.search("harbour", **ADA),
                lambda: memory.add("the pier", **ADA),
            ):
                message = refusal(call)
                assert "permission denied" in message
                assert "storage_options" in message
        assert contents(memory.turns(**ADA)) == ["the harbour"]


def test_a_bucket_that_is_not_there_is_told(server: Server) -> None:
    for options in ({}, {"create": False}):
        message = refusal(lambda: Place("s3://missing/store", server.options).memory(**options))  # noqa: B023
        assert "there is no such bucket" in message


def test_a_server_that_does_not_answer_is_told(server: Server) -> None:
    nobody = {**server.options, "aws_endpoint": f"http://127.0.0.1:{free_port()}"}
    message = refusal(Place(f"s3://{BUCKET}/store", nobody).memory)
    assert "did not answer" in message
    assert "aws_endpoint" in message


def test_an_address_without_tls_is_to_be_allowed(server: Server) -> None:
    careful = {**server.options, "allow_http": "false"}
    assert "allow_http" in refusal(Place(f"s3://{BUCKET}/store", careful).memory)


def test_an_unknown_kind_of_address_is_told() -> None:
    assert "s4://" in (message := refusal(Place("s4://bucket/store", {}).memory))
    assert "s3://" in message
