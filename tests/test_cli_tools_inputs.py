"""Tests of what the tool commands read."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentmem.cli.tools.inputs import labelled_queries, messages, tool_definitions, usage_examples
from agentmem.errors import InvalidInput

WEATHER = {"name": "get_weather", "description": "Weather of a city.", "parameters": {}}
FLIGHT = {"type": "function", "function": {"name": "book_flight", "description": "Books."}}
Write = Callable[[str | bytes], str]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Give what writes a file and returns its path."""

    def write(content: str | bytes) -> str:
        path = tmp_path / "input.json"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return str(path)

    return write


def as_lines(*values: object) -> str:
    return "".join(f"{json.dumps(value)}\n" for value in values)


@pytest.mark.parametrize(
    "content",
    [
        json.dumps([WEATHER, FLIGHT]),
        json.dumps([WEATHER, FLIGHT], indent=2),
        "\ufeff" + json.dumps([WEATHER, FLIGHT]),
        as_lines(WEATHER, FLIGHT),
        "\n" + as_lines(WEATHER, FLIGHT).replace("\n", "\r\n\r\n"),
        json.dumps({"model": "m", "messages": [], "tools": [WEATHER, FLIGHT]}),
        json.dumps({"functions": [WEATHER, FLIGHT]}),
        json.dumps({"jsonrpc": "2.0", "id": 1, "result": {"tools": [WEATHER, FLIGHT]}}),
    ],
    ids=["list", "indented", "BOM", "lines", "CRLF", "request", "old request", "MCP answer"],
)
def test_tools_are_found_in_every_wrapping(write: Write, content: str) -> None:
    assert tool_definitions([write(content)]) == [WEATHER, FLIGHT]


def test_a_single_definition_is_a_catalogue_of_one(write: Write) -> None:
    assert tool_definitions([write(json.dumps(FLIGHT))]) == [FLIGHT]


def test_a_tool_may_have_tools_among_its_own_keys(write: Write) -> None:
    tool = {"name": "pick", "description": "Picks.", "tools": ["hammer"]}
    assert tool_definitions([write(json.dumps(tool))]) == [tool]


def test_several_sources_are_joined_in_order(write: Write, tmp_path: Path) -> None:
    second = tmp_path / "second.jsonl"
    second.write_text(as_lines(FLIGHT), encoding="utf-8")
    assert tool_definitions([str(second), write(as_lines(WEATHER))]) == [FLIGHT, WEATHER]


@pytest.fixture
def own_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Give the name of a module in the working folder."""
    code = """
def get_weather(city: str) -> str:
    "Weather of a city."

class Desk:
    def close(self): "Closes."

TOOLS = [get_weather, {"name": "plain", "description": "x", "parameters": {}}]
"""
    (tmp_path / "own_tools_of_a_test.py").write_text(code, encoding="utf-8")
    (tmp_path / "broken_tools_of_a_test.py").write_text("1 / 0", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "own_tools_of_a_test", raising=False)
    return "own_tools_of_a_test"


def test_python_objects_are_named_by_module_and_attribute(own_module: str) -> None:
    before = list(sys.path)
    (function,) = tool_definitions([f"{own_module}:get_weather"])
    assert function.__doc__ == "Weather of a city."
    both = tool_definitions([f"{own_module}:TOOLS"])
    assert both == [function, {"name": "plain", "description": "x", "parameters": {}}]
    assert tool_definitions([f"{own_module}:Desk.close"])[0].__doc__ == "Closes."
    assert sys.path == before


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("own_tools_of_a_test:absent", "AttributeError"),
        ("no_such_module_at_all:x", "ModuleNotFoundError"),
        ("broken_tools_of_a_test:x", "ZeroDivisionError"),
        ("own_tools_of_a_test", "cannot be read"),
    ],
)
def test_what_cannot_be_imported_is_refused_with_the_cause(
    own_module: str, source: str, said: str
) -> None:
    with pytest.raises(InvalidInput, match=said):
        tool_definitions([source])


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "it is empty"),
        (" \n\n", "it is empty"),
        ("{\n  broken\n}", r"neither JSON nor JSON lines: .*line 2"),
        (as_lines(WEATHER) + "{broken\n", "line 2: "),
        (b'{"name": "caf\xe9"}', "not UTF-8 at byte 13"),
        ("[" * 100_000, "neither JSON nor JSON lines"),
    ],
    ids=["empty", "blank", "broken", "broken line", "latin-1", "deep"],
)
def test_a_file_that_is_no_json_is_refused_saying_where(
    write: Write, content: str | bytes, said: str
) -> None:
    with pytest.raises(InvalidInput, match=said):
        tool_definitions([write(content)])


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"absent\.json.* cannot be read"):
        tool_definitions([str(tmp_path / "absent.json")])


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inside: st.lists(inside, max_size=3) | st.dictionaries(st.text(), inside, max_size=3),
    max_leaves=5,
)


@given(values=st.lists(JSON, min_size=1, max_size=4))
def test_what_is_written_as_json_lines_is_read_as_it_was(
    tmp_path_factory: pytest.TempPathFactory, values: list[Any]
) -> None:
    path = tmp_path_factory.getbasetemp() / "lines.jsonl"
    lines = [json.dumps({"name": "t", "value": value}, ensure_ascii=False) for value in values]
    path.write_bytes("\n".join(lines).encode())
    assert [tool["value"] for tool in tool_definitions([str(path)])] == values


@pytest.mark.parametrize(
    "content",
    [
        json.dumps({"get_weather": ["Rain?", "Sun?"], "book_flight": "To Rome"}),
        as_lines({"get_weather": ["Rain?"]}, {"get_weather": ["Sun?"], "book_flight": ["To Rome"]}),
        as_lines(
            {"tool": "get_weather", "query": "Rain?"},
            {"tool": "book_flight", "query": "To Rome"},
            {"tool": "get_weather", "query": "Sun?"},
        ),
        json.dumps(
            [
                {"tool": "get_weather", "query": "Rain?"},
                {"get_weather": ["Sun?"]},
                {"tool": "book_flight", "query": "To Rome"},
            ]
        ),
    ],
    ids=["mapping", "mappings", "lines", "list"],
)
def test_examples_are_gathered_by_tool(write: Write, content: str) -> None:
    found = usage_examples(write(content))
    assert found == {"get_weather": ["Rain?", "Sun?"], "book_flight": ["To Rome"]}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (as_lines({"tool": "a", "query": "x"}, {"tool": "a", "queri": 1}), "record 2 of the file"),
        (json.dumps({"a": [1]}), "no usage example"),
        (json.dumps({"a": []}), "no usage example"),
        (json.dumps(["a"]), "a record is a JSON object"),
    ],
)
def test_what_is_no_example_is_refused(write: Write, content: str, said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        usage_examples(write(content))


def test_labels_are_names_or_nothing_where_no_tool_fits(write: Write) -> None:
    content = as_lines(
        {"query": "Rain?", "tools": ["get_weather"]},
        {"query": "To Rome", "tools": "book_flight"},
        {"query": "Hello", "tools": []},
        {"query": "Bye", "tools": None},
    )
    assert labelled_queries(write(content)) == (
        ["Rain?", "To Rome", "Hello", "Bye"],
        [["get_weather"], ["book_flight"], None, None],
    )


@pytest.mark.parametrize(
    "record",
    [
        {"query": "x"},
        {"tools": ["a"]},
        {"query": "x", "tool": "a"},
        {"query": 3, "tools": []},
        {"query": "x", "tools": [1]},
        {"query": "x", "tools": False},
        {"query": "x", "tools": 0},
        {"query": "x", "tools": ""},
        {"query": "x", "tools": {}},
    ],
    ids=json.dumps,
)
def test_a_query_without_labels_is_not_taken_for_unanswerable(
    write: Write, record: dict[str, Any]
) -> None:
    with pytest.raises(InvalidInput, match=r"record 1 of the file .* no query with its tools"):
        labelled_queries(write(as_lines(record)))


SAID = {"role": "user", "content": "I am in Turin."}
CALLED = {"role": "tool", "name": "get_weather", "content": "rain"}


@pytest.mark.parametrize(
    "content",
    [
        json.dumps([SAID, CALLED]),
        as_lines(SAID, CALLED),
        json.dumps({"model": "m", "messages": [SAID, CALLED]}),
    ],
    ids=["list", "lines", "request"],
)
def test_messages_are_found_in_every_wrapping(write: Write, content: str) -> None:
    assert messages(write(content)) == [SAID, CALLED]


def test_one_message_is_a_history_of_one_and_no_file_is_none(write: Write) -> None:
    assert messages(write(json.dumps(SAID))) == [SAID]
    assert messages(None) is None
