"""What a filter means: the plain-Python reference that compiled SQL is tested against."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

from agentmem.filters.expressions import And, Filter, Not, Or
from agentmem.filters.operands import METADATA
from agentmem.types import Tool, Turn

__all__ = ["matches"]


def matches(node: Filter, subject: Turn | Tool | Mapping[str, Any]) -> bool:
    """Return whether a filter holds for a turn: the reference that SQL is tested against.

    Of a tool, or a mapping of its fields, it is the filter itself.
    """
    if isinstance(node, And):
        return all(matches(part, subject) for part in node.parts)
    if isinstance(node, Or):
        return any(matches(part, subject) for part in node.parts)
    if isinstance(node, Not):
        return not matches(node.part, subject)
    return _TESTS[node.op](_lookup(subject, node.field), node.value)


def _lookup(subject: Turn | Tool | Mapping[str, Any], name: str) -> Any:
    """Return the field's value, or None where there is none; JSON's null is none too."""
    read = subject.get if isinstance(subject, Mapping) else partial(getattr, subject)
    if not name.startswith(METADATA):
        return read(name)
    value: Any = read("metadata")
    for key in name.split(".")[1:]:
        if not isinstance(value, Mapping):
            return None
        value = value.get(key)
    return value


def _kind(value: object) -> str:
    """Return the name of the type that two values must share to be compared."""
    if isinstance(value, bool):
        return "bool"
    return "number" if isinstance(value, (int, float)) else type(value).__name__


def _equal(found: Any, value: Any) -> bool:
    return _kind(found) == _kind(value) and bool(found == value)


def _ordered(found: Any, value: Any, compare: Callable[[Any, Any], bool]) -> bool:
    return _kind(found) == _kind(value) and compare(found, value)


def _contains(found: Any, value: Any) -> bool:
    if isinstance(found, str):
        return isinstance(value, str) and value in found
    return isinstance(found, (list, tuple)) and any(_equal(part, value) for part in found)


_TESTS: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "eq": _equal,
    "ne": lambda found, value: not _equal(found, value),
    "lt": lambda found, value: _ordered(found, value, lambda a, b: a < b),
    "lte": lambda found, value: _ordered(found, value, lambda a, b: a <= b),
    "gt": lambda found, value: _ordered(found, value, lambda a, b: a > b),
    "gte": lambda found, value: _ordered(found, value, lambda a, b: a >= b),
    "in": lambda found, values: any(_equal(found, value) for value in values),
    "contains": _contains,
}
