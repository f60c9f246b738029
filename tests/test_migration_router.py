"""`ToolRouter.migrate`: tools and what was learnt of them move, with what is written meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from learning_tools import CATALOGUE, batch, first_rate
from memory_tools import open_hashed, say
from migration_tools import NEXT, Next, assert_moved, description, rows_in, without_grace
from router_tools import MAIL, TOOLS, WEATHER, define, names, open_router
from storage_tools import run_python

from agentmem.embedding.queries import embed_queries
from agentmem.router import ToolRouter
from agentmem.storage.lessons import Lessons
from agentmem.testing import HashEmbedder

MANY = [define(f"tool{n}", f"Does thing{n} with care{n}.", what=f"Which{n}.") for n in range(150)]


@pytest.fixture(autouse=True)
def no_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    without_grace(monkeypatch)


@pytest.fixture
def router(tmp_path: Path) -> Iterator[ToolRouter]:
    with open_router(tmp_path, standby=[NEXT]) as opened:
        opened.register(TOOLS)
        yield opened


def assert_tools_moved(folder: Path, *, source: int = 1, target: int = 2) -> None:
    """Check that tools and examples are as they were, in the other space."""
    told = description(folder)
    assert (told.active, told.seal) == (target, None)
    embedder = {one.passport.id: one for one in (NEXT, HashEmbedder(512))}[
        told.generation.passport.id
    ]
    for held, row_key in (("tools", "view_key"), ("tool_examples", "key")):
        if not (folder / f"{held}_g{source}.lance").exists():
            continue
        before, after = rows_in(folder, source, held), rows_in(folder, target, held)
        assert len({row[row_key] for row in after}) == len(after)
        assert {row["passport"] for row in after} <= {embedder.passport.id}
        kept = _without(before), _without(after)
        assert kept[0] == kept[1]
        texts = [row["text" if held == "tools" else "query"] for row in after]
        made = (
            embedder.embed(texts, kind="document")
            if held == "tools"
            else embed_queries(embedder, texts)
        )
        stored = np.array([row["vector"] for row in after], np.float32).reshape(made.shape)
        assert np.allclose(stored, made, atol=1e-6)


def _without(rows: list[dict[str, Any]]) -> list[str]:
    """Return everything but the vectors, in an order of its own."""
    left = ("vector", "passport")
    return sorted(repr([(k, v) for k, v in row.items() if k not in left]) for row in rows)


def test_tools_and_examples_move_as_they_are(router: ToolRouter, tmp_path: Path) -> None:
    router.register(WEATHER, namespace="other", tags=["free"])
    router.add_examples({"get_weather": ["will it rain"]}, guard=False, namespace="default")
    before = router.list()
    migration = router.migrate(NEXT)
    assert migration.status().state == "done"
    assert router.list() == before
    assert_tools_moved(tmp_path)
    chosen = router.select("will it rain", namespace="default")
    assert (chosen.generation, chosen.passport_id) == (2, NEXT.passport.id)
    assert chosen.matches[0].tool.name == "get_weather"
    assert [one.kind for one in router.history()] == ["examples"]


def test_what_was_learnt_is_known_in_the_next_space(tmp_path: Path) -> None:
    with open_router(tmp_path) as router:
        router.register(CATALOGUE)
        assert first_rate(router) < 0.5
        router.add_examples(batch(6), guard=False)
        before = first_rate(router)
        router.migrate(HashEmbedder(384))
        assert before > 0.8
        assert first_rate(router) > 0.8


def register(router: ToolRouter) -> None:
    router.register([define("sing", "Sings a song."), MAIL], on_conflict="replace")


def replace(router: ToolRouter) -> None:
    router.register(define("tool3", "Something else entirely."), on_conflict="replace")


def sync(router: ToolRouter) -> None:
    router.sync([*MANY[:70], define("dance", "Dances.")])


def remove(router: ToolRouter) -> None:
    router.remove(["tool0", "tool77", "tool149"])


def teach(router: ToolRouter) -> None:
    router.add_examples({"tool5": ["a cormorant"], "tool6": ["a heron"]}, guard=False)
    router.feedback("what a puffin", used="tool7")


def revert(router: ToolRouter) -> None:
    router.revert(None)


WRITES: list[Callable[[ToolRouter], None]] = [register, replace, sync, remove, teach, revert]

ELSEWHERE = """
import sys
import test_migration_router as module
from migration_tools import NEXT
with module.open_router(sys.argv[1], standby=[NEXT]) as router:
    getattr(module, sys.argv[2])(router)
"""


@pytest.mark.slow(keep=1)
@pytest.mark.parametrize("write", WRITES)
def test_what_is_written_meanwhile_by_another_process_moves_as_well(
    tmp_path: Path, write: Callable[[ToolRouter], None]
) -> None:
    embedder = Next()
    with open_router(tmp_path, standby=[NEXT]) as router:
        router.register(MANY)
        router.add_examples({"tool1": ["a gull", "a tern"]}, guard=False)
        expected: list[Any] = []

        def written() -> None:
            run_python(ELSEWHERE, tmp_path, write.__name__)
            expected.extend([router.list(), router.history()])

        embedder.when("Does thing", written, after=80)
        router.migrate(embedder)
        assert [router.list(), router.history()] == expected
        assert_tools_moved(tmp_path)
        assert router.select("a cormorant", k=1).generation == 2


@pytest.mark.slow(keep=2)
@pytest.mark.parametrize("write", WRITES)
def test_what_is_written_since_comes_back(
    tmp_path: Path, write: Callable[[ToolRouter], None]
) -> None:
    with open_router(tmp_path, standby=[NEXT]) as router:
        router.register(MANY[:90])
        router.register(MANY[140:])
        router.add_examples({"tool1": ["a gull", "a tern"]}, guard=False)
        migration = router.migrate(NEXT)
        if write is not remove:
            write(router)
        expected = [router.list(), router.history()]
        migration.rollback()
        assert [router.list(), router.history()] == expected
        assert_tools_moved(tmp_path, source=2, target=1)


def test_the_first_tools_and_lessons_may_come_while_the_turns_move(tmp_path: Path) -> None:
    embedder = Next()
    with open_hashed(tmp_path, standby=[NEXT]) as memory:
        memory.add([say(f"said word{n}") for n in range(200)], user_id="ada")

        def first() -> None:
            with open_router(tmp_path, standby=[NEXT]) as router:
                router.register(TOOLS)
                router.add_examples({"get_weather": ["will it rain"]}, guard=False)

        embedder.when("said", first, after=100)
        memory.migrate(embedder)
        assert_moved(tmp_path, NEXT)
    assert_tools_moved(tmp_path)
    with open_router(tmp_path, embedder=NEXT) as router:
        assert names(router) == ["get_weather", "book_flight", "send_mail"]
        assert router.select("will it rain").matches[0].tool.name == "get_weather"


def test_turns_and_tools_of_one_store_move_together(router: ToolRouter, tmp_path: Path) -> None:
    with open_hashed(tmp_path, standby=[NEXT]) as memory:
        memory.add(say("red boats", id="a"), user_id="ada")
        assert dict(memory.plan_migration(NEXT).rows) == {"turns": 1, "tools": 3}
        memory.migrate(NEXT)
        assert router.select("weather").generation == 2
        assert memory.search("boats", user_id="ada").generation == 2
        assert router.migration().id == memory.migration().id  # type: ignore[union-attr]
        router.migration().rollback()  # type: ignore[union-attr]
        assert memory.search("boats", user_id="ada").generation == 1
        assert router.select("weather").generation == 1


def test_a_lesson_whose_store_moves_before_it_counts_brings_its_observations_along(
    router: ToolRouter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    observe = Lessons.observe
    moved: list[bool] = []

    def then_moved(self: Lessons, rows: Any) -> None:
        observe(self, rows)
        if not moved:
            moved.append(True)
            with open_router(tmp_path, standby=[NEXT]) as other:
                other.migrate(NEXT)

    monkeypatch.setattr(Lessons, "observe", then_moved)
    router.add_examples({"get_weather": ["will it rain"]}, guard=False)
    assert moved == [True]
    assert router.select("will it rain").matches[0].tool.name == "get_weather"
    assert len(rows_in(tmp_path, 2, "tool_examples")) == 1
    assert_tools_moved(tmp_path)


def test_tools_that_are_all_gone_by_then_are_passed_over(tmp_path: Path) -> None:
    embedder = Next()
    with open_router(tmp_path, standby=[NEXT]) as router:
        router.register(MANY)
        embedder.when("Does thing", lambda: router.sync([]), after=10)
        router.migrate(embedder)
        assert len(router) == 0
        assert rows_in(tmp_path, 2, "tools") == []


def test_a_selection_of_before_is_replayed_after_the_move(router: ToolRouter) -> None:
    chosen = router.select("Tell me the weather")
    router.migrate(NEXT)
    assert router.replay(chosen).is_identical
