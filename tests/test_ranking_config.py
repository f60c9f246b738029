"""The weights: what is refused, and what their hash tells apart."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import FrozenInstanceError, fields, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentmem.errors import InvalidInput
from agentmem.ranking import Ranking

NAMES = [field.name for field in fields(Ranking)]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("value", [-0.1, float("nan"), float("inf"), None, "1"])
def test_no_weight_may_turn_the_ranking_upside_down(name: str, value: Any) -> None:
    with pytest.raises(InvalidInput, match=name):
        Ranking(**{name: value})


@pytest.mark.parametrize("name", ["recency", "importance", "diversity"])
def test_gains_are_bounded(name: str) -> None:
    weights: dict[str, Any] = {name: 1}
    assert getattr(Ranking(**weights), name) == 1
    weights[name] = 1.01
    with pytest.raises(InvalidInput, match="bounded by 1"):
        Ranking(**weights)


@pytest.mark.parametrize("name", ["reach", "gap_minutes", "date_days", "recency_days"])
def test_what_is_divided_by_is_not_zero(name: str) -> None:
    weights: dict[str, Any] = {name: 0}
    with pytest.raises(InvalidInput, match="above 0"):
        Ranking(**weights)


@pytest.mark.parametrize("value", [0, 2.5, 50.0])
def test_a_reranker_sees_a_whole_number_of_hits(value: Any) -> None:
    with pytest.raises(InvalidInput, match="rerank_top"):
        Ranking(rerank_top=value)


def test_a_ranking_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        Ranking().dense = 2  # type: ignore[misc]


@given(st.sampled_from(NAMES), st.integers(1, 100))
def test_the_id_tells_different_rankings_apart(name: str, value: int) -> None:
    number = value if name == "rerank_top" else value / 100
    changes: dict[str, Any] = {name: number}
    changed = replace(Ranking(), **changes)
    assert (changed.id == Ranking().id) == (changed == Ranking())


def test_equal_rankings_have_one_id() -> None:
    assert Ranking(dense=1, context=0) == Ranking(dense=1.0, context=-0.0)
    assert Ranking(dense=1, context=0).id == Ranking(dense=1.0, context=-0.0).id


def test_the_id_is_the_same_in_every_process() -> None:
    code = "from agentmem.ranking import Ranking; print(Ranking().id)"
    printed = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    )
    assert printed.stdout.strip() == Ranking().id
    assert len(Ranking().id) == 16
