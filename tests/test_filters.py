"""Filters: what they accept, what they mean, and their JSON form."""

from __future__ import annotations

import json
import operator
import pickle
from dataclasses import asdict
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentmem.errors import InvalidInput
from agentmem.filters import (
    And,
    Comparison,
    Filter,
    Not,
    Or,
    field,
    matches,
    parse_filter,
    to_json,
)
from agentmem.types import Tool, Turn

NOON = datetime(2024, 5, 1, 12, tzinfo=timezone.utc)


def turn(**changes: Any) -> Turn:
    """Return a turn with these fields changed."""
    fields: dict[str, Any] = {
        "id": "t1",
        "role": "user",
        "content": "I moved to Lisbon",
        "event_time": NOON,
        "ingested_at": NOON,
    }
    return Turn(**{**fields, **changes})


@pytest.mark.parametrize(
    ("found", "value", "expected"),
    [
        (7, 7, True),
        (7, 7.0, True),
        ("7", 7, False),
        (7, "7", False),
        (True, 1, False),
        (1, True, False),
        (True, True, True),
        (None, None, True),
        (0, None, False),
        (["a"], "a", False),
        ({"a": 1}, None, False),
    ],
)
def test_equality_never_coerces(found: object, value: Any, *, expected: bool) -> None:
    subject = turn(metadata={"x": found})
    assert matches(field("metadata.x") == value, subject) is expected
    assert matches(field("metadata.x") != value, subject) is not expected
    assert matches(field("metadata.x").in_([value]), subject) is expected


def test_a_missing_field_equals_nothing_but_none() -> None:
    subject = turn()
    assert not matches(field("metadata.x") == "a", subject)
    assert matches(field("metadata.x") != "a", subject)
    assert matches(field("name") == None, subject)  # noqa: E711 (builds a filter)
    assert not matches(field("metadata.x") < 3, subject)
    assert not matches(field("metadata.x").contains("a"), subject)
    assert matches(~(field("metadata.x") >= 3), subject)
    assert matches(field("metadata.x").in_(["a", None]), subject)


@pytest.mark.parametrize("compare", [operator.lt, operator.le, operator.gt, operator.ge])
@pytest.mark.parametrize(("found", "value"), [(2, 3), (3, 3.0), (4, 3), (-1.5, 0), ("a", "b")])
def test_ordering_is_python_s_within_a_type(compare: Any, found: Any, value: Any) -> None:
    subject = turn(metadata={"x": found})
    assert matches(compare(field("metadata.x"), value), subject) is compare(found, value)


@pytest.mark.parametrize("found", ["3", True, None, [3], {"a": 3}])
def test_ordering_across_types_is_false(found: object) -> None:
    subject = turn(metadata={"x": found})
    assert not matches(field("metadata.x") < 4, subject)
    assert not matches(field("metadata.x") > 2, subject)


def test_contains_is_a_part_of_text_or_an_element_of_a_list() -> None:
    subject = turn(metadata={"tags": ["a", 1, True], "word": "tagged"})
    assert matches(field("content").contains("Lisbon"), subject)
    assert not matches(field("content").contains("lisbon"), subject)
    assert matches(field("metadata.tags").contains("a"), subject)
    assert matches(field("metadata.tags").contains(1.0), subject)
    assert not matches(field("metadata.tags").contains("1"), subject)
    assert matches(field("metadata.word").contains("tag"), subject)
    assert not matches(field("metadata.word").contains(1), subject)


def test_paths_descend_through_nested_metadata() -> None:
    subject = turn(metadata={"a": {"b": {"c": 3}}, "l": [{"b": 1}]})
    assert matches(field("metadata.a.b.c") == 3, subject)
    assert not matches(field("metadata.a.x.c") == 3, subject)
    assert not matches(field("metadata.l.b") == 1, subject)


def test_times_compare_as_moments_whatever_their_zone() -> None:
    rome = timezone(timedelta(hours=2))
    assert matches(field("event_time") == datetime(2024, 5, 1, 14, tzinfo=rome), turn())
    assert matches(field("event_time") < NOON + timedelta(microseconds=1), turn())
    assert not matches(field("event_time") < NOON, turn())


def test_columns_are_read_from_the_turn() -> None:
    subject = turn(user_id="ada", importance=0.5, name="Ada")
    both = (field("user_id") == "ada") & (field("importance") >= 0.5)
    assert matches(both & (field("name") == "Ada"), subject)
    assert not matches(both, turn(user_id="ada"))


def test_fields_of_tools_are_read_from_the_tool_or_a_mapping_of_them() -> None:
    tool = Tool(name="get_weather", description="Tells the weather", tags=("live", "free"))
    both = (field("tags").contains("live")) & (field("description").contains("weather"))
    where = both & field("namespace").in_(["default"]) & (field("source") == "plain")
    for subject in (tool, asdict(tool)):
        assert matches(where, subject)
        assert not matches(where & field("tags").contains("paid"), subject)
        assert not matches(where & field("tags").contains("liv"), subject)
        assert not matches(field("name") == "weather", subject)


def test_a_filter_is_about_turns_or_about_tools() -> None:
    tagged, spoken = field("tags").contains("live"), field("role") == "user"
    assert parse_filter({"tags": {"contains": "live"}}, subject="tool") == tagged
    assert parse_filter(tagged, subject="tool") is tagged
    turns: list[Any] = [spoken, spoken | tagged, {"role": "user"}, {"or": [{"role": "user"}]}]
    for wrong in turns:
        with pytest.raises(InvalidInput, match=r"'role'\. Fields of tools are name, desc"):
            parse_filter(wrong, subject="tool")
    tools: list[Any] = [tagged, ~tagged, spoken & tagged, {"not": {"tags": {"contains": "live"}}}]
    for wrong in tools:
        with pytest.raises(InvalidInput, match=r"'tags'\. Fields are id, role"):
            parse_filter(wrong)
    with pytest.raises(InvalidInput, match="Did you mean 'tags'"):
        parse_filter({"tag": "live"}, subject="tool")


def test_joined_conditions_stay_one_level_deep() -> None:
    a, b, c = (field("role") == role for role in ("user", "tool", "system"))
    assert (a & b & c) == And((a, b, c))
    assert (a | b | c) == Or((a, b, c))
    assert (a & b | ~c) == Or((And((a, b)), Not(c)))


def test_python_s_and_is_refused_because_it_would_drop_a_condition() -> None:
    a, b = field("role") == "user", field("name") == "Ada"
    with pytest.raises(InvalidInput, match="Use"):
        _ = a and b
    with pytest.raises(InvalidInput, match="Use"):
        _ = 3 < field("metadata.n") < 7


@pytest.mark.parametrize(
    ("build", "says"),
    [
        (lambda: field("user"), "Did you mean 'user_id'"),
        (lambda: field("topic"), "metadata.topic"),
        (lambda: field("metadata"), "metadata.<key>"),
        (lambda: field("metadata."), "metadata.<key>"),
        (lambda: field("metadata.a..b"), "metadata.<key>"),
        (lambda: field("metadata.\ud800"), "lone surrogate"),
        (lambda: field(3), "text"),  # type: ignore[arg-type]
        (lambda: field("event_time") > "2024-05-01", "aware datetime"),
        (lambda: field("event_time") > datetime(2024, 5, 1), "replace"),  # noqa: DTZ001
        (lambda: field("metadata.when") == NOON, "isoformat"),
        (lambda: field("role") == 3, "is text"),
        (lambda: field("namespace") == 3, "is text"),
        (lambda: field("tags") == "live", "`contains`"),
        (lambda: field("tags").in_(["live"]), "`contains`"),
        (lambda: field("tags").contains(3), "is text"),
        (lambda: field("importance") == "high", "is a number"),
        (lambda: field("metadata.x") < None, "cannot be ordered"),
        (lambda: field("metadata.x").in_([float("nan")]), "nan"),
        (lambda: field("metadata.x") == 2**63, "64 bits"),
        (lambda: field("metadata.x") == [1], "operator `in`"),
        (lambda: field("metadata.x").in_("abc"), "list"),
        (lambda: field("metadata.x").in_(range(10_001)), "10,001"),
        (lambda: field("importance").contains("x"), "contains"),
        (lambda: field("content") == "\ud800", "lone surrogate"),
        (lambda: And(()), "at least one"),
        (lambda: (field("role") == "user") & True, "parentheses"),  # type: ignore[operator]
        (lambda: Comparison("role", "like", "x"), "no operator"),  # type: ignore[arg-type]
    ],
)
def test_what_could_never_match_is_refused_with_its_repair(build: Any, says: str) -> None:
    with pytest.raises(InvalidInput, match=says):
        build()


def test_depth_and_size_are_bounded() -> None:
    node: Filter = field("role") == "user"
    for _ in range(31):
        node = ~node
    with pytest.raises(InvalidInput, match="nested"):
        _ = ~node
    many = [Comparison("metadata.n", "eq", n) for n in range(1_001)]
    with pytest.raises(InvalidInput, match="1,000"):
        Or(tuple(many))
    deep: Any = {"role": "user"}
    for _ in range(10_000):
        deep = {"not": deep}
    with pytest.raises(InvalidInput, match="nested"):
        parse_filter(deep)


def test_the_json_form_reads_as_written() -> None:
    assert parse_filter({"role": "user"}) == (field("role") == "user")
    assert parse_filter({"name": None}) == Comparison("name", "eq", None)
    assert parse_filter({"role": "user", "metadata.n": {"gte": 3, "lt": 7}}) == And(
        (field("role") == "user", field("metadata.n") >= 3, field("metadata.n") < 7)
    )
    assert parse_filter(
        {"or": [{"metadata.tag": {"in": ["a", "b"]}}, {"not": {"content": {"contains": "x"}}}]}
    ) == Or((field("metadata.tag").in_(["a", "b"]), ~field("content").contains("x")))
    assert parse_filter({"event_time": {"gte": "2024-05-01T14:00:00+02:00"}}) == (
        field("event_time") >= NOON
    )
    condition = field("role") == "user"
    assert parse_filter(condition) is condition


@pytest.mark.parametrize(
    ("obj", "says"),
    [
        ({}, "non-empty"),
        ([], "non-empty"),
        ("role = 'user'", "non-empty"),
        ({"role": {}}, "no operator"),
        ({"metadata.n": {"$gte": 3}}, "Did you mean 'gte'"),
        ({"metadata.n": {"3": 3}}, "Operators are"),
        ({"sesion_id": "s"}, "session_id"),
        ({"or": {"role": "user"}}, "list"),
        ({"or": []}, "at least one"),
        ({"and": [3]}, "non-empty"),
        ({"not": 3}, "non-empty"),
        ({3: 4}, "text"),
        ({"metadata.tag": ["a"]}, "operator `in`"),
        ({"event_time": "2024-05-01"}, "no time zone"),
        ({"event_time": {"in": ["yesterday"]}}, "ISO 8601"),
        ({"event_time": 7}, "never match"),
    ],
)
def test_a_wrong_json_form_is_refused_with_its_repair(obj: object, says: str) -> None:
    with pytest.raises(InvalidInput, match=says):
        parse_filter(obj)


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
scalars = st.one_of(
    texts,
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.booleans(),
    st.none(),
)
moments = st.datetimes(timezones=st.just(timezone.utc))
orderable = st.one_of(texts, st.integers(-9, 9), st.floats(-9, 9))
comparisons = st.one_of(
    st.builds(Comparison, st.just("metadata.a.b"), st.sampled_from(["eq", "ne"]), scalars),
    st.builds(Comparison, st.just("metadata.a.b"), st.sampled_from(["lt", "gte"]), orderable),
    st.builds(Comparison, st.just("metadata.a.b"), st.just("in"), st.lists(scalars, max_size=3)),
    st.builds(Comparison, st.just("content"), st.just("contains"), texts),
    st.builds(Comparison, st.just("event_time"), st.sampled_from(["lte", "gt"]), moments),
)
filters = st.recursive(
    comparisons,
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3).map(lambda parts: And(tuple(parts))),
        st.lists(inner, min_size=1, max_size=3).map(lambda parts: Or(tuple(parts))),
        inner.map(Not),
    ),
    max_leaves=8,
)
turns = st.builds(
    turn,
    content=texts,
    event_time=moments,
    metadata=st.dictionaries(
        st.just("a"), st.one_of(scalars, st.dictionaries(st.just("b"), scalars))
    ),
)


@given(filters)
def test_a_filter_survives_its_json_form_and_pickle(node: Filter) -> None:
    assert parse_filter(json.loads(json.dumps(to_json(node)))) == node
    assert pickle.loads(pickle.dumps(node)) == node  # noqa: S301 (made one line above)
    assert hash(parse_filter(to_json(node))) == hash(node)


@given(filters, filters, turns)
def test_logic_is_two_valued(a: Filter, b: Filter, subject: Turn) -> None:
    assert matches(~a, subject) is not matches(a, subject)
    assert matches(a & b, subject) is (matches(a, subject) and matches(b, subject))
    assert matches(a | b, subject) is (matches(a, subject) or matches(b, subject))
    assert matches(~(a & b), subject) is matches(~a | ~b, subject)
