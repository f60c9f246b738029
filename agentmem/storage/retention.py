"""How long a store keeps the past versions of its tables, so that retrievals can be replayed.

One policy a store, among its named values, so that the maintenance of every process follows it.
Versions share the files that did not change between them: what is kept costs what was rewritten.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

from agentmem.errors import InvalidInput, StoreError
from agentmem.storage.guard import Guard
from agentmem.storage.opening import Opened, open_meta

__all__ = ["DEFAULT_KEPT", "keep_for", "kept_for"]

RETENTION: Final = "retention"
SECONDS: Final = "keep_versions_seconds"
DEFAULT_KEPT: Final = timedelta(days=7)  # LanceDB's own, and long enough to ask about last Tuesday
SHORTEST_KEPT: Final = timedelta(minutes=10)  # a reader or writer under way needs its version


def kept_for(opened: Opened) -> timedelta:
    """Return how long past versions are kept.

    Raises:
        StoreError: The store could not be read.
    """
    found = open_meta(opened, guard=Guard(opened.uri, read_only=True)).get(RETENTION)
    return DEFAULT_KEPT if found is None else _read(found.value)


def keep_for(opened: Opened, window: object, *, guard: Guard) -> None:
    """Make a store keep past versions for so long from now on.

    Args:
        opened: The store.
        window: A `timedelta`.
        guard: What may be done with the store.

    Raises:
        InvalidInput: It is no `timedelta`, or so short that reads under way would fail.
        StoreError: The store is read-only, or could not be written.
    """
    if not isinstance(window, timedelta) or window < SHORTEST_KEPT:
        raise InvalidInput(
            f"keep_versions={window!r}: pass a timedelta of {SHORTEST_KEPT} or more, such as "
            "timedelta(days=30). Reads and writes that are under way need their versions."
        )
    meta = open_meta(opened, guard=guard)
    found = meta.get(RETENTION)
    if found is None or _read(found.value) != window:
        meta.put(RETENTION, {SECONDS: window.total_seconds()})


def _read(value: Any) -> timedelta:
    try:
        return timedelta(seconds=float(value[SECONDS]))
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise StoreError(
            f"the store's policy for past versions is {value!r}, which is none. Nothing was "
            "changed. Repair: open the store with keep_versions=timedelta(days=7)."
        ) from error
