"""A tool whose description changes is never served by its old vector, here or in any process.

Every selection's tools, texts and vectors belong together, also while the store moves to another
space; and what was acknowledged before a selection began is what the selection sees.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from migration_tools import NEXT, Next
from router_tools import TOOLS, WIDE, define, open_router
from storage_tools import start_python

from agentmem.protocols import Embedder
from agentmem.router import ToolRouter
from agentmem.testing import HashEmbedder
from agentmem.toolspec import views
from agentmem.types import Selection

SEA = "Sails boats across harbours, tides and lighthouses."
LAND = "Drives tractors over fields, meadows and orchards."
OLD = HashEmbedder(WIDE)
ROUNDS = 25

SELECTOR = """
import sys
from migration_tools import NEXT
from router_tools import open_router
from test_migration_tools_fresh import described
with open_router(sys.argv[1], standby=[NEXT]) as router:
    print("ready", flush=True)
    for line in sys.stdin:
        print(described(router, int(line)), flush=True)
"""

EDITOR = """
import sys
from migration_tools import NEXT
from router_tools import define, open_router
from test_migration_tools_fresh import LAND, SEA
with open_router(sys.argv[1], standby=[NEXT]) as router:
    print("ready", flush=True)
    for line in sys.stdin:
        for description in (LAND, SEA):
            router.register(define("move", description), on_conflict="replace")
        if line.strip() == "last":
            break
        print("edited", flush=True)
"""


def check_together(router: ToolRouter) -> Selection:
    """Select, and check that what is said of each tool, its texts and vectors are of one edit."""
    chosen = router.select(SEA, k=4, explain=True)
    for match in chosen.candidates:
        if match.name == "move":
            assert match.evidence is not None
            assert (match.evidence.similarity > 0.7) == (match.tool.description == SEA)
            if match.evidence.view != views(match.tool).name:
                assert match.evidence.view.endswith(match.tool.description)
    check_vectors(router, chosen.generation)
    return chosen


def check_vectors(router: ToolRouter, generation: int) -> None:
    """Check that the vectors held in memory are those of the texts beside them."""
    parts = router._home._spaces.at(generation)
    sight = parts.holdings.current()
    state = sight.shelf.state
    assert state.generation == generation
    embedder: Embedder = {OLD.passport.id: OLD, NEXT.passport.id: NEXT}[state.passport_id]
    assert parts.embedder.passport == embedder.passport
    assert np.allclose(state.vectors, embedder.embed(state.texts, kind="document"), atol=1e-6)
    for place in range(sight.size):
        tool = sight.tool(place)
        texts = {text for text, of in zip(state.texts, state.owners, strict=True) if of == place}
        told = views(tool)
        assert texts == {one for one in (told.description, told.name, told.arguments) if one}


def described(router: ToolRouter, times: int) -> str:
    """Select so often, and return how the last one described the tool, and its generation."""
    for _ in range(times):
        chosen = check_together(router)
    (move,) = (one.tool for one in chosen.candidates if one.name == "move")
    return json.dumps([move.description, chosen.generation])


@contextmanager
def running(code: str, folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Run another process on a store until the end of a block; it must end well."""
    process = start_python(code, folder)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process
        _, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
    finally:
        process.kill()
        process.communicate()


def tell(process: subprocess.Popen[str], line: str) -> None:
    assert process.stdin is not None
    process.stdin.write(f"{line}\n")
    process.stdin.flush()


def ask(process: subprocess.Popen[str], line: str) -> Any:
    """Return what a process answers."""
    tell(process, line)
    assert process.stdout is not None
    return json.loads(process.stdout.readline())


@pytest.fixture
def router(tmp_path: Path) -> Iterator[ToolRouter]:
    with open_router(tmp_path, standby=[NEXT]) as opened:
        opened.register([*TOOLS, define("move", SEA)])
        yield opened


def test_an_edit_is_what_the_next_selection_sees_in_every_process(
    router: ToolRouter, tmp_path: Path
) -> None:
    with running(SELECTOR, tmp_path) as other:
        assert ask(other, "1") == [SEA, 1]
        for description in (LAND, SEA, LAND):
            router.register(define("move", description), on_conflict="replace")
            assert ask(other, "1") == [description, 1]
            assert json.loads(described(router, 1)) == [description, 1]
        router.sync([*TOOLS, define("move", SEA)])
        assert ask(other, "1") == [SEA, 1]
        router.remove("move")
        router.register(define("move", LAND))
        assert ask(other, "1") == [LAND, 1]


def test_texts_and_vectors_belong_together_while_another_process_edits(
    router: ToolRouter, tmp_path: Path
) -> None:
    seen = set()
    with running(EDITOR, tmp_path) as editor:
        for number in range(ROUNDS):
            tell(editor, "last" if number == ROUNDS - 1 else "edit")
            seen |= {json.loads(described(router, 1))[0] for _ in range(4)}
    assert json.loads(described(router, 1)) == [SEA, 1]
    assert seen == {SEA, LAND}


def test_an_edit_during_a_migration_is_seen_before_and_after_the_flip(
    router: ToolRouter, tmp_path: Path
) -> None:
    embedder = Next()
    with running(SELECTOR, tmp_path) as other:

        def edited() -> None:
            router.register(define("move", LAND), on_conflict="replace")
            assert ask(other, "1") == [LAND, 1]
            assert json.loads(described(router, 1)) == [LAND, 1]

        embedder.when("plane", edited)
        migration = router.migrate(embedder)
        assert ask(other, "1") == [LAND, 2]
        router.register(define("move", SEA), on_conflict="replace")
        assert ask(other, "1") == [SEA, 2]
        assert json.loads(described(router, 1)) == [SEA, 2]
        migration.rollback()
        assert ask(other, "1") == [SEA, 1]
        assert json.loads(described(router, 1)) == [SEA, 1]


@pytest.mark.slow
def test_edits_and_a_migration_at_once_leave_texts_and_vectors_together(
    router: ToolRouter, tmp_path: Path
) -> None:
    with running(EDITOR, tmp_path) as editor, running(SELECTOR, tmp_path) as other:
        generations = set()
        for number in range(4):
            tell(editor, "edit")
            tell(other, "5")
            under_way = router.migration()
            if number % 2 and under_way is not None:
                under_way.rollback(progress=False)
            else:
                router.migrate(NEXT, progress=False)
            assert other.stdout is not None
            assert editor.stdout is not None
            generations.add(json.loads(other.stdout.readline())[1])
            assert editor.stdout.readline() == "edited\n"
            assert json.loads(described(router, 1)) == [SEA, 1 if number % 2 else 2]
            assert ask(other, "1") == [SEA, 1 if number % 2 else 2]
        tell(editor, "last")
    assert generations <= {1, 2}
