"""Two calls about one turn at the same moment: what both acknowledged is there afterwards.

What the other call does happens while the first one embeds: after it looked, before it writes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from memory_tools import Meddling, at, open_hashed, say

from agentmem import InvalidInput, Memory, NotFound
from agentmem.storage import endings
from agentmem.storage.keyed import read_keyed
from agentmem.testing import HashEmbedder

Pair = tuple[Memory, Memory, Meddling]


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    embedder = Meddling()
    with open_hashed(tmp_path, embedder=embedder) as memory, open_hashed(tmp_path) as other:
        memory.add(say("I live in Lisbon", id="old", created_at=at(0)), user_id="ada")
        yield memory, other, embedder


def correct(memory: Memory) -> str:
    new = say("I live in Porto", id="new", created_at=at(1))
    return memory.supersede("old", new, user_id="ada")


def test_a_correction_that_was_deleted_is_stored_when_it_is_made_again(pair: Pair) -> None:
    memory, other, _ = pair
    correct(memory)
    other.delete("new", user_id="ada")
    assert correct(memory) == "new"
    assert memory.get("new", user_id="ada").content == "I live in Porto"
    assert memory.get("old", user_id="ada").superseded_by == "new"


MEANWHILE: dict[str, Callable[[Memory], object]] = {
    "pinned": lambda memory: memory.update("old", user_id="ada", pinned=True),
    "given a date": lambda memory: memory.update("old", user_id="ada", expires_at=at(90_000)),
    "written anew": lambda memory: memory.add(
        say("I live in Lisboa", id="old", created_at=at(0)), user_id="ada", on_conflict="replace"
    ),
}


def meddle_with_merging(monkeypatch: pytest.MonkeyPatch, meanwhile: Callable[[], object]) -> None:
    """Let something happen once, right after a correction read the rows that it ends."""
    happening = [meanwhile]

    def read_then(*args: Any, **options: Any) -> object:
        found = read_keyed(*args, **options)
        if happening:
            happening.pop()()
        return found

    monkeypatch.setattr(endings, "read_keyed", read_then)


@pytest.mark.parametrize("name", MEANWHILE)
def test_a_correction_keeps_what_became_of_the_turn_meanwhile(
    pair: Pair, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory, other, _ = pair
    meddle_with_merging(monkeypatch, lambda: MEANWHILE[name](other))
    correct(memory)
    old = memory.get("old", user_id="ada")
    assert old.superseded_by == "new"
    assert (old.pinned, old.expires_at, old.content) == {
        "pinned": (True, None, "I live in Lisbon"),
        "given a date": (False, at(90_000), "I live in Lisbon"),
        "written anew": (False, None, "I live in Lisboa"),
    }[name]


def test_a_correction_does_not_bring_back_what_was_deleted_meanwhile(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory, other, _ = pair
    meddle_with_merging(monkeypatch, lambda: other.delete("old", user_id="ada"))
    with pytest.raises(NotFound, match="deleted meanwhile"):
        correct(memory)
    assert memory.count(user_id="ada") == 0


def test_a_correction_takes_the_place_of_a_forgotten_turn_of_its_id(tmp_path: Path) -> None:
    with open_hashed(tmp_path, embedder=HashEmbedder(64, window=8)) as memory:
        memory.add(say("I live in Lisbon", id="old", created_at=at(0)), user_id="ada")
        memory.add(say("words " * 40, id="new", created_at=at(0)), user_id="ada")
        memory.supersede("new", say("gone", id="gone", created_at=at(0)), user_id="ada")
        memory.update("new", user_id="ada", expires_at=at(2))
        correct(memory)
        assert memory.get("new", user_id="ada").content == "I live in Porto"
        assert memory.stats().chunks == 3


def test_of_two_corrections_that_read_the_same_turn_one_wins(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory, other, _ = pair
    rome = say("I live in Rome", id="rome", created_at=at(1))
    meddle_with_merging(monkeypatch, lambda: other.supersede("old", rome, user_id="ada"))
    with pytest.raises(InvalidInput, match="corrected by 'rome' already"):
        correct(memory)
    assert {turn.id for turn in memory.turns(user_id="ada")} == {"old", "rome"}


def test_a_replacement_keeps_what_others_changed_while_it_was_embedded(tmp_path: Path) -> None:
    embedder = Meddling()
    with open_hashed(tmp_path, embedder=embedder) as memory, open_hashed(tmp_path) as other:
        memory.add([say("I like tea", id="tea"), say("I live in Rome", id="rome")], user_id="ada")
        embedder.meanwhile = lambda: (
            other.update("tea", user_id="ada", pinned=True),
            other.supersede("rome", say("in Porto", id="porto"), user_id="ada"),
        )
        memory.add(
            [say("I like coffee", id="tea"), say("I live in Riga", id="rome"), say("x", id="new")],
            user_id="ada",
            on_conflict="replace",
        )
        tea, rome = memory.get("tea", user_id="ada"), memory.get("rome", user_id="ada")
        assert (tea.content, tea.pinned) == ("I like coffee", True)
        assert (rome.content, rome.superseded_by) == ("I live in Riga", "porto")
        assert memory.count(user_id="ada") == 4


def test_a_replacement_of_a_long_turn_leaves_no_part_of_either(tmp_path: Path) -> None:
    embedder = Meddling()
    with open_hashed(tmp_path, embedder=embedder) as memory, open_hashed(tmp_path) as other:
        memory.add(say("short", id="one"), user_id="ada")
        embedder.meanwhile = lambda: other.add(
            say("theirs", id="one"), user_id="ada", on_conflict="replace"
        )
        memory.add(say("mine " * 2_000, id="one"), user_id="ada", on_conflict="replace")
        assert memory.get("one", user_id="ada").content == "mine " * 2_000
        assert memory.doctor().problems == ()


def test_a_turn_that_is_deleted_while_its_replacement_is_embedded_is_stored_anew(
    pair: Pair,
) -> None:
    memory, other, embedder = pair
    embedder.meanwhile = lambda: other.delete("old", user_id="ada")
    memory.add(say("I live in Porto", id="old"), user_id="ada", on_conflict="replace")
    assert memory.get("old", user_id="ada").content == "I live in Porto"
