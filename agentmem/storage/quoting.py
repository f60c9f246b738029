r"""How values and conditions are written in SQL, safely: literals, lists and conjunctions.

LanceDB's parser drops whatever follows `;` or `--`, so no text may reach it unquoted. Its own
`lit(text).to_sql()` does not help: in lancedb 0.40 it leaves the quotes in `\\' OR true --` and
in `''` as they are. The parser knows one escape, the doubled quote, and that is what is used.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

from agentmem.checks import EPOCH, clean_text

__all__ = ["EVERYTHING", "any_of", "both", "literal"]

EVERYTHING: Final = "true"
MICROSECOND: Final = timedelta(microseconds=1)


def literal(value: str | float | datetime | None) -> str:
    """Return a value as SQL: bool, int, float, text, aware datetime or None.

    Raises:
        InvalidInput: A text that UTF-8 cannot hold.
    """
    if value is None:
        return "NULL"
    if isinstance(value, datetime):
        # TIMESTAMP '...' would be nanoseconds, which reach from 1677 to 2262 only
        micros = (value - EPOCH) // MICROSECOND
        return f"arrow_cast({micros}, 'Timestamp(Microsecond, Some(\"UTC\"))')"
    if isinstance(value, str):
        return "'" + clean_text(value, what="a value to look for").replace("'", "''") + "'"
    if isinstance(value, int):
        return str(value).lower()  # also true and false
    return f"CAST('{value!r}' AS DOUBLE)"  # a bare 1e-7 may be read as a decimal


def both(first: str, *more: str) -> str:
    """Join conditions that must all hold, in this order."""
    parts = [f"({part})" for part in (first, *more) if part != EVERYTHING]
    return " AND ".join(parts) or EVERYTHING


def any_of(expression: str, values: Iterable[str]) -> str:
    """Return the condition that an expression is one of the texts; false for no texts."""
    listed = ", ".join(literal(value) for value in values)
    return f"{expression} IN ({listed})" if listed else "false"
