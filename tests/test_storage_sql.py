"""Conditions as SQL: they mean exactly what the filter says, whatever the texts hold."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from datetime import datetime, timezone
from typing import Any, get_args

import lancedb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from storage_tools import DIMENSION, HOSTILE, NOON, later, rows_of, turn

from agentmem.errors import InvalidInput, ScopeRequired
from agentmem.filters import And, Comparison, Filter, Not, Operator, Or, field, matches
from agentmem.filters.expressions import MAX_DEPTH, _depth
from agentmem.storage.arrow import strings
from agentmem.storage.schema import turns_schema
from agentmem.storage.sql import compile_filter, keys_sql, literal, where_sql
from agentmem.types import ALL, Scope, Turn

Answer = Callable[[Sequence[Turn], Iterable[str]], list[set[str]]]

BIG = (2**53 - 1, 2**53, 2**53 + 1, 2**63 - 1, -(2**63), -(2**53) - 1, 2**62 + 1)
FLOATS = (
    0.1,
    -1.5,
    7.0,
    1e-7,
    1.25e-5,
    1e16,
    1e22,
    1e300,
    5e-324,
    -0.0,
    2.0**53,
    2.0**63,
    -(2.0**63),
)
NESTED: tuple[Any, ...] = (
    *([], {}, {"a": 1}, ["x", ["a"]], [[7]], [{"a": 7}, 8], {"a": [7]}, [[[["a"]]], 7, {"b": {}}]),
    *(
        ["x,7,y"],
        ["[", 7, "]"],
        ['"', 7, "\\"],
        ["\\", 7],
        ['\\"', "a"],
        ['",7,"'],
        ["[7]", "]", "a"],
    ),
)
TIMES = (
    datetime(1, 1, 1, tzinfo=timezone.utc),
    datetime(1600, 2, 3, 4, 5, 6, 7, tzinfo=timezone.utc),
    NOON,
    later(1e-6),
    datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=timezone.utc),
)

texts = st.sampled_from(HOSTILE) | st.text(max_size=6)
numbers = (
    st.integers(-8, 8)
    | st.sampled_from(BIG)
    | st.sampled_from(FLOATS)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.integers(-(2**63), 2**63 - 1)
)
scalars = st.none() | st.booleans() | numbers | texts
paths = ("a", "b", "a.b", "a.0", "q'", 'x"y', "é \\ z", "$", "a.b.a")
keys = st.sampled_from(["a", "b", "0", "q'", 'x"y', "é \\ z", "$"])
documents = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=3),
    max_leaves=8,
)
names = st.none() | texts.filter(bool)


@st.composite
def turns(draw: st.DrawFn) -> list[Turn]:
    return [
        turn(
            f"t{n}",
            content=draw(texts),
            name=draw(names),
            session_id=draw(names),
            event_time=draw(st.sampled_from(TIMES)),
            importance=draw(st.none() | st.floats(0, 1)),
            metadata=draw(st.dictionaries(keys, documents, max_size=3)),
        )
        for n in range(draw(st.integers(1, 8)))
    ]


@st.composite
def comparisons(draw: st.DrawFn) -> Comparison:
    """Draw a comparison that the filter language accepts."""
    name = draw(
        st.sampled_from(["name", "session_id", "content", "event_time", "importance"])
        | st.sampled_from([f"metadata.{path}" for path in paths])
    )
    op: Operator = draw(st.sampled_from(get_args(Operator)))
    value: Any = draw(st.lists(scalars, max_size=3) if op == "in" else scalars)
    if not name.startswith("metadata."):
        kinds = {"event_time": st.sampled_from(TIMES), "importance": st.floats(0, 1) | numbers}
        kind: st.SearchStrategy[Any] = kinds.get(name, texts)
        value = draw(st.lists(kind | st.none(), max_size=3) if op == "in" else kind)
    try:
        return Comparison(name, op, value)
    except InvalidInput:
        return Comparison("name", "ne", draw(texts))


filters = st.recursive(
    comparisons(),
    lambda inner: (
        st.lists(inner, min_size=1, max_size=3).map(lambda parts: And(tuple(parts)))
        | st.lists(inner, min_size=1, max_size=3).map(lambda parts: Or(tuple(parts)))
        | inner.map(Not)
    ),
    max_leaves=6,
)


@pytest.fixture(scope="module")
def answer(tmp_path_factory: pytest.TempPathFactory) -> Answer:
    """Return what stores turns and asks LanceDB which of them each condition selects."""
    table = lancedb.connect(tmp_path_factory.mktemp("sql")).create_table(
        "turns", schema=turns_schema(DIMENSION)
    )

    def ask(stored: Sequence[Turn], conditions: Iterable[str]) -> list[set[str]]:
        table.delete("true")
        table.add(rows_of(stored))
        queries = (table.search().where(condition).select(["id"]) for condition in conditions)
        return [set(strings(query.to_arrow()["id"])) for query in queries]

    return ask


@settings(max_examples=120, deadline=None)
@given(stored=turns(), expression=filters)
def test_sql_selects_exactly_the_turns_a_filter_matches(
    stored: list[Turn], expression: Filter, answer: Answer
) -> None:
    expected = {one.id for one in stored if matches(expression, one)}
    assert answer(stored, [compile_filter(expression)]) == [expected]


@pytest.mark.parametrize("op", get_args(Operator))
def test_metadata_compares_with_every_kind_of_value_as_python_does(
    op: Operator, answer: Answer
) -> None:
    values: list[Any] = [*HOSTILE, *BIG, *FLOATS, 7, 0, True, False, None]
    found = [*values, *NESTED, *([value] for value in values), *(["x", v, 0.5] for v in values)]
    stored = [turn(f"t{n}", metadata={"a": value}) for n, value in enumerate(found)]
    stored.append(turn("missing"))
    expressions = []
    for value in values:
        with suppress(InvalidInput):  # the filter language refuses it: None has no order
            given: Any = [value] if op == "in" else value
            expressions.append(Comparison("metadata.a", op, given))
    assert len(expressions) > len(HOSTILE)
    answers = answer(stored, map(compile_filter, expressions))
    for expression, selected in zip(expressions, answers, strict=True):
        assert selected == {one.id for one in stored if matches(expression, one)}, expression


@pytest.mark.parametrize("name", ["user_id", "agent_id", "session_id"])
def test_a_scope_selects_its_own_turns_whatever_its_name_is(name: str, answer: Answer) -> None:
    owners = [text for text in HOSTILE if text]
    fields = {"user_id": None, "agent_id": None, "session_id": None}
    stored = [turn(f"t{n}", **{**fields, name: owner}) for n, owner in enumerate(owners)]
    stored.append(turn("nobody's", **fields))
    answers = answer(stored, (where_sql(Scope(**{name: owner})) for owner in owners))
    assert answers == [{f"t{n}"} for n in range(len(owners))]


@settings(max_examples=80, deadline=None)
@given(
    owners=st.lists(st.tuples(names, names, names), min_size=1, max_size=8),
    scope=st.builds(Scope, names, names, names).filter(lambda scope: not scope.is_empty),
    expression=filters,
)
def test_no_filter_reaches_beyond_its_scope(
    owners: list[tuple[str | None, ...]], scope: Scope, expression: Filter, answer: Answer
) -> None:
    stored = [
        turn(f"t{n}", user_id=user, agent_id=agent, session_id=session)
        for n, (user, agent, session) in enumerate(owners)
    ]
    asked = (scope.user_id, scope.agent_id, scope.session_id)
    inside = {
        f"t{n}"
        for n, owner in enumerate(owners)
        if all(want in (None, has) for want, has in zip(asked, owner, strict=True))
    }
    wide = Or((expression, Comparison("role", "ne", "nobody")))
    assert answer(stored, [where_sql(scope, matching=wide)]) == [inside]
    assert answer(stored, [where_sql(scope, matching=expression)])[0] <= inside


def test_times_bound_a_read_to_the_microsecond(answer: Answer) -> None:
    stored = [turn(f"t{n}", event_time=time) for n, time in enumerate(TIMES)]
    conditions = [where_sql(ALL, since=time) for time in TIMES]
    conditions += [where_sql(ALL, until=time) for time in TIMES]
    expected = [{f"t{n}" for n, found in enumerate(TIMES) if found >= time} for time in TIMES]
    expected += [{f"t{n}" for n, found in enumerate(TIMES) if found < time} for time in TIMES]
    assert answer(stored, conditions) == expected


def test_everything_is_read_only_on_purpose(answer: Answer) -> None:
    with pytest.raises(ScopeRequired, match="scope=ALL"):
        where_sql(Scope())
    stored = [turn("t0"), turn("t1", user_id=None)]
    assert answer(stored, [where_sql(ALL), keys_sql([])]) == [{"t0", "t1"}, set()]


def test_the_largest_filter_that_can_be_written_is_understood(answer: Answer) -> None:
    deep: Filter = field("metadata.a.b.c.d.e.f.g.h") == 7
    for n in range(MAX_DEPTH - 1):
        deep = Not(And((deep,)) if n % 2 else deep)
        if _depth(deep) >= MAX_DEPTH - 1:
            break
    wide = Or(tuple(Comparison("metadata.n", "gt", n) for n in range(1_000)))
    many = field("name").in_([f"n{n}" for n in range(10_000)])
    stored = [turn("t0", metadata={"n": 0.5}, name="n9999"), turn("t1")]
    answers = answer(stored, map(compile_filter, (deep, wide, many)))
    assert answers[1:] == [{"t0"}, {"t0"}]
    assert answers[0] == {one.id for one in stored if matches(deep, one)}


def test_text_that_utf_8_cannot_hold_is_refused() -> None:
    with pytest.raises(InvalidInput, match="lone surrogate"):
        literal("half \ud800")
