"""`AsyncMemory` and `AsyncToolRouter`: the same signatures, a loop that goes on, and cancelling."""

from __future__ import annotations

import ast
import asyncio
import inspect
import threading
import time
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from dataclasses import replace
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import numpy as np
import pytest
from asynchronous_generator import PARTS, Part, generated
from memory_tools import WIDE, contents, say
from numpy.typing import NDArray
from opentelemetry import trace
from storage_tools import run_python
from telemetry_tools import forget_providers, installed_exporter

from agentmem import AsyncMemory, AsyncToolRouter, GuardFailed, Memory, StoreError, ToolRouter, Turn
from agentmem.asynchronous.delegates.drift import AsyncDrift
from agentmem.asynchronous.delegates.migration import AsyncMigration
from agentmem.asynchronous.delegates.retention import AsyncRetention
from agentmem.asynchronous.workers import Workers
from agentmem.errors import InvalidInput
from agentmem.maintenance import Retention
from agentmem.migration import Migration
from agentmem.monitoring import Drift
from agentmem.testing import HashEmbedder
from agentmem.types import Kind

TWINS: list[tuple[type, type]] = [(Memory, AsyncMemory), (ToolRouter, AsyncToolRouter)]
TWINS += [(Drift, AsyncDrift), (Migration, AsyncMigration), (Retention, AsyncRetention)]
OF_DRIFT = {"before_write", "listener", "forget", "look", "conclude", "close"}  # of other rooms
LAG = 0.5  # seconds; 0.02 on a machine of its own, see benchmarks/asynchronous.py
MOMENT = ContextVar("MOMENT", default="none")


def open_async(folder: Path, **options: Any) -> AsyncMemory:
    async def opened() -> AsyncMemory:
        return await AsyncMemory.open(folder, **{"embedder": HashEmbedder(WIDE), **options})

    return asyncio.run(opened())


def public(kind: type) -> dict[str, Any]:
    """Public members by name, of the class itself and those it is made of."""
    return {name: inspect.getattr_static(kind, name) for name in dir(kind) if name[0] != "_"}


def awaited(given: inspect.Parameter) -> inspect.Parameter:
    """Return a parameter as the twin has it."""
    if given.name != "before_store":
        return given
    return given.replace(annotation="Sequence[AsyncBeforeStore]")


def function_of(member: Any) -> Any:
    return member.fget if isinstance(member, property) else getattr(member, "__func__", member)


@pytest.mark.parametrize(("sync", "twin"), TWINS, ids=lambda one: one.__name__)
def test_a_twin_has_every_public_method(sync: type, twin: type) -> None:
    left_out = OF_DRIFT if sync is Drift else set()
    assert set(public(twin)) - {"count"} == set(public(sync)) - left_out - {"count"}


@pytest.mark.parametrize(("sync", "twin"), TWINS, ids=lambda one: one.__name__)
def test_a_twin_takes_the_same_arguments_and_says_the_same(sync: type, twin: type) -> None:
    for name, member in public(sync).items():
        if name in public(twin):
            ours, theirs = function_of(public(twin)[name]), function_of(member)
            mine = dict(inspect.signature(ours).parameters)
            if name == "open":
                assert mine.pop("threads").kind is inspect.Parameter.KEYWORD_ONLY
            for key, given in inspect.signature(theirs).parameters.items():
                assert mine.pop(key) == awaited(given), (name, key)
            assert not mine
            if name not in {"open", "on_drift"}:
                assert inspect.getdoc(ours) == inspect.getdoc(theirs), name


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.name)
def test_a_generated_module_is_what_would_be_generated(part: Part) -> None:
    assert texts(part.path.read_text("utf-8")) == texts(generated(part)), "run: make generate"


def texts(source: str) -> tuple[set[str], str]:
    """Return imported names, and all that follows, however both are laid out."""
    tree = ast.parse(source)
    lines = [node for node in tree.body if isinstance(node, (ast.Import, ast.ImportFrom))]
    rest = [node for node in tree.body if node not in lines]
    names = {f"{getattr(one, 'module', '')}.{a.name}" for one in lines for a in one.names}
    return names, "\n".join(map(ast.dump, rest))


def test_the_first_screen_awaited(tmp_path: Path) -> None:
    async def main() -> None:
        async with AsyncMemory.open(tmp_path, embedder=HashEmbedder(WIDE)) as memory:
            ids = await memory.add(say("I moved to Lisbon."), user_id="ada")
            assert contents(await memory.search("Lisbon", user_id="ada")) == ["I moved to Lisbon."]
            ada = memory.scoped(user_id="ada")
            assert (await ada.get(ids[0])).content == "I moved to Lisbon."
            async with memory.at((await memory.stats()).table_version) as then:
                assert await then.count(user_id="ada") == 1
            await ada.close()
            assert await memory.count(user_id="ada") == 1
            assert await memory.migration() is None
            assert await memory.retention.policies() == []
            assert await memory.drift.events() == []
        assert memory.closed
        with pytest.raises(StoreError):
            await memory.count(user_id="ada")

    asyncio.run(main())


def test_a_router_awaited(tmp_path: Path) -> None:
    def get_weather(city: str) -> str:
        """Tell the weather of a city."""
        return city

    async def main() -> None:
        async with AsyncToolRouter.open(tmp_path, embedder=HashEmbedder(WIDE)) as router:
            await router.register([get_weather])
            assert await router.count() == 1
            assert (await router.select("weather of a city", k=1)).names == ["get_weather"]
            assert [tool.name for tool in await router.list()] == ["get_weather"]

    asyncio.run(main())


class Slow(HashEmbedder):
    """Takes its time, and says how many wait with it."""

    def __init__(self, seconds: float = 0.0) -> None:
        super().__init__(WIDE)
        self.seconds = seconds
        self.seen: list[str] = []

    def embed(self, texts: Sequence[str], *, kind: Kind) -> NDArray[np.float32]:
        self.seen.append(MOMENT.get())
        time.sleep(self.seconds)
        return super().embed(texts, kind=kind)


async def lag(until: asyncio.Event) -> float:
    """Return the longest that the loop kept a task waiting, in seconds."""
    worst = 0.0
    while not until.is_set():
        begun = time.perf_counter()
        await asyncio.sleep(0.001)
        worst = max(worst, time.perf_counter() - begun - 0.001)
    return worst


def test_a_hundred_calls_at_once_do_not_hold_up_the_loop(tmp_path: Path) -> None:
    async def main() -> float:
        over = asyncio.Event()
        async with AsyncMemory.open(tmp_path, embedder=Slow(0.01)) as memory:
            await memory.add([f"word{n} of the harbour" for n in range(50)], user_id="ada")
            beating = asyncio.create_task(lag(over))
            found = await asyncio.gather(
                *(memory.search(f"word{n} harbour", user_id="ada") for n in range(100))
            )
            over.set()
            assert all(len(one) == 10 for one in found)
            return await beating

    assert asyncio.run(main()) < LAG


def test_a_call_sees_the_context_of_who_awaits_it(tmp_path: Path) -> None:
    async def main() -> None:
        embedder = Slow()
        async with AsyncMemory.open(tmp_path, embedder=embedder) as memory:
            MOMENT.set("mine")
            await memory.add("Hello harbour.", user_id="ada")
            assert embedder.seen[-1] == "mine"

    asyncio.run(main())


def test_a_span_has_the_span_of_who_awaits_it_as_its_parent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        async with AsyncMemory.open(tmp_path, embedder=HashEmbedder(WIDE)) as memory:
            await memory.add("Hello harbour.", user_id="ada")
            with trace.get_tracer("test").start_as_current_span("mine"):
                await memory.search("harbour", user_id="ada")

    forget_providers(monkeypatch)
    exporter = installed_exporter()
    asyncio.run(main())
    spans = exporter.get_finished_spans()
    mine = next(span for span in spans if span.name == "mine")
    assert mine.context is not None
    children = [
        span for span in spans if span.parent and span.parent.span_id == mine.context.span_id
    ]
    assert [span.name.split()[0] for span in children] == ["search_memory"]


LEFT = """
import asyncio, sys
from agentmem import AsyncMemory
from agentmem.testing import HashEmbedder

async def hook(turn):
    await asyncio.sleep(600)

async def main():
    memory = await AsyncMemory.open(sys.argv[1], embedder=HashEmbedder(64), before_store=[hook])
    adding = asyncio.create_task(memory.add("never", user_id="ada"))
    await asyncio.sleep(0.3)
    print(await memory.count(user_id="ada"))

asyncio.run(main())
"""


def test_a_hook_whose_loop_ends_lets_the_process_end_and_stores_nothing(tmp_path: Path) -> None:
    assert run_python(LEFT, str(tmp_path / "a.mem")).split() == ["0"]
    with Memory.open(tmp_path / "a.mem", embedder=HashEmbedder(64)) as memory:
        assert memory.count(user_id="ada") == 0


def held(count: int) -> tuple[Callable[[], int], threading.Event, list[int]]:
    """Return a call that waits until it is let go, and what it notes."""
    go, begun = threading.Event(), list[int]()

    def call() -> int:
        begun.append(count)
        assert go.wait(30)
        return count

    return call, go, begun


def test_no_more_calls_run_than_there_are_threads_even_after_cancelling() -> None:
    async def main() -> None:
        workers = Workers(2)
        call, go, begun = held(1)
        tasks = [asyncio.create_task(workers.run(call)) for _ in range(6)]
        await asyncio.sleep(0.1)
        before = time.perf_counter()
        for task in tasks:
            task.cancel()
        ends = await asyncio.gather(*tasks, return_exceptions=True)
        assert time.perf_counter() - before < LAG
        assert all(isinstance(one, asyncio.CancelledError) for one in ends)
        waiting = asyncio.create_task(workers.run(call))
        await asyncio.sleep(0.1)
        assert len(begun) == 2  # those two still run; the four that had not begun never do
        go.set()
        assert await waiting == 1
        assert len(begun) == 3
        workers.close()

    asyncio.run(main())


def test_what_a_cancelled_await_would_have_got_is_let_go() -> None:
    async def main() -> None:
        workers, left = Workers(), SimpleQueue[int]()
        call, go, _ = held(7)
        task = asyncio.create_task(workers.run(call, unclaimed=left.put))
        await asyncio.sleep(0.1)  # it has begun
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        go.set()
        assert await asyncio.to_thread(left.get, timeout=30) == 7
        workers.close()

    asyncio.run(main())


def test_an_add_that_is_cancelled_is_stored_whole_or_not_at_all(tmp_path: Path) -> None:
    async def main() -> None:
        async with AsyncMemory.open(tmp_path, embedder=Slow(0.05), threads=1) as memory:
            messages = [f"word{n} of the harbour" for n in range(20)]
            adding = asyncio.create_task(memory.add(messages, user_id="ada"))
            await asyncio.sleep(0.02)
            adding.cancel()
            with pytest.raises(asyncio.CancelledError):
                await adding
            assert await memory.count(user_id="ada") in (0, 20)

    asyncio.run(main())


def test_a_coroutine_function_as_a_hook_runs_on_the_loop_of_the_caller(tmp_path: Path) -> None:
    async def main() -> None:
        ran: list[asyncio.AbstractEventLoop] = []

        async def shout(turn: Turn) -> Turn | None:
            await asyncio.sleep(0)
            ran.append(asyncio.get_running_loop())
            return replace(turn, content=turn.content.upper())

        async def broken(turn: Turn) -> Turn | None:
            raise ValueError(turn.id)

        options: dict[str, Any] = {"embedder": HashEmbedder(WIDE)}
        async with AsyncMemory.open(tmp_path, before_store=[shout], **options) as memory:
            await memory.add("hello", user_id="ada")
            assert contents(await memory.turns(user_id="ada")) == ["HELLO"]
            assert ran == [asyncio.get_running_loop()]
        async with AsyncMemory.open(tmp_path, before_store=[broken], **options) as memory:
            with pytest.raises(GuardFailed, match="broken failed with ValueError"):
                await memory.add("goodbye", user_id="ada")
            assert await memory.count(user_id="ada") == 1

    asyncio.run(main())


def test_a_store_may_be_used_by_one_loop_after_another(tmp_path: Path) -> None:
    memory = open_async(tmp_path)
    asyncio.run(add_one(memory))
    asyncio.run(add_one(memory))
    assert asyncio.run(count_and_close(memory)) == 2


async def add_one(memory: AsyncMemory) -> None:
    await memory.add("hello", user_id="ada")


async def count_and_close(memory: AsyncMemory) -> int:
    async with memory:
        return await memory.count(user_id="ada")


@pytest.mark.parametrize("threads", [0, -1, 1.5, True, "4"])
def test_threads_that_are_no_count_are_refused(threads: Any) -> None:
    with pytest.raises(InvalidInput, match="how many calls"):
        Workers(threads)
