"""Requests, read: names in queries, clauses, and what went before in every form callers have."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from memory_tools import open_hashed, say
from pydantic import BaseModel

from agentmem.analysis import analyze
from agentmem.errors import InvalidInput
from agentmem.routing.question import Names, read_conversation, read_question
from agentmem.types import Role, Turn

NAMES = ["get_weather", "bookFlight", "Weather", "HTTPServer.stop", "send", "x2", "send"]


def written(text: str) -> set[str]:
    return {NAMES[place] for place in Names.of(NAMES).written_in(text)}


def mentioned(text: str) -> set[str]:
    return {NAMES[place] for place in Names.of(NAMES).mentioned_in(text)}


@pytest.mark.parametrize(
    "text",
    [
        *(
            "get_weather",
            "use get_weather.",
            "(get_weather)",
            "`get_weather`",
            "call get_weather()",
        ),
        *('"get_weather"', "get_weather: Turin", "**get_weather**", "\u201cget_weather\u201d"),
        *("{get_weather}", "get_weather, please", "get_weather\uff1f", "why get_weather?"),
    ],
)
def test_an_identifier_is_recognised_between_any_marks(text: str) -> None:
    assert written(text) == {"get_weather"}


def test_names_that_are_words_are_no_identifiers_but_mentions() -> None:
    assert written("Weather: send") == set()
    assert mentioned("Weather: send") == {"Weather", "send"}


@pytest.mark.parametrize(
    "text", ["get weather", "Get-Weather", "getWeather", "GET_WEATHER", "to get\nweather in Turin"]
)
def test_a_name_is_recognised_however_it_is_spelt(text: str) -> None:
    assert "get_weather" in mentioned(text)


@pytest.mark.parametrize("text", ["get_weath", "bookFlights", "getting weather", "x 2"])
def test_what_only_resembles_a_name_is_not_it(text: str) -> None:
    assert not mentioned(text) & {"get_weather", "bookFlight", "x2"}


def test_capitals_and_dots_split_alike_in_names_and_texts() -> None:
    assert mentioned("please do the http server stop now") == {"HTTPServer.stop"}
    assert mentioned("book flight") == {"bookFlight"}


def test_every_tool_of_a_name_is_found() -> None:
    assert Names.of(NAMES).mentioned_in("send") == [4, 6]


def test_a_name_of_many_words_is_recognised() -> None:
    name = "list_all_open_pull_requests_of_one_repository_by_author"
    assert Names.of([name]).mentioned_in(f"now {name.replace('_', ' ')} please") == [0]


def test_names_without_words_are_never_mentioned() -> None:
    assert Names.of(["\u2600", "_", "get_it"]).mentioned_in("anything at all") == []


def test_a_long_text_is_read_in_time_linear_in_its_length() -> None:
    names = Names.of([f"tool_{n}_{n}" for n in range(2_000)])
    assert names.mentioned_in("tool word " * 50_000 + "tool 7 7") == [7]


@pytest.mark.parametrize("query", [None, 3, b"rain", ["rain"], "", " \n\t"])
def test_what_is_no_query_is_refused(query: object) -> None:
    with pytest.raises(InvalidInput, match="query"):
        read_question(query)


def test_terms_know_the_word_they_came_from() -> None:
    found = read_question("Will the Flights be delayed?")
    assert dict(found.terms) == {analyze("flights")[0]: "Flights", analyze("delayed")[0]: "delayed"}


@pytest.mark.parametrize(
    ("query", "clauses"),
    [
        ("Book a flight to Turin.", 0),
        ("Book a flight to Turin, and tell me the weather there.", 2),
        ("Book a flight to Turin. Then check the weather there! Mail results to Ada", 3),
        ("Book a flight to Turin\nCheck the weather there", 2),
        ("Please help. Book a flight to Turin.", 2),
        ("Thanks! Book a flight to Turin.", 0),
        ("Compare bread and butter prices", 0),
    ],
)
def test_clauses_are_the_needs_of_a_query(query: str, clauses: int) -> None:
    found = read_question(query).clauses
    assert len(found) == clauses
    assert all(set(clause) <= set(read_question(query).terms) for clause in found)


def test_a_pasted_document_has_a_bounded_number_of_clauses() -> None:
    assert len(read_question("Some sentence here. " * 500).clauses) == 12


class Said(BaseModel):
    """A message as chat libraries make it: an object with a type."""

    type: str
    content: str
    name: str | None = None
    tool_calls: list[dict[str, Any]] = []


def said(**fields: Any) -> Said:
    return Said(**fields)


OPENAI: list[dict[str, Any]] = [
    {"role": "user", "content": "Will it rain?"},
    {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {"id": "1", "type": "function", "function": {"name": "get_weather", "arguments": "{}"}}
        ],
    },
    {"role": "tool", "tool_call_id": "1", "name": "get_weather", "content": "It will not."},
]
RESPONSES = [
    {"role": "user", "content": [{"type": "input_text", "text": "Will it rain?"}]},
    {"type": "function_call", "name": "get_weather", "arguments": "{}", "call_id": "1"},
    {"type": "function_call_output", "call_id": "1", "output": "It will not."},
]
ANTHROPIC = [
    {"role": "user", "content": "Will it rain?"},
    {
        "role": "assistant",
        "content": [{"type": "tool_use", "id": "1", "name": "get_weather", "input": {}}],
    },
    {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "1", "content": "No."}]},
]
LANGCHAIN = [
    {"type": "human", "content": "Will it rain?", "name": "ada"},
    {
        "type": "ai",
        "content": "",
        "tool_calls": [{"name": "get_weather", "args": {}, "id": "1", "type": "tool_call"}],
    },
    {"type": "tool", "name": "get_weather", "content": "It will not.", "tool_call_id": "1"},
]
MCP = [
    "Will it rain?",
    {"jsonrpc": "2.0", "method": "tools/call", "params": {"name": "get_weather", "arguments": {}}},
]
PLAIN = ["Will it rain?", {"name": "get_weather", "arguments": {"city": "Turin"}}]
LEGACY = [
    {"role": "user", "content": "Will it rain?"},
    {"role": "assistant", "content": None, "function_call": {"name": "get_weather"}},
    {"role": "function", "name": "get_weather", "content": "It will not."},
]
ANSWER_ALONE = [OPENAI[0], OPENAI[2]]
FORMS = [OPENAI, RESPONSES, ANTHROPIC, LANGCHAIN, MCP, PLAIN, LEGACY, ANSWER_ALONE]


@pytest.mark.parametrize("history", FORMS)
def test_every_form_of_history_tells_what_was_said_and_called(history: list[Any]) -> None:
    found = read_conversation(history, None)
    assert found.called == ("get_weather",)
    assert found.texts == ("Will it rain?",)


def turn(content: str, *, role: Role = "user", name: str | None = None) -> Turn:
    now = datetime(2024, 5, 1, tzinfo=timezone.utc)
    return Turn(
        id=content,
        role=role,
        content=content,
        name=name,
        event_time=now,
        ingested_at=now,
        user_id="ada",
    )


def test_turns_are_messages() -> None:
    said = [turn("Will it rain?", name="Ada"), turn("No.", role="tool", name="get_weather")]
    found = read_conversation(said, None)
    assert (found.called, found.texts) == (("get_weather",), ("Will it rain?",))


def test_a_call_made_twice_in_a_turn_is_told_twice_and_answers_add_nothing() -> None:
    calls = [one for one in OPENAI if one.get("role") != "user"]
    assert read_conversation([*OPENAI, *calls], None).called == ("get_weather",) * 2


def test_only_the_calls_of_the_last_turn_that_called_are_told() -> None:
    asked = {"role": "user", "content": "And now?"}
    call = {"role": "assistant", "tool_calls": [{"name": "book_flight"}]}
    assert read_conversation([*OPENAI, asked, call], None).called == ("book_flight",)
    assert read_conversation([*OPENAI, asked], None).called == ("get_weather",)


def test_all_tools_called_so_far_are_told_once_each() -> None:
    asked = {"role": "user", "content": "And now?"}
    call = {"role": "assistant", "tool_calls": [{"name": "book_flight"}]}
    found = read_conversation([*OPENAI, asked, call, *OPENAI], None)
    assert found.used == ("get_weather", "book_flight")


STEPS = [  # results come as messages of the user in one form, as objects without a role in another
    [
        {"role": "user", "content": "Book it, then mail it"},
        {"role": "assistant", "content": [{"type": "tool_use", "name": "book_flight"}]},
        {"role": "user", "content": [{"type": "tool_result", "content": "Booked."}]},
        {"role": "assistant", "content": [{"type": "tool_use", "name": "send_mail"}]},
    ],
    [
        said(type="human", content="Book it, then mail it"),
        said(type="ai", content="", tool_calls=[{"name": "book_flight"}]),
        said(type="tool", content="Booked.", name="book_flight"),
        said(type="ai", content="Now the mail.", tool_calls=[{"name": "send_mail"}]),
        said(type="tool", content="Sent.", name="send_mail"),
    ],
]


@pytest.mark.parametrize("steps", STEPS)
def test_a_turn_of_several_steps_is_one_turn_and_the_next_question_another(
    steps: list[Any],
) -> None:
    assert read_conversation([*OPENAI, *steps], None).called == ("book_flight", "send_mail")
    assert read_conversation([*steps, *OPENAI], None).called == ("get_weather",)


def test_only_what_was_said_last_is_kept() -> None:
    assert read_conversation([f"said {n}" for n in range(9)], None).texts == ("said 7", "said 8")


def test_memory_in_every_form_is_what_was_recalled_first(tmp_path: Path) -> None:
    with open_hashed(tmp_path) as memory:
        memory.add([say(f"rain {n}") for n in range(5)], user_id="ada")
        recall = memory.search("rain", user_id="ada", k=5)
        context = memory.context("rain", user_id="ada", max_tokens=500)
    contents = [hit.turn.content for hit in recall]
    texts = tuple(contents[:3])
    for form in (recall, list(recall), [hit.turn for hit in recall], contents):
        assert read_conversation(None, form).texts == texts
    assert len(read_conversation(None, context).texts) == 3
    assert read_conversation(None, contents[0]).texts == texts[:1]


def test_nothing_before_is_nothing() -> None:
    nothing: tuple[object, ...] = (None, [], ())
    for empty in nothing:
        assert read_conversation(empty, empty).texts == ()
    assert read_conversation([{"role": "assistant", "content": " "}], None).texts == ()


@pytest.mark.parametrize("bad", [3, [3], [None], [b"rain"], 4.5])
@pytest.mark.parametrize("where", ["history", "memory"])
def test_what_is_no_message_is_refused_by_its_place(bad: object, where: str) -> None:
    with pytest.raises(InvalidInput, match=where):
        read_conversation(**{"history": None, "memory": None, where: bad})
