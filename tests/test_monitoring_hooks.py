"""Hooks: who hears of what, in threads of their own, whatever they do."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import threading
import time
from importlib.metadata import EntryPoint
from typing import Any

import pytest
from drift_tools import event

from agentmem import InvalidInput
from agentmem.monitoring import hooks as module
from agentmem.monitoring.hooks import MOST_THREADS, Hooks, checked_kinds
from agentmem.types import DriftEvent


def told(hooks: Hooks, given: DriftEvent) -> None:
    """Tell hooks of an event, and wait for them."""
    hooks.tell(given, hooks=hooks.wanting(given), wait=True)


HEARD_OF: list[dict[str, Any]] = [
    {},
    {"kind": "model"},
    {"kind": ["texts", "model"]},
    {"severity": "warning"},
    {"severity": "info"},
]
NOT_HEARD_OF: list[dict[str, Any]] = [
    {"kind": "texts"},
    {"severity": "critical"},
    {"kind": "model", "severity": "critical"},
    {"kind": []},
]


@pytest.mark.parametrize("chosen", [*HEARD_OF, *NOT_HEARD_OF])
def test_a_hook_hears_of_its_kinds_from_its_severity_on(chosen: dict[str, Any]) -> None:
    hooks = Hooks()
    seen: list[DriftEvent] = []
    hooks.register(seen.append, **chosen)
    told(hooks, event(severity="warning"))
    assert seen == [event(severity="warning")] * (chosen in HEARD_OF)


def test_a_hook_runs_in_another_thread_within_the_context_of_the_check() -> None:
    said: contextvars.ContextVar[str] = contextvars.ContextVar("said")
    said.set("by the check")
    hooks = Hooks()
    seen: list[tuple[str, str]] = []
    hooks.register(lambda _: seen.append((threading.current_thread().name, said.get())))
    told(hooks, event())
    assert seen == [("agentmem-drift-hook", "by the check")]


def test_what_a_hook_raises_is_logged_and_the_others_hear_of_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def broken(_: DriftEvent) -> None:
        raise RuntimeError("no such address")

    hooks = Hooks()
    seen: list[DriftEvent] = []
    hooks.register(broken)
    hooks.register(seen.append)
    told(hooks, event())
    assert seen == [event()]
    (record,) = caplog.records
    assert "broken" in record.getMessage()
    assert "no such address" in str(record.exc_info)


def test_a_hook_that_hangs_is_waited_for_no_longer_than_it_may(
    caplog: pytest.LogCaptureFixture,
) -> None:
    until = threading.Event()
    hooks = Hooks()
    seen: list[DriftEvent] = []
    hooks.register(lambda _: until.wait(30), timeout=0.05)
    hooks.register(seen.append)
    begun = time.monotonic()
    told(hooks, event())
    assert time.monotonic() - begun < 10
    assert seen == [event()]
    assert "did not end within 0.05 s" in caplog.text
    until.set()


def test_nobody_waits_unless_told_to() -> None:
    until = threading.Event()
    hooks = Hooks()
    hooks.register(lambda _: until.wait(30))
    begun = time.monotonic()
    hooks.tell(event(), hooks=list(hooks), wait=False)
    assert time.monotonic() - begun < 10
    until.set()


def test_calls_that_hang_do_not_pile_up(caplog: pytest.LogCaptureFixture) -> None:
    until, begun = threading.Event(), []

    def hang(_: DriftEvent) -> None:
        begun.append(1)
        until.wait(30)

    hooks = Hooks()
    hooks.register(hang)
    for _ in range(MOST_THREADS + 2):
        hooks.tell(event(), hooks=list(hooks), wait=False)
    assert caplog.text.count("was not called") == 2
    until.set()
    deadline = time.monotonic() + 10
    while len(begun) < MOST_THREADS + 1 and time.monotonic() < deadline:
        hooks.tell(event(), hooks=list(hooks), wait=True)
    assert len(begun) > MOST_THREADS  # what hung made room again


def test_a_coroutine_runs_in_a_loop_of_its_own() -> None:
    seen: list[DriftEvent] = []

    async def hook(given: DriftEvent) -> None:
        await asyncio.sleep(0)
        seen.append(given)

    hooks = Hooks()
    hooks.register(hook)
    told(hooks, event())
    assert seen == [event()]


def test_a_coroutine_that_takes_too_long_is_cancelled(caplog: pytest.LogCaptureFixture) -> None:
    ended = threading.Event()

    async def hook(_: DriftEvent) -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()

    hooks = Hooks()
    hooks.register(hook, timeout=0.05)
    told(hooks, event())
    assert ended.wait(10)
    assert "hook" in caplog.text


def test_a_coroutine_runs_in_the_loop_it_is_given() -> None:
    async def application() -> bool:
        loop, hooks = asyncio.get_running_loop(), Hooks()
        seen: asyncio.Queue[asyncio.AbstractEventLoop] = asyncio.Queue()

        async def hook(_: DriftEvent) -> None:
            await seen.put(asyncio.get_running_loop())

        hooks.register(hook, loop=loop)
        await asyncio.to_thread(told, hooks, event())
        told(hooks, event())  # in the loop's own thread: must not wait for itself
        return (await seen.get(), await seen.get()) == (loop, loop)

    assert asyncio.run(asyncio.wait_for(application(), 20))


def test_a_removed_hook_hears_no_more() -> None:
    hooks = Hooks()
    seen: list[DriftEvent] = []
    hook = seen.append
    hooks.register(hook)
    assert len(hooks) == 1
    assert next(iter(hooks)).name.endswith("append")
    assert hooks.remove(hook)
    assert not hooks.remove(hook)
    told(hooks, event())
    assert seen == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"function": "no function"}, "is no function"),
        ({"kind": "models"}, "no drift of kind 'models'"),
        ({"kind": ["model", 7]}, "no drift of kind 7"),
        ({"kind": 7}, "kind=7"),
        ({"severity": "bad"}, "severity='bad'"),
        ({"timeout": 0}, "timeout=0"),
        ({"timeout": float("nan")}, "timeout=nan"),
    ],
)
def test_what_cannot_be_registered_is_refused(arguments: dict[str, Any], said: str) -> None:
    hooks = Hooks()
    with pytest.raises(InvalidInput, match=said):
        hooks.register(arguments.pop("function", print), **arguments)
    assert len(hooks) == 0


def test_kinds_are_given_in_the_order_of_the_checks_each_once() -> None:
    assert checked_kinds("length") == ("length",)
    assert checked_kinds(["length", "model", "length"]) == ("model", "length")
    assert checked_kinds(None)[0] == "model"
    assert len(checked_kinds(None)) == 7


HEARD: list[DriftEvent] = []


def installed(given: DriftEvent) -> None:
    """Stand for a hook of an installed package."""
    HEARD.append(given)


def test_hooks_of_installed_packages_are_loaded_once_and_broken_ones_passed_over(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def offered(*, group: str) -> list[EntryPoint]:
        names = {"good": f"{__name__}:installed", "gone": "no_such_module:hook"}
        names["odd"] = f"{__name__}:HEARD"
        return [EntryPoint(name, where, group) for name, where in names.items()]

    monkeypatch.setattr(module, "entry_points", offered)
    HEARD.clear()
    hooks = Hooks()
    with caplog.at_level(logging.WARNING):
        hooks.load_installed()
        hooks.load_installed()
    told(hooks, event())
    assert [event()] == HEARD
    assert [name for name in ("gone", "odd", "good") if repr(name) in caplog.text] == [
        "gone",
        "odd",
    ]
