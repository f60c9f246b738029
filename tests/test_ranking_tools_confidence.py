"""Log-odds that a tool fits: monotone in their evidence, and probabilities down the ranks."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentmem.ranking.tools.confidence import BestTool, log_odds, probabilities, sigmoid

EVIDENCE = [one.name for one in fields(BestTool) if one.name != "trust"]
OF_USAGE = ("prototype", "nearest")
SHARE = st.floats(0, 1, width=32)
BEST = st.builds(lambda trust, values: best(values, trust=trust), SHARE, st.tuples(*[SHARE] * 9))


def best(values: tuple[float, ...] = (0.5,) * 9, *, trust: float) -> BestTool:
    """Return a best candidate with these values of its evidence, in their order."""
    return BestTool(**dict(zip(EVIDENCE, values, strict=False)), trust=trust)


def odds(of: BestTool) -> float:
    return sum(log_odds(of).values())


@given(BEST, st.sampled_from(["cosine", "words", *OF_USAGE]))
def test_more_evidence_never_makes_a_tool_less_likely(found: BestTool, name: str) -> None:
    more = replace(found, **{name: getattr(found, name) + 0.5})
    assert odds(more) >= odds(found) - 1e-9


@pytest.mark.parametrize("name", ["cosine", "words"])
def test_what_a_tool_without_usage_says_of_itself_counts(name: str) -> None:
    cold = best(trust=0)
    assert odds(replace(cold, **{name: 0.9})) > odds(cold)
    assert odds(replace(cold, prototype=0.9, nearest=0.9)) == odds(cold)


def test_a_tool_known_by_its_usage_is_judged_by_it() -> None:
    warm = best(trust=1)
    assert odds(replace(warm, prototype=0.9)) > odds(warm) + 0.5
    assert odds(replace(warm, cosine=-1.0)) == pytest.approx(odds(warm))


def test_common_words_prove_less_whether_or_not_usage_is_known() -> None:
    for trust in (0.0, 0.5, 1.0):
        found = best(trust=trust)
        assert odds(replace(found, rarity=0.3)) < odds(found) < odds(replace(found, rarity=0.7))


def test_equal_evidence_is_worth_about_as_much_of_a_few_examples_as_of_many() -> None:
    found = BestTool(cosine=0.4, words=2.5, score=5.5, rarity=0.8, prototype=0.45, nearest=0.5)
    few, many = (odds(replace(found, trust=trust)) for trust in (5 / 7, 40 / 42))
    assert 0 < few - many < 1.5


@given(BEST)
def test_the_less_a_tools_usage_is_believed_the_less_it_counts(found: BestTool) -> None:
    def gain(trust: float) -> float:
        known = replace(found, trust=trust)
        return odds(replace(known, prototype=found.prototype + 0.5)) - odds(known)

    assert gain(found.trust) == pytest.approx(found.trust * gain(1.0), abs=1e-6)


@given(st.floats(-1_000, 1_000))
def test_sigmoid_is_a_probability_and_symmetric(value: float) -> None:
    assert 0 <= sigmoid(value) <= 1
    assert sigmoid(value) + sigmoid(-value) == pytest.approx(1)


def test_probabilities_fall_from_the_confidence_with_the_distance() -> None:
    found = probabilities(np.array([3, 2, 2, 0], np.float32), confidence=0.8, temperature=2.0)
    expected = 0.8 * np.exp([0, -0.5, -0.5, -1.5])
    assert found == pytest.approx(expected)
    assert not len(probabilities(np.zeros(0, np.float32), confidence=0.8, temperature=1.0))
