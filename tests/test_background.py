"""Threads behind calls: told to end, waited for, and gone before the interpreter is."""

from __future__ import annotations

import threading
import time

from storage_tools import run_python

from agentmem.background import is_ending, start


def test_a_thread_runs_and_is_forgotten() -> None:
    done = threading.Event()
    thread = start(done.set, name="agentmem-test")
    thread.join(10)
    assert done.is_set()
    assert thread.daemon
    assert thread.name == "agentmem-test"
    assert not is_ending()


ORDERLY = """
import atexit, threading, time
from agentmem import background
over = threading.Event()
def until_told():
    over.wait()
    print("told", flush=True)
def step_by_step():
    while not background.is_ending():
        time.sleep(0.01)
    time.sleep(0.2)  # the step that is under way
    print("stepped", flush=True)
background.start(until_told, name="a", end=over.set)
background.start(step_by_step, name="b")
"""


def test_at_exit_each_is_told_and_what_is_under_way_is_finished() -> None:
    assert sorted(run_python(ORDERLY).split()) == ["stepped", "told"]


STUBBORN = """
import threading
from agentmem import background
background.DECENT = 0.2
background.start(threading.Event().wait, name="hangs")
"""


def test_one_that_hangs_holds_nobody_up() -> None:
    begun = time.monotonic()
    assert run_python(STUBBORN) == ""
    assert time.monotonic() - begun < 60


READING = """
import sys
from memory_tools import open_hashed
from agentmem import background
memory = open_hashed(sys.argv[1])
memory.add([f"word{n} of the harbour" for n in range(50)], user_id="ada")
def read():
    while not background.is_ending():
        memory.turns(user_id="ada")
for _ in range(3):
    background.start(read, name="reader")
memory.turns(user_id="ada")
"""


def test_a_process_ends_well_while_others_of_its_threads_read_the_store(tmp_path: object) -> None:
    for turn in range(3):
        assert run_python(READING, f"{tmp_path}/{turn}") == ""
