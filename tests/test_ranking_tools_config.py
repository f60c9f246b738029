"""`Routing`: weights that are refused where they make no sense, and the hash that names them."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest

from agentmem.errors import InvalidInput
from agentmem.ranking.tools.config import Routing

NEVER_ZERO = (
    "trust",
    "shrinkage",
    "neighbours_half",
    "bandwidth",
    "success_strength",
    "temperature",
)


def test_the_id_changes_with_every_weight_and_with_nothing_else() -> None:
    ids = {replace(Routing(), **{one.name: 0.5 + 1e-3}).id for one in fields(Routing)}
    assert len(ids | {Routing().id}) == len(fields(Routing)) + 1
    assert Routing(trust=2).id == Routing(trust=2.0).id == Routing().id


@pytest.mark.parametrize("value", [-0.1, float("nan"), float("inf"), "much", None])
def test_weights_that_are_no_finite_numbers_of_0_or_more_are_refused(value: float) -> None:
    with pytest.raises(InvalidInput, match="lexical"):
        Routing(lexical=value)


@pytest.mark.parametrize("name", ["threshold", "coverage"])
def test_probabilities_end_at_1(name: str) -> None:
    assert getattr(replace(Routing(), **{name: 1.0}), name) == 1
    with pytest.raises(InvalidInput, match=name):
        replace(Routing(), **{name: 1.01})


@pytest.mark.parametrize("name", NEVER_ZERO)
def test_what_is_divided_by_is_above_zero(name: str) -> None:
    with pytest.raises(InvalidInput, match=name):
        replace(Routing(), **{name: 0})
