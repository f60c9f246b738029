"""Tool-like things become tools: every form, every refusal, and what is never altered."""

from __future__ import annotations

import copy
import json
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field

from agentmem.errors import DuplicateTool, InvalidInput
from agentmem.toolspec import MAX_NAME_CHARS, content_hash, read_tools
from agentmem.types import Tool

CITY = {
    "type": "object",
    "properties": {"city": {"type": "string", "description": "Where."}},
    "required": ["city"],
}
SAID: dict[str, Any] = {"name": "get_weather", "description": "Will it rain?"}
FORMATS = ("openai", "openai-responses", "anthropic", "mcp")


def read(tool: object, **options: Any) -> Tool:
    """Return the only tool of a list of one."""
    (found,) = read_tools([tool], **options)
    return found


def plain(name: str = "f", **fields: Any) -> dict[str, Any]:
    return {"name": name, **fields}


@dataclass
class McpTool:
    """A tool as MCP's client library shapes it."""

    name: str = "get_weather"
    description: str | None = "Will it rain?"
    inputSchema: dict[str, Any] = field(default_factory=lambda: CITY)  # noqa: N815 - the wire's


class McpModel(BaseModel):
    """The same as a pydantic model, whose fields have other names in Python."""

    model_config = ConfigDict(populate_by_name=True)

    name: str
    description: str | None = None
    input_schema: dict[str, Any] = Field(alias="inputSchema")
    annotations: dict[str, Any] | None = None
    meta: dict[str, Any] | None = Field(default=None, alias="_meta")


class Weather(BaseModel):
    """Arguments as a LangChain tool declares them."""

    city: str = Field(description="Where.")


class LangChainTool:
    """A tool as LangChain shapes it."""

    name = "get_weather"
    description = "Will it rain?"
    args_schema: Any = Weather

    def __call__(self, text: str) -> str:
        return text


class OlderWeather:
    """Arguments as a model of pydantic's first version."""

    @classmethod
    def schema(cls) -> dict[str, Any]:
        return {"title": "Weather", **CITY}


class LangChainOld(LangChainTool):
    """A tool of the time of those models."""

    args_schema = OlderWeather


class LangChainOlder:
    """A tool of which only the arguments are known."""

    name = "get_weather"
    description = "Will it rain?"
    args = CITY["properties"]


class LangChainRunnable:
    """A tool that makes its schema when asked."""

    name = "get_weather"
    description = "Will it rain?"

    def get_input_schema(self) -> type[BaseModel]:
        return Weather


class LangChainText(LangChainTool):
    """LangChain's `Tool`, whose schema tells how it is run and whose `args` what it takes."""

    args_schema = {"type": "object", "properties": {"config": {}}}  # noqa: RUF012 - as it has it
    args = CITY["properties"]


@pytest.mark.parametrize(
    ("given_tool", "source"),
    [
        ({"type": "function", "function": {**SAID, "parameters": CITY, "strict": True}}, "openai"),
        ({"function": {**SAID, "parameters": CITY}}, "openai"),
        ({"type": "function", **SAID, "parameters": CITY, "strict": None}, "openai-responses"),
        ({**SAID, "input_schema": CITY, "cache_control": {"type": "ephemeral"}}, "anthropic"),
        ({"type": "custom", **SAID, "input_schema": CITY}, "anthropic"),
        ({**SAID, "inputSchema": CITY, "annotations": {"readOnlyHint": True}}, "mcp"),
        ({**SAID, "parameters": CITY}, "plain"),
    ],
)
def test_a_definition_of_every_api_is_read_and_given_back_as_it_was(
    given_tool: dict[str, Any], source: str
) -> None:
    before = copy.deepcopy(given_tool)
    found = read(given_tool)
    assert (found.name, found.description) == ("get_weather", "Will it rain?")
    assert found.parameters == CITY
    assert found.source == source
    assert found.schema("original") == given_tool == before


@pytest.mark.parametrize(
    ("tool", "required"),
    [
        (LangChainTool(), True),
        (LangChainRunnable(), True),
        (LangChainOld(), True),
        (LangChainOlder(), False),
        (LangChainText(), False),
    ],
    ids=lambda one: type(one).__name__,
)
def test_a_langchain_tool_is_recognised_by_its_shape(tool: object, *, required: bool) -> None:
    found = read(tool)
    assert found.source == "langchain"
    assert found.parameters == {
        key: value for key, value in CITY.items() if required or key != "required"
    }
    assert found.original == found.schema("openai")


def test_a_langchain_schema_may_be_a_dictionary_and_does_not_repeat_the_tool() -> None:
    tool = LangChainTool()
    tool.args_schema = {**CITY, "title": "get_weather", "description": "Will it rain?"}
    assert read(tool).parameters == CITY


def test_an_mcp_object_is_given_back_under_its_names_on_the_wire() -> None:
    wire = {"name": "f", "inputSchema": CITY, "annotations": {"title": "F"}, "_meta": {"a": 1}}
    assert read(McpModel.model_validate(wire)).schema("original") == wire
    assert read(McpTool()).schema("original") == {**SAID, "inputSchema": CITY}
    assert read(McpTool()).source == "mcp"


@pytest.mark.parametrize("extra", [{"title": "Rain"}, {"annotations": {"title": "Rain"}}])
def test_the_title_of_an_mcp_tool_describes_it_where_nothing_else_does(
    extra: dict[str, Any],
) -> None:
    assert read({"name": "f", "inputSchema": CITY, **extra}).description == "Rain"
    assert read({**SAID, "inputSchema": CITY, **extra}).description == "Will it rain?"


def test_an_object_that_also_holds_code_is_read_by_its_fields() -> None:
    class Holder(BaseModel):
        name: str
        parameters: dict[str, Any]
        run: Any

    assert read(Holder(name="f", parameters=CITY, run=object())).original == plain(parameters=CITY)


def test_a_tool_is_read_again_with_its_tags_and_into_another_namespace() -> None:
    tool = read({**SAID, "inputSchema": CITY}, tags=["b", "a"])
    assert read(tool) == tool
    assert read(tool, namespace="other", tags=["c"]) == replace(
        tool, namespace="other", tags=("c",)
    )


def test_a_tool_made_by_hand_has_a_definition_to_give_back() -> None:
    found = read(Tool(name="f", description="d", parameters=CITY))
    assert found.schema("original") == found.schema("openai")
    assert read(found.schema("original")).parameters == CITY


@pytest.mark.parametrize(
    "parameters",
    [
        CITY,
        {"type": "dict", "properties": CITY["properties"], "required": ["city"]},
        {"properties": CITY["properties"], "required": ["city"]},
        {"city": {"type": "str", "description": "Where.", "required": True}},
        {"$ref": "#/$defs/A", "$defs": {"A": CITY}},
    ],
)
def test_parameters_of_every_spelling_are_one_schema(parameters: dict[str, Any]) -> None:
    found = dict(read(plain(parameters=parameters)).parameters)
    found.pop("$defs", None)
    assert found == CITY


def test_required_names_beside_a_bare_mapping_are_kept() -> None:
    tool = plain(parameters={"a": {"type": "int"}, "b": {"type": "float"}}, required=["a"])
    assert read(tool).parameters == {
        "type": "object",
        "properties": {"a": {"type": "integer"}, "b": {"type": "number"}},
        "required": ["a"],
    }


def test_an_argument_may_be_called_like_a_keyword() -> None:
    names = ["type", "properties", "required", "title", "description", "items"]
    bare = {name: {"type": "string"} for name in names}
    assert read(plain(parameters=bare)).parameters["properties"] == bare
    whole = {"type": "object", "properties": bare}
    assert read(plain(parameters=whole)).parameters == whole
    assert read(plain(parameters={"properties": {"type": "string"}})).parameters == {
        "type": "object",
        "properties": {"properties": {"type": "string"}},
    }


def test_type_names_of_python_are_translated_in_schemas_and_nowhere_else() -> None:
    parameters = {
        "type": "dict",
        "properties": {
            "a": {"type": "tuple", "items": {"type": "float"}, "default": {"type": "float"}},
            "b": {"anyOf": [{"type": "Any"}, {"type": ["str", "None"]}]},
            "c": {"type": "geography", "enum": [{"type": "dict"}]},
        },
    }
    assert read(plain(parameters=parameters)).parameters == {
        "type": "object",
        "properties": {
            "a": {"type": "array", "items": {"type": "number"}, "default": {"type": "float"}},
            "b": {"anyOf": [{}, {"type": ["string", "null"]}]},
            "c": {"type": "geography", "enum": [{"type": "dict"}]},
        },
    }


@pytest.mark.parametrize("parameters", [None, {}, {"type": "object"}])
def test_a_tool_may_take_no_arguments(parameters: object) -> None:
    assert read(plain(parameters=parameters)).parameters == {"type": "object", "properties": {}}
    assert read(plain()).parameters == {"type": "object", "properties": {}}


@pytest.mark.parametrize("description", [None, ""])
def test_a_tool_may_have_no_description(description: str | None) -> None:
    assert read(plain(description=description)).description == ""


def test_long_foreign_and_odd_descriptions_are_kept_verbatim() -> None:
    for text in (
        "x" * 10_000,
        "🌦️ 天気を調べる\r\n\t ",
        "Ob es in Köln regnet",
        "\u202eright to left",
    ):
        assert read(plain(description=text)).description == text
    assert read(plain("天気 🌦️")).name == "天気 🌦️"


def test_one_tool_a_list_and_a_generator_are_read_alike() -> None:
    tool = plain()
    assert read_tools(tool) == read_tools([tool]) == read_tools(one for one in [tool])
    assert read_tools([]) == []


def looped() -> dict[str, Any]:
    tool = plain()
    tool["parameters"] = tool
    return tool


@pytest.mark.parametrize(
    ("tool", "message"),
    [
        ({}, "the name is missing"),
        ({"description": "d"}, "the name is missing"),
        ({"function": {"description": "d"}}, "the name is missing"),
        (plain(""), "name '' is empty"),
        (plain(" "), "is empty"),
        ({"name": 5}, "name 5 is a int"),
        (plain("x" * (MAX_NAME_CHARS + 1)), "has 257 characters"),
        (plain("a\0"), "NUL"),
        (plain("a\ud800"), "lone surrogate"),
        (plain(description=5), "description 5 is a int"),
        (plain(description="\udfff"), "description has a lone surrogate"),
        (plain(parameters=[]), "parameters \\[\\] is a list"),
        (plain(parameters="{}"), "parameters '{}' is a str"),
        (plain(parameters={"type": "string"}), "parameters is of type 'string'"),
        (plain(parameters={"type": "object", "properties": []}), "parameters.properties \\[\\]"),
        (plain(parameters={"properties": {"c": "string"}}), "parameters.properties.c 'string'"),
        (plain(parameters={"c": "string"}), "neither a JSON Schema nor"),
        (plain(parameters={**CITY, "required": "city"}), "parameters.required 'city'"),
        (plain(parameters={**CITY, "required": [1]}), "parameters.required \\[1\\]"),
        (plain(parameters={**CITY, "required": True}), "parameters.required True"),
        (
            plain(parameters={"a": {"items": {"properties": 5}}}),
            "parameters.properties.a.items.properties 5",
        ),
        (plain(x={"y": [1, {2}]}), "x.y\\[1\\] is a set"),
        (plain(x={1: 2}), "x has the key 1"),
        ({"name": "f", 1: 2}, "the definition has the key 1"),
        (plain(x=float("nan")), "x is nan"),
        (plain(x=2**2000), "x is an integer of 2,001 bits"),
        (plain(x={"\ud800": 1}), "a key of x has a lone surrogate"),
        (looped(), "contains itself"),
        ({"type": "web_search"}, "'web_search' is a tool that the model's provider runs"),
        ({"type": "bash_20250124", "name": "bash"}, "provider runs"),
        (5, "5 is a int, which is no tool. Pass a Python function"),
        ("get_weather", "is a str, which is no tool"),
        (dict, "the class dict is no pydantic model"),
    ],
)
def test_what_cannot_be_used_is_refused_with_its_place(tool: object, message: str) -> None:
    with pytest.raises(InvalidInput, match=message) as caught:
        read_tools([plain("first"), tool])
    assert str(caught.value).startswith("tool 2 of 2")


def test_a_refusal_names_the_tool() -> None:
    with pytest.raises(InvalidInput, match=r"^tool 2 of 2 \('bad'\): description 5"):
        read_tools([plain(), plain("bad", description=5)])
    with pytest.raises(InvalidInput, match=r"^the tool \('bad'\): description 5"):
        read_tools({"function": plain("bad", description=5)})


@pytest.mark.parametrize("tools", ["get_weather", b"x", 5, None, Path("tools.json")])
def test_what_is_no_list_of_tools_is_refused(tools: object) -> None:
    with pytest.raises(InvalidInput, match=r"is no tool\. Pass a Python function"):
        read_tools(tools)


@pytest.mark.parametrize("other", [plain("a"), plain("a", description="d")])
def test_a_name_given_twice_is_refused_with_both_places(other: dict[str, Any]) -> None:
    with pytest.raises(DuplicateTool, match="tool 1 of 3 and tool 3 of 3 share the name 'a'"):
        read_tools([plain("a"), plain("b"), other])
    assert len(read_tools([plain("a"), plain("A")])) == 2


def test_tags_are_for_all_tools_or_for_single_ones() -> None:
    tools = [plain("a"), plain("b")]
    assert [t.tags for t in read_tools(tools, tags=["y", "x", "y"])] == [("x", "y"), ("x", "y")]
    assert [t.tags for t in read_tools(tools, tags={"b": ["x"]})] == [(), ("x",)]
    assert [t.tags for t in read_tools(tools, tags=[])] == [(), ()]


@pytest.mark.parametrize(
    ("tags", "message"),
    [
        ("x", "tags 'x' is a str"),
        ({"a": "x"}, "tags of 'a' 'x' is a str"),
        ([""], "is empty text"),
        ([5], "5 is a int"),
        ({"get": ["x"]}, "tags names the tool 'get', which is not among the 1 given"),
        ({"aa_": ["x"]}, "Did you mean 'aa'"),
        ({5: ["x"]}, "tags names the tool 5"),
    ],
)
def test_tags_that_cannot_be_used_are_refused(tags: object, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        read_tools(plain("aa" if tags == {"aa_": ["x"]} else "a"), tags=tags)


@pytest.mark.parametrize("namespace", ["", 5, "a\0"])
def test_a_namespace_is_a_name(namespace: Any) -> None:
    with pytest.raises(InvalidInput, match="namespace"):
        read_tools([], namespace=namespace)


SCHEMA = {"type": "object", "properties": {"a": {}, "b": {}}, "required": ["a", "b"]}
CHANGES: list[dict[str, Any]] = [
    {"name": "g"},
    {"namespace": "other"},
    {"description": "d"},
    {"parameters": {"type": "object"}},
    {"tags": ("x",)},
    {"original": {"name": "f", "strict": True}},
    {"source": "mcp"},
]


@pytest.mark.parametrize("change", CHANGES)
def test_the_hash_changes_with_every_part_of_a_tool(change: dict[str, Any]) -> None:
    tool = read(plain(parameters=SCHEMA))
    assert content_hash(replace(tool, **change)) != content_hash(tool)


def test_the_hash_is_the_same_for_the_same_tool_whatever_the_order_of_keys() -> None:
    turned = dict(reversed(SCHEMA.items()))
    one, other = read(plain(parameters=SCHEMA)), read({"parameters": turned, "name": "f"})
    assert content_hash(one) == content_hash(other)
    assert len(bytes.fromhex(content_hash(one))) == 16
    assert content_hash(one) == content_hash(
        replace(one, parameters=json.loads(json.dumps(SCHEMA)))
    )


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=3)
    ),
    max_leaves=8,
)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
names = texts.filter(lambda text: bool(text.strip()) and "\0" not in text)
schemas = st.recursive(
    st.fixed_dictionaries({"type": st.sampled_from(["string", "int", "any", "x"])}),
    lambda inner: (
        st.fixed_dictionaries(
            {
                "type": st.sampled_from(["object", "dict"]),
                "properties": st.dictionaries(texts, inner),
            }
        )
        | st.fixed_dictionaries({"anyOf": st.lists(inner, max_size=2), "default": json_values})
    ),
    max_leaves=6,
)
parameter_schemas = st.fixed_dictionaries(
    {"type": st.just("object"), "properties": st.dictionaries(texts, schemas, max_size=3)},
    optional={"required": st.lists(texts, max_size=2), "x-more": json_values},
)


@given(name=names, description=texts, parameters=parameter_schemas, more=json_values)
def test_any_definition_comes_back_equal(
    name: str, description: str, parameters: dict[str, Any], more: Any
) -> None:
    tool = {"name": name, "description": description, "parameters": parameters, "more": more}
    before = json.dumps(tool)
    found = read(tool)
    assert found.schema("original") == json.loads(before)
    assert json.dumps(tool) == before
    assert (found.name, found.description) == (name, description)


@given(name=names, description=texts, parameters=parameter_schemas, fmt=st.sampled_from(FORMATS))
def test_a_tool_written_for_an_api_reads_back_the_same(
    name: str, description: str, parameters: dict[str, Any], fmt: Any
) -> None:
    tool = read({"name": name, "description": description, "parameters": parameters})
    again = read(tool.schema(fmt))
    assert again.source == fmt
    assert (again.name, again.description) == (name, description)
    assert again.parameters == tool.parameters


def test_reading_a_large_catalogue_takes_a_moment() -> None:
    argument = {"type": "string", "description": "What it is about, in a sentence or two."}
    schema = {"type": "object", "properties": dict.fromkeys(("a", "b", "c", "d"), argument)}
    tools = [plain(f"tool_{n}", description="d" * 80, parameters=schema) for n in range(4_000)]
    started = time.process_time()
    assert len(read_tools(tools)) == 4_000
    assert time.process_time() - started < 1.5
