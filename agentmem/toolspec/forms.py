"""The forms a tool can come in: each is recognised by its shape and read into a `Definition`.

No library is imported to recognise its objects. What is found is checked in `definition`.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final, cast

from pydantic import BaseModel
from pydantic_core import PydanticSerializationError

from agentmem.checks import shown
from agentmem.errors import InvalidInput
from agentmem.toolspec.definition import Definition
from agentmem.toolspec.functions import from_function
from agentmem.toolspec.json_form import json_copy
from agentmem.toolspec.models import from_model, model_schema
from agentmem.types import Tool, ToolSource

__all__ = ["FORMS", "definition_of", "is_tool_like", "name_of"]

FORMS: Final = (
    "Pass a Python function, a pydantic model class, a LangChain or MCP tool, or a dictionary of "
    'OpenAI, Anthropic or MCP or like {"name": "...", "description": "...", "parameters": {...}}.'
)
SCHEMA_KEYS: Final[dict[str, ToolSource]] = {
    "input_schema": "anthropic",
    "inputSchema": "mcp",
    "parameters": "plain",
}
ATTRIBUTES: Final = ("name", "title", "description", *SCHEMA_KEYS)
LANGCHAIN_KEYS: Final = ("args_schema", "args", "get_input_schema")
CALLED: Final = "function"  # `type` of a tool that the model calls and the application runs


def is_tool_like(value: object) -> bool:
    """Whether this is meant as one tool, rather than as several."""
    return isinstance(value, (Mapping, Tool)) or callable(value) or hasattr(value, "name")


def name_of(tool: object) -> str | None:
    """Return the name that a tool seems to have, for an error message."""
    if isinstance(tool, Mapping):
        inner = tool.get(CALLED)
        name = inner.get("name") if isinstance(inner, Mapping) else tool.get("name")
    else:
        name = getattr(tool, "name", None) or getattr(tool, "__name__", None)
    return name if isinstance(name, str) else None


def definition_of(tool: object) -> Definition:
    """Read one tool of any form.

    Raises:
        InvalidInput: It has none of the forms, or a part that JSON cannot hold.
    """
    if isinstance(tool, Tool):
        original = json_copy(tool.original, what="original") or None  # made by hand, with none
        parameters = json_copy(tool.parameters, what="parameters")
        return Definition(tool.name, tool.description, parameters, tool.source, original)
    if isinstance(tool, Mapping):
        return _from_mapping(json_copy(tool, what=""))
    if inspect.isclass(tool):
        if hasattr(tool, "model_json_schema"):
            return from_model(cast("type[BaseModel]", tool))
        raise InvalidInput(f"the class {tool.__name__} is no pydantic model. {FORMS}")
    if hasattr(tool, "name") and any(hasattr(tool, key) for key in LANGCHAIN_KEYS):
        return _from_langchain(tool)
    if any(hasattr(tool, key) for key in SCHEMA_KEYS):
        return _from_mapping(json_copy(_as_mapping(tool), what=""))
    if callable(tool):
        return from_function(tool)
    raise InvalidInput(f"{shown(tool)} is a {type(tool).__name__}, which is no tool. {FORMS}")


def _from_mapping(given: dict[str, Any]) -> Definition:
    inner = given.get(CALLED)
    if isinstance(inner, dict):
        return _read(inner, source="openai", key="parameters", original=given)
    if given.get("type") == CALLED:
        return _read(given, source="openai-responses", key="parameters", original=given)
    found = [(key, source) for key, source in SCHEMA_KEYS.items() if key in given]
    if not found and isinstance(given.get("type"), str) and not _says_what_it_is(given):
        raise InvalidInput(
            f"type {shown(given['type'])} is a tool that the model's provider runs, and has no "
            "function to choose by. Pass it to the model beside the selected ones, or give it a "
            "name and a description."
        )
    key, source = found[0] if found else ("parameters", "plain")
    return _read(given, source=source, key=key, original=given)


def _says_what_it_is(given: Mapping[str, Any]) -> bool:
    return bool(given.get("name")) and bool(given.get("description"))


def _read(
    holder: Mapping[str, Any], *, source: ToolSource, key: str, original: Mapping[str, Any]
) -> Definition:
    description = holder.get("description")
    if source == "mcp":
        description = description or _title(holder)
    required = holder.get("required") if source == "plain" else None
    return Definition(holder.get("name"), description, holder.get(key), source, original, required)


def _title(holder: Mapping[str, Any]) -> object:
    """Return the name for people that MCP gives to a tool, which may be all that it says."""
    annotations = holder.get("annotations")
    inner = annotations.get("title") if isinstance(annotations, Mapping) else None
    return holder.get("title") or inner


def _as_mapping(tool: Any) -> Mapping[str, Any]:
    """Return an object's definition under the names it has on the wire."""
    if hasattr(tool, "model_dump"):
        with suppress(PydanticSerializationError):  # it also holds a function or a connection
            dumped: Mapping[str, Any] = tool.model_dump(
                mode="json", by_alias=True, exclude_none=True
            )
            return dumped
    values = {key: getattr(tool, key, None) for key in ATTRIBUTES}
    return {key: value for key, value in values.items() if value is not None}


def _from_langchain(tool: Any) -> Definition:
    name, description = getattr(tool, "name", None), getattr(tool, "description", None)
    schema, arguments = _langchain_schema(tool), getattr(tool, "args", None)
    if isinstance(arguments, Mapping) and not schema.get("properties", {}).keys() <= set(arguments):
        schema = {"type": "object", "properties": arguments}  # a `Tool`, which takes one text
    return Definition(name, description, _untitled(schema), "langchain")


def _langchain_schema(tool: Any) -> Mapping[str, Any]:
    """Return the arguments of a LangChain tool, without those that the application injects."""
    for attribute in ("tool_call_schema", "args_schema"):
        schema = getattr(tool, attribute, None)
        if inspect.isclass(schema):
            return model_schema(schema)
        if isinstance(schema, Mapping):
            return schema
    if isinstance(arguments := getattr(tool, "args", None), Mapping):
        return {"type": "object", "properties": arguments}
    return model_schema(tool.get_input_schema())


def _untitled(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return a schema without what repeats the name and the description of its tool."""
    return {key: value for key, value in schema.items() if key not in ("title", "description")}
