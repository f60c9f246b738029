"""`Bounded`: a thread that runs what may hang, for callers who wait so long and no longer.

Started before it is needed, because from Python 3.12 on no thread starts while the interpreter
exits, which is when spans are flushed.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from queue import SimpleQueue
from typing import TypeAlias

__all__ = ["Bounded", "all_within"]

Task: TypeAlias = "tuple[Callable[[], object], Future[bool]] | None"  # None ends the thread

logger = logging.getLogger("agentmem")


class Bounded:
    """Runs tasks one after the other in a daemon thread, which starts again after a fork.

    Args:
        name: Of the thread.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._lock = threading.Lock()
        self._start()

    def submit(self, task: Callable[[], object]) -> Future[bool]:
        """Have a task run; the future says whether it ended well, and is never an error.

        Args:
            task: What to do; it has failed if it raises or returns False.
        """
        done: Future[bool] = Future()
        with self._lock:
            if self._pid != os.getpid():
                self._start()
        self._tasks.put((task, done))
        return done

    def close(self) -> None:
        """End the thread after what was submitted."""
        self._tasks.put(None)

    def _start(self) -> None:
        self._pid = os.getpid()
        self._tasks: SimpleQueue[Task] = SimpleQueue()
        threading.Thread(
            target=self._work, args=[self._tasks], name=self._name, daemon=True
        ).start()

    def _work(self, tasks: SimpleQueue[Task]) -> None:
        for task, done in iter(tasks.get, None):
            try:
                done.set_result(task() is not False)
            except Exception as error:  # noqa: BLE001 - whatever an exporter raises, others go on
                logger.warning("%s failed: %s", self._name, type(error).__name__)
                done.set_result(False)


def all_within(seconds: float, futures: list[Future[bool]]) -> bool:
    """Wait for tasks, and return whether all of them ended well in time."""
    finished, late = wait(futures, timeout=seconds)
    return not late and all(one.result() for one in finished)
