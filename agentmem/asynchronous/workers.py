"""`Workers`: the threads that blocking calls are awaited in, a few at a time.

Takes calls without arguments, gives what they return, and knows nothing of memories or routers. A
call sees the context variables of whoever awaits it, so spans keep their parents.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import ContextVar, copy_context
from functools import partial
from types import TracebackType
from typing import Any, Final, Generic, Protocol, TypeVar

from agentmem.errors import InvalidInput

__all__ = ["CALLER", "THREADS", "Opening", "Workers", "here"]

T = TypeVar("T")

THREADS: Final = 4  # calls at once: more wait for each other in the embedder, and delay the loop
LENGTHY: Final = 4  # calls at once that may take minutes, so that they keep no search waiting

CALLER: Final[ContextVar[asyncio.AbstractEventLoop | None]] = ContextVar(
    "agentmem_caller", default=None
)

logger = logging.getLogger("agentmem")


class Workers:
    """Threads for the calls of one store. Made at the first call, and again after `close`.

    Args:
        threads: How many calls run at once; the others wait for their turn without a thread.

    Raises:
        InvalidInput: That is no count.
    """

    def __init__(self, threads: int = THREADS) -> None:
        if type(threads) is not int or threads < 1:
            raise InvalidInput(f"threads={threads!r}: pass how many calls may run at once.")
        self._sizes = {"call": threads, "long": LENGTHY}
        self._lock = threading.Lock()
        self._pools: dict[str, ThreadPoolExecutor] = {}

    async def run(
        self, call: Callable[[], T], *, unclaimed: Callable[[T], object] | None = None
    ) -> T:
        """Await a call.

        Args:
            call: What is done.
            unclaimed: Takes what it returned, where the await was cancelled meanwhile.

        Raises:
            CancelledError: The await was cancelled. A call that had not begun never does; one
                that had goes on to its end in its thread.
        """
        return await self._awaited(call, lane="call", unclaimed=unclaimed)

    async def run_long(self, call: Callable[[], T]) -> T:
        """Await a call that may take minutes, in threads of their own."""
        return await self._awaited(call, lane="long", unclaimed=None)

    def close(self) -> None:
        """Let threads end, each after the calls that were made."""
        with self._lock:
            pools, self._pools = self._pools, {}
        for pool in pools.values():
            pool.shutdown(wait=False)

    async def _awaited(
        self, call: Callable[[], T], *, lane: str, unclaimed: Callable[[T], object] | None
    ) -> T:
        loop, context = asyncio.get_running_loop(), copy_context()
        context.run(CALLER.set, loop)
        future = self._submitted(partial(context.run, call), lane=lane)
        try:
            return await asyncio.wrap_future(future, loop=loop)
        except asyncio.CancelledError:
            future.add_done_callback(partial(_let_go, unclaimed=unclaimed))
            raise

    def _submitted(self, call: Callable[[], T], *, lane: str) -> Future[T]:
        with self._lock:
            pool = self._pools.get(lane)
            if pool is None:
                pool = ThreadPoolExecutor(self._sizes[lane], f"agentmem-{lane}")
                self._pools[lane] = pool
            return pool.submit(call)


def _let_go(future: Future[T], *, unclaimed: Callable[[T], object] | None) -> None:
    """Take care of what came of a call that nobody awaits any more."""
    if future.cancelled():
        return
    error = future.exception()
    if error is not None:
        logger.warning("a call failed after its await was cancelled: %s", type(error).__name__)
    elif unclaimed is not None:
        unclaimed(future.result())


class _Closable(Protocol):
    async def close(self) -> None: ...


C = TypeVar("C", bound=_Closable)


class Opening(Awaitable[C], Generic[C]):
    """Something that is being opened: `await` it, or use it in `async with`, which closes it.

    Args:
        begin: Opens it.
    """

    def __init__(self, begin: Callable[[], Awaitable[C]]) -> None:
        self._begin = begin
        self._opened: C | None = None

    def __await__(self) -> Generator[Any, None, C]:
        return self._begin().__await__()

    async def __aenter__(self) -> C:
        self._opened = await self._begin()
        return self._opened

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._opened is not None:
            await self._opened.close()


def here() -> asyncio.AbstractEventLoop | None:
    """Return the loop that runs in this thread, if any."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
