"""The conditions that reads and deletes are made under: scopes, keys, times and filters as SQL.

What a filter means is defined by `agentmem.filters.matches`, and the SQL here agrees with it
exactly. Every value goes through `literal`, every column name is one of ours, and the scope
comes first.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Final

from agentmem.errors import ScopeRequired
from agentmem.filters import And, Comparison, Filter, Not, Or, Scalar
from agentmem.storage.metadata import compare_metadata
from agentmem.storage.quoting import EVERYTHING, any_of, both, literal
from agentmem.types import AllScopes, Scope

__all__ = [
    "HEADS",
    "both",
    "compile_filter",
    "contents_sql",
    "keys_sql",
    "literal",
    "scope_sql",
    "where_sql",
]

HEADS: Final = "chunk = 0"  # the row that stands for a turn, and the only one with its content
SYMBOLS: Final = {"lt": "<", "lte": "<=", "gt": ">", "gte": ">="}
SCOPE_FIELDS: Final = ("user_id", "agent_id", "session_id")


def keys_sql(keys: Iterable[str]) -> str:
    """Return the condition that a row belongs to one of these keys."""
    return any_of("key", keys)


def contents_sql(contents: Mapping[str, str]) -> str:
    """Return the condition that a row belongs to one of these keys and has its content hash."""
    return any_of("concat(key, content_hash)", (key + said for key, said in contents.items()))


def scope_sql(scope: Scope | AllScopes) -> str:
    """Return the condition that a row lies in a scope.

    Raises:
        ScopeRequired: The scope names nothing; reading everything takes `ALL`.
    """
    if isinstance(scope, AllScopes):
        return EVERYTHING
    if scope.is_empty:
        raise ScopeRequired(
            "no user_id, agent_id or session_id was given, so this would reach every user. "
            "Name at least one, or pass scope=ALL to mean everyone."
        )
    given = [(name, getattr(scope, name)) for name in SCOPE_FIELDS]
    return both(*(f"{name} = {literal(value)}" for name, value in given if value is not None))


def where_sql(
    scope: Scope | AllScopes,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    matching: Filter | None = None,
) -> str:
    """Return the condition of a read, the scope first.

    Args:
        scope: Whose turns.
        since: Earliest event time, included.
        until: Latest event time, excluded.
        matching: A filter; one that names `content` is only right of rows with `chunk = 0`.

    Raises:
        ScopeRequired: The scope names nothing.
        InvalidInput: A value cannot be compared.
    """
    return both(
        scope_sql(scope),
        EVERYTHING if since is None else f"event_time >= {literal(since)}",
        EVERYTHING if until is None else f"event_time < {literal(until)}",
        EVERYTHING if matching is None else compile_filter(matching),
    )


def compile_filter(expression: Filter) -> str:
    """Return a filter as SQL that is true of exactly the turns it matches."""
    return _compile(expression, wanted=True)


def _compile(node: Filter, *, wanted: bool) -> str:
    """Write a node, or its negation.

    Negations sink to the comparisons, because SQL's NOT of an unknown is not true.
    """
    if isinstance(node, Not):
        return _compile(node.part, wanted=not wanted)
    if isinstance(node, (And, Or)):
        word = " AND " if isinstance(node, And) is wanted else " OR "
        return word.join(f"({_compile(part, wanted=wanted)})" for part in node.parts)
    if wanted is (node.op == "ne"):
        return f"({_comparison(node)}) IS NOT TRUE"
    return _comparison(node)


def _comparison(node: Comparison) -> str:
    """Write a comparison, and `ne` as the `eq` it negates. May be unknown instead of false."""
    column, _, path = node.field.partition(".")
    values = node.value if isinstance(node.value, tuple) else (node.value,)
    if column == "metadata":
        return compare_metadata(path.split("."), op=node.op, values=values)
    if node.op == "contains":
        return f"contains({column}, {literal(values[0])})"
    if node.op in SYMBOLS:
        return f"{column} {SYMBOLS[node.op]} {literal(values[0])}"
    return _equals_any(column, values)


def _equals_any(column: str, values: tuple[Scalar, ...]) -> str:
    listed = ", ".join(literal(value) for value in values if value is not None)
    found = [f"{column} IN ({listed})"] if listed else []
    missing = [f"{column} IS NULL"] if None in values else []
    return " OR ".join(found + missing) or "false"
