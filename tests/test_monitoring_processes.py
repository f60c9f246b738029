"""Processes that find the same drift at once: one event, and one call of a hook."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from drift_tools import open_memory
from storage_tools import start_python

RACERS = 3
RACER = """
import sys
from drift_tools import Changeable, open_memory
from agentmem.monitoring import first
first.AFTER_SECONDS = 600.0  # who is slow to be ready must not look before the others
embedder = Changeable()
memory = open_memory(sys.argv[1], embedder)
memory.search("Lisbon", user_id="ada")
embedder.is_another = True

@memory.on_drift(kind="model")
def heard(event):
    with open(sys.argv[2], "a") as file:
        file.write(event.id + "\\n")

print("ready", flush=True)
sys.stdin.readline()
report = memory.drift.check("model")
print(len(report.events), len(memory.drift.events()), flush=True)
memory.close()
"""


def raced(folder: Path, heard: Path) -> list[tuple[int, int]]:
    """Let processes check at once; return how many events each made, and saw standing."""
    processes = [start_python(RACER, folder, heard) for _ in range(RACERS)]
    for one in processes:
        assert one.stdout is not None
        assert one.stdout.readline() == "ready\n"

    def finished(place: int) -> str:
        out, err = processes[place].communicate("go\n", timeout=120)
        assert processes[place].returncode == 0, err
        return out

    with ThreadPoolExecutor(RACERS) as pool:
        told = [one.split() for one in pool.map(finished, range(RACERS))]
    return [(int(made), int(standing)) for made, standing in told]


@pytest.mark.slow
def test_processes_that_find_the_same_at_once_tell_it_once(tmp_path: Path) -> None:
    folder, heard = tmp_path / "store", tmp_path / "heard"
    with open_memory(folder) as memory:
        memory.add("I moved to Lisbon.", user_id="ada")
    told = raced(folder, heard)
    assert sum(made for made, _ in told) == 1
    assert [standing for _, standing in told] == [1] * RACERS
    with open_memory(folder) as memory:
        (event,) = memory.drift.events()
        assert heard.read_text().split() == [event.id]
        assert len(memory.drift.history()) == RACERS
        assert not memory.drift.check("model").drifted  # this process has the old model
    raced(folder, heard)
    assert len(set(heard.read_text().split())) == 2  # it came again: told again, once


CHILD = """
import sys
from drift_tools import open_memory
memory = open_memory(sys.argv[1], keep_questions=True)
memory.add("I moved to Lisbon.", user_id="ada")
memory.search("Lisbon", user_id="ada")
memory.drift.watch()
memory.search("Porto", user_id="ada")
print("over")
"""


def test_a_process_that_ends_without_closing_ends_at_once_and_well(tmp_path: Path) -> None:
    process = start_python(CHILD, tmp_path)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert out == "over\n"
    assert err == ""
