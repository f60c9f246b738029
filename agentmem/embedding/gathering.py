"""Calls that come at the same time, answered in one pass: by whoever comes first, without delay.

A caller who finds a pass free takes it at once, so a lone caller never waits. Who comes while all
are taken waits, and is taken along by the next. A pass that fails is repeated call by call, so
that one caller's text is no other's failure.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = ["Gathering", "Tokens"]

Tokens: TypeAlias = Sequence[int]


@dataclass(slots=True, eq=False)
class _Call:
    """What one thread asks for, and how it is told."""

    texts: Sequence[Tokens]
    told: threading.Event = field(default_factory=threading.Event)
    leads: bool = False
    rows: NDArray[np.float32] | None = None
    failure: Exception | None = None

    @property
    def is_answered(self) -> bool:
        return self.rows is not None or self.failure is not None


class Gathering:
    """Gathers the calls of several threads into passes.

    Args:
        serve: Encodes the texts of one pass, a row each.
        fits: Whether a pass may have these texts.
        passes: How many may run at once.
    """

    def __init__(
        self,
        serve: Callable[[Sequence[Tokens]], NDArray[np.float32]],
        *,
        fits: Callable[[Sequence[Tokens]], bool],
        passes: int,
    ) -> None:
        self._serve = serve
        self._fits = fits
        self._free = passes
        self._waiting: deque[_Call] = deque()
        self._lock = threading.Lock()

    def rows(self, texts: Sequence[Tokens]) -> NDArray[np.float32]:
        """Encode the texts of one call, one or more, perhaps together with those of others.

        Returns:
            Their rows, in their order.

        Raises:
            Exception: What `serve` raised for them.
        """
        call = _Call(texts)
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
        assert call.rows is not None  # noqa: S101 - who is told is answered, or leads
        return call.rows

    def _take_place(self, call: _Call) -> None:
        with self._lock:
            call.leads = self._free > 0
            if call.leads:
                self._free -= 1
            else:
                self._waiting.append(call)

    def _leave(self, call: _Call) -> None:
        with self._lock:
            if call in self._waiting:
                self._waiting.remove(call)
        if call.leads:
            self._pass_on()

    def _lead(self, call: _Call) -> None:
        """Run one pass with this call and those that wait, then give the pass to the next."""
        calls = [call]
        try:
            calls = self._gathered(call)
            self._answer(calls)
        except BaseException:
            with self._lock:  # this thread is interrupted, the others are not
                self._waiting.extendleft(one for one in calls[:0:-1] if not one.is_answered)
            raise
        finally:
            self._pass_on()

    def _gathered(self, call: _Call) -> list[_Call]:
        calls, texts = [call], [*call.texts]
        with self._lock:
            while self._waiting and self._fits([*texts, *self._waiting[0].texts]):
                calls.append(self._waiting.popleft())
                texts += calls[-1].texts
        return calls

    def _answer(self, calls: list[_Call]) -> None:
        try:
            rows = self._serve([text for call in calls for text in call.texts])
        except Exception as error:  # noqa: BLE001 - it is raised where it belongs
            if len(calls) > 1:
                for call in calls:
                    self._answer([call])
                return
            calls[0].failure = error
            calls[0].told.set()
            return
        ends = np.cumsum([len(call.texts) for call in calls])
        for call, own in zip(calls, np.split(rows, ends[:-1]), strict=True):
            call.rows = own
            call.told.set()

    def _pass_on(self) -> None:
        with self._lock:
            if not self._waiting:
                self._free += 1
                return
            leader = self._waiting.popleft()
            leader.leads = True
            leader.told.set()
