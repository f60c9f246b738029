"""What every form of a tool is read into first, and the tests it passes to become a `Tool`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from agentmem.checks import clean_text, identifier, shown
from agentmem.errors import InvalidInput
from agentmem.toolspec.json_form import json_copy
from agentmem.toolspec.schemas import object_schema
from agentmem.types import Tool, ToolSource

__all__ = ["MAX_NAME_CHARS", "Definition", "to_tool"]

MAX_NAME_CHARS: Final = 256  # models' APIs take 64 to 128; a longer one is a description


@dataclass(frozen=True, slots=True)
class Definition:
    """The parts of a tool as they were found, not checked yet.

    Attributes:
        name: What should be its name.
        description: What should be its description; None is none.
        parameters: What should describe its arguments; None is none. JSON if `original` is given.
        source: What it was found in.
        original: The definition as it was given; None of a Python object, which is no JSON.
        required: Names of required arguments that stood beside the parameters.
    """

    name: object
    description: object
    parameters: object
    source: ToolSource
    original: Mapping[str, Any] | None = None
    required: object = None


def to_tool(found: Definition, *, namespace: str, tags: tuple[str, ...]) -> Tool:
    """Check a definition and return it as a tool.

    Raises:
        InvalidInput: A part cannot be used; says which, why and the repair.
    """
    tool = Tool(
        name=_name(found.name),
        description=_description(found.description),
        parameters=object_schema(_copied(found), required=found.required),
        namespace=namespace,
        tags=tags,
        source=found.source,
        original={} if found.original is None else found.original,
    )
    return tool if found.original is not None else replace(tool, original=tool.schema("openai"))


def _copied(found: Definition) -> object:
    """Return the parameters as JSON; those of a definition that was given are already."""
    if found.original is not None or found.parameters is None:
        return found.parameters
    return json_copy(found.parameters, what="parameters")


def _name(name: object) -> str:
    if name is None:
        raise InvalidInput(
            'the name is missing, and a model calls a tool by it. Add "name": "get_weather".'
        )
    if not isinstance(name, str):
        raise InvalidInput(
            f"name {shown(name)} is a {type(name).__name__}, and names are text. Pass str(...)."
        )
    if not name.strip():
        raise InvalidInput(f"name {name!r} is empty, and a model calls a tool by it. Fill it in.")
    if len(name) > MAX_NAME_CHARS:
        raise InvalidInput(
            f"name {shown(name)} has {len(name):,} characters, and at most {MAX_NAME_CHARS} are "
            "allowed. Move what it says into the description."
        )
    return identifier(name, what="name")


def _description(description: object) -> str:
    if description is None:
        return ""
    if not isinstance(description, str):
        raise InvalidInput(
            f"description {shown(description)} is a {type(description).__name__}, and it is "
            "embedded as text. Pass text, or leave it out."
        )
    return clean_text(description, what="description")
