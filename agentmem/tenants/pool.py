"""`Pool`: what is kept open, by name, the longest unused first to be closed.

Counts who uses what: in use, nothing is closed. Knows nothing of stores.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from agentmem.errors import StoreError

__all__ = ["Pool"]


class _Closable(Protocol):
    def close(self) -> None:
        """Let go of it."""


V = TypeVar("V", bound=_Closable)


@dataclass(slots=True)
class _Slot(Generic[V]):
    value: V
    users: int = 0


class Pool(Generic[V]):
    """Values by name, made when first used. Safe for several threads.

    Args:
        make: Makes the value of a name; called under a lock, so it must be quick.
        most: How many are kept; more only while more are in use at once.
    """

    def __init__(self, make: Callable[[str], V], *, most: int) -> None:
        self._make = make
        self._most = most
        self._lock = threading.Lock()
        self._slots: OrderedDict[str, _Slot[V]] = OrderedDict()
        self._barred: set[str] = set()

    @property
    def names(self) -> list[str]:
        """What is kept, the longest unused first."""
        with self._lock:
            return list(self._slots)

    @contextmanager
    def using(self, name: str) -> Iterator[V]:
        """Give the value of a name, which is not closed until the block is left.

        Raises:
            StoreError: `without` has it.
        """
        slot = self._taken(name)
        try:
            self._shrink()
            yield slot.value
        finally:
            with self._lock:
                slot.users -= 1
            self._shrink()

    @contextmanager
    def without(self, name: str) -> Iterator[None]:
        """Close what is kept of a name, and keep everybody from using it in the block.

        Raises:
            StoreError: It is in use.
        """
        with self._lock:
            slot = self._slots.get(name)
            if name in self._barred or (slot is not None and slot.users):
                raise StoreError(
                    f"the store {name!r} is in use by this process, and nothing was done. Repair: "
                    "call again when every `with` block that uses it has ended."
                )
            self._barred.add(name)
            self._slots.pop(name, None)
        try:
            if slot is not None:
                slot.value.close()
            yield
        finally:
            with self._lock:
                self._barred.discard(name)

    def close(self) -> None:
        """Close everything, what is in use as soon as it is not."""
        self._most = 0
        self._shrink()

    def _taken(self, name: str) -> _Slot[V]:
        with self._lock:
            if name in self._barred:
                raise StoreError(
                    f"the store {name!r} is being deleted by this process. Repair: wait until that "
                    "is done."
                )
            slot = self._slots.get(name)
            if slot is None:
                slot = self._slots[name] = _Slot(self._make(name))
            slot.users += 1
            self._slots.move_to_end(name)
            return slot

    def _shrink(self) -> None:
        """Close what is kept beyond the most and not in use."""
        with self._lock:
            idle = [name for name, slot in self._slots.items() if not slot.users]
            beyond = max(0, len(self._slots) - self._most)
            leaving = [self._slots.pop(name).value for name in idle[:beyond]]
        for one in leaving:  # outside the lock: closing may compact
            one.close()
