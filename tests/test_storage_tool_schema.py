"""Rows of tools: definitions come back exactly, and what cannot be stored is refused."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from catalogue_tools import cut, key, row_of, stored, tool
from hypothesis import given
from hypothesis import strategies as st
from storage_tools import DIMENSION, HOSTILE, NOON, stamps_of

from agentmem.errors import DuplicateTool, EmbeddingFailed, InvalidInput
from agentmem.storage.tool_schema import tool_from_definition, tool_rows, tool_to_definition
from agentmem.types import Tool

texts = st.sampled_from(HOSTILE) | st.text(st.characters(codec="utf-8"), max_size=8)
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | texts
finite = scalars.filter(lambda value: value not in (float("inf"), float("-inf")))
json_values = st.recursive(
    finite, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3)
)
objects = st.dictionaries(texts, json_values, max_size=4)


@given(
    name=texts,
    description=texts,
    namespace=texts,
    parameters=objects,
    original=objects,
    tags=st.lists(texts, max_size=3).map(tuple),
)
def test_any_tool_comes_back_equal_from_its_definition(**given_fields: Any) -> None:
    one = Tool(**given_fields, source="mcp")
    back = tool_from_definition(tool_to_definition(one))
    assert back == one
    assert list(back.parameters) == list(one.parameters)


def test_a_definition_is_readable_and_a_later_agentmem_s_fields_are_overlooked() -> None:
    one = tool("météo", description="il pleut \U0001f327")
    text = tool_to_definition(one)
    assert "météo" in text
    assert "\U0001f327" in text
    assert tool_from_definition(text[:-1] + ',"shoe_size":42}') == one


@pytest.mark.parametrize("value", [float("nan"), float("inf"), object(), {1, 2}, b"bytes"])
def test_a_definition_that_is_no_json_is_refused_by_the_tool_s_name(value: object) -> None:
    with pytest.raises(InvalidInput, match=r"tool 'get_weather' is not JSON"):
        tool_to_definition(tool(parameters={"x": value}))


def test_a_text_that_utf8_cannot_hold_is_refused() -> None:
    row = replace(row_of(tool()), tool=tool(description="\ud800"))
    with pytest.raises(InvalidInput, match="definition holds what cannot be stored"):
        stored(row)


@given(one=st.tuples(texts, texts), other=st.tuples(texts, texts))
def test_two_tools_share_a_key_only_if_namespace_and_name_agree(
    one: tuple[str, str], other: tuple[str, str]
) -> None:
    keys = [key(name, namespace=namespace) for name, namespace in (one, other)]
    assert (keys[0] == keys[1]) is (one == other)


def test_the_head_alone_carries_the_definition_and_every_row_its_hash() -> None:
    long, short = cut(tool("long", tags=("a", "b")), 3), row_of(tool("short"))
    rows = stored(long, short).to_pylist()
    assert [row["view_key"] for row in rows] == [
        *(f"{key('long')}/{n}" for n in range(3)),
        *(f"{key('short')}/{n}" for n in range(2)),
    ]
    assert [row["piece"] for row in rows] == [0, 1, 2, 0, 1]
    assert [row["definition"] is not None for row in rows] == [True, False, False, True, False]
    assert [row["content_hash"] for row in rows] == [long.content_hash] * 3 + [
        short.content_hash
    ] * 2
    assert [row["kind"] for row in rows] == ["description"] * 4 + ["arguments"]
    assert rows[0]["tags"] == ["a", "b"]


def test_tools_of_one_call_keep_their_order_as_moments_apart() -> None:
    rows = stored(tool("b"), tool("a"), tool("c")).to_pylist()
    moments = [row["registered_at"] for row in rows if row["piece"] == 0]
    assert moments == [NOON + timedelta(microseconds=n) for n in range(3)]


def test_no_tools_are_no_rows() -> None:
    rows = stored()
    assert rows.num_rows == 0
    assert rows.schema == stored(tool()).schema


def test_two_tools_of_one_name_are_refused_unless_their_namespaces_differ() -> None:
    assert stored(tool(), tool(namespace="other")).num_rows == 4
    with pytest.raises(DuplicateTool, match=r"'get_weather' in namespace 'default'.*Rename"):
        stored(tool(), tool(description="another"))


@pytest.mark.parametrize("shape", [(1, DIMENSION), (2, DIMENSION + 1), (3, DIMENSION)])
def test_pieces_and_vectors_that_do_not_fit_are_refused(shape: tuple[int, int]) -> None:
    bad = replace(row_of(tool()), vectors=np.ones(shape, np.float32))
    with pytest.raises(InvalidInput, match=r"2 pieces and vectors of shape"):
        tool_rows([bad], registered=[NOON], stamps=stamps_of(1), dimension=DIMENSION)


def test_a_tool_without_pieces_is_refused() -> None:
    bad = replace(row_of(tool()), pieces=[], vectors=np.ones((0, DIMENSION), np.float32))
    with pytest.raises(InvalidInput, match="at least one piece"):
        tool_rows([bad], registered=[NOON], stamps=stamps_of(1), dimension=DIMENSION)


def test_a_vector_that_is_not_finite_is_refused() -> None:
    bad = row_of(tool())
    bad.vectors[1, 0] = np.nan
    with pytest.raises(EmbeddingFailed, match="register the tools again"):
        tool_rows([bad], registered=[NOON], stamps=stamps_of(1), dimension=DIMENSION)
