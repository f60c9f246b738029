"""Calls that come at the same time, served in one pass: by whoever comes first, without delay.

A caller who finds a pass free takes it at once, so a lone caller never waits. Who comes while all
are taken waits, and is taken along by the next. A pass that fails is repeated call by call, so
that what one caller asks for is no other's failure.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

__all__ = ["Gathering"]

A = TypeVar("A")
B = TypeVar("B")


@dataclass(slots=True, eq=False)
class _Call(Generic[A, B]):
    """What one thread asks for, and how it is told; an answer is kept in a list of one."""

    asked: A
    told: threading.Event = field(default_factory=threading.Event)
    leads: bool = False
    answer: list[B] = field(default_factory=list)
    failure: Exception | None = None

    @property
    def is_answered(self) -> bool:
        return bool(self.answer) or self.failure is not None


class Gathering(Generic[A, B]):
    """Gathers the calls of several threads into passes.

    Args:
        serve: Answers the calls of one pass, one each. It is asked again about the same calls
            where a pass fails or its thread is interrupted.
        fits: Whether a pass may have these calls; each alone always may.
        passes: How many may run at once.
        shared: Failures that no single call is the cause of: all calls of the pass fail at once.
    """

    def __init__(
        self,
        serve: Callable[[Sequence[A]], Sequence[B]],
        *,
        fits: Callable[[Sequence[A]], bool],
        passes: int,
        shared: tuple[type[Exception], ...] = (),
    ) -> None:
        self._serve = serve
        self._fits = fits
        self._free = passes
        self._shared = shared
        self._waiting: deque[_Call[A, B]] = deque()
        self._lock = threading.Lock()

    def ask(self, asked: A) -> B:
        """Have one call served, perhaps together with those of others.

        Raises:
            Exception: What `serve` raised for it.
        """
        call: _Call[A, B] = _Call(asked)
        self._take_place(call)
        try:
            if not call.leads:
                call.told.wait()
        except BaseException:  # a thread that is interrupted must not be made to lead later
            self._leave(call)
            raise
        if call.leads:
            self._lead(call)
        if call.failure is not None:
            raise call.failure
        return call.answer[0]

    def _take_place(self, call: _Call[A, B]) -> None:
        with self._lock:
            call.leads = self._free > 0
            if call.leads:
                self._free -= 1
            else:
                self._waiting.append(call)

    def _leave(self, call: _Call[A, B]) -> None:
        with self._lock:
            if call in self._waiting:
                self._waiting.remove(call)
        if call.leads:
            self._pass_on()

    def _lead(self, call: _Call[A, B]) -> None:
        """Run one pass with this call and those that wait, then give the pass to the next."""
        calls = [call]
        try:
            self._gather(calls)
            self._answer(calls)
        except BaseException:
            with self._lock:  # this thread is interrupted, the others are not
                self._waiting.extendleft(one for one in calls[:0:-1] if not one.is_answered)
            raise
        finally:
            self._pass_on()

    def _gather(self, calls: list[_Call[A, B]]) -> None:
        """Add those that wait to a pass, in the order they came, as long as they fit."""
        asked = [call.asked for call in calls]
        with self._lock:
            while self._waiting and self._fits([*asked, self._waiting[0].asked]):
                calls.append(self._waiting.popleft())
                asked.append(calls[-1].asked)

    def _answer(self, calls: list[_Call[A, B]]) -> None:
        try:
            answers = self._serve([call.asked for call in calls])
        except Exception as error:  # noqa: BLE001 - it is raised where it belongs
            if len(calls) > 1 and not isinstance(error, self._shared):
                for call in calls:
                    self._answer([call])
                return
            for call in calls:
                call.failure = error
                call.told.set()
            return
        for call, answer in zip(calls, answers, strict=True):
            call.answer.append(answer)
            call.told.set()

    def _pass_on(self) -> None:
        with self._lock:
            if not self._waiting:
                self._free += 1
                return
            leader = self._waiting.popleft()
            leader.leads = True
            leader.told.set()
