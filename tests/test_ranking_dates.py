"""Dates in questions: what is read, as which days, and what is not a date."""

from __future__ import annotations

import time
from datetime import date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentmem.ranking.dates import MICROSECONDS_A_DAY, NAMES, named_spans

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
YEARS = range(2022, 2024)
NOW = (datetime(2024, 3, 13, 15, tzinfo=timezone.utc) - EPOCH) // timedelta(microseconds=1)
SHORT = [name[:3] for name in NAMES]


def days(text: str) -> list[str]:
    """Write each span as its first day, or as first..last day."""
    written = []
    for start, end in named_spans(text, years=YEARS, now=NOW):
        first = EPOCH + timedelta(microseconds=start)
        last = EPOCH + timedelta(microseconds=end) - timedelta(days=1)
        written.append(f"{first:%Y-%m-%d}" + (f"..{last:%d}" if last != first else ""))
    return written


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("What happened on 3 May 2023?", ["2023-05-03"]),
        ("What happened on May 3rd, 2023?", ["2023-05-03"]),
        ("What happened on May 3, 2023?", ["2023-05-03"]),
        ("the 3rd of May, 2023", ["2023-05-03"]),
        ("the 3rd of May of 2023", ["2023-05-03"]),
        ("on 03 may 2023", ["2023-05-03"]),
        ("on 2023-05-03, or so", ["2023-05-03"]),
        ("at 2023-05-03T10:00:00Z", ["2023-05-03"]),
        ("in 2023-05", ["2023-05-01..31"]),
        ("What did Ada do in June?", ["2022-06-01..30", "2023-06-01..30"]),
        ("in june 2023", ["2023-06-01..30"]),
        ("IN JUNE, 2023", ["2023-06-01..30"]),
        ("in June of 2023", ["2023-06-01..30"]),
        ("on Sept. 5th 2022", ["2022-09-05"]),
        ("on Dec 24", ["2022-12-24", "2023-12-24"]),
        ("on 29 February", []),
        ("in February 2024", ["2024-02-01..29"]),
        ("in February", ["2022-02-01..28", "2023-02-01..28"]),
        ("in June 2023 or on 2 July 2023", ["2023-06-01..30", "2023-07-02"]),
        ("in June 2023, I mean June 2023", ["2023-06-01..30"]),
        ("in December 1969", ["1969-12-01..31"]),
        ("on 30 December 9999", ["9999-12-30"]),
        ("on May 10:30", ["2022-05-01..31", "2023-05-01..31"]),
        ("in June 3pm was free", ["2022-06-01..30", "2023-06-01..30"]),
    ],
)
def test_dates_are_read(text: str, expected: list[str]) -> None:
    assert days(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "31 June 2023",
        "0 May 2023",
        "2023-13-01",
        "2023-02-30",
        "2023-05-00",
        "0000-05-01",
        "call 555-2023-05-12",
        "order 12023-05-03",
        "2023-05-031",
        "Juneau, Mayor, marching, decade, Augustus, septic",
        "next week, soon, every Monday",
        "",
    ],
)
def test_what_is_no_date_in_the_calendar_is_passed_over(text: str) -> None:
    assert days(text) == []


@pytest.mark.parametrize(
    ("text", "is_date"),
    [
        ("May I ask where she lives?", False),
        ("Thanks! May we talk?", False),
        ('He said: "May I?"', False),
        ("  March on, he said", False),
        ("what may happen to the march?", False),
        ("Jan told me", False),
        ("may 3 people come?", False),
        ("What happened in May?", True),
        ("Was it in the March storm?", True),
        ("May 3 was fun", True),
        ("May 2023 was fun", True),
        ("on 3 may", True),
        ("in march 2023", True),
    ],
)
def test_a_word_that_is_also_a_month_is_read_as_it_is_written(text: str, *, is_date: bool) -> None:
    assert bool(days(text)) == is_date


@given(
    st.dates(),
    st.sampled_from(["{d} {m} {y}", "{m} {d}, {y}", "{d} of {m} {y}", "{y}-{n:02}-{d:02}"]),
    st.sampled_from([NAMES, SHORT]),
)
def test_every_day_of_the_calendar_is_read_back(day: date, form: str, names: list[str]) -> None:
    name = names[day.month - 1].capitalize()
    text = form.format(d=day.day, m=name, n=day.month, y=f"{day.year:04}")
    ((start, end),) = named_spans(f"on {text}?", years=(), now=NOW)
    assert start == (day.toordinal() - EPOCH.toordinal()) * MICROSECONDS_A_DAY
    assert end == start + MICROSECONDS_A_DAY


PIECES = st.sampled_from([*NAMES, *SHORT, "May", " ", " ", "-", ":", ",", ".", "of", "3rd", "31"])
ODD = st.sampled_from(["\u017feptember", "apr\u0131l", "MA\u0130", "\u0663 May", "2023", "2023-05"])


@given(st.one_of(st.text(), st.lists(PIECES | ODD | st.integers(0, 10**5).map(str)).map("".join)))
def test_any_text_gives_whole_days_that_end_after_they_start(text: str) -> None:
    spans = named_spans(text, years=YEARS, now=NOW)
    assert len(spans) == len(set(spans))
    for start, end in spans:
        assert start < end
        assert start % MICROSECONDS_A_DAY == end % MICROSECONDS_A_DAY == 0


def test_a_date_without_a_year_is_read_for_each_year_in_the_range() -> None:
    assert len(named_spans("in June", years=range(2000, 2010), now=NOW)) == 10
    assert named_spans("in June", years=(), now=NOW) == []


@pytest.mark.parametrize(
    "text", ["3 " * 10**5, "May " * 10**4, "3" + " " * 10**5, "May" + " " * 10**5, "2023-" * 10**4]
)
def test_long_texts_are_read_in_no_time(text: str) -> None:
    started = time.process_time()
    named_spans(text, years=YEARS, now=NOW)
    assert time.process_time() - started < 2


@pytest.mark.parametrize(  # the present is Wednesday, 13 March 2024
    ("text", "expected"),
    [
        ("What did I say yesterday?", ["2024-03-12"]),
        ("the day before yesterday", ["2024-03-11"]),
        ("what happened last night", ["2024-03-12"]),
        ("What is on my list today?", ["2024-03-13"]),
        ("Where did we eat last week?", ["2024-03-04..10"]),
        ("what did I do this week", ["2024-03-11..17"]),
        ("last weekend", ["2024-03-09..10"]),
        ("in the previous month", ["2024-02-01..29"]),
        ("last year", ["2023-01-01..31"]),
        ("three days ago", ["2024-03-10"]),
        ("a few weeks ago", ["2024-02-19..25"]),
        ("two months ago", ["2024-01-01..31"]),
        ("a year ago", ["2023-01-01..31"]),
        ("in the last 10 days", ["2024-03-03..13"]),
        ("over the past couple of weeks", ["2024-02-28..13"]),
        ("on Monday", ["2024-03-11"]),
        ("last Wednesday", ["2024-03-06"]),
        ("this Friday", ["2024-03-15"]),
        ("last summer", ["2023-06-01..31"]),
        ("last winter", ["2023-12-01..29"]),
        ("this spring", ["2024-03-01..31"]),
        ("LAST   WEEK", ["2024-03-04..10"]),
        ("nine hundred years ago", []),
        ("999 years ago", ["1025-01-01..31"]),
        ("the last time we met", []),
        ("Mondays are hard", []),
        ("at last, week one began", []),
        ("weeks ago", []),
    ],
)
def test_dates_are_counted_from_the_present(text: str, expected: list[str]) -> None:
    assert days(text) == expected


def test_a_month_without_a_year_has_begun() -> None:
    assert named_spans("in June", years=[2024], now=NOW) == []
    assert named_spans("in March", years=[2024], now=NOW)
    assert named_spans("in June 2024", years=[2024], now=NOW)


@given(st.text(max_size=60), st.integers(-(2**55), 2**57))
def test_no_text_and_no_present_break_the_reading(text: str, now: int) -> None:
    for start, end in named_spans(f"9999 years ago {text} 12 months ago", years=[1, 9999], now=now):
        assert start < end
