"""Tests of the measures: by hand, against trec_eval, and as properties."""

from __future__ import annotations

import math

import numpy as np
import pytest
import pytrec_eval
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from agentmem.errors import InvalidInput
from agentmem.evaluation.metrics import bootstrap_ci, measure, relevance

KS = (1, 5, 10)
_IDS = [f"t{number}" for number in range(30)]

rankings = st.lists(st.sampled_from(_IDS), unique=True, max_size=30)
golds = st.frozensets(st.sampled_from(_IDS), min_size=1, max_size=12)


def test_measures_of_a_list_worked_out_by_hand() -> None:
    # Gold a, b, c; retrieved x a y z b w: gold at ranks 2 and 5, c missed.
    values = measure(["x", "a", "y", "z", "b", "w"], {"a", "b", "c"}, ks=KS)
    assert values["recall@1"] == 0
    assert values["recall@5"] == pytest.approx(2 / 3)
    assert values["any@1"] == 0
    assert values["any@5"] == 1
    assert values["all@10"] == 0
    assert values["precision@5"] == pytest.approx(2 / 5)
    assert values["precision@10"] == pytest.approx(2 / 10)
    assert values["mrr"] == pytest.approx(1 / 2)
    ideal = 1 + 1 / math.log2(3) + 1 / math.log2(4)
    assert values["ndcg@5"] == pytest.approx((1 / math.log2(3) + 1 / math.log2(6)) / ideal)


def test_all_gold_first_is_perfect_at_a_depth_that_holds_it() -> None:
    values = measure(["a", "b", "x"], {"a", "b"}, ks=(1, 2))
    assert values["all@1"] == 0
    assert [values[f"{name}@2"] for name in ("recall", "any", "all", "ndcg", "precision")] == [
        1
    ] * 5
    assert values["ndcg@1"] == values["mrr"] == 1


def test_nothing_retrieved_scores_nothing() -> None:
    assert set(measure([], {"a"}, ks=KS).values()) == {0.0}


def test_an_id_that_comes_twice_counts_once() -> None:
    assert relevance(["a", "a", "b"], {"a", "b"}).tolist() == [True, False, True]


@pytest.mark.parametrize(("gold", "ks"), [(set(), (1,)), ({"a"}, (0, 1)), ({"a"}, ())])
def test_measuring_without_gold_or_depth_is_refused(gold: set[str], ks: tuple[int, ...]) -> None:
    with pytest.raises(InvalidInput, match="at least one gold id"):
        measure(["a"], gold, ks=ks)


@given(retrieved=rankings, gold=golds)
def test_measures_equal_those_of_trec_eval(retrieved: list[str], gold: frozenset[str]) -> None:
    depths = ",".join(map(str, KS))
    names = {"recall": "recall", "any": "success", "precision": "P", "ndcg": "ndcg_cut"}
    wanted = {f"{name}.{depths}" for name in names.values()} | {"recip_rank"}
    evaluator = pytrec_eval.RelevanceEvaluator({"q": dict.fromkeys(gold, 1)}, wanted)
    run = {key: float(-place) for place, key in enumerate(retrieved)}
    # trec_eval reports nothing for an empty run; scoring an irrelevant id is the same question.
    theirs = evaluator.evaluate({"q": run or {"none": 0.0}})["q"]

    ours = measure(retrieved, gold, ks=KS)
    for name, trec in names.items():
        for k in KS:
            assert ours[f"{name}@{k}"] == pytest.approx(theirs[f"{trec}_{k}"])
    assert ours["mrr"] == pytest.approx(theirs["recip_rank"])


@given(retrieved=rankings, gold=golds)
def test_all_implies_full_recall_implies_any(retrieved: list[str], gold: frozenset[str]) -> None:
    values = measure(retrieved, gold, ks=KS)
    for k in KS:
        assert (values[f"all@{k}"] == 1) == (values[f"recall@{k}"] == 1)
        assert (values[f"any@{k}"] == 1) == (values[f"recall@{k}"] > 0)
    assert values["recall@1"] <= values["recall@5"] <= values["recall@10"]


def _sample(size: int = 200) -> NDArray[np.float64]:
    return np.random.default_rng(7).random((size, 2)) ** 2


def test_bootstrap_bounds_agree_with_scipy() -> None:
    values = _sample()
    low, high = bootstrap_ci(values, resamples=20_000)
    theirs = stats.bootstrap(
        (values,),
        np.mean,
        axis=0,
        method="percentile",
        n_resamples=20_000,
        rng=np.random.default_rng(1),
    ).confidence_interval
    np.testing.assert_allclose(low, theirs.low, atol=2e-3)
    np.testing.assert_allclose(high, theirs.high, atol=2e-3)


def test_bootstrap_repeats_itself_and_follows_its_seed() -> None:
    values = _sample(50)
    np.testing.assert_array_equal(bootstrap_ci(values), bootstrap_ci(values))
    assert not np.array_equal(bootstrap_ci(values), bootstrap_ci(values, seed=1))


def test_bootstrap_in_blocks_bounds_as_it_does_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    at_once = bootstrap_ci(_sample())
    monkeypatch.setattr("agentmem.evaluation.metrics._BLOCK", 1000)
    np.testing.assert_allclose(bootstrap_ci(_sample()), at_once, atol=1e-12)


def test_bootstrap_by_groups_is_wider_when_groups_answer_alike() -> None:
    groups = np.repeat(np.arange(10), 20)
    values = (groups % 2).astype(float)
    low, high = bootstrap_ci(values)
    group_low, group_high = bootstrap_ci(values, groups=groups)
    assert group_high - group_low > 2 * (high - low)


def test_groups_of_one_question_each_are_no_groups() -> None:
    values = _sample(30)
    np.testing.assert_allclose(bootstrap_ci(values, groups=np.arange(30)), bootstrap_ci(values))


def test_one_question_has_no_spread() -> None:
    low, high = bootstrap_ci([0.25])
    assert low == high == 0.25
