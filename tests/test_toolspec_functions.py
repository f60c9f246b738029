"""Functions and pydantic models become tools: hints to JSON Schema, docstrings to descriptions."""

from __future__ import annotations

import asyncio
import functools
import operator
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from enum import Enum
from typing import TYPE_CHECKING, Annotated, Any, Literal, Optional, TypedDict, Union

import pytest
from pydantic import BaseModel, ConfigDict, Field, RootModel
from typing_extensions import Required

from agentmem.errors import InvalidInput
from agentmem.toolspec import read_tools
from agentmem.types import Tool

if TYPE_CHECKING:
    from somewhere import Elsewhere  # type: ignore[import-not-found]


def read(function: object) -> Tool:
    (found,) = read_tools([function])
    return found


def arguments(function: object) -> dict[str, Any]:
    properties: dict[str, Any] = read(function).parameters["properties"]
    return properties


class Unit(Enum):
    C = "celsius"
    F = "fahrenheit"


class Base(TypedDict):
    title: str


class Movie(Base, total=False):
    year: int
    rating: Required[float]


@dataclass
class Place:
    latitude: float
    longitude: float = 0.0


class Node(BaseModel):
    """A tree.

    Attributes:
        value: What it holds.
    """

    value: int
    children: list[Node] = []


class Session:
    """Nothing that JSON could hold."""


class RunContext:
    """What an agent framework passes to its tools."""

    text: str


def get_weather(city: str, days: int = 3, *, unit: Unit | None = None) -> str:
    """Tell whether it will rain.

    Asks a station nearby: the nearest one.

    Args:
        city: Name of the city,
            in any language.
        days (int): How far ahead.
        unit: Of the temperature.

    Returns:
        A sentence.
    """
    return f"{city} {days} {unit}"


def test_a_function_becomes_a_tool() -> None:
    found = read(get_weather)
    assert found.name == "get_weather"
    assert found.source == "function"
    assert found.description == (
        "Tell whether it will rain.\n\nAsks a station nearby: the nearest one."
    )
    assert found.parameters == {
        "type": "object",
        "properties": {
            "city": {"type": "string", "description": "Name of the city,\nin any language."},
            "days": {"type": "integer", "default": 3, "description": "How far ahead."},
            "unit": {
                "anyOf": [{"$ref": "#/$defs/Unit"}, {"type": "null"}],
                "default": None,
                "description": "Of the temperature.",
            },
        },
        "required": ["city"],
        "$defs": {
            "Unit": {"title": "Unit", "type": "string", "enum": ["celsius", "fahrenheit"]},
        },
    }
    assert found.original == found.schema("openai")


def numpy_style(a: int, b: int, c: str = "") -> None:
    """Do it.

    Parameters
    ----------
    a, b : int
        Both of them.
    c : str, optional
        The third.
    """


def sphinx_style(a: int, b: int, c: str = "") -> None:
    """Do it.

    :param a: Both of them.
    :param b: Both of them.
    :param str c: The third.
    :raises ValueError: Never.
    """


def google_style(a: int, b: int, c: str = "") -> None:
    """Do it.

    Args:
        a: Both of them.
        b: Both of them.
        c: The third.
    """


@pytest.mark.parametrize("function", [numpy_style, sphinx_style, google_style])
def test_docstrings_of_three_styles_say_the_same(function: Callable[..., None]) -> None:
    assert read(function).description == "Do it."
    assert {name: one.get("description") for name, one in arguments(function).items()} == {
        "a": "Both of them.",
        "b": "Both of them.",
        "c": "The third.",
    }


@pytest.mark.parametrize(
    "text",
    [
        "Just a text: with: colons.\n\nAnd more",
        "",
        ":",
        "Args:",
        "x\n---\n:param",
        "Odd.\n\n::\n    :type x: int",
    ],
)
def test_any_other_docstring_is_the_description(text: str) -> None:
    def function() -> None: ...

    function.__doc__ = text
    assert read(function).description == text.strip()


def test_a_function_without_a_docstring_has_no_description() -> None:
    def function(a: int) -> None: ...

    assert read(function).description == ""


def hinted(  # type: ignore[no-untyped-def]  # noqa: PLR0917 - every kind once
    untyped,  # noqa: ANN001 - as many functions have it
    literal: Literal["a", "b"],
    listed: list[int],
    mapped: dict[str, float],
    either: Union[int, str],  # noqa: UP007 - as older code has it
    maybe: Optional[str],  # noqa: UP045 - as older code has it
    day: date,
    place: Place,
    movie: Movie,
    movies: Annotated[list[Movie] | None, "what to watch"] = None,
    noted: Annotated[int, Field(ge=1, description="a count")] = 1,
    said: Annotated[int, "a text", Field(ge=1)] = 1,
    fielded: int = Field(3, description="a field", ge=0),
    infinite: float = float("inf"),
    odd: Any = operator,
    *more: int,
    schema: bool = False,
    _private: bool = False,
    model_name: str = "",
    **others: str,
) -> Elsewhere: ...


def test_hints_of_every_kind_become_json_schema() -> None:
    parameters = read(hinted).parameters
    properties = parameters["properties"]
    assert properties == {
        "untyped": {},
        "literal": {"type": "string", "enum": ["a", "b"]},
        "listed": {"type": "array", "items": {"type": "integer"}},
        "mapped": {"type": "object", "additionalProperties": {"type": "number"}},
        "either": {"anyOf": [{"type": "integer"}, {"type": "string"}]},
        "maybe": {"anyOf": [{"type": "string"}, {"type": "null"}]},
        "day": {"type": "string", "format": "date"},
        "place": {"$ref": "#/$defs/Place"},
        "movie": {"$ref": "#/$defs/Movie"},
        "movies": {
            "anyOf": [
                {"type": "array", "items": {"$ref": "#/$defs/Movie"}},
                {"type": "null"},
            ],
            "default": None,
            "description": "what to watch",
        },
        "noted": {"type": "integer", "minimum": 1, "default": 1, "description": "a count"},
        "said": {"type": "integer", "minimum": 1, "default": 1, "description": "a text"},
        "fielded": {"type": "integer", "minimum": 0, "default": 3, "description": "a field"},
        "infinite": {"type": "number"},
        "odd": {},
        "schema": {"type": "boolean", "default": False},
        "_private": {"type": "boolean", "default": False},
        "model_name": {"type": "string", "default": ""},
    }
    assert parameters["required"] == list(properties)[:9]
    assert parameters["additionalProperties"] is True
    assert parameters["$defs"]["Movie"]["properties"].keys() == {"title", "year", "rating"}
    assert parameters["$defs"]["Movie"]["required"] == ["title", "rating"]
    assert parameters["$defs"]["Place"]["required"] == ["latitude"]


def test_a_dictionary_type_that_holds_itself_is_described() -> None:
    assert "children" in str(read(takes_tree).parameters)


class Tree(TypedDict):
    children: list[Tree]


def takes_tree(tree: Tree) -> None: ...


def test_what_a_model_cannot_give_is_left_out() -> None:
    def function(
        ctx: RunContext, a: int, session: Session, callback: Callable[[], int] | None = None
    ) -> None: ...

    function.__annotations__ = {
        "ctx": RunContext,
        "a": int,
        "session": Session,
        "callback": Callable[[], int],
    }
    assert arguments(function) == {"a": {"type": "integer"}}


class Toolbox:
    """Methods and a call."""

    def method(self, a: int) -> None:
        """Be a method."""

    @classmethod
    def of_class(cls, a: int) -> None:
        """Be a method."""

    @staticmethod
    def static(a: int) -> None:
        """Be a method."""

    def __call__(self, a: int) -> None:
        """Be a method."""


def decorated(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return wrapper


async def coroutine(a: int) -> None:
    """Be a method."""
    await asyncio.sleep(a)


def bound(first: str, a: int, last: str) -> None:
    """Be a method."""


@pytest.mark.parametrize(
    ("function", "name"),
    [
        (Toolbox().method, "method"),
        (Toolbox.method, "method"),
        (Toolbox.of_class, "of_class"),
        (Toolbox.static, "static"),
        (Toolbox(), "Toolbox"),
        (coroutine, "coroutine"),
        (decorated(coroutine), "coroutine"),
        (functools.lru_cache(Toolbox.static), "static"),
        (functools.partial(bound, "x", last="y"), "bound"),
        (functools.partial(functools.partial(bound, last="y"), "x"), "bound"),
        (functools.partial(Toolbox().method), "method"),
    ],
)
def test_every_kind_of_callable_is_a_tool(function: Callable[..., Any], name: str) -> None:
    found = read(function)
    assert found.name == name
    assert found.description == "Be a method."
    assert found.parameters == {
        "type": "object",
        "properties": {"a": {"type": "integer"}},
        "required": ["a"],
    }


def unresolved(a: Elsewhere) -> None: ...


def wrongly_typed(a: Annotated[int, Field(discriminator="kind")]) -> None: ...


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda a: a, "a lambda has no name"),
        (functools.partial(lambda a: a, 1), "a lambda has no name"),
        (unresolved, "'unresolved'.*name 'Elsewhere' is not defined. Import"),
        (wrongly_typed, "'wrongly_typed'.*type hints make no JSON Schema"),
        (max, "'max'.*signature cannot be read"),
        (operator.itemgetter(1), "signature cannot be read"),
        (Session, "the class Session is no pydantic model"),
    ],
)
def test_a_function_that_cannot_be_described_is_refused(function: object, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        read(function)


def test_a_pydantic_model_becomes_a_tool() -> None:
    class BookFlight(BaseModel):
        """Book a flight."""

        to: str = Field(description="Where to.")
        seats: int = 1
        price: float = float("inf")

    found = read(BookFlight)
    assert (found.name, found.description, found.source) == (
        "BookFlight",
        "Book a flight.",
        "pydantic",
    )
    assert found.parameters == {
        "type": "object",
        "properties": {
            "to": {"type": "string", "description": "Where to."},
            "seats": {"type": "integer", "default": 1},
            "price": {"type": "number"},
        },
        "required": ["to"],
    }
    assert found.original == found.schema("openai")


def test_a_model_that_holds_itself_is_an_object_with_its_documentation() -> None:
    found = read(Node)
    assert found.description == "A tree."
    assert found.parameters["type"] == "object"
    assert found.parameters["properties"] == {
        "value": {"type": "integer", "description": "What it holds."},
        "children": {"type": "array", "default": [], "items": {"$ref": "#/$defs/Node"}},
    }


class Unwritable(BaseModel):
    model_config = ConfigDict(arbitrary_types_allowed=True)

    session: Session


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (Unwritable, "the model Unwritable has a field that JSON Schema cannot describe"),
        (RootModel[list[int]], "parameters is of type 'array'"),
    ],
)
def test_a_model_that_describes_no_arguments_is_refused(model: object, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        read(model)


def test_reading_functions_imports_no_library_of_tools() -> None:
    assert not {"langchain_core", "mcp"} & set(sys.modules)
