"""Dates that a question counts from the present: "yesterday", "last week", "three months ago".

Takes text and the present, gives half-open spans of days since 1970, UTC. English, as the default
model is. A week begins on Monday; a season is the northern one, because that is what most texts
that name it mean, and what is near a span counts as well.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from typing import Final, TypeAlias

from dateutil.relativedelta import relativedelta

__all__ = ["relative_days"]

Days: TypeAlias = tuple[date, date]
"""First day, and the day after the last."""
Reader: TypeAlias = "Callable[[re.Match[str], date], Iterator[Days]]"

NUMBERS: Final = {
    "a": 1,
    "an": 1,
    "one": 1,
    "two": 2,
    "three": 3,
    "four": 4,
    "five": 5,
    "six": 6,
    "seven": 7,
    "eight": 8,
    "nine": 9,
    "ten": 10,
    "eleven": 11,
    "twelve": 12,
    "a couple of": 2,
    "a couple": 2,
    "couple of": 2,
    "a few": 3,
    "few": 3,
    "several": 4,
}
WEEKDAYS: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
SEASONS: Final = {"spring": 3, "summer": 6, "autumn": 9, "fall": 9, "winter": 12}  # first month
SEASON_MONTHS: Final = 3
COUNT: Final = rf"(\d{{1,3}}|{'|'.join(sorted(NUMBERS, key=len, reverse=True))})"
UNIT: Final = r"(day|week|month|year)s?"
ONE: Final = {
    "day": relativedelta(days=1),
    "week": relativedelta(weeks=1),
    "month": relativedelta(months=1),
    "year": relativedelta(years=1),
}

DAY: Final = timedelta(days=1)
NAMED_DAYS: Final = {
    "today": 0,
    **dict.fromkeys(("tonight", "this morning", "this afternoon", "this evening"), 0),
    "yesterday": 1,
    "last night": 1,
    "day before yesterday": 2,
    "tomorrow": -1,
}


def relative_days(text: str, *, today: date) -> list[Days]:
    """Find the dates a text counts from the present.

    Args:
        text: A question.
        today: The present.
    """
    found: list[Days] = []
    for pattern, read in READERS:
        for match in pattern.finditer(text):
            found += read(match, today)
    return list(dict.fromkeys(found))


def _named(match: re.Match[str], today: date) -> Iterator[Days]:
    yield _one(today - NAMED_DAYS[_word(match, 1)] * DAY)


def _ago(match: re.Match[str], today: date) -> Iterator[Days]:
    """Read "Three weeks ago": the day, or the week, month or year it falls into."""
    unit = _word(match, 2)
    moment = _back(today, unit, _count(match, 1))
    if moment is not None:
        yield _one(moment) if unit == "day" else _around(moment, unit)


def _past(match: re.Match[str], today: date) -> Iterator[Days]:
    """Read "In the last three weeks": from then until today."""
    moment = _back(today, _word(match, 2), _count(match, 1))
    if moment is not None:
        yield moment, today + DAY


def _whole(match: re.Match[str], today: date) -> Iterator[Days]:
    """Read "Last month", "this week": the whole of it."""
    unit = _word(match, 2)
    moment = today if _word(match, 1) == "this" else _back(today, unit, 1)
    if moment is not None:
        yield _around(moment, unit)


def _weekend(match: re.Match[str], today: date) -> Iterator[Days]:
    monday = today - today.weekday() * DAY
    saturday = monday + 5 * DAY
    if _word(match, 1) != "this":
        saturday -= 7 * DAY
    yield saturday, saturday + 2 * DAY


def _weekday(match: re.Match[str], today: date) -> Iterator[Days]:
    """Read "On Monday", "last Friday": the latest one before today, or today for "this"."""
    back = (today.weekday() - WEEKDAYS.index(_word(match, 2))) % 7
    if _word(match, 1) == "this":
        yield _one(today - today.weekday() * DAY + WEEKDAYS.index(_word(match, 2)) * DAY)
    else:
        yield _one(today - (back or 7) * DAY)


def _season(match: re.Match[str], today: date) -> Iterator[Days]:
    """Read "Last summer": the latest that is over. "This spring": the latest that began."""
    first = date(today.year, SEASONS[_word(match, 2)], 1)
    if first > today:
        first -= relativedelta(years=1)
    end = first + relativedelta(months=SEASON_MONTHS)
    if _word(match, 1) != "this" and end > today:
        first, end = first - relativedelta(years=1), end - relativedelta(years=1)
    yield first, end


def _back(today: date, unit: str, count: int) -> date | None:
    try:
        return today - count * ONE[unit]
    except (OverflowError, ValueError):
        return None  # before the calendar begins


def _around(moment: date, unit: str) -> Days:
    """The week, month or year around a day."""
    if unit == "week":
        first = moment - moment.weekday() * DAY
        return first, first + 7 * DAY
    if unit == "month":
        first = moment.replace(day=1)
        return first, first + relativedelta(months=1)
    if unit == "year":
        return date(moment.year, 1, 1), date(moment.year + 1, 1, 1)
    return _one(moment)


def _one(day: date) -> Days:
    return day, day + DAY


def _word(match: re.Match[str], group: int) -> str:
    return re.sub(r"\s+", " ", match.group(group).lower())


def _count(match: re.Match[str], group: int) -> int:
    word = _word(match, group)
    return int(word) if word.isdigit() else NUMBERS[word]


def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(rf"\b{text}\b", re.IGNORECASE | re.ASCII)


LAST: Final = "(last|past|previous|this)"
READERS: Final[tuple[tuple[re.Pattern[str], Reader], ...]] = (
    (_pattern(rf"({'|'.join(sorted(NAMED_DAYS, key=len, reverse=True))})"), _named),
    (_pattern(rf"{COUNT}\s+{UNIT}\s+ago"), _ago),
    (_pattern(rf"(?:last|past|previous)\s+{COUNT}\s+{UNIT}"), _past),
    (_pattern(rf"{LAST}\s+(week|month|year)"), _whole),
    (_pattern(rf"{LAST}\s+weekend"), _weekend),
    (_pattern(rf"(last|past|previous|this|on)\s+({'|'.join(WEEKDAYS)})"), _weekday),
    (_pattern(rf"{LAST}\s+({'|'.join(SEASONS)})"), _season),
)
