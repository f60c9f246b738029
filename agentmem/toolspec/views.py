"""What of a tool is embedded and indexed: its words, its description, and its arguments.

Arguments that are objects are flattened with dots. References are followed once on any path, so a
schema that contains itself ends; one that leads nowhere is passed over.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

from agentmem.toolspec.schemas import COMBINED, resolved
from agentmem.toolspec.words import words_of
from agentmem.types import Tool

__all__ = ["VIEWS", "ToolViews", "views"]

VIEWS: Final = (
    "name-description-arguments-v1"  # raised when the texts change: stored ones are stale
)
MAX_ARGUMENTS: Final = (
    256  # some 4,000 tokens; what a schema has beyond that tells tools apart no more
)
MAX_NESTING: Final = 6  # deeper arguments are data, not what the tool is about
MAX_CHOICES: Final = 24  # months and units pass; of 200 currencies the first ones show the kind


@dataclass(frozen=True, slots=True)
class ToolViews:
    """The texts of a tool.

    Attributes:
        name: Its name split into words.
        description: `words of the name: description`, the description as it is.
        arguments: `words of an argument: description (choices)`, joined by "; "; empty without
            arguments.
    """

    name: str
    description: str
    arguments: str


def views(tool: Tool) -> ToolViews:
    """Return the texts of a tool that are embedded and indexed."""
    name = words_of(tool.name)
    described = f"{name}: {tool.description}" if tool.description else name
    lines = _lines(tool.parameters, path=(), root=tool.parameters, seen=frozenset())
    return ToolViews(name, described, "; ".join(islice(lines, MAX_ARGUMENTS)))


def _lines(
    schema: Mapping[str, Any],
    *,
    path: tuple[str, ...],
    root: Mapping[str, Any],
    seen: frozenset[str],
) -> Iterator[str]:
    """Yield a line for each argument that a schema describes, outer ones first."""
    if len(path) >= MAX_NESTING:
        return
    parts, seen = _parts(schema, root=root, seen=seen)
    for part in parts:
        properties = part.get("properties")
        for name, one in properties.items() if isinstance(properties, Mapping) else ():
            inner = (*path, words_of(name))
            argument = one if isinstance(one, Mapping) else {}
            yield _line(argument, path=inner, root=root, seen=seen)
            yield from _lines(argument, path=inner, root=root, seen=seen)


def _parts(
    schema: Mapping[str, Any], *, root: Mapping[str, Any], seen: frozenset[str]
) -> tuple[list[Mapping[str, Any]], frozenset[str]]:
    """Return a schema with all that it refers to, combines, or is a list of; and what was met."""
    parts, met, waiting = [], set(seen), [schema]
    while waiting:
        part = waiting.pop(0)
        parts.append(part)
        reference = part.get("$ref")
        if isinstance(reference, str) and reference not in met:
            met.add(reference)
            waiting.append(resolved(reference, root=root) or {})
        members = [one for key in COMBINED for one in _listed(part.get(key))]
        members += [part.get("items"), part.get("additionalProperties")]
        waiting.extend(one for one in members if isinstance(one, Mapping))
    return parts, frozenset(met)


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _line(
    argument: Mapping[str, Any],
    *,
    path: tuple[str, ...],
    root: Mapping[str, Any],
    seen: frozenset[str],
) -> str:
    parts, _ = _parts(argument, root=root, seen=seen)
    texts = (part.get("description") for part in parts)
    description = next((text for text in texts if isinstance(text, str) and text.strip()), "")
    choices = [one for part in parts for one in _choices(part)]
    named = ".".join(path)
    told = f"{named}: {description.strip()}" if description else named
    return f"{told} ({', '.join(choices[:MAX_CHOICES])})" if choices else told


def _choices(part: Mapping[str, Any]) -> list[str]:
    listed = _listed(part.get("enum"))
    if isinstance(const := part.get("const"), (str, int, float)):
        listed = [*listed, const]
    return [str(one) for one in listed if one is not None and not isinstance(one, (dict, list))]
