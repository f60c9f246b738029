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
NAMES = (  # not calendar.month_name, which speaks the language of the process
    *("january", "february", "march", "april", "may", "june"),
    *("july", "august", "september", "october", "november", "december"),
)
MONTHS = {form: n for n, name in enumerate(NAMES, start=1) for form in (name, name[:3])}
MONTHS["sept"] = 9
ALSO_WORDS = frozenset({"may", "march", "mar", "jan", "jun", "sept"})  # see _is_month
DAY = r"(\d{1,2})(?:st|nd|rd|th)?\b"
NAMED = re.compile(  # (?a: keeps IGNORECASE from matching the letters that Unicode folds to i and s
    rf"\b(?:{DAY}\s+(?:of\s+)?)?((?a:{'|'.join(MONTHS)}))\b\.?"
    rf"(?:\s+{DAY}(?!:))?(?:,?\s+(?:of\s+)?(\d{{4}})\b)?",
    re.IGNORECASE,
)
SENTENCE_START = '.!?:;"\u201c('  # what may stand before a sentence's first word
ISO = re.compile(r"(?<![\w-])(\d{4})-(\d{2})(?:-(\d{2}))?(?!-?\d)")


def named_spans(text: str, *, years: Iterable[int]) -> list[Span]:
    """Find the dates a text names.

    Args:
        text: A question.
        years: Which years a date without one may mean.

    Returns:
        One span for each reading of each date, none twice; dates that do not exist are passed over.
    """
    years = tuple(years)
    readings = [(int(y), int(m), int(d) if d else None) for y, m, d in ISO.findall(text)]
    for match in NAMED.finditer(text):
        before, name, after, year = match.groups()
        if not _is_month(match):
            continue
        day = before or after
        readings += [
            (y, MONTHS[name.lower()], int(day) if day else None)
            for y in ((int(year),) if year else years)
        ]
    spans = (_span(*reading) for reading in readings)
    return list(dict.fromkeys(span for span in spans if span is not None))


def _is_month(match: re.Match[str]) -> bool:
    """Whether a word that is also a verb or a name ("May I", "march on") means the month here.

    It does beside a day or a year; otherwise if capitalised where no sentence begins.
    """
    before, name, after, year = match.groups()
    if name.lower() not in ALSO_WORDS or before or year:
        return True
    start = match.start()
    ahead = match.string[max(start - 3, 0) : start].rstrip()
    return name[0].isupper() and bool(after or (ahead and ahead[-1] not in SENTENCE_START))


def _span(year: int, month: int, day: int | None) -> Span | None:
    """One day, or a whole month; `None` where the calendar has no such date."""
    try:
        start = date(year, month, 1 if day is None else day)
        length = calendar.monthrange(year, month)[1] if day is None else 1
    except ValueError:
        return None
    days = (start - date(1970, 1, 1)) // timedelta(days=1)
    return days * MICROSECONDS_A_DAY, (days + length) * MICROSECONDS_A_DAY
