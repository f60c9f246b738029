"""`Expiry`: from when on the versions of a table have to be kept, without asking too often.

LanceDB reads every manifest to say when versions were made: a quarter of a second for 2,000 of
them. What it said is remembered until the next version can be due.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Final

from lancedb.table import Table

__all__ = ["Expiry"]

SLACK: Final = 1 / 100  # of the window: versions may be kept for so much longer than promised


@dataclass(frozen=True, slots=True)
class _Known:
    """What was found: since when versions are kept, for which window, and when to look again."""

    since: datetime
    window: timedelta
    again_at: datetime


class Expiry:
    """Remembers for one table what has to be kept. Safe for several threads."""

    def __init__(self) -> None:
        self._known: _Known | None = None

    def since(self, table: Table, *, window: timedelta, now: datetime) -> datetime:
        """Return when the oldest version was made that has to be kept.

        That is the one that was the newest when the window began: however old it was by then, it
        was read within the window. Later, until the next is due, the same one is told.

        Args:
            table: Asked at the first call, and when another version may be due.
            window: How long versions are kept from when the next one took their place.
            now: The present (UTC); the window ends with it.
        """
        known = self._known
        if known is None or known.window != window or now >= known.again_at:
            self._known = known = _found(_moments(table), window=window, now=now)
        return known.since


def _moments(table: Table) -> list[datetime]:
    """When each version was made, in order, from the naive local times that LanceDB tells."""
    return sorted(one["timestamp"].astimezone(timezone.utc) for one in table.list_versions())


def _found(made: list[datetime], *, window: timedelta, now: datetime) -> _Known:
    """Find the last version that was made before the window began, and when the next one was."""
    later = max(bisect_right(made, now - window), 1)
    following = made[later] if later < len(made) else now  # none has taken its place so far
    return _Known(made[later - 1], window, max(following + window, now + window * SLACK))
