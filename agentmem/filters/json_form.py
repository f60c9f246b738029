"""The JSON form of filters, for command lines, HTTP and configuration files."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, cast

from agentmem.checks import shown, utc
from agentmem.errors import InvalidInput
from agentmem.filters.expressions import (
    MAX_DEPTH,
    And,
    Comparison,
    Filter,
    Not,
    Or,
    fields_of,
    is_filter,
)
from agentmem.filters.operands import (
    TIMES,
    Operator,
    Scalar,
    Subject,
    check_field,
    check_operator,
)

__all__ = ["parse_filter", "to_json"]


def parse_filter(obj: object, *, subject: Subject = "turn") -> Filter:
    """Read a filter from its JSON form.

    Args:
        obj: `{field: value}` for equality, `{field: {operator: value}}`, `{"and": [...]}`,
            `{"or": [...]}`, `{"not": {...}}`; several keys of one object must all hold. Times
            are ISO strings with a zone. A filter that is one already is returned as it is.
        subject: What it is about; a field that this does not have is refused.

    Raises:
        InvalidInput: Something is not of that form; the message names it.
    """
    if not is_filter(obj):
        return _parse(obj, depth=1, subject=subject)
    for name in fields_of(obj):
        check_field(name, subject=subject)
    return obj


def _parse(obj: object, *, depth: int, subject: Subject) -> Filter:
    if depth > MAX_DEPTH:
        raise InvalidInput(f"the filter is nested more than {MAX_DEPTH} deep. Flatten it.")
    if not isinstance(obj, Mapping) or not obj:
        raise InvalidInput(
            f"a filter is a non-empty JSON object, not {shown(obj)}. "
            'Write it like {"role": "user", "metadata.n": {"gte": 3}}.'
        )
    parts = [
        part
        for key, value in obj.items()
        for part in _entry(key, value, depth=depth, subject=subject)
    ]
    return parts[0] if len(parts) == 1 else And(tuple(parts))


def _entry(key: object, value: object, *, depth: int, subject: Subject) -> list[Filter]:
    if key in ("and", "or"):
        return [_junction(str(key), value, depth=depth, subject=subject)]
    if key == "not":
        return [Not(_parse(value, depth=depth + 1, subject=subject))]
    check_field(key, subject=subject)
    name = cast("str", key)
    if not isinstance(value, Mapping):
        value = {"eq": value}
    if not value:
        raise InvalidInput(f"{name} has no operator. Write it like {{{name!r}: {{'gte': 3}}}}.")
    return [_comparison(name, op, operand) for op, operand in value.items()]


def _junction(word: str, value: object, *, depth: int, subject: Subject) -> And | Or:
    if not isinstance(value, (list, tuple)):
        raise InvalidInput(f"`{word}` needs a list of filters, not {shown(value)}.")
    parts = tuple(_parse(part, depth=depth + 1, subject=subject) for part in value)
    return And(parts) if word == "and" else Or(parts)


def _comparison(name: str, op: object, operand: Any) -> Comparison:
    check_operator(op)
    if name in TIMES:
        if isinstance(operand, (list, tuple)):
            operand = [_moment(one, field=name) for one in operand]
        else:
            operand = _moment(operand, field=name)
    return Comparison(name, cast("Operator", op), operand)


def _moment(value: Any, *, field: str) -> Any:
    return utc(value, what=f"the value of {field}") if isinstance(value, str) else value


def to_json(node: Filter) -> dict[str, Any]:
    """Return a filter's JSON form; `parse_filter` gives the filter back."""
    if isinstance(node, Not):
        return {"not": to_json(node.part)}
    if isinstance(node, (And, Or)):
        word = "and" if isinstance(node, And) else "or"
        return {word: [to_json(part) for part in node.parts]}
    value = node.value
    if isinstance(value, tuple):
        return {node.field: {node.op: [_json_scalar(one) for one in value]}}
    return {node.field: {node.op: _json_scalar(value)}}


def _json_scalar(value: Scalar) -> str | float | None:
    return value.isoformat() if isinstance(value, datetime) else value
