"""The texts of a tool that are embedded: words of names, descriptions, flattened arguments."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentmem.toolspec import read_tools, views, words_of
from agentmem.toolspec.views import MAX_ARGUMENTS, MAX_CHOICES, MAX_NESTING
from agentmem.types import Tool


def arguments(parameters: dict[str, Any]) -> str:
    (tool,) = read_tools({"name": "f", "parameters": parameters})
    return views(tool).arguments


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("getHTTPResponse2", "get HTTP Response 2"),
        ("get_weather", "get weather"),
        ("book-flight", "book flight"),
        ("math.factorial", "math factorial"),
        ("mcp__server__read_file", "mcp server read file"),
        ("server/readFile:now", "server read File now"),
        ("text2image", "text 2 image"),
        ("get3DModel", "get 3D Model"),
        ("page2Items", "page 2 Items"),
        ("mp3_to_s3", "mp3 to s3"),
        ("sha256", "sha256"),
        ("S3Bucket", "S3 Bucket"),
        ("Get Weather", "Get Weather"),
        ("weather", "weather"),
        ("__init__", "init"),
        ("天気を調べる", "天気を調べる"),
        ("मौसम_जानकारी", "मौसम जानकारी"),
        ("🌦️", "🌦️"),
        ("_._", "_._"),
        ("", ""),
    ],
)
def test_names_are_split_into_words(name: str, words: str) -> None:
    assert words_of(name) == words


@given(st.text(max_size=30))
def test_splitting_a_name_loses_no_letter_and_happens_once(name: str) -> None:
    words = words_of(name)
    assert [c for c in words if c.isalnum()] == [c for c in name if c.isalnum()]
    assert words_of(words) == words


def test_a_tool_has_three_texts() -> None:
    (tool,) = read_tools(
        {
            "name": "getWeather",
            "description": " Will it rain?\n",
            "parameters": {
                "type": "object",
                "properties": {
                    "cityName": {"type": "string", "description": "Where. "},
                    "unit": {"enum": ["C", "F", None], "description": "Of temperature."},
                    "days": {"type": "integer"},
                },
            },
        }
    )
    assert views(tool).name == "get Weather"
    assert views(tool).description == "get Weather:  Will it rain?\n"
    assert views(tool).arguments == "city Name: Where.; unit: Of temperature. (C, F); days"


def test_a_tool_without_description_or_arguments_has_its_name() -> None:
    assert views(Tool(name="get_weather", description="")).description == "get weather"
    assert views(Tool(name="get_weather", description="")).arguments == ""


def test_nested_arguments_are_flattened_with_dots() -> None:
    street = {"type": "string", "description": "And number."}
    address = {"type": "object", "properties": {"street_name": street}}
    assert arguments({"properties": {"home": address}}) == "home; home.street name: And number."
    listed = {"type": "array", "description": "All.", "items": address}
    assert arguments({"properties": {"a": listed}}) == "a: All.; a.street name: And number."
    mapped = {"type": "object", "additionalProperties": address}
    assert arguments({"properties": {"a": mapped}}) == "a; a.street name: And number."
    either = {"anyOf": [address, {"type": "null"}]}
    assert arguments({"properties": {"a": either}}) == "a; a.street name: And number."


def test_references_are_followed_with_descriptions_and_choices() -> None:
    parameters = {
        "type": "object",
        "properties": {
            "unit": {"anyOf": [{"$ref": "#/$defs/Unit"}, {"type": "null"}]},
            "from": {"$ref": "#/definitions/a~1b%20c", "description": "Where from."},
            "kind": {"const": "round"},
            "item": {"$ref": "#/properties/unit/anyOf/0"},
        },
        "$defs": {"Unit": {"enum": ["C", "F"], "description": "A unit."}},
        "definitions": {"a/b c": {"description": "A place.", "properties": {"x": {}}}},
    }
    assert arguments(parameters) == (
        "unit: A unit. (C, F); from: Where from.; from.x; kind (round); item: A unit. (C, F)"
    )


@pytest.mark.parametrize(
    "reference",
    [
        "#/$defs/Gone",
        "https://example.org/schema",
        "#/properties/a/enum/9",
        "#/required/0",
        "#/$defs/A/b/c",
        "",
        5,
    ],
)
def test_a_reference_that_leads_nowhere_is_passed_over(reference: object) -> None:
    a = {"$ref": reference, "description": "A.", "enum": ["x"]}
    found = arguments({"type": "object", "properties": {"a": a, "b": {}}, "required": ["a"]})
    assert found == "a: A. (x); b"


NODE = {
    "type": "object",
    "properties": {
        "value": {"type": "integer"},
        "children": {"type": "array", "items": {"$ref": "#/$defs/Node"}},
    },
}


def test_a_schema_that_contains_itself_ends() -> None:
    root = {"type": "object", "properties": {"tree": {"$ref": "#/$defs/Node"}}}
    assert arguments({**root, "$defs": {"Node": NODE}}) == "tree; tree.value; tree.children"
    assert arguments({"properties": {"again": {"$ref": "#"}, "a": {}}}) == (
        "again; again.again; again.a; a"
    )
    both = {"A": {"$ref": "#/$defs/B"}, "B": {"anyOf": [{"$ref": "#/$defs/A"}]}}
    assert arguments({"properties": {"a": {"$ref": "#/$defs/A"}}, "$defs": both}) == "a"
    assert arguments({"$ref": "#/$defs/A", "$defs": both}) == ""
    assert arguments({"$ref": "#"}) == ""
    assert arguments({"$ref": "https://example.org/schema"}) == ""


def test_a_schema_that_multiplies_itself_is_cut() -> None:
    fan = {
        f"L{level}": {
            "type": "object",
            "properties": {f"x{n}": {"$ref": f"#/$defs/L{level + 1}"} for n in range(20)},
            "anyOf": [{"$ref": f"#/$defs/L{level + 1}"}] * 20,
        }
        for level in range(30)
    }
    started = time.process_time()
    found = arguments({"type": "object", "properties": {"a": {"$ref": "#/$defs/L0"}}, "$defs": fan})
    assert time.process_time() - started < 2
    assert len(found.split("; ")) == MAX_ARGUMENTS


def test_deep_and_long_schemas_are_cut() -> None:
    deep: dict[str, Any] = {"type": "string"}
    for _ in range(20):
        deep = {"type": "object", "properties": {"a": deep}}
    assert arguments(deep).split("; ")[-1] == ".".join("a" * MAX_NESTING)
    assert arguments({"a": {"enum": list(range(100))}}).count(",") == MAX_CHOICES - 1


def test_values_that_are_no_schemas_are_passed_over() -> None:
    parameters = {
        "type": "object",
        "properties": {
            "yes": True,
            "odd": {"description": 5, "enum": "abc", "anyOf": {"a": 1}, "items": [{}, 5]},
            "kept": {"enum": [{"a": 1}, [2], "x", 1.5, True]},
        },
    }
    assert arguments(parameters) == "yes; odd; kept (x, 1.5, True)"


def test_the_texts_of_a_large_catalogue_take_a_moment() -> None:
    argument = {"type": "string", "description": "What it is about, in a sentence or two."}
    schema = {"type": "object", "properties": dict.fromkeys(("a", "b", "c", "d"), argument)}
    tools = [Tool(name=f"tool_{n}", description="d", parameters=schema) for n in range(4_000)]
    started = time.process_time()
    assert all(views(tool).arguments for tool in tools)
    assert time.process_time() - started < 0.5
