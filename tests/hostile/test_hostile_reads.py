"""Random hostile reads across fifty people: nobody ever sees a word of another.

`make test` makes some thousand; AGENTMEM_HOSTILE_READS=100000 makes as many. A run is repeated
with AGENTMEM_HOSTILE_SEED.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
from hostile_reads import command_lines, reads, selections
from hostile_room import EMBEDDER, PEOPLE, Guard, Room, fill, fill_router
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from telemetry_tools import forget_providers, installed_exporter

from agentmem import ALL
from agentmem.cli import options

READS = int(os.environ.get("AGENTMEM_HOSTILE_READS", "1500"))
SEED = int(os.environ.get("AGENTMEM_HOSTILE_SEED", "6"))
COMMAND_SHARE = 0.03  # each opens the store anew
SELECTION_SHARE = 0.12
ANSWERED = 0.05  # of the reads at the least give something: or nothing would be tested


@pytest.fixture
def exporter(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    forget_providers(monkeypatch)
    return installed_exporter()


@pytest.fixture
def room(exporter: InMemorySpanExporter, tmp_path: Path) -> Iterator[Room]:
    made = fill(tmp_path)
    exporter.clear()
    yield made
    made.memory.close()


def test_no_read_in_process_shows_a_word_of_another(
    room: Room, exporter: InMemorySpanExporter
) -> None:
    guard, before = Guard(exporter), room.memory.turns(scope=ALL, limit=10_000)
    exporter.clear()
    reads(room, guard, count=READS, rng=Random(SEED))
    assert guard.leaks == []
    assert guard.reads == READS
    assert guard.answered > READS * ANSWERED
    assert room.memory.turns(scope=ALL, limit=10_000) == before


def test_no_command_shows_a_word_of_another(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(options, "embedder", lambda _: EMBEDDER)
    guard, count = Guard(None), round(READS * COMMAND_SHARE)
    command_lines(room, guard, count=count, rng=Random(SEED))
    assert guard.leaks == []
    assert guard.answered > count * ANSWERED


def test_no_selection_shows_a_tool_of_another_namespace(
    exporter: InMemorySpanExporter, tmp_path: Path
) -> None:
    guard, count = Guard(exporter), round(READS * SELECTION_SHARE)
    with fill_router(tmp_path) as router:
        exporter.clear()
        selections(router, guard, count=count, rng=Random(SEED))
    assert guard.leaks == []
    assert guard.answered > count * ANSWERED


def test_a_leak_is_found(room: Room, exporter: InMemorySpanExporter) -> None:
    guard = Guard(exporter)
    guard.check(PEOPLE[0], lambda: room.memory.turns(scope=ALL, limit=10_000), given="")
    assert len(guard.leaks) == len(PEOPLE) - 1
    guard = Guard(exporter)
    guard.check("nobody", lambda: room.memory.search("zq03a", user_id=PEOPLE[3]), given="")
    assert {mark for _, _, mark in guard.leaks} == {"03"}, "in the answer, and on its span"


def test_there_are_fifty_people() -> None:
    assert len(set(PEOPLE)) == 50
