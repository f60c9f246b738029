"""Texts that the next model cannot embed are set aside, a model that fails is waited out."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from memory_tools import WIDE, ids, open_hashed, say
from migration_tools import Next, assert_moved, filled, rows_in, turns_in, without_grace
from router_tools import TOOLS, define, open_router

from agentmem import InvalidInput, MigrationFailed
from agentmem.migration import engines
from agentmem.migration.gates import Bounds
from agentmem.testing import HashEmbedder

ANY = Bounds(poisoned=1.0)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "FIRST_WAIT", 0.001)
    without_grace(monkeypatch)


def poisoned(*words: str) -> Next:
    """Return the next model, which fails on some words."""
    embedder = Next()
    embedder.poison = words
    return embedder


def test_a_text_that_the_model_fails_on_is_set_aside_and_found_by_its_words(
    tmp_path: Path,
) -> None:
    with filled(tmp_path, 300) as memory:
        bad = {"id": "bad", "metadata": {"kept": True}}
        memory.add(say("a venomous adder", **bad), user_id="cy", session_id="s")
        migration = memory.migrate(poisoned("venomous"))
        (one,) = migration.poisoned()
        assert (one.held, one.id, one.user_id, one.agent_id) == ("turns", "bad", "cy", None)
        assert "gave up" in one.error
        status = migration.status()
        assert (status.state, status.poisoned) == ("done", 1)
        assert turns_in(tmp_path, 1) == turns_in(tmp_path, 2)
        assert [row["id"] for row in rows_in(tmp_path, 2) if not row["passport"]] == ["bad"]
        assert ids(memory.search("adder", user_id="cy", mode="lexical")) == ["bad"]
        assert ids(memory.search("adder", user_id="cy")) == ["bad"]
        assert memory.get("bad", user_id="cy").metadata == {"kept": True}
        memory.add(
            say("a harmless adder", id="bad"), user_id="cy", session_id="s", on_conflict="replace"
        )
        assert all(row["passport"] for row in rows_in(tmp_path, 2))


def test_every_poisoned_text_is_found_in_the_middle_of_others(tmp_path: Path) -> None:
    bad = {f"{user}{n}" for user in ("ada", "bob") for n in (0, 63, 64, 99, 149)}
    words = {f"word{n}" for n in (0, 63, 64, 99, 149)}

    class Picky(Next):
        def embed(self, texts: list[str], *, kind: str) -> object:  # type: ignore[override]
            if any(text.rpartition(" ")[2] in words for text in texts):
                self.is_down = True
            try:
                return super().embed(texts, kind=kind)  # type: ignore[arg-type]
            finally:
                self.is_down = False

    with filled(tmp_path, 300) as memory:
        migration = memory.migrate(Picky(), bounds=ANY)  # type: ignore[arg-type]
        assert {one.id for one in migration.poisoned()} == bad
        assert {row["id"] for row in rows_in(tmp_path, 2) if not row["passport"]} == bad


def test_too_many_of_them_fail_the_gate_and_change_nothing(tmp_path: Path) -> None:
    embedder = poisoned("word1")  # and word10 to word19, word100 to word149
    with filled(tmp_path, 300) as memory:
        with pytest.raises(MigrationFailed, match="failed on 122 of 300") as caught:
            memory.migrate(embedder)
        assert caught.value.gates == ("poison",)
        assert memory.search("word1", user_id="ada").generation == 1
        migration = memory.migration()
        assert migration is not None
        assert (migration.status().state, len(migration.poisoned())) == ("failed", 122)
        with pytest.raises(InvalidInput, match="failed"):
            migration.retry_poisoned()
        embedder.poison, embedder.texts = (), []
        again = memory.migrate(embedder)
        assert again.poisoned() == []
        assert sum("word" in text for text in embedder.texts) <= 122 + 32
        assert_moved(tmp_path, HashEmbedder(96))


def test_poisoned_texts_are_tried_again_before_the_flip(tmp_path: Path) -> None:
    embedder = poisoned("word7")
    with filled(tmp_path, 20) as memory:
        migration = memory.migrate(embedder, flip=False, bounds=ANY)
        assert len(migration.poisoned()) == 2
        embedder.poison = ()
        assert migration.retry_poisoned() == 2
        assert migration.poisoned() == []
        assert migration.run(progress=False).state == "paused"
        memory.migrate(embedder)
        assert_moved(tmp_path, HashEmbedder(96))


def test_after_the_flip_nothing_is_taken_from_readers_to_be_tried_again(tmp_path: Path) -> None:
    with filled(tmp_path, 20) as memory:
        migration = memory.migrate(poisoned("word7"), bounds=ANY)
        with pytest.raises(InvalidInput, match="done"):
            migration.retry_poisoned()
        assert len(turns_in(tmp_path, 2)) == 20
        assert ids(memory.search("word7", user_id="ada", k=1, mode="lexical")) == ["ada7"]


def test_a_poisoned_text_that_is_deleted_meanwhile_leaves_nothing(tmp_path: Path) -> None:
    with filled(tmp_path, 20) as memory:
        memory.migrate(poisoned("word7"), bounds=ANY, flip=False)
        memory.delete(["ada7"], user_id="ada")
        memory.migrate(poisoned("word7"), bounds=ANY)
        assert [row["id"] for row in rows_in(tmp_path, 2) if not row["passport"]] == ["bob7"]


def test_tools_and_examples_that_the_model_fails_on_are_set_aside(tmp_path: Path) -> None:
    with open_router(tmp_path) as router:
        router.register([*TOOLS, define("read_spell", "Reads a cursed scroll.")])
        router.add_examples(
            {"get_weather": ["will it rain", "a cursed storm?"], "send_mail": ["post this"]},
            guard=False,
        )
        migration = router.migrate(poisoned("cursed"), bounds=ANY)
        found = {(one.held, one.id) for one in migration.poisoned()}
        assert ("tools", "default/read_spell") in found
        assert [held for held, _ in sorted(found)] == ["tool_examples", "tools"]
        assert {tool.name for tool in router.list()} == {
            *("get_weather", "book_flight", "send_mail", "read_spell")
        }
        assert router.get("read_spell").description == "Reads a cursed scroll."
        picked = router.select("read spell", k=4)
        assert picked.generation == 2
        assert "read_spell" in {match.tool.name for match in picked.candidates}
        assert router.select("will it rain").matches[0].tool.name == "get_weather"


def test_a_model_that_is_away_for_a_while_is_waited_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    embedder = Next()
    slept = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 4:
            embedder.is_down = False

    def goes_down() -> None:
        embedder.is_down = True
        monkeypatch.setattr(engines, "time", _Time(sleep))
        monkeypatch.setattr("tenacity.nap.time", _Time(sleep))

    with filled(tmp_path, 300) as memory:
        embedder.when("said", goes_down, after=200)
        migration = memory.migrate(embedder)
        assert migration.poisoned() == []
        assert len(slept) >= 4
        assert_moved(tmp_path, HashEmbedder(96))


class _Time:
    """Time whose sleep is somebody else's."""

    def __init__(self, sleep: object) -> None:
        self.sleep = sleep

    monotonic = staticmethod(time.monotonic)


def test_a_model_that_stays_away_fails_it_and_it_is_gone_on_with_later(tmp_path: Path) -> None:
    embedder = Next()

    def goes_down() -> None:
        embedder.is_down = True

    with filled(tmp_path, 600) as memory:
        embedder.when("said", goes_down, after=400)
        with pytest.raises(MigrationFailed, match="gave up"):
            memory.migrate(embedder)
        carried = len(turns_in(tmp_path, 2))
        assert 0 < carried < 600
        migration = memory.migration()
        assert migration is not None
        assert (migration.status().state, migration.poisoned()) == ("failed", [])
        assert memory.search("word1", user_id="ada").generation == 1
        memory.add(say("still writable", id="w"), user_id="ada")
        embedder.is_down, embedder.texts = False, []
        memory.migrate(embedder)
        assert sum(" said word" in text for text in embedder.texts) <= 600 - carried + 32
        assert_moved(tmp_path, HashEmbedder(96))


def test_a_model_that_fails_from_the_start_changes_nothing(tmp_path: Path) -> None:
    embedder = Next()
    embedder.is_down = True
    with filled(tmp_path, 20) as memory:
        with pytest.raises(Exception, match="gave up"):
            memory.migrate(embedder)
        assert memory.migration() is None
        assert memory.search("word1", user_id="ada").generation == 1
    with open_hashed(tmp_path, embedder=HashEmbedder(WIDE)) as memory:
        assert memory.count(user_id="ada") == 10
