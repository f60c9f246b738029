"""Conditions as SQL: they mean exactly what the filter says, whatever the texts hold."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, get_args

import lancedb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from storage_tools import DIMENSION, HOSTILE, NOON, later, rows_of, turn

from agentmem.errors import InvalidInput, ScopeRequired
from agentmem.filters import And, Comparison, Filter, Not, Operator, Or, field, matches
from agentmem.storage.schema import turns_schema
from agentmem.storage.sql import compile_filter, keys_sql, literal, scope_sql, where_sql
from agentmem.types import ALL, Scope, Turn

Answer = Callable[[Sequence[Turn], str], set[str]]

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
    value = draw(st.lists(scalars, max_size=3) if op == "in" else scalars)
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
    """Return the function that stores turns and asks LanceDB which of them a condition selects."""
    table = lancedb.connect(tmp_path_factory.mktemp("sql")).create_table(
        "turns", schema=turns_schema(DIMENSION)
    )

    def ask(stored: Sequence[Turn], condition: str) -> set[str]:
        table.delete("true")
        table.add(rows_of(stored))
        return set(table.search().where(condition).select(["id"]).to_arrow()["id"].to_pylist())

    return ask


@settings(max_examples=250, deadline=None)
@given(stored=turns(), expression=filters)
def test_sql_selects_exactly_the_turns_a_filter_matches(
    stored: list[Turn], expression: Filter, answer: Answer
) -> None:
    expected = {one.id for one in stored if matches(expression, one)}
    assert answer(stored, compile_filter(expression)) == expected


@pytest.mark.parametrize("op", get_args(Operator))
def test_metadata_compares_with_every_kind_of_value_as_python_does(
    op: Operator, answer: Answer
) -> None:
    values: list[Any] = [*HOSTILE, *BIG, *FLOATS, 7, 0, True, False, None]
    found = [*values, [], {}, {"a": 1}, ["x", ["a"]], *([value] for value in values)]
    stored = [turn(f"t{n}", metadata={"a": value}) for n, value in enumerate(found)]
    stored.append(turn("missing"))
    answer(stored, "true")
    for value in values:
        try:
            expression = Comparison("metadata.a", op, [value] if op == "in" else value)  # type: ignore[arg-type]
        except InvalidInput:
            continue  # the filter language refuses it: None has no order
        expected = {one.id for one in stored if matches(expression, one)}
        assert answer(stored, compile_filter(expression)) == expected, expression
