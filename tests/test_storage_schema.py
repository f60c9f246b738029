"""Rows: keys never collide, hashes find repeats, and turns come back as they were."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from storage_tools import HOSTILE, later, rows_of, stamps_of, turn, vector_of

from agentmem.errors import EmbeddingFailed, InvalidInput
from agentmem.storage.schema import content_hash, turn_key, turn_rows, turns_from_table
from agentmem.types import Attachment

names = st.none() | st.sampled_from(HOSTILE) | st.text(max_size=4)
triples = st.tuples(st.text(max_size=4), names, names)


@given(one=triples, other=triples)
def test_two_turns_share_a_key_only_if_user_agent_and_id_agree(
    one: tuple[str, str | None, str | None], other: tuple[str, str | None, str | None]
) -> None:
    keys = [turn_key(a, user_id=b, agent_id=c) for a, b, c in (one, other)]
    assert (keys[0] == keys[1]) is (one == other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("", None), (None, "")),
        (("a", "b"), ("ab", None)),
        (("a/b", None), ("a", "b")),
        (("-", None), (None, "-")),
        (("1:a", None), ("a", "1:")),
    ],
)
def test_a_key_s_parts_do_not_run_together(
    one: tuple[str | None, str | None], other: tuple[str | None, str | None]
) -> None:
    assert turn_key("x", user_id=one[0], agent_id=one[1]) != turn_key(
        "x", user_id=other[0], agent_id=other[1]
    )


@pytest.mark.parametrize(
    "same", [{"content": " e\u0301a\r\nb\n"}, {"name": "Ada"}, {"metadata": {"a": 1}}, {"id": "t2"}]
)
def test_the_content_hash_overlooks_what_does_not_change_what_was_said(
    same: dict[str, Any],
) -> None:
    said = turn(content="\u00e9a\nb")
    assert content_hash(replace(said, **same)) == content_hash(said)


@pytest.mark.parametrize(
    "other",
    [
        {"content": "\u00e9a b"},
        {"role": "assistant"},
        {"user_id": None},
        {"session_id": "s"},
        {"event_time": later(1e-6)},
    ],
)
def test_the_content_hash_tells_different_turns_apart(other: dict[str, Any]) -> None:
    said = turn(content="\u00e9a\nb")
    assert content_hash(replace(said, **other)) != content_hash(said)


def test_turns_come_back_from_their_rows_as_they_were() -> None:
    turns = [
        turn("plain"),
        turn(
            "full",
            role="tool",
            content="".join(HOSTILE),
            name="Ada",
            agent_id="a",
            session_id="s",
            event_time=later(1e-6),
            metadata={"a": [1, 1.5, None, True, {"b": "\0"}]},
            attachments=(Attachment("image", "u", "c"), Attachment("file")),
            importance=0.1,
        ),
    ]
    assert turns_from_table(rows_of(turns)) == turns


def test_a_long_turn_has_a_row_for_each_piece_and_its_content_once() -> None:
    turns = [turn("a"), turn("b", content="one two"), turn("c")]
    rows = rows_of(turns, pieces=[["said a"], ["one", "two"], ["said c"]])
    assert rows["chunk"].to_pylist() == [0, 0, 1, 0]
    assert rows["chunks"].to_pylist() == [1, 2, 2, 1]
    assert rows["content"].to_pylist() == ["said a", "one two", None, "said c"]
    assert rows["text"].to_pylist() == [None, "one", "two", None]
    assert rows["user_id"].to_pylist() == ["ada"] * 4
    assert len(set(rows["chunk_key"].to_pylist())) == 4
    assert rows["vector"].to_pylist()[2] == vector_of("two").tolist()


def test_no_turns_make_no_rows() -> None:
    vectors = np.zeros((0, 4), np.float32)
    assert turn_rows([], pieces=[], lexemes=[], vectors=vectors, stamps=stamps_of(0)).num_rows == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"content": "half \ud800"}, "content"),
        ({"metadata": {"a": math.nan}}, "metadata"),
        ({"metadata": {"a": object()}}, "metadata"),
        ({"user_id": "\udfff"}, "user_id"),
    ],
)
def test_what_cannot_be_stored_is_refused_by_name(change: dict[str, Any], message: str) -> None:
    vectors = np.ones((1, 4), np.float32)
    with pytest.raises(InvalidInput, match=message):
        turn_rows(
            [turn(**change)],
            pieces=[["x"]],
            lexemes=["x"],
            vectors=vectors,
            stamps=stamps_of(1),
        )


def test_vectors_that_are_not_finite_or_too_few_are_refused() -> None:
    vectors = np.ones((1, 4), np.float32)
    given: dict[str, Any] = {"lexemes": ["x"], "stamps": stamps_of(1)}
    with pytest.raises(EmbeddingFailed, match="not finite"):
        turn_rows([turn()], pieces=[["x"]], vectors=vectors * np.nan, **given)
    with pytest.raises(InvalidInput, match="2 pieces"):
        turn_rows([turn()], pieces=[["x", "y"]], vectors=vectors, **given)
