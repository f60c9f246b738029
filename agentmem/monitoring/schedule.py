"""`Watch`: checks again and again in the background, in one process at a time.

Of all the processes that watch a store, one makes each check: whoever takes the lease, by
compare-and-swap. One whose process died is free again after a while.
"""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from types import TracebackType
from typing import Final, final

from agentmem.background import start
from agentmem.checks import EPOCH
from agentmem.errors import AgentmemError, InvalidInput
from agentmem.storage.meta import Meta
from agentmem.visible import visible

__all__ = ["Lease", "Watch", "checked_period"]

LEASED: Final = timedelta(minutes=10)  # a check takes seconds; of a dead process one goes on later
EARLY: Final = 0.9  # of the period: what another process checked that lately is not due
JITTER: Final = 0.1  # of the period: processes that started together do not ask together
SHORTEST: Final = timedelta(seconds=1)
UNTIL: Final = "until"
LAST: Final = "last"

logger = logging.getLogger("agentmem")


class Lease:
    """The right to make the next check, among all processes.

    Args:
        meta: The store's named values.
        name: Of what is checked.
    """

    def __init__(self, meta: Meta, *, name: str) -> None:
        self._meta = meta
        self._key = f"drift:{name}:lease"

    def take(self, *, every: timedelta, now: datetime) -> bool:
        """Take the lease, if a check is due and nobody makes one; return whether this call did."""
        found = self._meta.get(self._key)
        value = {UNTIL: (now + LEASED).isoformat(), LAST: None}
        if found is None:
            return self._meta.put_if_absent(self._key, value)
        until = _moment(found.value[UNTIL])
        due = _moment(found.value[LAST]) + every * EARLY
        if now < max(until, due):
            return False
        value[LAST] = found.value[LAST]
        return self._meta.compare_and_swap(self._key, value, rev=found.rev)

    def give_back(self, *, now: datetime) -> None:
        """Say that a check was made."""
        self._meta.put(self._key, {UNTIL: None, LAST: now.isoformat()})


@final
class Watch:
    """A check that is made again and again by a thread, until it is stopped.

    Args:
        check: Makes it.
        lease: Gives the right to.
        every: How often, over all processes.
    """

    def __init__(
        self, check: Callable[[], object], *, lease: Callable[[], Lease], every: timedelta
    ) -> None:
        self._check = check
        self._lease = lease
        self._every = checked_period(every)
        self._over = threading.Event()
        self._thread = start(self._work, name="agentmem-drift", end=self._over.set)

    def __enter__(self) -> Watch:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def is_running(self) -> bool:
        """Whether it goes on."""
        return self._thread.is_alive() and not self._over.is_set()

    def stop(self) -> None:
        """End it, once a check that is under way is done."""
        self._over.set()
        if self._thread is not threading.current_thread():
            self._thread.join()

    def _work(self) -> None:
        pause = 0.0  # the first one at once, if it is due
        while not self._over.wait(pause):
            try:
                self._once()
            except AgentmemError as error:
                logger.warning("a check of drift could not be made: %s", visible(str(error)))
            except Exception:
                logger.exception("a check of drift failed")
            seconds = self._every.total_seconds()
            pause = seconds * random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311 - no secret

    def _once(self) -> None:
        lease = self._lease()
        if lease.take(every=self._every, now=datetime.now(timezone.utc)):
            try:
                self._check()
            finally:
                lease.give_back(now=datetime.now(timezone.utc))


def _moment(text: str | None) -> datetime:
    """Return a moment; none is as good as one long ago."""
    return EPOCH if text is None else datetime.fromisoformat(text)


def checked_period(every: object) -> timedelta:
    """Return how often to check.

    Raises:
        InvalidInput: It is no `timedelta`, or so short that one check would follow the other.
    """
    if not isinstance(every, timedelta) or every < SHORTEST:
        raise InvalidInput(
            f"every={every!r}: pass a timedelta of {SHORTEST} or more, such as timedelta(hours=6)."
        )
    return every
