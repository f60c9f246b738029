"""Threads that work behind calls, and are gone before the interpreter is.

Up to Python 3.13 a thread that asks for the interpreter while that is taken down is unwound, and
one with native frames then aborts the process (`PyGILState_Release: thread state must be current
when releasing`). So at exit every thread of ours is asked to end, and waited for as long as that is
decent; then a moment is left to the threads of native libraries, see `settle_at_exit`.
"""

from __future__ import annotations

import atexit
import threading
import time
from collections.abc import Callable
from typing import Final

__all__ = ["is_ending", "settle_at_exit", "start"]

SETTLED: Final = 0.05  # seconds; they need microseconds, once they get hold of the interpreter
DECENT: Final = 5.0  # seconds that an exit may take longer: a step of most work, not all of it

_ends: dict[threading.Thread, Callable[[], object] | None] = {}
_ending = threading.Event()
_settling = threading.Event()


def start(
    target: Callable[[], object], *, name: str, end: Callable[[], object] | None = None
) -> threading.Thread:
    """Start a daemon thread, and return it.

    Args:
        target: What it does.
        name: Of the thread, for debuggers.
        end: Asks it to end soon, without waiting; called at exit. Without one it ends by itself,
            or asks `is_ending` between two steps.
    """

    def work() -> None:
        _ends[threading.current_thread()] = end  # from here on: one that never began is not joined
        try:
            target()
        finally:
            _ends.pop(threading.current_thread(), None)

    thread = threading.Thread(target=work, name=name, daemon=True)
    thread.start()
    return thread


def is_ending() -> bool:
    """Whether the process is about to end, so that no further step should begin."""
    return _ending.is_set()


def settle_at_exit() -> None:
    """Leave native threads a moment at exit: those of LanceDB answer a call before they let go."""
    _settling.set()


def _end_all() -> None:
    _ending.set()
    threads = _ends.copy()
    for end in threads.values():
        if end is not None:
            end()
    until = time.monotonic() + DECENT
    for thread in threads:
        thread.join(max(0.0, until - time.monotonic()))
    if _settling.is_set():
        time.sleep(SETTLED)


atexit.register(_end_all)
