"""What is true when: corrections, ends, dates of forgetting, and answers as of a moment."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from memory_tools import Meddling, at, ids, open_hashed, say

from agentmem import InvalidInput, Memory, NotFound, ScopeRequired, field
from agentmem.testing import HashEmbedder
from agentmem.types import ALL


@pytest.fixture
def memory(tmp_path: Path) -> Memory:
    memory = open_hashed(tmp_path)
    memory.add(
        [
            say("I live in Lisbon", id="lisbon", created_at=at(0)),
            say("I like tea", id="tea", created_at=at(1)),
        ],
        user_id="ada",
        session_id="s",
    )
    return memory


def found(memory: Memory, query: str = "where do I live", **options: Any) -> list[str]:
    return ids(memory.search(query, user_id="ada", **options))


def moved(memory: Memory, **options: object) -> str:
    """Correct where Ada lives, on the tenth day."""
    new = say("I live in Porto", id="porto", created_at=at(10))
    return memory.supersede("lisbon", new, user_id="ada", **options)  # type: ignore[arg-type]


def test_what_was_corrected_is_not_found_and_stays_as_it_was_said(memory: Memory) -> None:
    before = memory.get("lisbon", user_id="ada")
    assert moved(memory) == "porto"
    assert set(found(memory)) == {"porto", "tea"}
    old, new = memory.get("lisbon", user_id="ada"), memory.get("porto", user_id="ada")
    assert (old.content, old.event_time, old.ingested_at) == (
        before.content,
        before.event_time,
        before.ingested_at,
    )
    assert (old.superseded_by, old.valid_until) == ("porto", at(10))
    assert old.superseded_at is not None
    assert (new.session_id, new.user_id, new.superseded_by) == ("s", "ada", None)
    assert "Lisbon" not in memory.context("where?", user_id="ada", max_tokens=500).text


def test_a_search_as_of_a_moment_answers_with_what_was_true_then(memory: Memory) -> None:
    moved(memory)
    assert found(memory, as_of=at(0.5)) == ["lisbon"]
    assert set(found(memory, as_of=at(9))) == {"lisbon", "tea"}
    assert set(found(memory, as_of=at(10))) == {"porto", "tea"}
    context = memory.context("where do I live?", user_id="ada", max_tokens=500, as_of=at(9))
    assert "Lisbon" in context.text
    assert "Porto" not in context.text


def test_what_the_store_learnt_later_can_be_left_out(memory: Memory) -> None:
    before = datetime.now(timezone.utc)
    moved(memory)
    assert set(found(memory)) == {"porto", "tea"}
    assert set(found(memory, known_at=before)) == {"lisbon", "tea"}
    assert set(found(memory, known_at=before, as_of=at(20))) == {"lisbon", "tea"}
    assert found(memory, known_at=at(0)) == []


def test_a_correction_may_have_been_true_for_a_while(memory: Memory) -> None:
    moved(memory, valid_until=at(5))
    assert set(found(memory, as_of=at(7))) == {"tea"}
    with pytest.raises(InvalidInput, match="before"):
        memory.supersede("tea", "I like coffee", user_id="ada", valid_until=at(0))


def test_the_same_correction_again_changes_nothing(memory: Memory) -> None:
    moved(memory)
    before = memory.turns(user_id="ada")
    assert moved(memory) == "porto"
    assert memory.turns(user_id="ada") == before


def test_a_turn_is_corrected_once(memory: Memory) -> None:
    moved(memory)
    with pytest.raises(InvalidInput, match="corrected by 'porto' already"):
        memory.supersede("lisbon", "I live in Rome", user_id="ada")
    assert memory.count(user_id="ada") == 3
    memory.supersede("porto", say("I live in Rome", id="rome"), user_id="ada")
    assert set(found(memory)) == {"rome", "tea"}


def test_of_two_corrections_at_the_same_moment_one_wins_and_the_other_leaves_nothing(
    tmp_path: Path,
) -> None:
    embedder = Meddling()
    with open_hashed(tmp_path, embedder=embedder) as memory, open_hashed(tmp_path) as other:
        memory.add(say("I live in Lisbon", id="lisbon"), user_id="ada")
        embedder.meanwhile = lambda: other.supersede(
            "lisbon", say("in Rome", id="rome"), user_id="ada"
        )
        with pytest.raises(InvalidInput, match="corrected by 'rome' already"):
            memory.supersede("lisbon", say("in Porto", id="porto"), user_id="ada")
        assert {turn.id for turn in memory.turns(user_id="ada")} == {"lisbon", "rome"}
        assert memory.get("lisbon", user_id="ada").superseded_by == "rome"


def test_a_turn_that_is_deleted_meanwhile_is_not_corrected(tmp_path: Path) -> None:
    embedder = Meddling()
    with open_hashed(tmp_path, embedder=embedder) as memory, open_hashed(tmp_path) as other:
        memory.add(say("I live in Lisbon", id="lisbon"), user_id="ada")
        embedder.meanwhile = lambda: other.delete("lisbon", user_id="ada")
        with pytest.raises(NotFound, match="deleted meanwhile"):
            memory.supersede("lisbon", say("in Porto", id="porto"), user_id="ada")
        assert memory.count(user_id="ada") == 0


def test_a_long_turn_ends_with_all_of_its_parts(tmp_path: Path) -> None:
    with open_hashed(tmp_path, embedder=HashEmbedder(64, window=8)) as memory:
        memory.add(say("words " * 40 + "harbour", id="long"), user_id="ada")
        memory.supersede("long", say("short", id="short"), user_id="ada")
        assert found(memory, "harbour") == ["short"]
        rows = memory._home.parts.store.scan(
            ["superseded_by"], scope=ALL, heads_only=False, batch_rows=99
        )
        by = [one for batch in rows for one in batch["superseded_by"].to_pylist()]
        assert by.count("short") > 1
        assert by.count(None) == 1


@pytest.mark.parametrize(
    ("turn_id", "new", "told"),
    [
        ("nobody", "hello", "no turn 'nobody'"),
        ("lisbon", {"role": "user", "content": "x", "id": "lisbon"}, "id of its own"),
        ("lisbon", {"role": "user", "content": "x", "id": "tea"}, "taken by another message"),
        ("lisbon", {"role": "user", "content": "x", "user_id": "bob"}, "contradicts"),
        ("lisbon", {"role": "pirate", "content": "x"}, "pirate"),
        ("lisbon", 7, "no message"),
    ],
)
def test_a_wrong_correction_changes_nothing(
    memory: Memory, turn_id: str, new: object, told: str
) -> None:
    before = memory.turns(user_id="ada")
    with pytest.raises((InvalidInput, NotFound), match=told):
        memory.supersede(turn_id, new, user_id="ada")
    assert memory.turns(user_id="ada") == before


def test_nobody_corrects_another_users_turns(memory: Memory) -> None:
    with pytest.raises(NotFound):
        memory.supersede("lisbon", "mine now", user_id="bob")
    with pytest.raises(ScopeRequired):
        memory.supersede("lisbon", "mine now")
    assert memory.update("lisbon", user_id="bob", pinned=True).missing == ("lisbon",)
    assert not memory.get("lisbon", user_id="ada").pinned


def test_a_turn_is_forgotten_by_its_date_everywhere(memory: Memory, tmp_path: Path) -> None:
    update = memory.update("tea", user_id="ada", expires_at=at(2))
    assert (update.turns, update.missing) == (1, ())
    assert found(memory, "tea") == ["lisbon"]
    assert found(memory, "tea", as_of=at(1.5)) == ["lisbon"], "forgotten is forgotten"
    assert ids(memory.turns(user_id="ada")) == ["lisbon"]
    assert memory.count(user_id="ada") == 1
    assert memory.sessions(user_id="ada")[0].turns == 1
    assert memory.export(tmp_path / "out.jsonl", user_id="ada", progress=False) == 1
    with pytest.raises(NotFound):
        memory.get("tea", user_id="ada")
    memory.update("tea", user_id="ada", expires_at=None)
    assert memory.get("tea", user_id="ada").expires_at is None
    assert set(found(memory, "tea")) == {"lisbon", "tea"}


def test_a_pinned_turn_stays_whatever_its_date(memory: Memory) -> None:
    memory.update(user_id="ada", expires_at=at(2), pinned=True)
    assert set(found(memory)) == {"lisbon", "tea"}
    assert memory.count(user_id="ada", where=field("pinned") == True) == 2  # noqa: E712
    memory.update(user_id="ada", pinned=False)
    assert found(memory) == []


def test_a_forgotten_id_may_be_given_again(memory: Memory) -> None:
    memory.update("tea", user_id="ada", expires_at=at(2))
    memory.add(say("I like coffee", id="tea", created_at=at(3)), user_id="ada", session_id="t")
    assert memory.get("tea", user_id="ada").content == "I like coffee"
    assert memory.get("tea", user_id="ada").expires_at is None


def test_messages_bring_their_dates_with_them(memory: Memory) -> None:
    soon = datetime.now(timezone.utc) + timedelta(hours=1)
    memory.add(say("for an hour", id="hour"), user_id="ada", ttl=timedelta(hours=1))
    memory.add(say("until then", id="then", expires_at=soon), user_id="ada", ttl=timedelta(days=9))
    memory.add(say("not any more", id="past", valid_until=at(3), created_at=at(0)), user_id="ada")
    memory.add(say("keep", id="keep", pinned=True), user_id="ada")
    hour = memory.get("hour", user_id="ada")
    assert hour.expires_at == hour.ingested_at + timedelta(hours=1)
    assert memory.get("then", user_id="ada").expires_at == soon
    assert memory.get("keep", user_id="ada").pinned
    assert "past" not in found(memory, "not any more")
    assert "past" in found(memory, "not any more", as_of=at(2))
    assert set(found(memory, "for an hour", now=soon + timedelta(hours=2), k=9)) == {
        *("lisbon", "tea", "keep")
    }
    for wrong in (timedelta(0), 5, timedelta.max):
        with pytest.raises(InvalidInput, match="ttl"):
            memory.add("x", user_id="ada", ttl=wrong)  # type: ignore[arg-type]


def test_a_message_that_comes_again_undoes_nothing(memory: Memory) -> None:
    moved(memory)
    memory.update("tea", user_id="ada", pinned=True)
    again = [
        say("I live in Lisbon", id="lisbon", created_at=at(0)),
        say("I like tea", id="tea", created_at=at(1)),
    ]
    memory.add(again, user_id="ada", session_id="s")
    assert memory.get("lisbon", user_id="ada").superseded_by == "porto"
    assert memory.get("tea", user_id="ada").pinned


def test_an_end_can_be_taken_back(memory: Memory) -> None:
    moved(memory)
    memory.update("lisbon", user_id="ada", valid_until=None)
    old = memory.get("lisbon", user_id="ada")
    assert (old.valid_until, old.superseded_by, old.superseded_at) == (None, None, None)
    assert "lisbon" in found(memory)


def test_an_update_is_previewed_and_refused_when_it_changes_nothing(memory: Memory) -> None:
    preview = memory.update(["tea", "nobody"], user_id="ada", valid_until=at(3), dry_run=True)
    assert (preview.turns, preview.missing, preview.dry_run) == (1, ("nobody",), True)
    assert memory.get("tea", user_id="ada").valid_until is None
    assert memory.update([], user_id="ada", pinned=True).turns == 0
    with pytest.raises(InvalidInput, match="nothing was to be changed"):
        memory.update("tea", user_id="ada")
    with pytest.raises(InvalidInput, match="pinned"):
        memory.update("tea", user_id="ada", pinned=1)  # type: ignore[arg-type]
    with pytest.raises(ScopeRequired):
        memory.update("tea", pinned=True)


def test_filters_reach_the_ends(memory: Memory) -> None:
    moved(memory)
    assert ids(memory.turns(user_id="ada", where={"superseded_by": "porto"})) == ["lisbon"]
    assert memory.count(user_id="ada", where={"valid_until": {"lte": at(10).isoformat()}}) == 1
    assert memory.count(user_id="ada", where={"valid_until": None}) == 2
    with pytest.raises(InvalidInput, match="true or false"):
        memory.count(user_id="ada", where={"pinned": "yes"})
    with pytest.raises(InvalidInput, match="ordered"):
        memory.count(user_id="ada", where={"pinned": {"gt": True}})


def test_ends_travel_with_an_export(memory: Memory, tmp_path: Path) -> None:
    moved(memory)
    memory.update("tea", user_id="ada", pinned=True, expires_at=at(900_000))
    for name in ("out.jsonl", "out.parquet"):
        memory.export(tmp_path / name, user_id="ada", progress=False)
        with open_hashed(tmp_path / f"{name}.mem") as other:
            other.import_turns(tmp_path / name, progress=False)
            assert other.turns(user_id="ada") == memory.turns(user_id="ada")


def test_ends_survive_a_migration(memory: Memory) -> None:
    moved(memory)
    memory.update("tea", user_id="ada", expires_at=at(2))
    memory.migrate(HashEmbedder(96), progress=False)
    assert memory.get("lisbon", user_id="ada").superseded_by == "porto"
    assert found(memory) == ["porto"]
    assert found(memory, as_of=at(3)) == ["lisbon"]


def test_a_past_answer_is_replayed_as_it_was(memory: Memory) -> None:
    then = memory.search("where do I live", user_id="ada", as_of=at(20), dates="ignore")
    moved(memory)
    replay = memory.replay(then, now=True)
    assert replay.verdict == "identical"
    assert replay.now is not None
    assert "porto" in {one.id for one in replay.now}


def test_dates_in_a_question_are_hints_unless_they_are_to_filter(tmp_path: Path) -> None:
    with open_hashed(tmp_path) as memory:
        memory.add(
            [say("we ate soup", id=str(day), created_at=at(day)) for day in range(30)],
            user_id="ada",
        )
        asked: dict[str, Any] = {"query": "what did we eat last week", "now": at(20), "k": 30}
        week = {str(day) for day in range(12, 19)}  # 13 to 19 May 2024, Monday to Sunday
        assert set(found(memory, **asked, dates="filter")) == week
        hinted = found(memory, **asked)
        assert len(hinted) == 30
        assert set(hinted[:7]) == week
        assert set(found(memory, **asked, dates="ignore")[:7]) != week
        with pytest.raises(InvalidInput, match="'hint'"):
            found(memory, dates="maybe")
