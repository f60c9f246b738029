"""What a comparison may be made of: its fields, operators and values, and which fit together.

Refuses comparisons that could never be true of a field of known type, rather than letting a
search quietly find nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Final, Literal, TypeAlias, Union, get_args

from agentmem.checks import MAX_INTEGER, clean_text, nearest, shown, utc
from agentmem.errors import InvalidInput

__all__ = [
    "METADATA",
    "TIMES",
    "Operator",
    "Scalar",
    "Subject",
    "check_field",
    "check_operator",
    "check_value",
]

Operator: TypeAlias = Literal["eq", "ne", "lt", "lte", "gt", "gte", "in", "contains"]
Scalar: TypeAlias = Union[str, int, float, bool, datetime, None]  # noqa: UP007 (3.10 at runtime)
Subject: TypeAlias = Literal["turn", "tool"]
"""What a filter is about: turns of a memory, or tools of a catalogue."""

OPERATORS: Final[tuple[str, ...]] = get_args(Operator)
ORDERINGS: Final = frozenset({"lt", "lte", "gt", "gte"})
TEXTS: Final = (
    *("id", "role", "name", "user_id", "agent_id", "session_id", "content"),
    "superseded_by",
)
TIMES: Final = ("event_time", "ingested_at", "valid_until", "superseded_at", "expires_at")
NUMBER: Final = "importance"
FLAG: Final = "pinned"
COLUMNS: Final = (*TEXTS, *TIMES, NUMBER, FLAG)
METADATA: Final = "metadata."
TAGS: Final = "tags"
TOOL_TEXTS: Final = ("name", "description", "namespace", "source")
TOOL_COLUMNS: Final = (*TOOL_TEXTS, TAGS)
MAX_VALUES: Final = 10_000  # of one `in`; more belong into metadata or a scope

_OF_TURNS: Final = f"Fields are {', '.join(COLUMNS)}, and {METADATA}<key>[.<key>...]."
_COLUMNS_OF: Final[Mapping[Subject | None, tuple[str, ...]]] = {
    "turn": COLUMNS,
    "tool": TOOL_COLUMNS,
    None: (*COLUMNS, *TOOL_COLUMNS),
}
_FIELDS_OF: Final[Mapping[Subject | None, str]] = {
    "turn": _OF_TURNS,
    "tool": f"Fields of tools are {', '.join(TOOL_COLUMNS)}.",
    None: f"{_OF_TURNS} Those of tools are {', '.join(TOOL_COLUMNS)}.",
}


def check_field(name: object, *, subject: Subject | None = None) -> None:
    """Refuse a field that no turn and no tool has, or not the one that the filter is about."""
    if not isinstance(name, str):
        raise InvalidInput(f"a filter's field is text, not {shown(name)}.")
    if name in _COLUMNS_OF[subject]:
        return
    clean_text(name, what="a filter's field")
    if subject != "tool" and _is_path(name):
        return
    raise InvalidInput(
        f"there is no field {shown(name)}. {_FIELDS_OF[subject]}{_hint(name, subject=subject)}"
    )


def _is_path(name: str) -> bool:
    return name.startswith(METADATA) and all(name.split(".")) and "\0" not in name


def _hint(name: str, *, subject: Subject | None) -> str:
    if subject == "tool":
        return nearest(name, TOOL_COLUMNS)
    if name.startswith("metadata"):
        return ""
    close = nearest(name, (*_COLUMNS_OF[subject], "metadata"))
    return close or f" Did you mean {METADATA + name!r}?"


def check_operator(op: object) -> None:
    """Refuse an operator that does not exist."""
    if op not in OPERATORS:
        raise InvalidInput(
            f"there is no operator {shown(op)}. Operators are {', '.join(OPERATORS)}."
            + nearest(str(op), OPERATORS)
        )


def check_value(op: str, value: object, *, field: str) -> Scalar | tuple[Scalar, ...]:
    """Return the value as the operator needs it: a tuple for `in`, datetimes in UTC."""
    checked = _many(value, field=field) if op == "in" else _one(value, field=field)
    _check_fit(op, checked, field=field)
    return checked


def _one(value: object, *, field: str) -> Scalar:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return clean_text(str.__str__(value), what=f"the value of {field}")
    if isinstance(value, datetime):
        return utc(value, what=f"the value of {field}")
    if isinstance(value, int):
        return _integer(value, field=field)
    if isinstance(value, float):
        return _finite(value, field=field)
    raise InvalidInput(
        f"{field} is compared with a {type(value).__name__}. Values are text, numbers, booleans, "
        "None and aware datetimes; for one of several values use the operator `in`."
    )


def _integer(value: int, *, field: str) -> int:
    if not -MAX_INTEGER - 1 <= value <= MAX_INTEGER:
        raise InvalidInput(f"{field} is compared with an integer beyond 64 bits. Use text.")
    return int(value)


def _finite(value: float, *, field: str) -> float:
    if not math.isfinite(value):
        raise InvalidInput(f"{field} is compared with {value}, which no field holds. Use None.")
    return float(value)


def _many(values: object, *, field: str) -> tuple[Scalar, ...]:
    if isinstance(values, (str, bytes, Mapping)) or not isinstance(values, Iterable):
        raise InvalidInput(f"`in` needs a list of values for {field}, not {shown(values)}.")
    checked = tuple(_one(value, field=field) for value in values)
    if len(checked) > MAX_VALUES:
        raise InvalidInput(
            f"`in` has {len(checked):,} values for {field}, and at most {MAX_VALUES:,} are "
            "allowed. Ask in several searches."
        )
    return checked


def _check_fit(op: str, value: Scalar | tuple[Scalar, ...], *, field: str) -> None:
    """Refuse what could never be true, or means nothing, for a field of known type."""
    if field == TAGS and op != "contains":
        raise InvalidInput(
            f"{field} is a list, so {op} could never match. Use `contains` with one of them."
        )
    if op in ORDERINGS and (value is None or isinstance(value, bool) or field == FLAG):
        raise InvalidInput(f"{field} cannot be ordered against {value}. Use eq or ne.")
    if op == "contains" and (value is None or field in (*TIMES, NUMBER, FLAG)):
        raise InvalidInput(
            f"`contains` looks for text in a text, or an element in a list: {field} cannot be "
            f"asked whether it contains {shown(value)}."
        )
    for one in value if isinstance(value, tuple) else (value,):
        if one is not None and not isinstance(one, _types_of(field)):
            raise InvalidInput(_misfit(field, one))


def _types_of(field: str) -> tuple[type, ...]:
    if field in TIMES:
        return (datetime,)
    if field in (*TEXTS, *TOOL_COLUMNS):
        return (str,)
    if field == FLAG:
        return (bool,)
    return (int, float) if field == NUMBER else (str, int, float)


def _misfit(field: str, value: Scalar) -> str:
    if field in TIMES:
        return (
            f"{field} is a time and {shown(value)} is not: they could never match. "
            "Pass an aware datetime (in the JSON form: an ISO string with a zone)."
        )
    if field.startswith(METADATA):
        return (
            f"{field} holds JSON, which has no dates, so a datetime could never match. Compare "
            "with text, such as value.isoformat(), or filter on event_time."
        )
    kind = {NUMBER: "a number", FLAG: "true or false"}.get(field, "text")
    return f"{field} is {kind} and {shown(value)} is not: they could never match."
