"""Who embeds the rows of a migration: this process, one batch after the other, at a given pace."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from contextvars import copy_context
from typing import Final, Protocol

import pyarrow as pa
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential

from agentmem.errors import EmbeddingFailed, InvalidInput
from agentmem.migration.making import Made, RowMaker
from agentmem.protocols import Embedder
from agentmem.storage.copying import Copy

__all__ = ["Engine", "LocalEngine", "engine_named", "joined", "patiently"]

HEADS_A_BATCH: Final = 64  # read and embedded together, and lost together when killed
COMMIT_SECONDS: Final = 20.0  # of work that a kill may lose
FULL: Final = 256  # texts of one call of the embedder
POLITE: Final = 8  # texts of one call for each thread that may work at them: the encoder's least
BACKGROUND: Final = 10  # added to the niceness of a thread that is to stay behind others
OUTAGES: Final = 6  # failures of the model in a row
FIRST_WAIT: Final = 1.0  # seconds, doubled each time: half a minute in all


class Engine(Protocol):
    """Embeds keys of a holding anew."""

    def made(
        self, copy: Copy, keys: Sequence[str], *, size: int, alive: Callable[[], None]
    ) -> Iterator[Made]:
        """Give the rows of these keys in parts, each to be stored in one commit.

        Args:
            copy: Where the heads are read.
            keys: Of turns, tools or examples; those that are gone are passed over.
            size: Keys of a part, at most; a part may be cut short.
            alive: Called often; raises when the run is to stop.

        Raises:
            EmbeddingFailed: The model fails, and went on failing.
        """
        ...


class LocalEngine:
    """Embeds in this process.

    Args:
        embedder: Of the next generation.
        share: Of the time in which it may compute, from above 0 to 1. At 1 it takes what it can
            get. Below, it takes half of the processors at most, in a thread of its own that lets
            every other go first where the system can, and rests. None does that without rests.
    """

    def __init__(self, embedder: Embedder, *, share: float | None = 1.0) -> None:
        if share is not None and not 0 < share <= 1:
            raise InvalidInput(f"share={share!r}: pass a number above 0, up to 1.")
        self._is_polite = share != 1
        self._rest = 0.0 if share is None else 1 / share - 1
        texts = min(POLITE * max(_processors() // 2, 1), FULL) if self._is_polite else FULL
        self._maker = RowMaker(embedder, texts=texts)

    def made(
        self, copy: Copy, keys: Sequence[str], *, size: int, alive: Callable[[], None]
    ) -> Iterator[Made]:
        """See `Engine`."""
        parts: list[Made] = []
        began = time.monotonic()
        with self._thread() as submit:
            for start in range(0, len(keys), HEADS_A_BATCH):
                alive()
                then = time.monotonic()
                parts.append(submit(copy, keys[start : start + HEADS_A_BATCH]))
                time.sleep((time.monotonic() - then) * self._rest)
                waited = time.monotonic() - began > COMMIT_SECONDS
                if waited or sum(part.keys for part in parts) >= size:
                    yield joined(parts)
                    parts, began = [], time.monotonic()
            if parts:
                yield joined(parts)

    @contextmanager
    def _thread(self) -> Iterator[Callable[[Copy, Sequence[str]], Made]]:
        """Give what embeds: in a thread that stays behind others, or in the calling one.

        A thread that was once put behind others stays there, so it cannot be the caller's.
        """
        if not self._is_polite:
            yield self._tried
            return
        with ThreadPoolExecutor(1, "agentmem-migration", initializer=_stay_behind) as pool:
            yield lambda *given: pool.submit(copy_context().run, self._tried, *given).result()

    def _tried(self, copy: Copy, keys: Sequence[str]) -> Made:
        """Embed a batch, waiting out a model that fails for a while."""
        made = patiently(lambda: self._maker.rows(copy.held, copy.read(keys)), wait=FIRST_WAIT)
        return Made(made.rows, made.poisoned, keys=len(keys))


def patiently(make: Callable[[], Made], *, wait: float) -> Made:
    """Make rows, again and again while the model fails.

    Args:
        make: Makes them.
        wait: Seconds before the second attempt, doubled each time.

    Raises:
        EmbeddingFailed: It went on failing.
    """
    retrying = Retrying(
        retry=retry_if_exception_type(EmbeddingFailed),
        stop=stop_after_attempt(OUTAGES),
        wait=wait_exponential(multiplier=wait),
        reraise=True,
    )
    return retrying(make)


def engine_named(name: str, *, workers: int) -> Callable[[Embedder], Engine] | None:
    """Return what makes an engine; None for the one of this process.

    Raises:
        InvalidInput: There is none of that name, or no number of workers.
        MissingDependency: Ray is not installed.
    """
    if name == "local":
        return None
    if name != "ray":
        raise InvalidInput(f"engine={name!r}: pass 'local' or 'ray'.")
    if type(workers) is not int or workers < 1:
        raise InvalidInput(f"workers={workers!r}: pass a whole number, 1 or more.")
    from agentmem.migration.cluster import import_ray
    from agentmem.migration.ray_engine import RayEngine

    import_ray()  # before anything is written
    return lambda embedder: RayEngine(embedder, workers=workers)


def joined(parts: Sequence[Made]) -> Made:
    """Return parts as one."""
    return Made(
        pa.concat_tables([part.rows for part in parts]),
        tuple(one for part in parts for one in part.poisoned),
        keys=sum(part.keys for part in parts),
    )


def _processors() -> int:
    """Return how many processors this process may use, as far as the system says."""
    with suppress(AttributeError):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _stay_behind() -> None:
    """Lower the priority of the calling thread, which Linux has for each thread.

    Not of the main thread: that serves others afterwards, and what is lowered stays so.
    """
    if threading.current_thread() is threading.main_thread():
        return
    with suppress(OSError, AttributeError):
        thread = threading.get_native_id()
        if os.getpriority(os.PRIO_PROCESS, thread) < BACKGROUND:
            os.setpriority(os.PRIO_PROCESS, thread, BACKGROUND)
