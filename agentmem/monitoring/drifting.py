"""`Drifting`: the part of a facade that notices drift, and tells of it."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TypeVar, overload

from agentmem.monitoring.drift import Drift
from agentmem.monitoring.hooks import HOOK_SECONDS, Hook, Kinds
from agentmem.types import Severity

__all__ = ["Drifting"]

H = TypeVar("H", bound=Hook)


class Drifting(ABC):
    """The part of a facade that notices drift, and tells of it."""

    @property
    @abstractmethod
    def _drift(self) -> Drift:
        """Of the store."""

    @abstractmethod
    def _check_whole(self, what: str) -> None:
        """Refuse what concerns the whole store; for handles that are bound to a part of it."""

    @property
    def drift(self) -> Drift:
        """Checks, events, stale texts and the schedule: see `Drift`.

        Raises:
            InvalidInput: The handle is bound to a scope, which the whole store leaves.
        """
        self._check_whole("drift")
        return self._drift

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
            loop: Where coroutines run; each in a loop of its own if None.

        Returns:
            The function, or what registers it.

        Raises:
            InvalidInput: It cannot be called, or there is no such kind or severity.
        """
        drift = self.drift

        def registered(hook: H) -> H:
            drift.hooks.register(hook, kind=kind, severity=severity, timeout=timeout, loop=loop)
            return hook

        return registered if function is None else registered(function)
