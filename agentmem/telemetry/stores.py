"""The open stores of this process, which gauges read when a back end asks.

Held by weak references: a store that is closed, was collected, or cannot be read reports nothing.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, Protocol
from weakref import WeakSet

from opentelemetry.metrics import CallbackOptions, Observation

__all__ = ["ObservedStore", "ObservedTable", "StoreFigures", "observations", "observe"]

logger = logging.getLogger("agentmem")


class ObservedTable(Protocol):
    """What is counted of a table."""

    @property
    def rows(self) -> int:
        """Rows."""

    @property
    def fragments(self) -> int:
        """Files that hold them."""

    @property
    def unindexed_rows(self) -> int:
        """Rows that no index covers."""


class StoreFigures(Protocol):
    """What is counted of a store."""

    @property
    def bytes(self) -> int | None:
        """Of its folder; None where it has none."""

    @property
    def tables(self) -> Mapping[str, ObservedTable]:
        """Its tables, by name."""


class ObservedStore(Protocol):
    """An open store."""

    @property
    def name(self) -> str:
        """The folder or address, as it was given."""

    def read(self) -> StoreFigures:
        """Return its figures, or raise where it is closed or cannot be read; asked often."""


_OPEN: Final[WeakSet[ObservedStore]] = WeakSet()
_LOCK: Final = threading.Lock()


def observe(store: ObservedStore) -> None:
    """Let gauges read a store for as long as somebody else holds it."""
    with _LOCK:
        _OPEN.add(store)


def observations(gauge: str, options: CallbackOptions) -> Iterable[Observation]:  # noqa: ARG001 - the SDK passes options
    """Read one gauge of every open store; a store that is open twice is reported once."""
    return [one for name, figures in _readable() for one in _of(gauge, name, figures)]


def _readable() -> Iterator[tuple[str, StoreFigures]]:
    with _LOCK:
        open_stores = list(_OPEN)
    seen: set[str] = set()
    for store in open_stores:
        try:
            name, figures = store.name, store.read()
        except Exception as error:  # noqa: BLE001 - a gauge without a value is no failure
            logger.debug("a store reports no figures: %s", type(error).__name__)
            continue
        if name not in seen:
            seen.add(name)
            yield name, figures


def _of(gauge: str, name: str, figures: StoreFigures) -> Iterator[Observation]:
    store = {"gen_ai.memory.store.id": name}
    if gauge == "agentmem.store.size":
        if figures.bytes is not None:
            yield Observation(figures.bytes, store)
        return
    for table, counted in figures.tables.items():
        value: int = getattr(counted, gauge.rpartition(".")[2])
        yield Observation(value, {**store, "agentmem.table": table})
