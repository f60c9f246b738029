"""Coroutine functions where a memory takes functions: they run on the loop of who calls.

A worker thread that meets one waits for it; the loop goes on meanwhile.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Iterable, Sequence
from concurrent.futures import wait
from typing import Any, Final, TypeAlias, TypeVar, cast

from agentmem.asynchronous.workers import CALLER, here
from agentmem.errors import StoreError
from agentmem.guards import BeforeStore
from agentmem.types import Turn

__all__ = ["AsyncBeforeStore", "bridged"]

AsyncBeforeStore: TypeAlias = BeforeStore | Callable[[Turn], Awaitable[Turn | None]]

T = TypeVar("T")

LOOK: Final = 1.0  # seconds between two looks at whether the loop is still there


def bridged(hooks: Sequence[AsyncBeforeStore]) -> Sequence[BeforeStore]:
    """Return hooks that may be called from threads; what is no hook is left to be refused."""
    given: Any = hooks
    if isinstance(given, (str, bytes)) or not isinstance(given, Iterable):
        return cast("Sequence[BeforeStore]", given)  # refused by `open`
    home = here()
    return [_hook(one, home=home) for one in given]


def _hook(hook: AsyncBeforeStore, *, home: asyncio.AbstractEventLoop | None) -> BeforeStore:
    if not _is_coroutine_function(hook):
        return cast("BeforeStore", hook)
    asked = cast("Callable[[Turn], Awaitable[Turn | None]]", hook)

    def call(turn: Turn, /) -> Turn | None:
        return _waited(asked(turn), loop=CALLER.get() or home)

    call.__qualname__ = getattr(hook, "__qualname__", type(hook).__name__)
    return call


def _is_coroutine_function(function: object) -> bool:
    called = getattr(function, "__call__", None)  # noqa: B004 - of an object that has one
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(called)


def _waited(awaited: Awaitable[T], *, loop: asyncio.AbstractEventLoop | None) -> T:
    """Wait in a thread for what runs on a loop, as long as there is one."""
    waiting = _as_coroutine(awaited)
    if loop is None or loop.is_closed() or loop is here():
        waiting.close()
        raise StoreError("a coroutine function cannot be called here: its loop does not run.")
    future = asyncio.run_coroutine_threadsafe(waiting, loop)
    while not wait([future], LOOK).done:
        if loop.is_closed():
            raise StoreError("the loop was closed while a coroutine function was waited for.")
    return future.result()


async def _as_coroutine(awaited: Awaitable[T]) -> T:
    return await awaited
