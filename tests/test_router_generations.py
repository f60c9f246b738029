"""A catalogue that moves to another embedding space: `ToolRouter` follows, and nothing gets lost.

The next generation starts empty here, so that what it holds is what was written to it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from catalogue_tools import open_tools
from generation_tools import announce, flip, seal
from learning_tools import CATALOGUE, asked, batch, best
from router_tools import FLIGHT, MAIL, TOOLS, WEATHER, WIDE, Counting, names, open_router

from agentmem.errors import EmbedderMismatch
from agentmem.migration import Migration
from agentmem.router import ToolRouter
from agentmem.storage.lessons import Lessons
from agentmem.storage.tool_store import ToolStore
from agentmem.testing import HashEmbedder
from agentmem.types import Selection

NEXT = HashEmbedder(96)
OLD = HashEmbedder(WIDE)  # of `open_router`


@pytest.fixture
def router(tmp_path: Path) -> Iterator[ToolRouter]:
    """Open a router of three tools, in a process that has the next embedder as well."""
    with open_router(tmp_path, standby=[NEXT]) as opened:
        opened.register(TOOLS)
        yield opened


def move(folder: Path) -> ToolStore:
    """Move a store to another space, and leave what it holds behind."""
    store = open_tools(folder, passport=None)
    generations = store.whole.generations
    made = announce(generations, NEXT.passport)
    seal(generations)
    flip(generations, to=made.number)
    return store.at_generation(made)


def test_a_router_follows_a_flip(router: ToolRouter, tmp_path: Path) -> None:
    before = router.select("weather in Turin")
    assert (before.generation, before.passport_id) == (1, OLD.passport.id)
    move(tmp_path)
    assert names(router) == []
    router.register(TOOLS)
    after = router.select("weather in Turin")
    assert (after.generation, after.passport_id) == (2, NEXT.passport.id)
    assert after.candidates[0].name == before.candidates[0].name == "get_weather"


WRITES: dict[str, Callable[[ToolRouter], object]] = {
    "register": lambda router: router.register(TOOLS),
    "register what is read once": lambda router: router.register(iter(TOOLS)),
    "sync": lambda router: router.sync(TOOLS),
    "sync what is read once": lambda router: router.sync(iter(TOOLS)),
}


@pytest.mark.parametrize("write", WRITES)
def test_a_change_in_flight_is_repeated_where_the_catalogue_has_moved(
    tmp_path: Path, write: str
) -> None:
    embedder = Counting()
    with open_router(tmp_path, embedder=embedder, standby=[NEXT]) as router:
        embedder.meanwhile = lambda: move(tmp_path)
        WRITES[write](router)
        assert names(router) == [tool["name"] for tool in TOOLS]
        assert router.select("weather", k=3).generation == 2
        kept = open_tools(tmp_path, passport=None).whole.generations.read().generations
        assert sorted(kept) == [1, 2]


def test_tools_that_are_removed_while_the_catalogue_moves_may_be_gone_by_then(
    router: ToolRouter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalogue = type(router._parts.store.catalogue)
    rewrite, moved = catalogue.rewrite, list[ToolStore]()

    def then_move(*given: object) -> object:
        done = rewrite(*given)  # type: ignore[arg-type]
        if not moved:
            moved.append(move(tmp_path))
        return done

    monkeypatch.setattr(catalogue, "rewrite", then_move)
    change = router.remove(["send_mail", "get_weather"])
    assert len(moved) == 1
    assert sorted(change.removed) == ["get_weather", "send_mail"]
    assert names(router) == []


def test_a_process_without_the_embedder_is_refused(tmp_path: Path) -> None:
    with open_router(tmp_path) as router:
        router.register(TOOLS)
        selection = router.select("weather", k=1)
        move(tmp_path)
        for use in (
            lambda: router.select("weather"),
            lambda: router.register(MAIL),
            lambda: router.remove("send_mail"),
            lambda: router.feedback(selection, used="get_weather"),
        ):
            with pytest.raises(EmbedderMismatch) as caught:
                use()
            assert (caught.value.stored, caught.value.given) == (NEXT.passport, OLD.passport)


def test_what_is_learnt_while_the_catalogue_moves_counts_in_its_new_space(tmp_path: Path) -> None:
    embedder = Counting()
    with open_router(tmp_path, embedder=embedder, standby=[NEXT]) as router:
        router.register(CATALOGUE)
        place = open_tools(tmp_path, passport=None)

        def meanwhile() -> None:
            moved = move(tmp_path)
            with ToolRouter.open(tmp_path, embedder=NEXT) as other:
                other.register(CATALOGUE)
            assert moved.lessons.observations(None)[0] == 0

        embedder.meanwhile = meanwhile
        lesson = router.add_examples(batch(8))
        assert lesson.applied
        made = place.whole.generations.read().generations[2]
        rows = place.at_generation(made).lessons.observations(None)[1]
        assert rows.num_rows == lesson.observations
        assert set(rows["passport"].to_pylist()) == {NEXT.passport.id}
        (query,) = asked("fix_car", 1, seed=5)
        assert router.select(query).generation == 2
        assert best(router, query) == "fix_car"


def test_what_is_learnt_over_a_flip_and_the_way_back_is_not_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    observe = Lessons.observe
    slept: list[Migration] = []
    with (
        open_router(tmp_path, standby=[NEXT]) as router,
        open_router(tmp_path, standby=[NEXT]) as other,
    ):
        router.register(CATALOGUE)

        def moved(self: Lessons, rows: Any) -> None:
            if slept:
                observe(self, rows)
                return
            slept.append(other.migrate(NEXT, progress=False))
            observe(self, rows)  # in the generation that is not in force any more
            slept[0].rollback(progress=False)

        monkeypatch.setattr(Lessons, "observe", moved)
        lesson = router.add_examples(batch(8))
        place = open_tools(tmp_path, passport=None)
        assert place.generation == 1
        assert place.lessons.observations(None)[1].num_rows == lesson.observations


def test_an_old_selection_is_replayed_in_the_generation_it_was_made_in(
    router: ToolRouter, tmp_path: Path
) -> None:
    selection = router.select("weather or a plane", k=3)
    move(tmp_path)
    router.register([WEATHER, {**FLIGHT, "description": "Books trains."}])
    replay = router.replay(selection, now=True)
    assert replay.is_identical
    assert {one.id.removeprefix("default/"): one.state for one in replay.replayed} == {
        "get_weather": "unchanged",
        "book_flight": "changed",
        "send_mail": "gone",
    }
    assert isinstance(replay.answer, Selection)
    assert replay.answer.generation == 2
    assert len(replay.answer.candidates) == 2


def test_a_selection_of_a_generation_that_was_dropped_cannot_be_replayed(
    router: ToolRouter, tmp_path: Path
) -> None:
    selection = router.select("weather", k=3)
    moved = move(tmp_path)
    moved.whole.generations.change(lambda now: now.without(1))
    router.register(TOOLS)
    replay = router.replay(selection, now=True)
    assert replay.verdict == "impossible"
    assert "generation 1" in replay.reason
    assert replay.answer is not None
