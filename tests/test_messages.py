"""Messages become turns: every accepted shape, every refusal, and what is never altered."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import itertools
import json
from datetime import datetime, timedelta, timezone
from enum import Enum
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from agentmem.errors import InvalidInput
from agentmem.messages import (
    MAX_METADATA_BYTES,
    MAX_TEXT_BYTES,
    embedding_text,
    is_undated,
    to_turns,
)
from agentmem.types import Attachment, Scope, Turn

NOW = datetime(2025, 3, 1, 12, tzinfo=timezone.utc)
MAY = datetime(2023, 5, 4, 9, 30, tzinfo=timezone.utc)
TICK = timedelta(microseconds=1)


def read(messages: object, **scope: str) -> list[Turn]:
    """Return the turns of messages added now, with ids made0, made1, ..."""
    numbers = itertools.count()
    return to_turns(messages, scope=Scope(**scope), now=NOW, new_id=lambda: f"made{next(numbers)}")


def user(content: Any = "hi", **fields: Any) -> dict[str, Any]:
    """Return a message of the user."""
    return {"role": "user", "content": content, **fields}


def test_a_full_message_keeps_every_field() -> None:
    (turn,) = read(
        user(
            " I moved to Lisbon.\n",
            id='o\'neil "✓"',
            name="Ada",
            created_at="2023-05-04T11:30:00.000001+02:00",
            metadata={"topic": "home", "n": 1, "f": 1.0, "deep": {"l": [None, True]}},
            attachments=[{"type": "image", "url": "https://x/y.png", "caption": "a flat"}],
            importance=1,
            session_id="s1",
        ),
        user_id="ada",
    )
    assert turn == Turn(
        id='o\'neil "✓"',
        role="user",
        content=" I moved to Lisbon.\n",
        event_time=MAY + TICK,
        ingested_at=NOW,
        name="Ada",
        user_id="ada",
        session_id="s1",
        metadata={"topic": "home", "n": 1, "f": 1.0, "deep": {"l": [None, True]}},
        attachments=(Attachment("image", "https://x/y.png", "a flat"),),
        importance=1.0,
    )
    assert json.dumps(turn.metadata["f"]) == "1.0"


@dataclasses.dataclass
class DataMessage:
    """A message as a dataclass."""

    role: str
    content: str
    created_at: datetime | None = None
    extra: str = "not a field"


class ModelMessage(BaseModel):
    """A message as a pydantic model."""

    role: str
    content: str | list[dict[str, Any]] | None
    refusal: str | None = None
    tool_calls: list[dict[str, Any]] | None = None


class HumanMessage:
    """A message as LangChain shapes it."""

    type = "human"
    content = "hi"
    id = None
    additional_kwargs: dict[str, Any] = {}  # noqa: RUF012 (as the library has it)


class Speaker(str, Enum):
    """Roles as an enumeration."""

    USER = "user"


@pytest.mark.parametrize(
    "message",
    [
        "hi",
        user(),
        user(refusal=None, audio=None, annotations=[], type="message", status="completed"),
        DataMessage("user", "hi"),
        ModelMessage(role="user", content="hi"),
        HumanMessage(),
        {"type": "human", "content": "hi"},
        {"role": Speaker.USER, "content": "hi"},
        user([{"type": "text", "text": "hi"}]),
        user([{"type": "input_text", "text": "hi"}]),
        user({"type": "output_text", "text": "hi"}),
        user(["hi"]),
        user(name=""),
        Turn(id="made0", role="user", content="hi", event_time=NOW, ingested_at=NOW),
    ],
)
def test_every_shape_of_a_message_is_understood(message: object) -> None:
    expected = Turn(id="made0", role="user", content="hi", event_time=NOW, ingested_at=NOW)
    assert read(message) == [expected]
    assert read([message]) == [expected]
    assert read(one for one in (message,)) == [expected]


@pytest.mark.parametrize(
    ("given_role", "role"),
    [
        ("user", "user"),
        ("assistant", "assistant"),
        ("system", "system"),
        ("developer", "developer"),
        ("tool", "tool"),
        ("human", "user"),
        ("ai", "assistant"),
        ("model", "assistant"),
        ("bot", "assistant"),
        ("function", "tool"),
        ("User", "user"),
    ],
)
def test_roles_of_other_libraries_are_understood(given_role: str, role: str) -> None:
    assert read({"role": given_role, "content": "x"})[0].role == role


def test_texts_of_parts_are_joined_and_media_become_attachments() -> None:
    (turn,) = read(
        user(
            [
                {"type": "text", "text": "Look:"},
                {"type": "image_url", "image_url": {"url": "https://x/cat.png"}},
                {"type": "input_image", "image_url": "https://x/dog.png", "caption": "a dog"},
                {"type": "image", "source": {"type": "url", "url": "https://x/c.png"}},
                {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
                {"type": "file", "file": {"file_id": "file-1", "filename": "lease.pdf"}},
                {"type": "text", "text": "nice"},
            ]
        )
    )
    assert turn.content == "Look:\nnice"
    silence = hashlib.sha256(base64.b64decode("AAAA")).hexdigest()
    assert turn.attachments == (
        Attachment("image", "https://x/cat.png"),
        Attachment("image", "https://x/dog.png", "a dog"),
        Attachment("image", "https://x/c.png"),
        Attachment("audio", f"sha256:{silence}"),
        Attachment("file", "file-1", "lease.pdf"),
    )


def test_inline_bytes_are_kept_as_their_digest_only() -> None:
    image = b"\x89PNG" * 1000
    url = f"data:image/png;base64,{base64.b64encode(image).decode()}"
    digest = f"sha256:{hashlib.sha256(image).hexdigest()}"
    (part,) = read(user([{"type": "text", "text": "x"}, {"type": "image_url", "image_url": url}]))
    (listed,) = read(user(attachments=[{"type": "image", "url": url, "caption": "x"}]))
    assert part.attachments[0].url == listed.attachments[0].url == digest
    (again,) = read(part)
    assert again.attachments == part.attachments


CALLED = {"name": "get_weather", "arguments": {"city": "Turin"}, "id": "c1"}


@pytest.mark.parametrize(
    "message",
    [
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {
                    "id": "c1",
                    "type": "function",
                    "function": {"name": "get_weather", "arguments": '{"city": "Turin"}'},
                }
            ],
        },
        {
            "role": "ai",
            "content": "",
            "tool_calls": [{"name": "get_weather", "args": {"city": "Turin"}, "id": "c1"}],
        },
        {
            "role": "assistant",
            "content": [
                {"type": "tool_use", "id": "c1", "name": "get_weather", "input": {"city": "Turin"}}
            ],
        },
    ],
)
def test_a_message_that_only_calls_tools_is_readable_and_structured(message: object) -> None:
    (turn,) = read(message)
    assert turn.content == '[calls get_weather({"city": "Turin"})]'
    assert turn.metadata == {"tool_calls": [CALLED]}


def test_tool_calls_beside_text_leave_the_text_alone() -> None:
    (turn,) = read({"role": "assistant", "content": "Let me see.", "tool_calls": [CALLED]})
    assert turn.content == "Let me see."
    assert turn.metadata == {"tool_calls": [CALLED]}
    (answer,) = read({"role": "tool", "content": "22 °C", "tool_call_id": "c1"})
    assert answer.metadata == {"tool_call_id": "c1"}
    (broken,) = read({"role": "ai", "content": "x", "function_call": {"name": "f", "args": "{"}})
    assert broken.metadata == {"tool_calls": [{"name": "f", "arguments": "{"}]}


def test_a_tool_result_part_is_text() -> None:
    part = {"type": "tool_result", "tool_use_id": "c1", "content": [{"type": "text", "text": "22"}]}
    assert read(user([part]))[0].content == "22"


@pytest.mark.parametrize(
    ("message", "says"),
    [
        (user(""), "content is empty"),
        (user(" \n\t"), "content is empty"),
        (user(None), "content is empty"),
        ({"role": "user"}, "content is empty"),
        (user("", attachments=[{"type": "image", "url": "https://x"}]), "caption"),
        (user("", attachments=[{"type": "image", "caption": " "}]), "content is empty"),
        ({"content": "x"}, "role is missing"),
        ({"role": "usr", "content": "x"}, "Did you mean 'user'"),
        ({"role": 3, "content": "x"}, "Roles are user, assistant"),
        (user(3), "content is a int"),
        (user(b"bytes"), "content is a bytes"),
        (user("a\ud800b"), "surrogate.*character 1"),
        (user("x" * (MAX_TEXT_BYTES + 1)), "4,194,305 bytes"),
        (user("é" * (MAX_TEXT_BYTES // 2 + 1)), "Split it"),
        (user(id=""), "id is empty"),
        (user(id=7), "id 7 is a int"),
        (user(id="x" * 513), "513"),
        (user(id="a\0"), "NUL"),
        (user(id="\udfff"), "surrogate"),
        (user(name=3), "name 3"),
        (user(created_at=datetime(2024, 1, 1)), "no time zone.*replace"),  # noqa: DTZ001
        (user(created_at="2024-01-01T10:00:00"), "no time zone"),
        (user(created_at="2024-01-01"), "no time zone"),
        (user(created_at="yesterday"), "ISO 8601"),
        (user(created_at="1700000000"), "ISO 8601"),
        (user(created_at=NOW + timedelta(days=2)), "future.*metadata"),
        (user(created_at=1_700_000_000_000), "milliseconds"),
        (user(created_at=float("inf")), "years 1 to 9999"),
        (user(created_at=True), "not a moment"),
        (
            user(created_at=datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=5)))),
            "years 1 to 9999",
        ),
        (user(metadata=[1]), "no mapping"),
        (user(metadata={1: 2}), "JSON keys are text"),
        (user(metadata={"a": {"b": [0, float("nan")]}}), r"metadata\.a\.b\[1\] is nan"),
        (user(metadata={"when": NOW}), r"metadata\.when is a datetime"),
        (user(metadata={"s": {1}}), r"metadata\.s is a set"),
        (user(metadata={"n": 2**63}), "64 bits"),
        (user(metadata={"t": "\ud800"}), r"metadata\.t has a lone surrogate"),
        (user(metadata={"t": "x" * MAX_METADATA_BYTES}), "as JSON"),
        (user(importance=1.5), "importance 1.5.*between 0 and 1"),
        (user(importance=-0.1), "between 0 and 1"),
        (user(importance=float("nan")), "between 0 and 1"),
        (user(importance="high"), "importance 'high'"),
        (user(attachments={"type": "image"}), "no list"),
        (user(attachments=["x.png"]), r"attachments\[0\]"),
        (user(attachments=[{"url": "https://x"}]), r"attachments\[0\]\.type.*Add it"),
        (user(attachments=[{"type": "image", "alt": "x"}]), "metadata"),
        (user(attachments=[{"type": "image", "caption": "\ud800"}]), "surrogate"),
        (user(attachments=[{"type": "image", "url": "x" * 8_193}]), "8,193"),
        (user([{"type": "thinking", "thinking": "hm"}]), "unknown kind 'thinking'"),
        (user([{"type": "image_ulr"}]), "Did you mean 'image_url'"),
        (user([3]), r"content\[0\] 3 is no content part"),
        (user([{"type": "text"}]), "no text"),
        ({"role": "ai", "content": None, "tool_calls": [{}]}, "without a name"),
        (user(timestamp="2024-01-01T00:00:00Z"), "Did you mean 'created_at'"),
        (user(run_id="r"), "Did you mean 'session_id'"),
        (user(metdata={"a": 1}), "Did you mean 'metadata'"),
        (user(language="pt"), "'language'.*metadata"),
        (7, "no message"),
        (None, "no message"),
        (("user", "hi"), "no message"),
    ],
)
def test_what_cannot_be_kept_is_refused_with_its_place_and_repair(
    message: object, says: str
) -> None:
    with pytest.raises(InvalidInput, match=rf"(?s)^messages\[1\].*{says}"):
        read(["fine", message])


def test_things_that_hold_no_messages_are_refused() -> None:
    for nothing in (None, 7, b"bytes"):
        with pytest.raises(InvalidInput, match="no message"):
            read(nothing)
    assert read([]) == []


def test_metadata_that_contains_itself_is_refused() -> None:
    knot: dict[str, Any] = {}
    knot["self"] = knot
    with pytest.raises(InvalidInput, match="contains itself"):
        read(user(metadata=knot))


@pytest.mark.parametrize(
    "text", ["\0", "a\0b", "' OR 1=1 --", "\u202e\u2028", "😀" * 3, "x" * 2**20, "\u200b"]
)
def test_text_is_kept_to_the_last_character(text: str) -> None:
    assert read(user(text))[0].content == text


def test_a_message_narrows_the_scope_and_never_contradicts_it() -> None:
    assert read(user(session_id="s1", user_id="ada"), user_id="ada")[0].scope == Scope(
        "ada", None, "s1"
    )
    with pytest.raises(InvalidInput, match="user_id 'bob' contradicts"):
        read(user(user_id="bob"), user_id="ada")
    with pytest.raises(InvalidInput, match=r"session_id is empty text.*None"):
        read(user(), session_id="")


def test_a_message_without_a_date_was_said_when_the_one_before_it_was() -> None:
    turns = read(
        [
            user(session_id="a"),
            user(session_id="a", created_at=MAY),
            user(session_id="b"),
            user(session_id="a"),
            user(session_id="b"),
        ]
    )
    assert [turn.event_time for turn in turns] == [MAY, MAY, NOW + 2 * TICK, MAY, NOW + 4 * TICK]
    assert [is_undated(turn) for turn in turns] == [False, False, True, False, True]
    assert [turn.ingested_at for turn in turns] == [NOW + place * TICK for place in range(5)]


def test_a_day_of_clock_skew_is_forgiven() -> None:
    soon = NOW + timedelta(hours=23)
    assert read(user(created_at=soon))[0].event_time == soon


@pytest.mark.parametrize(
    "moment",
    [MAY, "2023-05-04T09:30:00Z", "2023-05-04 11:30+02:00", 1683192600, 1683192600.0],
)
def test_dates_are_read_in_every_unambiguous_form(moment: object) -> None:
    (turn,) = read(user(created_at=moment))
    assert turn.event_time == MAY
    assert turn.event_time.tzinfo is timezone.utc


def test_a_repeated_message_gives_the_same_turn_once_more() -> None:
    one, two, again = read([user(id="a"), user("other"), user(id="a")])
    assert again is one
    assert two.id == "made0"


def test_one_id_for_two_messages_is_refused_within_a_scope_only() -> None:
    with pytest.raises(InvalidInput, match=r"messages\[0\] and messages\[1\] differ"):
        read([user("a", id="x"), user("b", id="x")])
    with pytest.raises(InvalidInput, match="differ"):
        read([user(id="x", session_id="s"), user(id="x", session_id="t")])
    assert len(read([user("a", id="x", user_id="ada"), user("b", id="x", user_id="bob")])) == 2


def test_the_embedded_text_names_speaker_and_captions() -> None:
    shared = [{"type": "image", "caption": "a dog"}, {"type": "image", "caption": "a cat"}]
    assert embedding_text(read(user(" hi "))[0]) == ("user: ", " hi ")
    (turn,) = read(user("Look", name="Ada", attachments=shared))
    assert embedding_text(turn) == ("Ada: ", "Look [shares a dog; a cat]")
    assert embedding_text(read(user("", attachments=shared))[0])[1] == "[shares a dog; a cat]"


texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(str.strip)
names = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1)
values = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(2**63), 2**63 - 1),
        st.floats(allow_nan=False, allow_infinity=False),
        texts,
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(texts, inner, max_size=3)),
    max_leaves=6,
)
messages = st.fixed_dictionaries(
    {"role": st.sampled_from(["user", "assistant", "tool"]), "content": texts},
    optional={
        "name": names,
        "session_id": names,
        "created_at": st.datetimes(
            max_value=datetime(2025, 1, 1),  # noqa: DTZ001 (the zone is drawn beside it)
            timezones=st.just(timezone.utc),
        ),
        "metadata": st.dictionaries(texts, values, max_size=3),
        "importance": st.floats(0, 1),
    },
)


@given(st.lists(messages, max_size=6))
def test_turns_keep_what_was_said_and_read_back_as_themselves(given_: list[Any]) -> None:
    turns = read(given_, user_id="ada")
    assert [turn.content for turn in turns] == [message["content"] for message in given_]
    assert [turn.metadata for turn in turns] == [one.get("metadata", {}) for one in given_]
    assert [turn.ingested_at for turn in turns] == sorted({turn.ingested_at for turn in turns})
    assert read(turns) == turns


@given(st.lists(st.tuples(st.sampled_from("ab"), st.one_of(st.none(), st.integers(0, 9)))))
def test_undated_messages_never_change_the_order_of_dated_ones(rows: list[Any]) -> None:
    times = sorted(place for _, place in rows if place is not None)
    given_ = []
    for session, place in rows:
        dated = {} if place is None else {"created_at": MAY + timedelta(hours=times.pop(0))}
        given_.append(user(session_id=session, **dated))
    turns = read(given_)
    for session in "ab":
        own = [(t.event_time, t.ingested_at) for t in turns if t.session_id == session]
        assert own == sorted(own)


@dataclasses.dataclass
class Logged:
    role: str
    content: str
    timestamp: str = ""
    source: str = "export"


def test_a_declared_field_under_another_name_is_not_lost() -> None:
    with pytest.raises(InvalidInput, match="Did you mean 'created_at'"):
        read(Logged("user", "hi", timestamp="2019-05-01T00:00:00Z"))
    assert read(Logged("user", "hi"))[0].content == "hi"
