"""`Lease`: the right to look after a store, held by one process at a time.

A named value that is changed by compare-and-swap alone. Its holder beats: a counter goes on as
long as it lives. Whoever waits watches that counter by its own clock, so that no two clocks are
ever compared. A lease whose owner is gone, or whose counter stood still, is taken over; the owner
learns of it at its next beat, and its work stops.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, final

from agentmem.background import start
from agentmem.errors import ConcurrentWrite, StoreError
from agentmem.storage.meta import Meta, Value
from agentmem.storage.owners import Owner

__all__ = ["MAINTENANCE", "Lease", "Seen", "look"]

MAINTENANCE: Final = "maintenance"
KEY: Final = "lease:"
BEAT: Final = 5.0  # seconds between two beats: a commit of 5 ms each
SILENCE: Final = 30.0  # seconds without a beat until another one may take over; six are missed then
LOOK: Final = 0.5  # seconds between two looks at somebody else's beat


@dataclass(frozen=True, slots=True)
class Seen:
    """A lease as it is stored.

    Attributes:
        owner: Who holds it; None while nobody does.
        beat: Counts the signs of life of all owners.
    """

    owner: Owner | None
    beat: int

    @classmethod
    def of(cls, value: Mapping[str, Any]) -> Seen:
        """Read a stored one."""
        owner = value.get("owner")
        return cls(None if owner is None else Owner.from_json(owner), int(value["beat"]))

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {"owner": None if self.owner is None else self.owner.to_json(), "beat": self.beat}


def look(meta: Meta, *, name: str = MAINTENANCE) -> Seen | None:
    """Return a lease as it is stored; None if it never was taken.

    Raises:
        StoreError: The store could not be read.
    """
    found = meta.get(KEY + name)
    return None if found is None else Seen.of(found.value)


@final
class Lease:
    """A lease on one store, for `with`: held inside, and given back at the end.

    Args:
        meta: The store's named values.
        name: Of the lease.
        beat: Seconds between two beats.
        silence: Seconds of silence after which another owner's lease is taken over.
    """

    def __init__(
        self, meta: Meta, *, name: str = MAINTENANCE, beat: float = BEAT, silence: float = SILENCE
    ) -> None:
        self._meta = meta
        self._key = KEY + name
        self._every = beat
        self._silence = silence
        self._owner = Owner.me()
        self._lock = threading.Lock()
        self._held: Value | None = None
        self._over = threading.Event()
        self._lost: StoreError | None = None
        self._thread: threading.Thread | None = None

    def take(self, *, wait: float = 0.0) -> bool:
        """Take it, if it is free, or its owner is gone or silent; return whether this call did.

        Args:
            wait: Seconds to watch a living owner; more than `silence` to be sure of it.

        Raises:
            StoreError: The store is read-only, or could not be written.
        """
        until = time.monotonic() + wait
        seen: tuple[Owner | None, int] | None = None
        since = time.monotonic()
        while not self._tried(seen, is_silent=time.monotonic() - since > self._silence):
            now = look(self._meta, name=self._key.removeprefix(KEY))
            if now is None or (now.owner, now.beat) != seen:
                seen, since = (None if now is None else (now.owner, now.beat)), time.monotonic()
            if time.monotonic() >= until:
                return False
            time.sleep(min(LOOK, max(until - time.monotonic(), 0.0)))
        return True

    def __enter__(self) -> Lease:
        if self._held is None and not self.take(wait=self._silence + 2 * self._every):
            raise ConcurrentWrite(self._told("another process holds it"))
        self._over.clear()
        self._thread = start(self._beat, name="agentmem-lease", end=self._over.set)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        if self._thread is not None:
            self._thread.join()
        self.give_back()

    def renew(self) -> None:
        """Give a sign of life; the holder calls it between two steps of its work.

        Raises:
            ConcurrentWrite: The lease was lost to another owner: the work has to stop.
            StoreError: The store could not be written.
        """
        with self._lock:
            if self._lost is not None:
                raise self._lost
            if self._held is None:
                raise ConcurrentWrite(self._told("it was not taken"))
            beat = int(self._held.value["beat"]) + 1
            self._held = self._swapped(Seen(self._owner, beat), self._held)
            if self._held is None:
                self._lost = ConcurrentWrite(self._told("another process took it over"))
                raise self._lost

    def give_back(self) -> None:
        """Let others have it; nothing happens where it was lost."""
        with self._lock:
            if self._held is not None:
                self._swapped(Seen(None, int(self._held.value["beat"]) + 1), self._held)
                self._held = None

    def _beat(self) -> None:
        while not self._over.wait(self._every):
            try:
                self.renew()
            except StoreError as error:  # told to the work when it renews
                with self._lock:
                    self._lost = self._lost or error
                return

    def _tried(self, seen: tuple[Owner | None, int] | None, *, is_silent: bool) -> bool:
        """Take it if that is allowed by now."""
        found = self._meta.get(self._key)
        if found is None:
            mine = Seen(self._owner, 1).to_json()
            if self._meta.put_if_absent(self._key, mine):
                self._held = Value(mine, 0)
            return self._held is not None
        now = Seen.of(found.value)
        silent = is_silent and (now.owner, now.beat) == seen
        if now.owner is None or now.owner.is_gone or silent:
            self._held = self._swapped(Seen(self._owner, now.beat + 1), found)
        return self._held is not None

    def _swapped(self, after: Seen, before: Value) -> Value | None:
        """Put a new state in the place of the one that is known; None if it is not that any more.

        A swap whose answer was lost may have been made: then the state is there, and ours.
        """
        value = after.to_json()
        if self._meta.compare_and_swap(self._key, value, rev=before.rev):
            return Value(value, before.rev + 1)
        found = self._meta.get(self._key)
        return found if found is not None and found.value == value else None

    def _told(self, why: str) -> str:
        return (
            f"the lease {self._key.removeprefix(KEY)!r} of the store is not held: {why}. What was "
            "done so far stays done. Repair: nothing; whoever holds it does the rest, or call "
            "again later."
        )
