"""Hooks: functions of the application that hear of drift, each in a thread of its own.

A hook cannot break or delay what led to it: it runs for so long and no longer as somebody waits
for it, and what it raises is logged. Sync and async functions alike.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import threading
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextvars import copy_context
from dataclasses import dataclass
from functools import partial
from importlib.metadata import entry_points
from typing import Final, TypeAlias, get_args

from agentmem.background import start
from agentmem.checks import shown
from agentmem.errors import InvalidInput
from agentmem.types import DriftEvent, DriftKind, Severity

__all__ = [
    "HOOK_SECONDS",
    "SEVERITIES",
    "Hook",
    "Hooks",
    "Kinds",
    "Registered",
    "checked_kinds",
    "is_at_least",
]

Hook: TypeAlias = Callable[[DriftEvent], object]
Kinds: TypeAlias = "DriftKind | Iterable[DriftKind] | None"

ENTRY_POINTS: Final = "agentmem.drift_hooks"
HOOK_SECONDS: Final = 30.0  # an alert takes one or two; nobody waits longer for one that hangs
MOST_THREADS: Final = 8  # calls under way at once, those that hang included
SEVERITIES: Final[tuple[Severity, ...]] = get_args(Severity)  # the least first

logger = logging.getLogger("agentmem")


@dataclass(frozen=True, slots=True, eq=False)
class Registered:
    """A hook, and what it wants to hear of.

    Attributes:
        function: What is called.
        kinds: Which kinds of drift; None for all.
        severity: The least that it hears of.
        seconds: How long anybody waits for it.
        loop: Where a coroutine runs; None for a loop of its own.
    """

    function: Hook
    kinds: frozenset[DriftKind] | None
    severity: Severity
    seconds: float
    loop: asyncio.AbstractEventLoop | None

    @property
    def name(self) -> str:
        """What it is called in logs."""
        module = getattr(self.function, "__module__", None) or "?"
        return f"{module}.{getattr(self.function, '__qualname__', type(self.function).__name__)}"

    def wants(self, event: DriftEvent) -> bool:
        """Whether it is to hear of an event."""
        is_its_kind = self.kinds is None or event.kind in self.kinds
        return is_its_kind and is_at_least(event.severity, self.severity)


class Hooks:
    """The hooks of one memory or router. Safe for several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._registered: list[Registered] = []
        self._threads = threading.BoundedSemaphore(MOST_THREADS)
        self._are_installed_loaded = False

    def __iter__(self) -> Iterator[Registered]:
        with self._lock:
            return iter(list(self._registered))

    def __len__(self) -> int:
        return len(self._registered)

    def register(
        self,
        function: Hook,
        *,
        kind: Kinds = None,
        severity: Severity | None = None,
        timeout: float = HOOK_SECONDS,
        loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        """Have a function hear of drift.

        Raises:
            InvalidInput: It cannot be called, or there is no such kind or severity.
        """
        if not callable(function):
            raise InvalidInput(f"{shown(function)} is no function. Pass one that takes an event.")
        if severity is not None and severity not in SEVERITIES:
            raise InvalidInput(f"severity={shown(severity)} is none of {', '.join(SEVERITIES)}.")
        if not timeout > 0:
            raise InvalidInput(f"timeout={shown(timeout)}: pass seconds, more than 0.")
        kinds = None if kind is None else frozenset(checked_kinds(kind))
        one = Registered(function, kinds, severity or SEVERITIES[0], timeout, loop)
        with self._lock:
            self._registered.append(one)

    def remove(self, function: Hook) -> bool:
        """Have a function hear of drift no more; return whether it did."""
        with self._lock:
            kept = [one for one in self._registered if one.function != function]
            removed = len(kept) < len(self._registered)
            self._registered = kept
        return removed

    def load_installed(self) -> None:
        """Register what packages offer under the entry point `agentmem.drift_hooks`, once.

        One that cannot be loaded is logged and passed over.
        """
        with self._lock:
            if self._are_installed_loaded:
                return
            self._are_installed_loaded = True
        for point in entry_points(group=ENTRY_POINTS):
            try:
                self.register(point.load())
            except Exception:
                logger.exception("the hook %r of %s was passed over", point.name, ENTRY_POINTS)

    def wanting(self, event: DriftEvent) -> list[Registered]:
        """Return those that are to hear of an event."""
        return [one for one in self if one.wants(event)]

    def tell(self, event: DriftEvent, *, hooks: Iterable[Registered], wait: bool) -> None:
        """Call hooks, all at once.

        Args:
            event: What they hear of.
            hooks: Which.
            wait: Whether to wait for them, each for as long as it may take.
        """
        begun = time.monotonic()
        calls = [(one, self.run(partial(_call, one, event), name=one.name)) for one in hooks]
        for one, thread in calls:
            if wait and thread is not None and not _is_here(one.loop):
                thread.join(max(0.0, begun + one.seconds - time.monotonic()))
                if thread.is_alive():
                    logger.warning(
                        "the drift hook %s did not end within %g s; nobody waits for it any more",
                        one.name,
                        one.seconds,
                    )

    def run(self, task: Callable[[], object], *, name: str) -> threading.Thread | None:
        """Start a task in a thread of its own, unless too many are under way."""
        if not self._threads.acquire(blocking=False):
            logger.warning(
                "the drift hook %s was not called: %d calls are under way", name, MOST_THREADS
            )
            return None
        inside = copy_context()

        def work() -> None:
            try:
                inside.run(task)
            except Exception:
                logger.exception("the drift hook %s failed", name)
            finally:
                self._threads.release()

        return start(work, name="agentmem-drift-hook")


def checked_kinds(kind: Kinds) -> tuple[DriftKind, ...]:
    """Return kinds of drift as a caller names them, each once; all of them for None.

    Raises:
        InvalidInput: There is no such kind.
    """
    known: tuple[DriftKind, ...] = get_args(DriftKind)
    if kind is None:
        return known
    given = [kind] if isinstance(kind, str) else kind
    if not isinstance(given, Iterable):
        raise InvalidInput(f"kind={shown(kind)}: pass one of {', '.join(known)}, or a list.")
    named = list(given)
    wrong = [one for one in named if one not in known]
    if wrong:
        raise InvalidInput(f"there is no drift of kind {shown(wrong[0])}. Pass {', '.join(known)}.")
    return tuple(one for one in known if one in named)


def is_at_least(severity: Severity, least: Severity) -> bool:
    """Whether a severity is as high as another, or higher."""
    return SEVERITIES.index(severity) >= SEVERITIES.index(least)


def _call(hook: Registered, event: DriftEvent) -> None:
    result = hook.function(event)
    if not inspect.isawaitable(result):
        return
    waiting = _within(result, hook.seconds)
    if hook.loop is None:
        asyncio.run(waiting)
    else:
        asyncio.run_coroutine_threadsafe(waiting, hook.loop).result()


async def _within(awaited: Awaitable[object], seconds: float) -> None:
    await asyncio.wait_for(awaited, seconds)


def _is_here(loop: asyncio.AbstractEventLoop | None) -> bool:
    """Whether a loop runs in this very thread, so that waiting for it would stop it."""
    try:
        return loop is not None and asyncio.get_running_loop() is loop
    except RuntimeError:
        return False
