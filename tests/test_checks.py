"""The tests that dates, ids and values pass at every door."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentmem.checks import check_scope, identifier, json_value, nearest, shown, utc
from agentmem.errors import InvalidInput
from agentmem.types import Scope

MOMENT = datetime(2024, 5, 1, 9, 30, 0, 123456, tzinfo=timezone.utc)


class Stamp(datetime):
    """A datetime with more to it, as pandas has one."""


@given(st.datetimes(min_value=datetime(1900, 1, 1)), st.integers(-23, 23))  # noqa: DTZ001
def test_a_moment_is_the_same_in_every_zone_and_form(naive: datetime, hours: int) -> None:
    moment = naive.replace(tzinfo=timezone.utc)
    try:
        local = moment.astimezone(timezone(timedelta(hours=hours)))
    except OverflowError:
        return
    assert utc(local, what="t") == utc(local.isoformat(), what="t") == moment


def test_a_subclass_of_datetime_becomes_a_plain_one() -> None:
    stamp = Stamp(2024, 5, 1, 11, 30, 0, 123456, tzinfo=timezone(timedelta(hours=2)))
    assert utc(stamp, what="t") == MOMENT
    assert type(utc(stamp, what="t")) is datetime


@pytest.mark.parametrize("text", ["2024-05-01T09:30:00.123456Z", "2024-05-01 11:30:00.123456+0200"])
def test_iso_text_is_read_on_every_python(text: str) -> None:
    assert utc(text, what="t") == MOMENT


def test_a_scope_is_checked_whole() -> None:
    odd = Scope("' OR 1=1 --", 'é"', "s\n1")
    assert check_scope(odd) is odd
    with pytest.raises(InvalidInput, match="agent_id is empty text"):
        check_scope(Scope("ada", "", None))
    with pytest.raises(InvalidInput, match="session_id 7 is a int"):
        check_scope(Scope(session_id=7))  # type: ignore[arg-type]


def test_an_id_has_a_longest_length() -> None:
    assert identifier("x" * 512, what="id")
    with pytest.raises(InvalidInput, match="513 characters"):
        identifier("x" * 513, what="id")


def test_json_values_are_copied_with_their_types() -> None:
    given_ = {"t": (1, 2.0, True, None), "d": {"k": "v"}}
    copy = json_value(given_, what="metadata")
    assert copy == {"t": [1, 2.0, True, None], "d": {"k": "v"}}
    assert copy["d"] is not given_["d"]
    assert [type(one) for one in copy["t"]] == [int, float, bool, type(None)]


def test_errors_show_values_briefly_and_suggest_the_nearest_word() -> None:
    assert len(shown("x" * 1_000)) == 60
    assert nearest("Rol", ["role", "name"]) == " Did you mean 'role'?"
    assert nearest("zzz", ["role"]) == ""
