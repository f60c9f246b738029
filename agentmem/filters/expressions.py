"""The nodes of a filter, and the operators that build them.

Frozen, hashable values that are checked as they are made: whatever exists can be compiled.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, TypeAlias, TypeGuard, Union, cast

from agentmem.checks import shown
from agentmem.errors import InvalidInput
from agentmem.filters.operands import Operator, Scalar, check_field, check_operator, check_value

__all__ = [
    "MAX_DEPTH",
    "And",
    "Comparison",
    "Field",
    "Filter",
    "Not",
    "Or",
    "field",
    "fields_of",
    "is_filter",
]

MAX_DEPTH: Final = 32  # a person writes 3; SQL planners recurse over the rest
MAX_COMPARISONS: Final = 1_000  # keeps the compiled SQL far below planners' limits


class _Expression:
    """The operators that every node shares."""

    __slots__ = ()

    def __and__(self, other: Filter) -> And:
        return And((*_parts(self, And), *_parts(other, And)))

    def __or__(self, other: Filter) -> Or:
        return Or((*_parts(self, Or), *_parts(other, Or)))

    def __invert__(self) -> Not:
        return Not(cast("Filter", self))

    def __bool__(self) -> bool:
        raise InvalidInput(
            "a filter has no truth value of its own, so `and`, `or`, `not` and chained "
            "comparisons would lose a part of it. Use  (a) & (b),  (a) | (b)  and  ~(a)."
        )


@dataclass(frozen=True, slots=True)
class Comparison(_Expression):
    """One field against one value.

    Attributes:
        field: A column, or `metadata.` and a path of keys joined by dots.
        op: How they are compared.
        value: A scalar; a tuple of scalars for `in`. Datetimes are in UTC.
    """

    field: str
    op: Operator
    value: Scalar | tuple[Scalar, ...]

    def __post_init__(self) -> None:
        """Check the field, the operator, and that the value can be compared with the field."""
        check_field(self.field)
        check_operator(self.op)
        value = check_value(self.op, self.value, field=self.field)
        object.__setattr__(self, "value", value)


@dataclass(frozen=True, slots=True)
class And(_Expression):
    """True where every part is."""

    parts: tuple[Filter, ...]

    def __post_init__(self) -> None:
        """Check the parts and the size of the whole."""
        object.__setattr__(self, "parts", _check_parts(self.parts, word="and"))
        _check_size(self)


@dataclass(frozen=True, slots=True)
class Or(_Expression):
    """True where at least one part is."""

    parts: tuple[Filter, ...]

    def __post_init__(self) -> None:
        """Check the parts and the size of the whole."""
        object.__setattr__(self, "parts", _check_parts(self.parts, word="or"))
        _check_size(self)


@dataclass(frozen=True, slots=True)
class Not(_Expression):
    """True where its part is not."""

    part: Filter

    def __post_init__(self) -> None:
        """Check the part and the size of the whole."""
        _check_parts((self.part,), word="not")
        _check_size(self)


Filter: TypeAlias = Union[Comparison, And, Or, Not]  # noqa: UP007 (forward use at runtime)


class Field:
    """A field that builds comparisons from Python's operators; made by `field`."""

    __slots__ = ("name",)
    __hash__ = None  # type: ignore[assignment]  # equality builds a filter

    def __init__(self, name: str) -> None:
        check_field(name)
        self.name = name

    def __eq__(self, value: Scalar) -> Comparison:  # type: ignore[override]
        return Comparison(self.name, "eq", value)

    def __ne__(self, value: Scalar) -> Comparison:  # type: ignore[override]
        return Comparison(self.name, "ne", value)

    def __lt__(self, value: Scalar) -> Comparison:
        return Comparison(self.name, "lt", value)

    def __le__(self, value: Scalar) -> Comparison:
        return Comparison(self.name, "lte", value)

    def __gt__(self, value: Scalar) -> Comparison:
        return Comparison(self.name, "gt", value)

    def __ge__(self, value: Scalar) -> Comparison:
        return Comparison(self.name, "gte", value)

    def in_(self, values: Iterable[Scalar]) -> Comparison:
        """Return the condition that the field equals one of the values."""
        return Comparison(self.name, "in", cast("tuple[Scalar, ...]", values))

    def contains(self, value: Scalar) -> Comparison:
        """Return the condition that the text holds this text, or the list this element."""
        return Comparison(self.name, "contains", value)


def field(name: str) -> Field:
    """Return a field to compare, such as `field("metadata.topic") == "travel"`.

    Args:
        name: id, role, name, user_id, agent_id, session_id, content, event_time, ingested_at,
            importance, valid_until, superseded_by, superseded_at, expires_at, pinned, or
            `metadata.` and a path of keys joined by dots; of tools, name, description, namespace,
            source or tags.

    Raises:
        InvalidInput: There is no such field.
    """
    return Field(name)


def _parts(node: object, kind: type[And | Or]) -> tuple[Filter, ...]:
    """Return the parts of a node of that kind, so that `a & b & c` stays one level deep."""
    return node.parts if isinstance(node, kind) else (cast("Filter", node),)


def is_filter(node: object) -> TypeGuard[Filter]:
    """Return whether this is a node of a filter."""
    return isinstance(node, (Comparison, And, Or, Not))


def fields_of(node: Filter) -> set[str]:
    """Return the fields that a filter names."""
    if isinstance(node, Comparison):
        return {node.field}
    return set().union(*map(fields_of, _children(node)))


def _check_parts(parts: object, *, word: str) -> tuple[Filter, ...]:
    if not isinstance(parts, (list, tuple)) or not parts:
        raise InvalidInput(f"`{word}` needs at least one condition. Pass None for no filter.")
    for part in parts:
        if not is_filter(part):
            raise InvalidInput(
                f"`{word}` joins conditions, and {shown(part)} is none. Build conditions with "
                'field("...") and put each in parentheses: (field("role") == "user") & (...).'
            )
    return tuple(parts)


def _check_size(node: Filter) -> None:
    if _depth(node) > MAX_DEPTH:
        raise InvalidInput(f"the filter is nested more than {MAX_DEPTH} deep. Flatten it.")
    if _size(node) > MAX_COMPARISONS:
        raise InvalidInput(
            f"the filter has more than {MAX_COMPARISONS:,} comparisons. "
            "Use `in` for many values of one field."
        )


def _children(node: Filter) -> tuple[Filter, ...]:
    if isinstance(node, Comparison):
        return ()
    return (node.part,) if isinstance(node, Not) else node.parts


def _depth(node: Filter) -> int:
    return 1 + max(map(_depth, _children(node)), default=0)


def _size(node: Filter) -> int:
    return isinstance(node, Comparison) + sum(map(_size, _children(node)))
