"""How many passes run at once, and that torch has one thread for each.

`torch.set_num_threads` with OpenMP sets the calling thread's number *and* the one that threads
new to torch will start with. The first is set for the pass; the second is kept from reaching
other threads. Builds without OpenMP have one number for the whole process and are left alone.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["known_thread", "one_thread", "usable_cores", "usable_threads"]


class _Shared:
    """How many threads now run on one torch thread, and the number all others should have."""

    lock = threading.Lock()
    singles = 0
    usual = 0
    seen = threading.local()


def known_thread() -> None:
    """Give a thread that is new to torch the usual number, even while a pass runs elsewhere."""
    if getattr(_Shared.seen, "yes", False):
        return
    import torch

    with _Shared.lock:
        if _Shared.singles:
            torch.set_num_threads(_Shared.usual)
        else:
            torch.get_num_threads()  # the first question fixes the answer for this thread
        _Shared.seen.yes = True


def usable_threads(asked: int | None = None) -> int:
    """Return how many passes of torch may run at once on a thread each, asked for or usual.

    1 where that cannot be set.
    """
    import torch

    return asked or torch.get_num_threads() if _is_thread_local() else 1


def usable_cores(asked: int | None = None) -> int:
    """Return how many passes may run at once without torch: asked for, else as torch would have it.

    That is `OMP_NUM_THREADS`, or the cores that this process may use: those it is bound to, and
    no more than a container's share of the processor.
    """
    if asked is not None:
        return asked
    told = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    if told.isdecimal() and int(told):
        return int(told)
    import joblib

    return int(joblib.cpu_count())


@contextmanager
def one_thread() -> Iterator[None]:
    """Run torch on one thread in the calling thread, and leave every other thread alone."""
    import torch

    known_thread()
    if not _is_thread_local():
        yield
        return
    before = torch.get_num_threads()
    with _Shared.lock:
        _Shared.usual = _Shared.usual if _Shared.singles else before
        _Shared.singles += 1
        torch.set_num_threads(1)
    try:
        yield
    finally:
        with _Shared.lock:
            _Shared.singles -= 1
            torch.set_num_threads(before)


def _is_thread_local() -> bool:
    import torch

    return bool(torch.backends.openmp.is_available())  # type: ignore[no-untyped-call]
