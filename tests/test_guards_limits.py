"""The limits of one call: messages, bytes and attachments, told before anything is stored."""

from __future__ import annotations

import itertools
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from memory_tools import open_hashed, say

from agentmem import Memory
from agentmem.checks import MAX_ID_CHARS
from agentmem.errors import InvalidInput
from agentmem.messages import (
    MAX_ATTACHMENTS,
    MAX_CALL_BYTES,
    MAX_MESSAGES,
    MAX_METADATA_BYTES,
    MAX_TEXT_BYTES,
    turns,
)


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Memory]:
    with open_hashed(tmp_path / "ada.mem") as opened:
        yield opened


def refused(memory: Memory, messages: Any, told: str, **scope: Any) -> None:
    with pytest.raises(InvalidInput, match=told):
        memory.add(messages, **{"user_id": "ada", **scope})
    assert memory.count(user_id="ada") == 0


def test_more_messages_than_one_call_takes_are_sent_to_the_import(memory: Memory) -> None:
    many = [say("x")] * (MAX_MESSAGES + 1)
    refused(memory, many, r"more than 10,000 messages.*import_turns")
    assert memory.import_turns(many[:10], user_id="ada", progress=False).stored == 10


def test_messages_without_end_are_not_read_without_end(memory: Memory) -> None:
    tracemalloc.start()
    refused(memory, (say(str(n)) for n in itertools.count()), "more than 10,000")
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 32 * 2**20


def test_the_most_messages_are_stored_in_one_commit(memory: Memory) -> None:
    ids = memory.add([say(f"m{n}") for n in range(MAX_MESSAGES)], user_id="ada")
    assert len(set(ids)) == memory.count(user_id="ada") == MAX_MESSAGES


@pytest.mark.parametrize(
    "large",
    [
        say("x" * MAX_TEXT_BYTES),
        say("é" * (MAX_TEXT_BYTES // 2)),
        say("x", attachments=[{"type": "file", "caption": "x" * MAX_TEXT_BYTES}]),
    ],
)
def test_more_bytes_than_one_call_takes_are_refused(memory: Memory, large: Any) -> None:
    refused(memory, [large] * 17, r"the first 1[67] messages have [67]\d,\d{3},\d{3} bytes")


def test_metadata_and_addresses_count_as_well(memory: Memory) -> None:
    facts = {"note": "x" * (MAX_METADATA_BYTES - 100)}
    refused(memory, [say("x", metadata=facts)] * 300, r"the first 25\d messages")
    shared = [{"type": "file", "url": "x" * 8_000}] * MAX_ATTACHMENTS
    refused(memory, [say("x", attachments=shared)] * 100, r"the first 8\d messages")
    assert MAX_CALL_BYTES == 64 * 2**20


def test_an_import_halves_what_is_too_much_for_one_call(
    memory: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns, "MAX_CALL_BYTES", 10_000)
    many = [say("word " * 100, id=f"m{n}") for n in range(200)]
    refused(memory, many, "the first 21 messages")
    report = memory.import_turns(many, user_id="ada", progress=False, batch_size=200)
    assert (report.stored, report.rejected) == (200, 0)


def test_more_attachments_than_a_message_holds_are_refused(memory: Memory) -> None:
    one = {"type": "image", "url": "https://x/y.png"}
    most = [one] * MAX_ATTACHMENTS
    refused(memory, say("look", attachments=[*most, one]), "attachments are more than 100")
    refused(memory, say("look", attachments=itertools.repeat(one)), "attachments are more")
    parts = [{"type": "image_url", "image_url": {"url": "https://x"}}] * (MAX_ATTACHMENTS + 1)
    refused(
        memory, {"role": "user", "content": [{"type": "text", "text": "x"}, *parts]}, "than 100"
    )
    memory.add(say("look", attachments=most), user_id="ada")
    assert len(memory.turns(user_id="ada")[0].attachments) == MAX_ATTACHMENTS


@pytest.mark.parametrize("what", ["id", "name", "session_id"])
@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("x" * (MAX_ID_CHARS + 1), "513 characters.*hash"),
        ("a\0b", "NUL"),
        ("\ud800", "surrogate"),
        (7, "ids are text"),
    ],
)
def test_ids_and_names_that_cannot_be_kept_are_refused(
    memory: Memory, what: str, value: Any, told: str
) -> None:
    refused(memory, say("x", **{what: value}), told)
    if what == "session_id":
        refused(memory, say("x"), told, session_id=value)


@pytest.mark.parametrize("what", ["id", "name", "session_id"])
def test_the_longest_ids_are_kept(memory: Memory, what: str) -> None:
    longest = "é" * MAX_ID_CHARS
    memory.add(say("x", **{what: longest}), user_id="ada")
    assert getattr(memory.turns(user_id="ada")[0], what) == longest
