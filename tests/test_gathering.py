from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from agentmem.embedding.gathering import Rows, Tokens, gathering_rows
from agentmem.gathering import Gathering


class Passes:
    """Encodes a text as its sum, notes its passes, and holds the first until it is let go."""

    def __init__(self, *, most: int = 100, passes: int = 1) -> None:
        self.served: list[list[Tokens]] = []
        self.begun = threading.Semaphore(0)
        self.go = threading.Event()
        self.gathering = gathering_rows(
            self.serve, fits=lambda texts: len(texts) <= most, passes=passes, shared=(OSError,)
        )

    def serve(self, texts: Sequence[Tokens]) -> Rows:
        self.served.append(list(texts))
        self.begun.release()
        assert self.go.wait(20)
        if [13] in texts:
            raise ArithmeticError("13")
        if [14] in texts:
            raise OSError("nobody is there")
        return np.array([[sum(text)] for text in texts], dtype=np.float32)

    def wait_for(self, waiting: int) -> None:
        while len(self.gathering._waiting) < waiting:
            threading.Event().wait(0.001)


def test_a_lone_call_is_served_at_once_and_alone() -> None:
    passes = Passes()
    passes.go.set()
    for number in range(3):
        assert passes.gathering.ask([[number], [1, 1]]).tolist() == [[number], [2]]
    assert passes.served == [[[0], [1, 1]], [[1], [1, 1]], [[2], [1, 1]]]


def test_calls_that_wait_share_the_next_pass_up_to_what_fits_in_the_order_they_came() -> None:
    passes = Passes(most=4)
    with ThreadPoolExecutor(8) as pool:
        first = pool.submit(passes.gathering.ask, [[0]])
        passes.begun.acquire()
        later = []
        for number in range(1, 4):
            later.append(pool.submit(passes.gathering.ask, [[number], [number, number]]))
            passes.wait_for(number)
        passes.go.set()
        assert first.result().tolist() == [[0]]
        assert [one.result().tolist() for one in later] == [[[1], [2]], [[2], [4]], [[3], [6]]]
    assert passes.served == [[[0]], [[1], [1, 1], [2], [2, 2]], [[3], [3, 3]]]


def test_no_more_passes_run_at_once_than_may() -> None:
    passes = Passes(most=1, passes=2)
    with ThreadPoolExecutor(6) as pool:
        calls = [pool.submit(passes.gathering.ask, [[number]]) for number in range(6)]
        passes.wait_for(4)
        assert len(passes.served) == 2
        passes.go.set()
        assert sorted(float(call.result()[0, 0]) for call in calls) == [0, 1, 2, 3, 4, 5]
    assert passes.gathering._free == 2


def test_a_text_that_fails_is_no_other_caller_s_failure() -> None:
    passes = Passes()
    with ThreadPoolExecutor(4) as pool:
        first = pool.submit(passes.gathering.ask, [[0]])
        passes.begun.acquire()
        good, bad, also = (pool.submit(passes.gathering.ask, [[n]]) for n in (1, 13, 2))
        passes.wait_for(3)
        passes.go.set()
        assert [one.result().tolist() for one in (first, good, also)] == [[[0]], [[1]], [[2]]]
        with pytest.raises(ArithmeticError):
            bad.result()
    assert passes.gathering.ask([[4]]).tolist() == [[4]]


def test_a_failure_that_no_call_is_the_cause_of_is_not_asked_for_call_by_call() -> None:
    passes = Passes()
    with ThreadPoolExecutor(4) as pool:
        first = pool.submit(passes.gathering.ask, [[0]])
        passes.begun.acquire()
        later = []
        for place, number in enumerate((1, 14, 2), start=1):
            later.append(pool.submit(passes.gathering.ask, [[number]]))
            passes.wait_for(place)
        passes.go.set()
        first.result()
        for one in later:
            with pytest.raises(OSError, match="nobody"):
                one.result()
    assert len(passes.served) == 2
    assert passes.gathering.ask([[4]]).tolist() == [[4]]


def test_an_answer_may_be_nothing() -> None:
    nothing: Gathering[int, None] = Gathering(lambda _: [None], fits=lambda _: True, passes=1)
    assert nothing.ask(1) is None


def test_a_leader_that_is_interrupted_leaves_the_others_to_the_next() -> None:
    passes = Passes()
    ordinary = passes.gathering._serve
    interrupted = threading.Event()

    def once(calls: Sequence[Sequence[Tokens]]) -> Sequence[Rows]:
        if len(calls) > 1 and not interrupted.is_set():
            interrupted.set()
            raise KeyboardInterrupt
        return ordinary(calls)

    passes.gathering._serve = once
    with ThreadPoolExecutor(5) as pool:
        first = pool.submit(passes.gathering.ask, [[0]])
        passes.begun.acquire()
        later = []
        for number in range(1, 4):
            later.append(pool.submit(passes.gathering.ask, [[number]]))
            passes.wait_for(number)
        passes.go.set()
        first.result()
        with pytest.raises(KeyboardInterrupt):
            later[0].result()
        assert [one.result().tolist() for one in later[1:]] == [[[2]], [[3]]]
    assert passes.gathering._free == 1
    assert interrupted.is_set()


def test_many_threads_each_get_their_own_rows() -> None:
    passes = Passes(most=5, passes=2)
    passes.go.set()

    def ask(number: int) -> bool:
        return all(
            float(passes.gathering.ask([[number, turn]])[0, 0]) == number + turn
            for turn in range(50)
        )

    with ThreadPoolExecutor(12) as pool:
        assert all(pool.map(ask, range(12)))
    assert passes.gathering._free == 2
