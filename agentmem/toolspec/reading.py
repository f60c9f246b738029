"""From a list of anything tool-like to tools: places in errors, tags, and names given twice."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from agentmem.checks import identifier, nearest, shown
from agentmem.errors import DuplicateTool, InvalidInput
from agentmem.toolspec.definition import to_tool
from agentmem.toolspec.forms import FORMS, definition_of, is_tool_like, name_of
from agentmem.types import Tool

__all__ = ["read_tools"]


def read_tools(tools: object, *, namespace: str = "default", tags: object = None) -> list[Tool]:
    """Read one tool, or an iterable of them.

    Args:
        tools: Python functions, pydantic models, objects or definitions of other libraries, or
            tools, in any mixture.
        namespace: Where they belong.
        tags: Labels for all of them, or a mapping of tools' names to labels. A `Tool` keeps its
            own where it is given none.

    Returns:
        One tool for each, in order.

    Raises:
        InvalidInput: One of them cannot be used; names it, its place, the reason and the repair.
        DuplicateTool: Two of them have one name; names both places.
    """
    space = identifier(namespace, what="namespace")
    given = _gathered(tools)
    places = [
        _place(place, of=len(given), alone=is_tool_like(tools)) for place in range(len(given))
    ]
    shared, own = _tags(tags)
    found = [
        _read(tool, where=where, namespace=space, shared=shared, own=own)
        for where, tool in zip(places, given, strict=True)
    ]
    _check_names(found, places=places)
    _check_tagged(own, found)
    return found


def _gathered(tools: object) -> list[object]:
    if is_tool_like(tools):
        return [tools]
    if isinstance(tools, Iterable) and not isinstance(tools, (str, bytes, bytearray)):
        return list(tools)
    raise InvalidInput(
        f"tools {shown(tools)} is a {type(tools).__name__}, which is no tool. {FORMS}"
    )


def _place(place: int, *, of: int, alone: bool) -> str:
    return "the tool" if alone else f"tool {place + 1} of {of}"


def _read(
    tool: object,
    *,
    where: str,
    namespace: str,
    shared: tuple[str, ...] | None,
    own: Mapping[str, tuple[str, ...]],
) -> Tool:
    try:
        found = definition_of(tool)
        kept = tool.tags if isinstance(tool, Tool) else ()
        named = own.get(found.name) if isinstance(found.name, str) else None
        labels = next((one for one in (named, shared) if one is not None), kept)
        return to_tool(found, namespace=namespace, tags=labels)
    except InvalidInput as error:
        name = name_of(tool)
        called = f" ({shown(name)})" if name else ""
        raise InvalidInput(f"{where}{called}: {error}") from error


def _tags(tags: object) -> tuple[tuple[str, ...] | None, dict[str, tuple[str, ...]]]:
    """Return the labels for every tool, and those of single tools by name."""
    if tags is None:
        return None, {}
    if isinstance(tags, Mapping):
        return None, {
            name: _labels(one, what=f"tags of {shown(name)}") for name, one in tags.items()
        }
    return _labels(tags, what="tags"), {}


def _labels(tags: Any, *, what: str) -> tuple[str, ...]:
    if isinstance(tags, (str, bytes)) or not isinstance(tags, Iterable):
        raise InvalidInput(
            f"{what} {shown(tags)} is a {type(tags).__name__}, and tags are a list of texts. "
            'Pass a list such as ["weather"].'
        )
    return tuple(sorted({identifier(tag, what=f"a tag among {what}") for tag in tags}))


def _check_names(tools: list[Tool], *, places: list[str]) -> None:
    first: dict[str, str] = {}
    for tool, where in zip(tools, places, strict=True):
        earlier = first.setdefault(tool.name, where)
        if earlier != where:
            raise DuplicateTool(
                f"{earlier} and {where} share the name {tool.name!r}, and a model calls a tool by "
                "its name. Rename one, leave one out, or register them in different namespaces."
            )


def _check_tagged(own: Mapping[str, tuple[str, ...]], tools: list[Tool]) -> None:
    names = {tool.name for tool in tools}
    for name in own:
        if name not in names:
            raise InvalidInput(
                f"tags names the tool {shown(name)}, which is not among the {len(names)} given."
                f"{nearest(str(name), names)} Use the names of the tools as keys."
            )
