"""`Background`: an open memory that looks after its store by itself, now and then.

A daemon thread of low priority wakes up, asks whether enough was written since anybody last did
so, and whether nobody is at it; then does it at a small share of the time. It ends with the store.
"""

from __future__ import annotations

import logging
import os
import random
import threading
import weakref
from contextlib import suppress
from datetime import datetime, timedelta, timezone
from typing import Final, final

from agentmem.background import start
from agentmem.errors import AgentmemError
from agentmem.maintenance.maintainer import Last, Maintainer, last_of
from agentmem.storage.generations import Whole
from agentmem.storage.turns import Store
from agentmem.telemetry import Tracing
from agentmem.visible import visible

__all__ = ["Background", "is_due"]

LOOK: Final = 30.0  # seconds between two looks: one costs two version checks, 0.2 ms
COMMITS: Final = 200  # since the last time: four times what makes a handle compact its own table
PERIOD: Final = timedelta(hours=1)  # with any commit, or with turns whose date may have come
SHARE: Final = 0.25  # of the time: the process has others to serve
NICE: Final = 10
JITTER: Final = 0.2  # of the pause: processes that started together do not ask together

logger = logging.getLogger("agentmem")


def is_due(last: Last, *, version: int, now: datetime) -> bool:
    """Return whether a store is to be looked after.

    Args:
        last: When it last was, and at which version of its turns.
        version: Of its turns now; another generation counts its own.
        now: The present (UTC).
    """
    return abs(version - last.version) >= COMMITS or now - last.at >= PERIOD


@final
class Background:
    """A thread that looks after a store until that is closed, or `stop` is called.

    Args:
        store: Of any generation; held weakly, so that a forgotten one can go.
        tracing: Opens the spans of deletions.
        look: Seconds between two looks.
    """

    def __init__(self, store: Store, *, tracing: Tracing, look: float = LOOK) -> None:
        self._store = weakref.ref(store)
        self._tracing = tracing
        self._look = look
        self._over = threading.Event()
        self._thread = start(self._work, name="agentmem-maintain", end=self._over.set)

    @property
    def is_running(self) -> bool:
        """Whether it goes on."""
        return self._thread.is_alive() and not self._over.is_set()

    def stop(self) -> None:
        """End it, once the step that is under way is done."""
        self._over.set()
        if self._thread is not threading.current_thread():
            self._thread.join()

    def _work(self) -> None:
        with suppress(OSError, AttributeError):  # Linux alone has a priority a thread
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)
        while not self._over.wait(self._look * random.uniform(1 - JITTER, 1 + JITTER)):  # noqa: S311 - no secret
            store = self._store()
            if store is None or not store.whole.guard.is_usable:
                return
            try:
                self._once(store)
            except AgentmemError as error:
                if store.whole.guard.is_usable:
                    logger.warning("the store could not be looked after: %s", visible(str(error)))
            except Exception:
                logger.exception("looking after the store failed")

    def _once(self, store: Store) -> None:
        whole: Whole = store.whole
        now = whole.generations.read().generation
        current = store if now.number == store.generation else store.at_generation(now)
        if is_due(last_of(store), version=current.version, now=datetime.now(timezone.utc)):
            report = Maintainer(store, tracing=self._tracing, share=SHARE).run()
            for step in report.errors:
                logger.warning(
                    "maintenance: %s of %s: %s", step.name, step.target, visible(str(step.error))
                )
