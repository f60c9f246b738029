"""Typed conditions on turns and tools: `(field("role") == "user") & (field("metadata.n") >= 3)`.

Also their JSON form for command lines and HTTP: `{"role": "user", "metadata.n": {"gte": 3}}`.
`matches` states what they mean; the storage compiles the same expressions to SQL. Logic is
two-valued: a missing field equals nothing but None, so `ne` is true of it, and `~` is plain
negation. Nothing is coerced: "7" is not 7 and True is not 1, but 7 is 7.0.
"""

from __future__ import annotations

from agentmem.filters.expressions import And, Comparison, Field, Filter, Not, Or, field
from agentmem.filters.json_form import parse_filter, to_json
from agentmem.filters.meaning import matches
from agentmem.filters.operands import Operator, Scalar, Subject

__all__ = [
    "And",
    "Comparison",
    "Field",
    "Filter",
    "Not",
    "Operator",
    "Or",
    "Scalar",
    "Subject",
    "field",
    "matches",
    "parse_filter",
    "to_json",
]
