"""A store that moves to another embedding space: `Memory` follows, and nothing gets lost."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from generation_tools import announce, flip, seal
from memory_tools import Meddling, contents, ids, open_hashed, say
from storage_tools import start_python

from agentmem import EmbedderMismatch, EmbeddingFailed, Memory, Recall
from agentmem.embedding import CachedEmbedder, SentenceTransformerEmbedder
from agentmem.ingest import Added, Clock, Writer
from agentmem.protocols import Embedder
from agentmem.storage.description import Generation
from agentmem.storage.opening import TURNS, open_or_make
from agentmem.storage.schema import turns_schema
from agentmem.storage.turns import Store
from agentmem.telemetry import Tracing
from agentmem.testing import HashEmbedder
from agentmem.types import ALL, Passport, Scope, Turn

NEXT = HashEmbedder(96)
OLD = HashEmbedder(512)  # of `open_hashed`


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Memory]:
    """Open a store of two turns, in a process that has the next embedder as well."""
    with open_hashed(tmp_path, standby=[NEXT]) as opened:
        opened.add([say("red boats", id="a"), say("blue cars", id="b")], user_id="ada")
        yield opened


def stored(folder: Path) -> Store:
    """Open a store whatever space it is in, as another process would."""
    return Store.open(folder, passport=None)


def begin(folder: Path, to: Embedder) -> tuple[Store, Generation]:
    """Make the next generation of a store, with nothing in it yet."""
    store = stored(folder)
    made = announce(store.whole.generations, to.passport)
    schema = turns_schema(made.passport.dimension)
    open_or_make(store._opened.db, made.table(TURNS), schema=schema)
    return store, made


def carry(store: Store, generation: Generation, *, to: Embedder) -> None:
    """Embed what the next generation lacks."""
    turns = [turn for batch in store.scan_turns(scope=ALL, batch_turns=99) for turn in batch]
    target = store.at_generation(generation)
    writer = Writer(target, embedder=CachedEmbedder(to), clock=Clock(), tracing=Tracing.silent())
    writer.add(Added(turns, stored=0), scope=Scope(), on_conflict="replace")


def migrate(folder: Path, *, to: Embedder = NEXT) -> int:
    """Move a store to another space, and return the number of the generation."""
    store, made = begin(folder, to)
    carry(store, made, to=to)
    seal(store.whole.generations)
    carry(store, made, to=to)
    flip(store.whole.generations, to=made.number)
    return made.number


def roll_back(folder: Path) -> None:
    """Put the first generation in force again."""
    generations = stored(folder).whole.generations
    seal(generations)
    flip(generations, to=1)


def kept_in(folder: Path, number: int) -> list[Turn]:
    """Return the turns of one generation, from storage."""
    store = stored(folder)
    generation = store.at_generation(store.whole.generations.read().generations[number])
    return generation.page(scope=ALL, limit=999)


def test_a_reader_follows_a_flip(memory: Memory, tmp_path: Path) -> None:
    before = memory.search("boats", user_id="ada")
    assert (before.generation, before.passport_id) == (1, OLD.passport.id)
    assert migrate(tmp_path) == 2
    after = memory.search("boats", user_id="ada")
    assert (after.generation, after.passport_id) == (2, NEXT.passport.id)
    assert contents(after) == contents(before)
    assert memory.stats().passport == NEXT.passport
    assert memory.get("a", user_id="ada").content == "red boats"
    assert len(memory.context("boats", user_id="ada", max_tokens=99).turns) == 2


def test_handles_of_one_store_follow_together(memory: Memory, tmp_path: Path) -> None:
    mine = memory.scoped(user_id="ada")
    migrate(tmp_path)
    mine.add(say("a green train", id="c"))
    assert mine.search("train", k=1).generation == 2
    assert contents(memory.search("train", user_id="ada", k=1)) == ["a green train"]


def test_a_store_that_moved_is_opened_in_its_new_space(memory: Memory, tmp_path: Path) -> None:
    migrate(tmp_path)
    with Memory.open(tmp_path, embedder=NEXT) as again:
        assert ids(again.turns(user_id="ada")) == ["a", "b"]
        assert again.search("boats", user_id="ada").generation == 2
    with pytest.raises(EmbedderMismatch) as caught:
        open_hashed(tmp_path)
    assert (caught.value.stored, caught.value.given) == (NEXT.passport, OLD.passport)


def test_a_generation_that_is_being_made_is_neither_read_nor_written(
    memory: Memory, tmp_path: Path
) -> None:
    begin(tmp_path, NEXT)
    memory.add(say("a green train", id="c"), user_id="ada")
    assert memory.search("train", user_id="ada").generation == 1
    assert kept_in(tmp_path, 2) == []


def late(memory: Memory, folder: Path) -> list[str]:
    """Add two turns, one of an id of its own."""
    return memory.add([say("late and last"), say("late too", id="z")], user_id="ada")


def replaced(memory: Memory, folder: Path) -> list[str]:
    """Put other words in the place of a turn that the migration carries."""
    return memory.add(say("late boats", id="a"), user_id="ada", on_conflict="replace")


def from_a_generator(memory: Memory, folder: Path) -> list[str]:
    """Add what can be read only once."""
    return memory.add((say(text) for text in ["late and last", "late too"]), user_id="ada")


def imported(memory: Memory, folder: Path) -> list[str]:
    """Import a turn."""
    memory.import_turns([say("late by import", id="i")], user_id="ada")
    return ["i"]


WRITES: list[Callable[[Memory, Path], list[str]]] = [late, replaced, from_a_generator, imported]


@pytest.mark.parametrize("write", WRITES)
def test_a_writer_whose_store_moves_before_its_commit_repeats_with_the_same_ids(
    tmp_path: Path, write: Callable[[Memory, Path], list[str]]
) -> None:
    embedder = Meddling()
    with open_hashed(tmp_path, embedder=embedder, standby=[NEXT]) as memory:
        memory.add([say("red boats", id="a")], user_id="ada")
        embedder.meanwhile = lambda: migrate(tmp_path)
        written = write(memory, tmp_path)
        found = {turn.id: turn for turn in memory.turns(user_id="ada")}
        assert set(found) == {"a", *written}
        assert all(found[one].content.startswith("late") for one in written)
        first = {turn.id: turn for turn in kept_in(tmp_path, 1)}
        assert [first[one] for one in written] == [found[one] for one in written]
        hits = memory.search("late", user_id="ada", k=9)
        assert (hits.generation, sorted(ids(hits))) == (2, sorted(found))


@pytest.mark.parametrize("write", WRITES)
def test_a_writer_whose_store_moves_after_its_commit_stores_nothing_twice(
    memory: Memory,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    write: Callable[[Memory, Path], list[str]],
) -> None:
    moved: list[str] = []

    def then_move(name: str) -> None:
        commit = getattr(Store, name)

        def committed(self: Store, *args: Any) -> Any:
            result = commit(self, *args)
            if not moved:
                moved.append(name)
                migrate(tmp_path)
            return result

        monkeypatch.setattr(Store, name, committed)

    for name in ("append", "insert_absent", "replace"):
        then_move(name)
    written = write(memory, tmp_path)
    assert len(moved) == 1
    found = ids(memory.turns(user_id="ada"))
    assert sorted(found) == sorted({"a", "b", *written})
    assert memory.stats().chunks == len(found)
    assert kept_in(tmp_path, 2) == kept_in(tmp_path, 1)


def test_a_delete_reaches_every_generation(memory: Memory, tmp_path: Path) -> None:
    migrate(tmp_path)
    assert memory.delete("a", user_id="ada").turns == 1
    assert [[turn.id for turn in kept_in(tmp_path, n)] for n in (1, 2)] == [["b"], ["b"]]
    assert memory.delete(user_id="ada", where={"role": "user"}).turns == 1
    assert [kept_in(tmp_path, n) for n in (1, 2)] == [[], []]


def test_a_delete_reaches_what_was_carried_already(memory: Memory, tmp_path: Path) -> None:
    store, made = begin(tmp_path, NEXT)
    carry(store, made, to=NEXT)
    assert memory.delete("a", user_id="ada").turns == 1
    assert [[turn.id for turn in kept_in(tmp_path, n)] for n in (1, 2)] == [["b"], ["b"]]


def test_a_delete_leaves_the_turns_of_others_in_every_generation(
    memory: Memory, tmp_path: Path
) -> None:
    memory.add(say("said by bob", id="a"), user_id="bob")
    migrate(tmp_path)
    memory.delete("a", user_id="ada")
    memory.delete([], user_id="bob")
    memory.delete("b", user_id="bob", dry_run=True)
    for number in (1, 2):
        left = [(turn.user_id, turn.id) for turn in kept_in(tmp_path, number)]
        assert sorted(left) == [("ada", "b"), ("bob", "a")]


def test_a_delete_whose_store_moves_meanwhile_is_repeated_and_counted_once(
    memory: Memory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, made = begin(tmp_path, NEXT)
    delete, moved = Store.delete, list[int]()

    def then_move(self: Store, **given: Any) -> Any:
        deleted = delete(self, **given)
        if not moved:
            moved.append(self.generation)
            seal(store.whole.generations)
            carry(store, made, to=NEXT)
            flip(store.whole.generations, to=2)
        return deleted

    monkeypatch.setattr(Store, "delete", then_move)
    assert memory.delete("a", user_id="ada").turns == 1
    assert moved == [1]
    assert [[turn.id for turn in kept_in(tmp_path, n)] for n in (1, 2)] == [["b"], ["b"]]


USES: dict[str, Callable[[Memory], object]] = {
    "search": lambda memory: memory.search("boats", user_id="ada"),
    "context": lambda memory: memory.context("boats", user_id="ada", max_tokens=99),
    "add": lambda memory: memory.add("late", user_id="ada"),
    "import": lambda memory: memory.import_turns([say("late")], user_id="ada"),
    "delete": lambda memory: memory.delete("a", user_id="ada"),
    "turns": lambda memory: memory.turns(user_id="ada"),
}


@pytest.mark.parametrize("use", USES)
def test_a_process_without_the_embedder_is_refused_and_changes_nothing(
    tmp_path: Path, use: str
) -> None:
    with open_hashed(tmp_path, standby=[HashEmbedder(7)]) as memory:
        memory.add(say("red boats", id="a"), user_id="ada")
        migrate(tmp_path)
        with pytest.raises(EmbedderMismatch) as caught:
            USES[use](memory)
        assert (caught.value.stored, caught.value.given) == (NEXT.passport, OLD.passport)
        assert [[turn.id for turn in kept_in(tmp_path, n)] for n in (1, 2)] == [["a"], ["a"]]
        roll_back(tmp_path)
        USES[use](memory)


def test_a_writer_in_flight_without_the_next_embedder_is_not_told_that_it_is_done(
    tmp_path: Path,
) -> None:
    embedder = Meddling()
    with open_hashed(tmp_path, embedder=embedder) as memory:
        embedder.meanwhile = lambda: migrate(tmp_path)
        with pytest.raises(EmbedderMismatch):
            memory.add("late", user_id="ada")
        assert kept_in(tmp_path, 2) == []


def test_a_model_that_is_on_this_machine_is_made_from_the_passport(
    memory: Memory, tmp_path: Path, minilm: SentenceTransformerEmbedder
) -> None:
    migrate(tmp_path, to=minilm)
    found = memory.search("sailing vessels", user_id="ada", k=1, mode="dense")
    assert (found.passport_id, contents(found)) == (minilm.passport.id, ["red boats"])


def test_a_roll_back_is_followed_and_takes_what_was_written_since_along(
    memory: Memory, tmp_path: Path
) -> None:
    migrate(tmp_path)
    memory.add(say("late", id="c"), user_id="ada")
    store = stored(tmp_path)
    (first,) = [one for n, one in store.whole.generations.read().generations.items() if n == 1]
    seal(store.whole.generations)
    carry(store, first, to=OLD)
    flip(store.whole.generations, to=1)
    found = memory.search("late", user_id="ada")
    assert (found.generation, sorted(ids(found))) == (1, ["a", "b", "c"])


def test_an_old_search_is_replayed_in_the_generation_it_was_made_in(
    memory: Memory, tmp_path: Path
) -> None:
    recall = memory.search("red boats", user_id="ada")
    migrate(tmp_path)
    memory.add(say("red red boats", id="c"), user_id="ada")
    replay = memory.replay(recall)
    assert (replay.verdict, replay.answer) == ("identical", None)
    assert [one.item for one in replay.replayed] == [hit.turn for hit in recall]
    asked = memory.replay(recall, now=True)
    assert asked.is_identical
    assert asked.replayed == replay.replayed
    assert isinstance(asked.answer, Recall)
    assert asked.answer.generation == 2
    assert "c" in ids(asked.answer)
    assert memory.replay(memory.search("boats", user_id="ada")).is_identical


def test_what_was_deleted_since_stays_hidden_in_an_old_generation(
    memory: Memory, tmp_path: Path
) -> None:
    recall = memory.search("red boats", user_id="ada")
    migrate(tmp_path)
    memory.delete("a", user_id="ada")
    replay = memory.replay(recall)
    assert replay.is_identical
    assert {one.id: (one.state, one.item is None) for one in replay.replayed} == {
        "a": ("gone", True),
        "b": ("unchanged", False),
    }
    assert "red boats" not in repr(replay.replayed)


def test_other_words_under_an_id_of_then_hide_what_was_said_then(
    memory: Memory, tmp_path: Path
) -> None:
    recall = memory.search("red boats", user_id="ada", k=1)
    migrate(tmp_path)
    memory.add(say("***", id="a"), user_id="ada", on_conflict="replace")
    (then,) = memory.replay(recall).replayed
    assert (then.id, then.state, then.item) == ("a", "gone", None)


def test_a_search_of_a_generation_that_was_dropped_cannot_be_replayed(
    memory: Memory, tmp_path: Path
) -> None:
    recall = memory.search("red boats", user_id="ada")
    migrate(tmp_path)
    stored(tmp_path).whole.generations.change(lambda now: now.without(1))
    replay = memory.replay(recall, now=True)
    assert (replay.verdict, replay.replayed) == ("impossible", ())
    assert "generation 1" in replay.reason
    assert replay.answer is not None


def test_versions_of_another_generation_in_the_same_space_are_not_taken_for_those_of_then(
    memory: Memory, tmp_path: Path
) -> None:
    recall = memory.search("red boats", user_id="ada")
    migrate(tmp_path)
    migrate(tmp_path, to=OLD)
    stored(tmp_path).whole.generations.change(lambda now: now.without(1))
    assert memory.search("boats", user_id="ada").generation == 3
    replay = memory.replay(recall)
    assert replay.verdict == "impossible"
    assert "generation 1" in replay.reason


class Moved(HashEmbedder):
    """Has no files here any more."""

    @property
    def passport(self) -> Passport:
        """Fail as a model does whose folder is gone."""
        raise EmbeddingFailed("there is no model folder. Repair: put it back.")


@pytest.mark.parametrize("standby", [[], [Moved()]])
def test_an_old_search_whose_embedder_is_not_here_cannot_be_replayed(
    memory: Memory, tmp_path: Path, standby: list[Embedder]
) -> None:
    recall = memory.search("red boats", user_id="ada")
    migrate(tmp_path)
    with Memory.open(tmp_path, embedder=NEXT, standby=standby) as other:
        replay = other.replay(recall)
    assert replay.verdict == "impossible"
    assert "standby" in replay.reason


FOLLOWER = """
import sys
from memory_tools import open_hashed
from agentmem.testing import HashEmbedder
memory = open_hashed(sys.argv[1], standby=[HashEmbedder(96)])
written, spaces = [], {}
while len(spaces) < 2:
    written += memory.add(f"word{len(written)} of the harbour", user_id="bob")
    found = memory.search("harbour", user_id="bob", k=9_999)
    spaces.setdefault(found.generation, found.passport_id)
    assert spaces[found.generation] == found.passport_id
    assert {hit.turn.id for hit in found} == set(written), found.generation
    if len(written) == 1:
        print("ready", flush=True)  # only now: one that starts after the flip never sees two spaces
memory.close()
print(*written)
"""


def test_another_process_reads_and_writes_through_a_flip(memory: Memory, tmp_path: Path) -> None:
    other = start_python(FOLLOWER, tmp_path)
    assert other.stdout is not None
    assert other.stdout.readline() == "ready\n"
    migrate(tmp_path)
    out, err = other.communicate(timeout=120)
    assert other.returncode == 0, err
    assert sorted(out.split()) == sorted(ids(memory.turns(user_id="bob", limit=9_999)))
    assert memory.search("harbour", user_id="bob").generation == 2
