"""`Shadowing`: questions asked of the next generation too, after they were answered, and compared.

For as long as a migration wants it, in processes that have the next model. One at a time in a
thread of its own; what comes faster is left out, and whatever fails there harms no answer.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from agentmem.background import start
from agentmem.errors import AgentmemError
from agentmem.migration import Shadow, overlap
from agentmem.retrieval import Request, Searcher
from agentmem.types import Recall
from agentmem.visible import visible

__all__ = ["Shadowing"]

WAITING: Final = 16  # questions: those that come while so many wait are left out
TOGETHER: Final = 10  # comparisons are added to the store so many at a time,
SECONDS: Final = 1.0  # or when no question came for so long

logger = logging.getLogger("agentmem")


@dataclass(frozen=True, slots=True)
class _Asked:
    request: Request
    ids: tuple[str, ...]
    generation: int


class Shadowing:
    """Compares answers of two generations. Safe for several threads.

    Args:
        shadow: Where comparisons are added up.
        searcher: Gives what searches a generation without leaving a trace.
    """

    def __init__(self, shadow: Shadow, *, searcher: Callable[[int], Searcher]) -> None:
        self._shadow = shadow
        self._searcher = searcher
        self._waiting: queue.Queue[_Asked] = queue.Queue(WAITING)
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._closed = threading.Event()

    def answered(self, request: Request, recall: Recall, *, generation: int) -> None:
        """Ask another generation the same, some time soon."""
        ids = tuple(hit.turn.id for hit in recall)
        try:
            self._waiting.put_nowait(_Asked(request, ids, generation))
        except queue.Full:
            return
        with self._lock:
            if self._thread is None and not self._closed.is_set():
                self._thread = start(self._work, name="agentmem-shadow", end=self.close)

    def close(self) -> None:
        """Stop comparing."""
        self._closed.set()

    def _work(self) -> None:
        """Compare until nothing came for a while, and add up what was found."""
        found: list[tuple[float, bool]] = []
        while not self._closed.is_set():
            try:
                asked = self._waiting.get(timeout=SECONDS)
            except queue.Empty:
                self._add(found)
                with self._lock:
                    if self._waiting.empty():
                        self._thread = None
                        return
                continue
            try:
                again = self._searcher(asked.generation).search(asked.request)
            except AgentmemError as error:
                logger.info("a question was not compared: %s", visible(str(error)))
                continue
            ids = tuple(hit.turn.id for hit in again)
            found.append((overlap(asked.ids, ids), asked.ids[:1] == ids[:1]))
            if len(found) >= TOGETHER:
                self._add(found)

    def _add(self, found: list[tuple[float, bool]]) -> None:
        if found:
            try:
                self._shadow.add(
                    asked=len(found),
                    overlap=sum(share for share, _ in found),
                    same_first=sum(same for _, same in found),
                )
            except AgentmemError as error:
                logger.info("comparisons were not added up: %s", visible(str(error)))
            found.clear()
