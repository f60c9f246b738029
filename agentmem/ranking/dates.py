"""Dates that a question names: "in June", "on 3 May 2023", "2023-05-03", "last week".

Takes text and the present, gives half-open spans of microseconds since 1970, UTC.
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Iterable
from datetime import date, datetime, timedelta

from agentmem.ranking.relative_dates import relative_days

__all__ = ["Span", "named_spans"]

Span = tuple[int, int]
"""Start and end in microseconds since 1970 UTC; the end is not part of the span."""

EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - all of this is UTC
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


def named_spans(text: str, *, years: Iterable[int], now: int) -> list[Span]:
    """Find the dates a text names.

    Args:
        text: A question.
        years: Which years a date without one may mean; only what has begun is meant.
        now: The present in microseconds since 1970 UTC.

    Returns:
        One span for each reading of each date, none twice; dates that do not exist are passed over.
    """
    readings = [(int(y), int(m), int(d) if d else None) for y, m, d in ISO.findall(text)]
    guessed: list[tuple[int, int, int | None]] = []
    for match in NAMED.finditer(text):
        before, name, after, year = match.groups()
        if not _is_month(match):
            continue
        day = before or after
        month = MONTHS[name.lower()], int(day) if day else None
        if year:
            readings.append((int(year), *month))
        else:
            guessed += [(one, *month) for one in years]
    named = [_span(*reading) for reading in readings]
    named += [span for span in (_span(*one) for one in guessed) if span and span[0] <= now]
    today = EPOCH + timedelta(microseconds=now)
    relative = (
        (_micros(_days(first)), _micros(_days(after)))
        for first, after in relative_days(text, today=today.date())
    )
    return list(dict.fromkeys([*(span for span in named if span is not None), *relative]))


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
    return _micros(_days(start)), _micros(_days(start) + length)


def _days(day: date) -> int:
    return (day - EPOCH.date()).days


def _micros(days: int) -> int:
    return days * MICROSECONDS_A_DAY
