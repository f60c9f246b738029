r"""Conditions on JSON metadata, written so that Lance compares as Python would.

Lance's typed readers coerce (`json_get_int` of "7" is 7) and fail the whole query on a list.
`json_extract` does neither: it gives the value's JSON text, spelled as `json.dumps` does but
for floats, or NULL where there is none. So equality compares texts, numbers are cast where the
text is one, and the rest is told by the text's own syntax.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from decimal import Decimal
from typing import Final, cast

from agentmem.checks import MAX_JSON_DEPTH
from agentmem.filters import Operator, Scalar
from agentmem.storage.quoting import any_of, literal

__all__ = ["compare_metadata"]

SYMBOLS: Final = {"lt": "<", "lte": "<=", "gt": ">", "gte": ">="}
NEAREST_BELOW: Final = {"<": "<=", ">=": ">"}  # the double next to an integer may lie below it
NEAREST_ABOVE: Final = {"<=": "<", ">": ">="}  # or above: comparisons with it shift so
EXACT_INTEGERS: Final = 2**53  # below it an integer and its double order alike
INT64: Final = range(-(2**63), 2**63)  # all integers that metadata may hold

STRING: Final = r'"(?:[^"\\]|\\.)*"'
UNIT: Final = r"(?:[^\"\\]|\\u[0-9a-f]{4}|\\[^u])"  # one character of a JSON string
SPECIAL: Final = re.compile(r"[][\\.+*?(){}|^$#&~-]")  # what a regular expression must escape

# For `<`: JSON's escapes are undone except for control characters, which become U+0001 and two
# hexadecimal digits. That keeps the order of code points, and nothing else is spelled that way.
UNESCAPES: Final = (
    *((r"\\", "\x02"), (r"\"", '"'), (r"\u00", "\x01"), (r"\b", "\x0108"), (r"\t", "\x0109")),
    *((r"\n", "\x010a"), (r"\f", "\x010c"), (r"\r", "\x010d"), ("\x02", "\\")),
)


def compare_metadata(path: Sequence[str], *, op: Operator, values: Sequence[Scalar]) -> str:
    """Return the condition that the value at a path compares so; it may be unknown for false.

    Args:
        path: Keys from the outermost in.
        op: The operator; `ne` is written as the `eq` that it negates.
        values: What to compare with: several for `in`, else one.
    """
    steps = "".join("." + _text(key) for key in path)  # JSON's quoting is JSONPath's
    found = f"json_extract(metadata, {literal('$' + steps)})"
    value = cast("str | int | float", values[0]) if values else ""
    if op == "contains":
        return _contains(found, value)
    if op not in SYMBOLS:
        return _equals_any(found, values)
    if isinstance(value, str):
        return _text_order(found, symbol=SYMBOLS[op], value=value)
    return _number_order(found, symbol=SYMBOLS[op], value=value)


def _text(value: Scalar) -> str:
    return json.dumps(value, ensure_ascii=False)


def _equals_any(found: str, values: Sequence[Scalar]) -> str:
    spelled = [text for value in values for text in _spellings(value)]
    missing = f" OR {found} IS NULL" if None in values else ""
    return any_of(found, spelled) + missing


def _spellings(value: Scalar) -> set[str]:
    """Return every JSON text that Lance may keep for a value equal to this one."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return {_text(value)}
    texts = {str(int(value))} if value == int(value) else set()
    nearest = float(value)
    if nearest == value:
        shortest = repr(nearest)
        texts |= {shortest, re.sub(r"e([+-])0", r"e\1", shortest), f"{Decimal(shortest):f}"}
    return texts | {"-0.0"} if value == 0 else texts


def _contains(found: str, value: Scalar) -> str:
    """A list holds the element, or a text holds the text."""
    element = "|".join(_escaped(text) for text in sorted(_spellings(value)))
    matching = f"regexp_like({found}, {literal(_element_pattern(element))})"
    if not isinstance(value, str):
        return matching
    part = rf'^"{UNIT}*?{_escaped(_text(value)[1:-1])}'
    return f"{matching} OR regexp_like({found}, {literal(part)})"


def _element_pattern(element: str) -> str:
    """Match a JSON list that has this element at its top level."""
    nested = rf'(?:{STRING}|[^"\[\]{{}}])*'
    for _ in range(MAX_JSON_DEPTH):
        nested = rf'(?:{STRING}|[^"\[\]{{}}]|[\[{{]{nested}[\]}}])*'
    other = rf'(?:{STRING}|[^"\[\]{{}},]|[\[{{]{nested}[\]}}])*'
    return rf"^\[(?:{other},)*(?:{element})[,\]]"


def _escaped(text: str) -> str:
    return SPECIAL.sub(r"\\\g<0>", text)


def _text_order(found: str, *, symbol: str, value: str) -> str:
    quoted, bound = f"left({found}, -1)", _text(value)[:-1]  # without the closing quote
    for escape, plain in UNESCAPES:
        quoted = f"replace({quoted}, {literal(escape)}, {literal(plain)})"
        bound = bound.replace(escape, plain)
    return f"starts_with({found}, '\"') AND {quoted} {symbol} {literal(bound)}"


def _number_order(found: str, *, symbol: str, value: float) -> str:
    number = f"TRY_CAST({found} AS DOUBLE)"
    nearest = float(value)
    if abs(value) < EXACT_INTEGERS:
        return f"{number} {symbol} {literal(nearest)}"
    integer = f"TRY_CAST({found} AS BIGINT)"
    if int(value) in INT64:
        integers = f"{integer} {symbol} CAST('{int(value)}' AS BIGINT)"
    else:
        integers = "true" if (value > 0) is (symbol in ("<", "<=")) else "false"
    if nearest != value:
        symbol = (NEAREST_ABOVE if nearest > value else NEAREST_BELOW).get(symbol, symbol)
    floats = f"{number} {symbol} {literal(nearest)}"
    return f"({integer} IS NOT NULL AND {integers}) OR ({integer} IS NULL AND {floats})"
