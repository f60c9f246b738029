"""`Clock`: the present, never the same twice."""

from __future__ import annotations

import threading
from datetime import datetime, timedelta, timezone
from typing import Final

from agentmem.checks import EPOCH

__all__ = ["Clock", "StoppedClock"]

MICROSECOND: Final = timedelta(microseconds=1)


class Clock:
    """The present, never the same twice: ingestion times order what is written within a process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last = EPOCH

    def reserve(self, size: int) -> datetime:
        """Return a moment such that it and the `size` microseconds after it are the caller's."""
        with self._lock:
            start = max(datetime.now(timezone.utc), self._last + MICROSECOND)
            self._last = start + size * MICROSECOND
        return start

    def present(self) -> datetime:
        """Return the present (UTC)."""
        return datetime.now(timezone.utc)

    def now(self) -> int:
        """Return the present in microseconds since 1970 UTC."""
        return (self.present() - EPOCH) // MICROSECOND


class StoppedClock(Clock):
    """A clock whose present is one moment of the past, for a store as it was then."""

    def __init__(self, moment: datetime) -> None:
        super().__init__()
        self._moment = moment

    def present(self) -> datetime:
        """Return the moment."""
        return self._moment
