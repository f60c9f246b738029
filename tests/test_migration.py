"""`Memory.migrate`: a store moves to another space with everything in it, and back."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from memory_tools import at, contents, ids, open_hashed, say
from migration_tools import (
    NEXT,
    OLD,
    Next,
    assert_moved,
    description,
    filled,
    rows_in,
    turns_in,
    without_grace,
)

from agentmem import (
    EmbedderMismatch,
    EmbeddingFailed,
    InvalidInput,
    Memory,
    NotFound,
    StoreError,
    VersionGone,
)
from agentmem.embedding import CachedEmbedder
from agentmem.migration import engines
from agentmem.storage.canaries import KeptCanaries
from agentmem.storage.description import Generation
from agentmem.storage.generations import Spaces
from agentmem.testing import HashEmbedder
from agentmem.types import ALL

LONG = " ".join(f"word{n}" for n in range(70)) + " lighthouse"


@pytest.fixture(autouse=True)
def no_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    without_grace(monkeypatch)


def assorted(memory: Memory) -> None:
    """Add turns that have everything a turn can have."""
    memory.add(
        [
            say("red boats", id="a", name="Ada L.", created_at=at(1), importance=0.7),
            say("blue cars", id="b", metadata={"mood": ["calm", 2], "deep": {"er": None}}),
            {"role": "assistant", "content": LONG, "id": "c"},
            say(
                "see this",
                id="d",
                attachments=[{"type": "image", "url": "https://a.b/c.png", "caption": "a pier"}],
            ),
            say("***", id="e", metadata={"only": "facts"}),
        ],
        user_id="ada",
        session_id="one",
    )
    memory.add(say("red boats", id="a"), user_id="bob", agent_id="helper")
    memory.add(say("of nobody in particular", id="f"), session_id="two")
    memory.add(say("of an agent\u2028with 'quotes'", id="a"), agent_id="helper")


def test_every_turn_moves_with_everything_it_has(tmp_path: Path) -> None:
    with open_hashed(tmp_path) as memory:
        assorted(memory)
        before = turns_in(tmp_path, 1)
        migration = memory.migrate(NEXT)
        status = migration.status()
        assert (status.state, status.source, status.target) == ("done", 1, 2)
        assert (status.done, status.total, status.poisoned) == (8, 8, 0)
        assert all(gate.passed for gate in status.gates)
        assert status.flipped_at is not None
        assert turns_in(tmp_path, 2) == before
        assert_moved(tmp_path, NEXT)
        assert memory.passport == NEXT.passport
        found = memory.search("red boats", user_id="ada", k=1)
        assert (found.generation, found.passport_id, ids(found)) == (2, NEXT.passport.id, ["a"])


def test_revisions_move_as_well_so_that_equal_ones_mean_equal_content(tmp_path: Path) -> None:
    with filled(tmp_path, 20) as memory:
        memory.migrate(NEXT)
    revs = [{row["chunk_key"]: row["rev"] for row in rows_in(tmp_path, n)} for n in (1, 2)]
    assert revs[0] == revs[1]


def test_texts_are_split_anew_for_another_window(tmp_path: Path) -> None:
    narrow = HashEmbedder(96, window=32)
    with open_hashed(tmp_path) as memory:
        assorted(memory)
        assert max(row["chunks"] for row in rows_in(tmp_path, 1)) == 1
        assert memory.plan_migration(narrow).rechunked
        memory.migrate(narrow)
        assert max(row["chunks"] for row in rows_in(tmp_path, 2)) >= 3
        assert_moved(tmp_path, narrow)
        assert ids(memory.search("lighthouse", user_id="ada", k=1, mode="dense")) == ["c"]
        memory.migrate(HashEmbedder(48))
        assert max(row["chunks"] for row in rows_in(tmp_path, 3)) == 1


def test_an_empty_store_moves(tmp_path: Path) -> None:
    with open_hashed(tmp_path) as memory:
        assert memory.migrate(NEXT).status().state == "done"
        memory.add(say("first", id="a"), user_id="ada")
        assert memory.search("first", user_id="ada").generation == 2


def files_of(folder: Path) -> list[str]:
    return sorted(str(path) for path in folder.rglob("*"))


def test_a_plan_says_what_would_happen_and_writes_nothing(tmp_path: Path) -> None:
    with filled(tmp_path, 100) as memory:
        before = files_of(tmp_path)
        plan = memory.plan_migration(HashEmbedder(96, window=32))
        assert files_of(tmp_path) == before
        assert (plan.source, plan.target.dimension) == (OLD.passport, 96)
        assert dict(plan.differences) == {"dimension": (512, 96), "window": (256, 32)}
        assert dict(plan.rows) == {"turns": 100}
        assert plan.texts_a_second is not None
        assert plan.seconds == pytest.approx(100 / plan.texts_a_second)
        assert plan.bytes_now is not None
        assert 0 <= plan.bytes_more < plan.bytes_now
        assert memory.plan_migration(NEXT, measured=False).seconds is None
        assert "reembed" in memory.plan_migration(OLD).warnings[0]
        memory.migrate(NEXT)
        assert "generation 1 is kept" in memory.plan_migration(HashEmbedder(7)).warnings[0]


def test_without_flip_it_waits_behind_the_gates(tmp_path: Path) -> None:
    with filled(tmp_path) as memory:
        migration = memory.migrate(NEXT, flip=False)
        status = migration.status()
        assert (status.state, status.done) == ("paused", 300)
        assert all(gate.passed for gate in status.gates)
        assert memory.search("word1", user_id="ada").generation == 1
        memory.add(say("late", id="late"), user_id="ada")
        again = memory.migrate(NEXT)
        assert (again.id, again.status().state) == (migration.id, "done")
        assert ids(memory.search("late", user_id="ada", k=1)) == ["late"]
        assert_moved(tmp_path, NEXT)


def test_what_is_in_that_space_already_is_refused(tmp_path: Path) -> None:
    with filled(tmp_path, 10) as memory:
        with pytest.raises(InvalidInput, match="reembed=True"):
            memory.migrate(OLD)
        assert memory.migration() is None
        assert description(tmp_path).last == 1


def test_equal_passports_move_when_they_are_told_to(tmp_path: Path) -> None:
    embedder = Next(512)
    with filled(tmp_path, 10) as memory:
        memory.migrate(embedder, reembed=True)
        assert "ada: ada said word1" in " ".join(embedder.texts) or len(embedder.texts) >= 10
        assert_moved(tmp_path, OLD)
        assert memory.search("word1", user_id="ada").generation == 2


def test_only_the_whole_store_moves_and_only_where_it_may_be_written(tmp_path: Path) -> None:
    with filled(tmp_path, 10) as memory:
        mine = memory.scoped(user_id="ada")
        uses: list[Any] = [
            lambda: mine.migrate(NEXT),
            lambda: mine.plan_migration(NEXT),
            mine.migration,
        ]
        for use in uses:
            with pytest.raises(InvalidInput):
                use()
    with open_hashed(tmp_path, read_only=True) as reader, pytest.raises(StoreError):
        reader.migrate(NEXT)
    assert description(tmp_path).last == 1


def test_another_space_is_refused_while_one_is_on_its_way(tmp_path: Path) -> None:
    with filled(tmp_path) as memory:
        migration = memory.migrate(NEXT, flip=False)
        with pytest.raises(InvalidInput, match=migration.id):
            memory.migrate(HashEmbedder(48))
        assert sorted(description(tmp_path).generations) == [1, 2]
        assert migration.status().state == "paused"


def test_of_two_that_begin_at_once_one_moves_the_store(tmp_path: Path) -> None:
    others = [HashEmbedder(40 + n) for n in range(3)]
    with filled(tmp_path, 60) as memory:

        def begin(embedder: HashEmbedder) -> str | None:
            try:
                return memory.migrate(embedder, flip=False).id
            except InvalidInput:
                return None

        with ThreadPoolExecutor(len(others)) as pool:
            begun = list(pool.map(begin, others))
        (started,) = {one for one in begun if one is not None}
        current = memory.migration()
        assert current is not None
        assert current.id == started
        status = current.status()
        assert sorted(description(tmp_path).generations) == [1, status.target]
        winner = others[begun.index(started)]
        memory.migrate(winner)
        assert_moved(tmp_path, winner, target=status.target)


def late_writes(memory: Memory) -> None:
    memory.add([say("late and new", id="new"), say(LONG, id="long")], user_id="ada")
    memory.add(say("late boats", id="ada0"), user_id="ada", session_id="s", on_conflict="replace")
    memory.delete(["ada1", "ada2"], user_id="ada")
    memory.delete(user_id="bob", where={"content": {"contains": "word7"}})
    memory.add("of an id that is made", user_id="bob")
    memory.import_turns([say("imported", id="imported")], user_id="bob")


def check_late_writes(memory: Memory) -> None:
    found = {(turn.user_id, turn.id): turn.content for turn in memory.turns(scope=ALL, limit=999)}
    assert found["ada", "new"] == "late and new"
    assert found["ada", "long"] == LONG
    assert found["ada", "ada0"] == "late boats"
    assert found["bob", "imported"] == "imported"
    assert not {("ada", "ada1"), ("ada", "ada2"), ("bob", "bob7")} & found.keys()
    assert "of an id that is made" in found.values()
    assert contents(memory.search("late boats", user_id="ada", k=1)) == ["late boats"]


@pytest.mark.parametrize("after", [0, 300, 590])
def test_what_is_written_meanwhile_moves_as_well(tmp_path: Path, after: int) -> None:
    embedder = Next(window=32)
    with filled(tmp_path, 600) as memory:
        embedder.when("said", lambda: late_writes(memory), after=after)
        memory.migrate(embedder)
        check_late_writes(memory)
        assert_moved(tmp_path, HashEmbedder(96, window=32))


def test_a_session_deleted_meanwhile_stays_deleted_however_far_it_was(tmp_path: Path) -> None:
    embedder = Next()
    with filled(tmp_path, 600) as memory:
        embedder.when("said", lambda: memory.delete(user_id="ada", session_id="s"), after=400)
        memory.migrate(embedder)
        assert memory.count(user_id="ada") == 0
        assert {row["user_id"] for row in rows_in(tmp_path, 2)} == {"bob"}
        assert_moved(tmp_path, NEXT)


def test_a_batch_whose_turns_are_all_gone_by_then_is_passed_over(tmp_path: Path) -> None:
    embedder = Next()
    with filled(tmp_path, 128) as memory:
        embedder.when("said", lambda: memory.delete(scope=ALL))
        memory.migrate(embedder)
        assert memory.count(scope=ALL) == 0
        assert_moved(tmp_path, NEXT)


def test_it_goes_back_with_what_was_written_since(tmp_path: Path) -> None:
    with filled(tmp_path, 40) as memory:
        migration = memory.migrate(NEXT)
        before = {row["chunk_key"]: row["vector"] for row in rows_in(tmp_path, 1)}
        late_writes(memory)
        status = migration.rollback()
        assert (status.state, status.source, status.target) == ("rolled_back", 2, 1)
        check_late_writes(memory)
        assert memory.search("late", user_id="ada").passport_id == OLD.passport.id
        assert_moved(tmp_path, OLD, source=2, target=1)
        after = {row["chunk_key"]: row["vector"] for row in rows_in(tmp_path, 1)}
        assert sum(before.get(key) == vector for key, vector in after.items()) == 36
        assert [one.state for one in memory._migrations.history()] == ["done", "rolled_back"]


def test_there_and_back_and_there_again_embeds_only_what_is_new(tmp_path: Path) -> None:
    embedder = Next()
    with filled(tmp_path, 40) as memory:
        memory.migrate(embedder).rollback()
        memory.add(say("a cormorant", id="z"), user_id="ada")
        embedder.texts.clear()
        memory.migrate(embedder)
        assert description(tmp_path).active == 2
        assert_moved(tmp_path, NEXT)
        carried = [text for text in embedder.texts if "said word" in text or "cormorant" in text]
        assert carried[0].endswith("a cormorant")
        assert len(carried) <= 1 + 32  # the rest is the spot check


def test_it_goes_back_without_the_old_model_where_nothing_was_written(tmp_path: Path) -> None:
    filled(tmp_path, 20).close()
    with open_hashed(tmp_path) as memory:
        memory.migrate(NEXT)
    with Memory.open(tmp_path, embedder=NEXT) as memory:
        memory.delete("ada1", user_id="ada")
        migration = memory.migration()
        assert migration is not None
        assert migration.rollback().state == "rolled_back"
        with pytest.raises(EmbedderMismatch):
            memory.search("word1", user_id="ada")
    assert_moved(tmp_path, OLD, source=2, target=1)


def test_it_stays_where_something_was_written_and_the_old_model_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with filled(tmp_path, 20) as memory:
        memory.migrate(NEXT)
    monkeypatch.setattr(engines, "FIRST_WAIT", 0.001)
    with Memory.open(tmp_path, embedder=NEXT) as memory:
        memory.add(say("late", id="late"), user_id="ada")
        migration = memory.migration()
        assert migration is not None
        with pytest.raises(EmbeddingFailed, match=r"nothing changed.*not to be had"):
            migration.rollback()
        assert memory.search("late", user_id="ada").generation == 2
        assert description(tmp_path).seal is None
    with open_hashed(tmp_path, standby=[NEXT], create=False) as both:
        migration.__init__(migration.id, of=both._migrations)  # type: ignore[misc]
        assert migration.rollback().state == "rolled_back"
        assert ids(both.search("late", user_id="ada", k=1)) == ["late"]


def test_what_was_rolled_back_is_not_rolled_back_again(tmp_path: Path) -> None:
    with filled(tmp_path, 20) as memory:
        migration = memory.migrate(NEXT)
        migration.rollback()
        with pytest.raises(InvalidInput, match="nothing to roll back"):
            migration.rollback()


def test_a_rollback_that_was_interrupted_is_gone_on_with(tmp_path: Path) -> None:
    with filled(tmp_path, 20) as memory:
        migration = memory.migrate(NEXT)
        begun = memory._migrations.back(migration.status())
        assert migration.rollback().id == begun
        assert description(tmp_path).active == 1


def test_the_old_generation_is_dropped_when_nobody_wants_to_go_back(tmp_path: Path) -> None:
    with filled(tmp_path, 20) as memory:
        migration = memory.migrate(NEXT)
        assert migration.drop(dry_run=True) == 1
        assert (tmp_path / "turns_g1.lance").exists()
        assert migration.drop() == 1
        assert not list(tmp_path.glob("*_g1.lance"))
        assert sorted(description(tmp_path).generations) == [2]
        with pytest.raises(VersionGone):
            migration.drop()
        with pytest.raises(InvalidInput, match="was dropped"):
            migration.rollback()
        assert memory.search("word1", user_id="ada").generation == 2


def test_after_a_rollback_the_other_one_is_dropped(tmp_path: Path) -> None:
    with filled(tmp_path, 20) as memory:
        migration = memory.migrate(NEXT)
        migration.rollback()
        with pytest.raises(InvalidInput, match="in force"):
            migration.drop()
        current = memory.migration()
        assert current is not None
        assert current.drop() == 2
        assert sorted(description(tmp_path).generations) == [1]
        assert memory.count(scope=ALL) == 20


def test_nothing_is_dropped_while_it_is_under_way(tmp_path: Path) -> None:
    with filled(tmp_path, 20) as memory:
        migration = memory.migrate(NEXT, flip=False)
        with pytest.raises(InvalidInput, match="under way"):
            migration.drop()
        assert sorted(description(tmp_path).generations) == [1, 2]


def test_two_generations_are_kept_at_most(tmp_path: Path) -> None:
    with filled(tmp_path, 20) as memory:
        for number, dimension in enumerate((40, 50, 60), start=2):
            memory.migrate(HashEmbedder(dimension))
            assert sorted(description(tmp_path).generations) == [number - 1, number]
            there = {path.stem.partition("_g")[2] for path in tmp_path.glob("turns_g*")}
            assert there == {str(number - 1), str(number)}


def test_a_generation_that_was_half_made_hurts_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with filled(tmp_path, 20) as memory:
        with monkeypatch.context() as patched:
            patched.setattr(KeptCanaries, "put_if_absent", killed)
            with pytest.raises(KeyboardInterrupt):
                memory.migrate(NEXT)
        assert sorted(description(tmp_path).generations) == [1]
        assert memory.migration() is None
        memory.migrate(NEXT)
        assert_moved(tmp_path, NEXT, target=description(tmp_path).active)


def test_a_delete_beside_a_generation_that_is_dropped_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    others: Callable[..., list[Generation]] = Spaces.others
    with filled(tmp_path, 20) as memory:
        migration = memory.migrate(NEXT, flip=False)

        def then_cancelled(self: Spaces[Any], number: int) -> list[Generation]:
            found = others(self, number)
            if not migration.status().is_finished:
                migration.cancel()
            return found

        monkeypatch.setattr(Spaces, "others", then_cancelled)
        assert memory.delete(["ada1"], user_id="ada").turns == 1
        assert migration.status().state == "cancelled"
        assert memory.count(user_id="ada") == 9


def test_a_process_with_both_models_follows_and_one_without_is_refused(tmp_path: Path) -> None:
    with (
        filled(tmp_path, 20) as memory,
        open_hashed(tmp_path, standby=[NEXT]) as follower,
        open_hashed(tmp_path) as stuck,
    ):
        memory.migrate(NEXT)
        assert follower.search("word1", user_id="ada").generation == 2
        with pytest.raises(EmbedderMismatch):
            stuck.search("word1", user_id="ada")


def test_a_past_search_is_replayed_after_the_move(tmp_path: Path) -> None:
    with filled(tmp_path, 20) as memory:
        recall = memory.search("word1", user_id="ada")
        memory.migrate(NEXT)
        assert memory.replay(recall).is_identical


def test_it_tells_how_far_it_is(tmp_path: Path) -> None:
    with filled(tmp_path, 600) as memory:
        migration = memory.migrate(NEXT)
        status = migration.status()
        now = datetime.now(timezone.utc)
        assert (status.done, status.total) == (600, 600)
        assert status.finished_at is not None
        assert now - timedelta(minutes=5) < status.started_at <= status.finished_at <= now
        assert (status.owner, status.requested, status.error) == (None, None, None)
        assert repr(migration) == f"Migration({migration.id!r})"
        migration.__init__("unknown", of=memory._migrations)  # type: ignore[misc]
        with pytest.raises(NotFound):
            migration.status()


def test_its_embedder_may_be_cached_already(tmp_path: Path) -> None:
    with filled(tmp_path, 20) as memory:
        memory.migrate(CachedEmbedder(NEXT))
        assert_moved(tmp_path, NEXT)


def test_no_file_of_a_dropped_table_stays(tmp_path: Path) -> None:
    with filled(tmp_path, 20) as memory:
        memory.migrate(NEXT).drop()
        assert {path.stem.partition("_g")[2] for path in tmp_path.glob("*_g*")} == {"2"}
