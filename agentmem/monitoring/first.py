"""`FirstLooks`: what is done once a process and generation: canaries made, and a few of them asked.

Before the first write, so that a model that changed can be kept from writing; after the first
read in the background, so that no answer waits for it.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from functools import partial
from typing import Final

from agentmem.background import start
from agentmem.embedding.canaries import probe
from agentmem.errors import AgentmemError, WritesBlocked
from agentmem.monitoring.monitor import Monitor
from agentmem.monitoring.watched import Watched
from agentmem.storage.canaries import Kept, ensure_canaries
from agentmem.visible import visible

__all__ = ["FirstLooks"]

AFTER_SECONDS: Final = 2.0  # after the first answer: a command that asks once and ends skips it

logger = logging.getLogger("agentmem")


class FirstLooks:
    """The first looks of one process at each generation of one store. Safe for several threads.

    Args:
        monitor: Makes the whole check where a look finds that something is wrong.
    """

    def __init__(self, monitor: Monitor) -> None:
        self._monitor = monitor
        self._looking = threading.Lock()
        self._starting = threading.Lock()  # of its own: no answer waits while canaries are made
        self._looked: set[int] = set()
        self._waiting: set[int] = set()
        self._over = threading.Event()
        self._threads: list[threading.Thread] = []

    def before_write(self, watched: Watched) -> None:
        """Make the canaries of a generation, or ask a few; later calls do nothing.

        A failure is logged and passed over: a model that fails will fail the write itself.
        """
        if watched.generation in self._looked:
            return
        with self._looking:
            if watched.generation not in self._looked:
                self._passing_over(lambda: self._look(watched, wait=False), watched)

    def after_read(self, watched: Watched) -> None:
        """Ask a few canaries soon, once; returns at once."""
        generation = watched.generation
        if generation in self._waiting or generation in self._looked:
            return
        with self._starting:
            if generation in self._waiting or self._over.is_set():
                return
            self._waiting.add(generation)
            later = partial(self._later, watched)
            self._threads.append(start(later, name="agentmem-canaries", end=self._over.set))

    def close(self) -> None:
        """Look no more, once what is under way is done."""
        self._over.set()
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join()

    def _later(self, watched: Watched) -> None:
        if self._over.wait(AFTER_SECONDS):
            return
        self._passing_over(lambda: self._look_once(watched), watched)

    def _look_once(self, watched: Watched) -> None:
        with self._looking:
            if watched.generation not in self._looked:
                self._look(watched, wait=True)

    def _look(self, watched: Watched, *, wait: bool) -> None:
        if watched.read_only:
            kept = watched.tables.canaries.get()
        else:
            kept = ensure_canaries(watched.tables.canaries, watched.embedder)
        if kept is not None and (_is_standing(watched) or _moved(watched, kept)):
            self._monitor.check("model", wait=wait)
        self._looked.add(watched.generation)

    def _passing_over(self, look: Callable[[], None], watched: Watched) -> None:
        try:
            look()
        except WritesBlocked:
            raise
        except AgentmemError as error:
            logger.warning(
                "the model of %s could not be checked: %s",
                visible(watched.name),
                visible(str(error)),
            )


def _is_standing(watched: Watched) -> bool:
    """Whether drift of the model was found earlier, and may be over by now."""
    return bool(watched.tables.journal.events(kind="model", unresolved=True))


def _moved(watched: Watched, kept: Kept) -> bool:
    """Whether a few canaries are not where they were."""
    return probe(watched.embedder, kept.canaries).verdict != "same"
