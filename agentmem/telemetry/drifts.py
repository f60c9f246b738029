"""`Drifts`: what the last checks of drift found, for gauges that a back end reads.

Held by weak references, as open stores are: what is closed or was collected reports nothing.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import Final, NamedTuple
from weakref import WeakSet

from opentelemetry.metrics import CallbackOptions, Observation

__all__ = ["Drifts", "drift_observations"]

_ALL: Final[WeakSet[Drifts]] = WeakSet()
_LOCK: Final = threading.Lock()


class _Key(NamedTuple):
    """Which finding."""

    store: str
    subject: str
    kind: str


class Drifts:
    """The newest finding of each kind, of one memory or router. Safe for several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._found: dict[_Key, tuple[float | None, int]] = {}
        with _LOCK:
            _ALL.add(self)

    def put(
        self, store: str, *, subject: str, kind: str, statistic: float | None, state: int
    ) -> None:
        """Take in what a check found."""
        with self._lock:
            self._found[_Key(store, subject, kind)] = statistic, state

    def clear(self) -> None:
        """Report nothing from now on."""
        with self._lock:
            self._found.clear()

    def read(self) -> dict[_Key, tuple[float | None, int]]:
        """Return the statistic and the state of each kind."""
        with self._lock:
            return dict(self._found)


def drift_observations(gauge: str, options: CallbackOptions) -> Iterable[Observation]:  # noqa: ARG001 - the SDK passes options
    """Read one gauge of everything that was checked; of two handles on one store, the worse."""
    with _LOCK:
        everything = list(_ALL)
    found: dict[_Key, tuple[float | None, int]] = {}
    for drifts in everything:
        for key, told in drifts.read().items():
            if key not in found or told[1] > found[key][1]:
                found[key] = told
    values = {
        key: float(state) if gauge.endswith("state") else statistic
        for key, (statistic, state) in found.items()
    }
    return [
        Observation(value, _attributes(key)) for key, value in values.items() if value is not None
    ]


def _attributes(key: _Key) -> dict[str, str]:
    return {
        "gen_ai.memory.store.id": key.store,
        "agentmem.drift.subject": key.subject,
        "agentmem.drift.kind": key.kind,
    }
