"""`AsyncDrifting`: the drift of a store, awaited; coroutines hear of it on the caller's loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar, overload

from agentmem.asynchronous.delegates.drift import AsyncDrift
from agentmem.asynchronous.workers import Workers, here
from agentmem.monitoring import Drifting, Hook
from agentmem.monitoring.hooks import HOOK_SECONDS, Kinds
from agentmem.types import Severity

__all__ = ["AsyncDrifting"]

H = TypeVar("H", bound=Hook)


class AsyncDrifting:
    """The part of a facade that notices drift, and tells of it."""

    _sync: Drifting
    _workers: Workers

    @property
    def drift(self) -> AsyncDrift:
        """Checks, events, stale texts and the schedule: see `Drift`.

        Raises:
            InvalidInput: The handle is bound to a scope, which the whole store leaves.
        """
        return AsyncDrift(self._sync.drift, self._workers)

    @overload
    def on_drift(self, function: H, /) -> H: ...

    @overload
    def on_drift(
        self,
        function: None = None,
        /,
        *,
        kind: Kinds = None,
        severity: Severity | None = None,
        timeout: float = HOOK_SECONDS,
        loop: asyncio.AbstractEventLoop | None = None,
    ) -> Callable[[H], H]: ...

    def on_drift(
        self,
        function: H | None = None,
        /,
        *,
        kind: Kinds = None,
        severity: Severity | None = None,
        timeout: float = HOOK_SECONDS,
        loop: asyncio.AbstractEventLoop | None = None,
    ) -> H | Callable[[H], H]:
        """Have a function hear of drift, once a finding, over all processes and restarts.

        Use it as `@memory.on_drift`, or as `@memory.on_drift(kind="model", severity="critical")`.
        The function runs in a thread of its own: what it raises is logged, and no search or write
        waits for it.

        Args:
            function: Takes a `DriftEvent`; may be a coroutine function.
            kind: Which kinds of drift, one or several; all if None.
            severity: The least severity: "info", "warning" or "critical".
            timeout: Seconds after which a coroutine is cancelled, and a function waited for no
                longer.
            loop: Where coroutines run; in the loop that registers them if None.

        Returns:
            The function, or what registers it.

        Raises:
            InvalidInput: It cannot be called, or there is no such kind or severity.
        """
        register = self._sync.on_drift(
            kind=kind, severity=severity, timeout=timeout, loop=here() if loop is None else loop
        )
        return register if function is None else register(function)
