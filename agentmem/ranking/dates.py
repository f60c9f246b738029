"""Dates that a question names in so many words: "in June", "on 3 May 2023", "2023-05-03".

Takes text, gives half-open spans of microseconds since 1970, UTC. Relative dates are not read
here: they need a moment to be relative to.
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Iterable
from datetime import date, timedelta

__all__ = ["Span", "named_spans"]

Span = tuple[int, int]
"""Start and end in microseconds since 1970 UTC; the end is not part of the span."""

MICROSECONDS_A_DAY = 86_400_000_000
MONTHS = {name.lower(): number for number, name in enumerate(calendar.month_name) if name}
MONTHS |= {name[:3].lower(): number for number, name in enumerate(calendar.month_name) if name} | {
    "sept": 9
}
ALSO_WORDS = frozenset(
    {"may", "march", "mar", "jan", "jun", "sept"}
)  # read as months if capitalised
DAY = r"(\d{1,2})(?:st|nd|rd|th)?"
NAMED = re.compile(
    rf"\b(?:{DAY}\s+(?:of\s+)?)?({'|'.join(MONTHS)})\b\.?"
    rf"(?:\s+{DAY}(?![\d:]))?(?:,?\s+(?:of\s+)?(\d{{4}}))?",
    re.IGNORECASE,
)
ISO = re.compile(r"\b(\d{4})-(\d{2})(?:-(\d{2}))?\b")


def named_spans(text: str, *, years: Iterable[int]) -> list[Span]:
    """Find the dates a text names.

    Args:
        text: A question.
        years: Which years a date without one may mean.

    Returns:
        One span for each reading of each date; dates that do not exist are passed over.
    """
    years = tuple(years)
    readings = [(int(y), int(m), int(d) if d else None) for y, m, d in ISO.findall(text)]
    for match in NAMED.finditer(text):
        before, name, after, year = match.groups()
        if name.lower() in ALSO_WORDS and not name[0].isupper():
            continue
        day = before or after
        readings += [
            (y, MONTHS[name.lower()], int(day) if day else None)
            for y in ((int(year),) if year else years)
        ]
    spans = (_span(*reading) for reading in readings)
    return [span for span in spans if span is not None]


def _span(year: int, month: int, day: int | None) -> Span | None:
    """One day, or a whole month; `None` where the calendar has no such date."""
    try:
        start = date(year, month, day or 1)
        length = 1 if day else calendar.monthrange(year, month)[1]
    except ValueError:
        return None
    days = (start - date(1970, 1, 1)) // timedelta(days=1)
    return days * MICROSECONDS_A_DAY, (days + length) * MICROSECONDS_A_DAY
