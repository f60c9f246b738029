"""The guard against recall loops: what a context handed out is not stored again, all else is."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from memory_tools import MAY, open_hashed, say

from agentmem import ALL, Memory
from agentmem.evaluation.locomo import load_locomo
from agentmem.guards import RecallGuard, recall
from agentmem.types import Context, Role, Turn
from agentmem.types.guards import AddedIds

LIVES = "I moved to Lisbon in May, into a flat near the river."
POEM = "Here it is:\nthe river runs to the sea,\nthe sea comes back as rain,\nand so do I."
BUDGETS = (50, 200, 800, 3_200)


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Memory]:
    with open_hashed(tmp_path / "ada.mem") as opened:
        opened.add(
            [
                say(LIVES, name="Ada"),
                {"role": "assistant", "content": "How is the new flat near the river?"},
                say("yes", name="Ada"),
                {"role": "assistant", "content": POEM},
            ],
            user_id="ada",
            session_id="s1",
        )
        yield opened


@pytest.fixture
def handed(memory: Memory) -> Context:
    return memory.context("the flat near the river and the poem", user_id="ada", max_tokens=400)


def left_out(memory: Memory, content: str, role: str = "tool", **scope: Any) -> bool:
    ids: AddedIds = memory.add({"role": role, "content": content}, **{"user_id": "ada", **scope})
    stored = [one.content for one in memory.turns(scope=ALL, limit=1_000) if one.id == ids[0]]
    assert stored == ([] if ids.left_out else [content])
    assert {one.reason for one in ids.left_out} <= {"recalled"}
    return bool(ids.left_out)


@pytest.mark.parametrize("role", get_args(Role))
def test_a_whole_context_is_left_out_in_either_form_whoever_says_it(
    memory: Memory, handed: Context, role: str
) -> None:
    assert POEM.splitlines()[1] in handed.text
    assert left_out(memory, handed.text, role)
    long = [one["content"] for one in handed.messages if len(one["content"]) >= 40]
    assert len(long) == 3
    assert all(left_out(memory, content, role) for content in long)
    assert left_out(memory, "\n".join(one["content"] for one in handed.messages), role)


@pytest.mark.parametrize(
    "wrap",
    [
        "Relevant memories:\n{}",
        "<memory>\n{}\n</memory>",
        "# What you remember\n\n{}\n\n---",
        "```text\n{}\n```",
        "\n\n{}  \n",
    ],
)
def test_a_heading_and_tags_around_it_do_not_make_it_something_said(
    memory: Memory, handed: Context, wrap: str
) -> None:
    for role in ("system", "tool", "assistant"):
        assert left_out(memory, wrap.format(handed.text), role)


def test_quoted_indented_and_rewrapped_white_space_is_the_same(
    memory: Memory, handed: Context
) -> None:
    for before in ("> ", "- ", "    ", "* "):
        assert left_out(memory, "\n".join(before + line for line in handed.text.splitlines()))
    assert left_out(memory, handed.text.replace(" ", "  "))
    assert left_out(memory, handed.text.replace("\n", "\r\n"))


def test_a_tool_that_answers_in_json_is_read(memory: Memory, handed: Context) -> None:
    for value in (
        {"context": handed.text, "tokens": handed.tokens},
        list(handed.messages),
        handed.text,
        {"result": {"memories": [one["content"] for one in handed.messages]}},
    ):
        assert left_out(memory, json.dumps(value))
        assert left_out(memory, json.dumps(value, indent=2), "assistant")
    assert not left_out(memory, json.dumps({"context": handed.text, "answer": LIVES * 3}))


AGAIN = ("yes", "thanks", LIVES, POEM, "How is the new flat near the river?", "Ada: yes")
OWN = "And my sister lives in Porto now."


@pytest.mark.parametrize(
    ("role", "content"),
    [
        ("user", "{}\n" + OWN),
        ("assistant", "{}\n" + OWN),
        ("assistant", OWN + "\n\n{}"),
        ("user", "You said:\n{}"),
        ("user", "{}\n?"),
        ("tool", "{}\n" + OWN * 3),
        ("system", "You are a helpful assistant who never guesses.\n{}\n" + OWN),
    ],
)
def test_words_of_its_own_keep_a_message_whole(
    memory: Memory, handed: Context, role: str, content: str
) -> None:
    assert not left_out(memory, content.format(handed.text), role)


@pytest.mark.parametrize("role", get_args(Role))
@pytest.mark.parametrize(
    "content",
    [*AGAIN, "\n".join(POEM.splitlines()[1:])],
)
def test_what_somebody_says_again_is_stored_again(
    memory: Memory, handed: Context, role: str, content: str
) -> None:
    assert not left_out(memory, content, role)


def test_lines_after_the_first_count_only_behind_it(memory: Memory, handed: Context) -> None:
    lines = handed.text.splitlines()
    place = lines.index(f"  {POEM.splitlines()[1]}")
    assert left_out(memory, "\n".join(lines[place - 1 : place + 3]), "user")
    assert not left_out(memory, "\n".join(lines[place : place + 3]), "tool")


def test_another_user_learns_nothing_of_what_was_handed_out(
    memory: Memory, handed: Context
) -> None:
    assert not left_out(memory, handed.text, user_id="eve")
    assert not left_out(memory, handed.text, user_id=None, agent_id="bot")
    everyone = memory.context("the flat near the river", scope=ALL, max_tokens=200)
    assert not left_out(memory, everyone.text, user_id="eve")
    assert left_out(memory, everyone.text)


def test_another_store_knows_nothing_of_it(handed: Context, tmp_path: Path) -> None:
    with open_hashed(tmp_path / "other.mem") as other:
        assert not left_out(other, handed.text)


def test_every_handle_on_the_store_knows_however_its_path_is_written(
    memory: Memory, handed: Context, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with open_hashed(Path("ada.mem")) as again:
        assert left_out(again, handed.text)
    bound = memory.scoped(user_id="ada")
    assert bound.add({"role": "tool", "content": handed.text}).left_out


def test_without_the_guard_it_is_stored(memory: Memory, handed: Context, tmp_path: Path) -> None:
    with open_hashed(tmp_path / "ada.mem", recall_guard=False) as open_:
        assert not left_out(open_, handed.text)
        fresh = open_.context("Porto", user_id="ada", max_tokens=100)
    assert left_out(memory, handed.text)
    assert fresh.text


def test_what_is_stored_already_stays_and_comes_back_by_import(
    memory: Memory, handed: Context, tmp_path: Path
) -> None:
    memory.export(tmp_path / "all.jsonl", scope=ALL, progress=False)
    before = memory.turns(user_id="ada")
    assert memory.import_turns(tmp_path / "all.jsonl", progress=False).left_out == 0
    memory.delete(user_id="ada")
    report = memory.import_turns(tmp_path / "all.jsonl", progress=False)
    assert (report.stored, report.left_out) == (len(before), 0)
    assert memory.turns(user_id="ada") == before


def test_an_import_counts_what_came_back(memory: Memory, handed: Context) -> None:
    report = memory.import_turns(
        [say("new"), {"role": "tool", "content": handed.text}], user_id="ada", progress=False
    )
    assert (report.stored, report.left_out, report.rejected) == (1, 1, 0)


def test_only_keyed_hashes_are_kept_and_the_oldest_go_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(recall, "MOST_LINES", 100)
    fresh = recall._Known()
    monkeypatch.setattr(recall, "_process", lambda: fresh)
    guard = RecallGuard("place")
    for number in range(500):
        guard.handed_out([("ada", f"[2024-05-01] a private line of some length, number {number}")])
    known = guard._known
    assert len(known) == 100
    assert {len(one) for one in known._hashes} == {8}
    assert not guard.is_recalled(_turn("[2024-05-01] a private line of some length, number 3"))
    assert guard.is_recalled(_turn("[2024-05-01] a private line of some length, number 499"))


def _turn(content: str, role: Role = "tool") -> Turn:
    return Turn(id="t", role=role, content=content, event_time=MAY, ingested_at=MAY, user_id="ada")


def test_threads_may_hand_out_and_ask_at_once() -> None:
    guard = RecallGuard("threads")
    failures: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for place in range(300):
                line = f"[2024-05-01] what thread {number} was told, line {place}"
                guard.handed_out([("ada", line)])
                assert guard.is_recalled(_turn(line))
        except BaseException as error:  # noqa: BLE001 - told below
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


@given(st.text(), st.sampled_from(get_args(Role)))
def test_any_text_can_be_asked_about(text: str, role: Role) -> None:
    guard = RecallGuard("any")
    guard.handed_out([("ada", text)])
    assert isinstance(guard.is_recalled(_turn(text, role)), bool)
    assert isinstance(guard.is_recalled(_turn('[{"a": ' * 50 + text, role)), bool)


def test_json_too_deep_to_read_is_read_as_text() -> None:
    guard = RecallGuard("deep")
    guard.handed_out([("ada", "[2024-05-01] something")])
    assert not guard.is_recalled(_turn("[" * 100_000))
    assert not guard.is_recalled(_turn("[" * 900 + "]" * 900))


def handed_out(memory: Memory, question: str, user: str, budget: int) -> str:
    return memory.context(question, user_id=user, max_tokens=budget).text


@pytest.mark.slow
@pytest.mark.data
def test_of_locomo_every_context_is_caught_and_no_turn_is_lost(
    real_data: Path, tmp_path: Path
) -> None:
    dataset = load_locomo(real_data / "locomo" / "locomo3-dev.json")
    with open_hashed(tmp_path / "locomo.mem") as memory:
        for conversation in dataset.conversations:
            memory.add(conversation.messages, user_id=conversation.id)
        caught, given_ = {}, {}
        for budget in BUDGETS:
            junk = [
                {"role": role, "content": form.format(text), "user_id": conversation.id}
                for conversation in dataset.conversations
                for question in conversation.questions[::10]
                for text in [handed_out(memory, question.text, conversation.id, budget)]
                if len(text) >= 40
                for role, form in FORMS
            ]
            report = memory.import_turns(junk, progress=False)
            caught[budget], given_[budget] = report.left_out, len(junk)
        assert caught == given_
        stored = memory.turns(scope=ALL, limit=100_000)
        again = [
            {"role": one.role, "content": one.content, "user_id": one.user_id} for one in stored
        ]
        report = memory.import_turns(again, progress=False)
    assert min(given_.values()) >= 100
    assert len(stored) == 1_451
    assert (report.stored, report.left_out) == (len(stored), 0)


FORMS = (
    ("user", "{}"),
    ("tool", "{}"),
    ("assistant", "Here is what I remember:\n{}"),
    ("system", "<memories>\n{}\n</memories>"),
)
