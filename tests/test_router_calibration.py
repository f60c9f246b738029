"""`ToolRouter.calibrate`: thresholds that keep their promise on other queries, and say when not."""

from __future__ import annotations

import csv
import json
import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from router_tools import TOOLS, define, open_router

from agentmem.embedding import CachedEmbedder, SentenceTransformerEmbedder
from agentmem.errors import InvalidInput, StoreError
from agentmem.router import ToolRouter
from agentmem.types import Calibration, Selection

SUBJECTS = 24
WORDS = 12  # of each subject
DESCRIBED = 6  # of them are in the tool's description
CHATTER = [f"chat{n}" for n in range(40)]
ELSEWHERE = [f"alien{n}" for n in range(200)]


@dataclass(frozen=True)
class Asked:
    """Queries with the right tool of each."""

    queries: list[str]
    labels: list[str | None]


def words_of(subject: int) -> list[str]:
    return [f"word{subject}x{n}" for n in range(WORDS)]


def catalogue() -> list[dict[str, Any]]:
    """Return tools that are described by half of the words that queries about them use."""
    return [
        define(f"tool_{subject}", " ".join(words_of(subject)[:DESCRIBED]))
        for subject in range(SUBJECTS)
    ]


def asked(count: int, *, seed: int, foreign: int = 0) -> Asked:
    """Draw queries: some words of one subject among chatter, and some of no subject."""
    draw = random.Random(seed)
    queries, labels = [], list[str | None]()
    for number in range(count):
        subject = draw.randrange(SUBJECTS)
        words = draw.sample(words_of(subject), 3) + draw.sample(CHATTER, 5) + [f"n{seed}m{number}"]
        queries.append(" ".join(draw.sample(words, len(words))))
        labels.append(f"tool_{subject}")
    for _ in range(foreign):
        queries.append(" ".join(draw.sample(ELSEWHERE, 3) + draw.sample(CHATTER, 5)))
        labels.append(None)
    return Asked(queries, labels)


@pytest.fixture
def router(tmp_path: Path) -> Iterator[ToolRouter]:
    with open_router(tmp_path / "store") as opened:
        opened.register(catalogue())
        yield opened


def refused(router: ToolRouter, queries: Sequence[str]) -> float:
    """Return the share of queries that are refused."""
    return float(np.mean([one.abstained for one in router.select_batch(queries)]))


def examples_of(asked_: Asked) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for query, label in zip(asked_.queries, asked_.labels, strict=True):
        if label is not None:
            found.setdefault(label, []).append(query)
    return found


def within(rate: float, alpha: float, *, fitted: int, tested: int) -> bool:
    """Whether a realised rate is no more than chance above the nominal one."""
    deviation = math.sqrt(alpha * (1 - alpha) * (1 / fitted + 1 / tested))
    return rate <= alpha + 2.5 * deviation


def test_before_any_calibration_the_default_applies_and_says_so(router: ToolRouter) -> None:
    default = router.calibration()
    assert (default.valid, default.queries, default.at) == (False, 0, None)
    assert (default.realised, default.observed) == (None, 0)
    selection = router.select("word3x1 word3x2")
    assert (selection.calibrated, selection.threshold) == (False, default.threshold)


@pytest.mark.parametrize("alpha", [0.05, 0.2])
def test_other_queries_are_refused_as_rarely_as_promised(router: ToolRouter, alpha: float) -> None:
    known = asked(200, seed=1, foreign=40)
    fitted = router.calibrate(known.queries, known.labels, alpha=alpha)
    assert (fitted.queries, fitted.unanswerable, fitted.alpha) == (200, 40, alpha)
    assert fitted.valid
    assert alpha < fitted.upper_bound < alpha + 0.07
    rate = refused(router, asked(300, seed=2).queries)
    assert within(rate, alpha, fitted=200, tested=300)
    assert rate > alpha / 3  # a threshold that refuses nothing would keep any promise
    assert fitted.auroc is not None
    assert fitted.auroc > 0.7
    assert refused(router, asked(0, seed=3, foreign=100).queries) == pytest.approx(
        fitted.refused, abs=0.2
    )


def test_queries_that_are_examples_are_asked_as_if_they_were_not(router: ToolRouter) -> None:
    """Known by heart, they would put the threshold where new queries are refused wholesale."""
    known = asked(100, seed=1)
    router.add_examples(examples_of(known), guard=False)
    fitted = router.calibrate(known.queries, known.labels, alpha=0.1)
    by_heart = [one.confidence for one in router.select_batch(known.queries)]
    assert np.mean(np.array(by_heart) < fitted.threshold) < 0.03
    assert within(refused(router, asked(200, seed=2).queries), 0.1, fitted=100, tested=200)


def test_a_calibration_changes_selections_at_once_and_is_remembered(
    router: ToolRouter, tmp_path: Path
) -> None:
    known = asked(40, seed=1)
    before = router.select(known.queries[0])
    fitted = router.calibrate(known.queries, known.labels, alpha=0.1)
    after = router.select(known.queries[0])
    assert (before.calibrated, after.calibrated) == (False, True)
    assert after.threshold == fitted.threshold
    with open_router(tmp_path / "store", read_only=True) as reader:
        assert reader.calibration() == fitted
        assert reader.select(known.queries[0]).threshold == fitted.threshold


def test_confidence_becomes_a_probability_when_both_kinds_are_known(router: ToolRouter) -> None:
    known = asked(150, seed=1, foreign=150)
    router.calibrate(known.queries, known.labels)
    other = asked(150, seed=2, foreign=150)
    found = router.select_batch(other.queries)
    confidence = np.array([one.confidence for one in found])
    fits = np.array([label is not None for label in other.labels])
    assert confidence.mean() == pytest.approx(fits.mean(), abs=0.06)
    assert ((confidence - fits) ** 2).mean() < 0.22  # the Brier score; 0.25 is a coin's


def test_the_terms_of_a_calibrated_confidence_add_up_to_its_log_odds(router: ToolRouter) -> None:
    known = asked(60, seed=1, foreign=60)
    router.calibrate(known.queries, known.labels)
    for one in router.select_batch(asked(5, seed=2, foreign=5).queries):
        odds = math.log(one.confidence / (1 - one.confidence))
        assert sum(one.needs_tool.values()) == pytest.approx(odds, abs=1e-3)


def test_labels_may_be_a_name_several_or_none(router: ToolRouter) -> None:
    known = asked(20, seed=1)
    labels = [[label, "tool_0"] for label in known.labels if label is not None]
    queries = [*known.queries, "something else", "or nothing at all"]
    fitted = router.calibrate(queries, [*labels, [], None], alpha=0.1)
    assert (fitted.queries, fitted.unanswerable) == (20, 2)


def test_without_unanswerable_queries_nothing_is_said_of_them(router: ToolRouter) -> None:
    known = asked(20, seed=1)
    fitted = router.calibrate(known.queries, known.labels, alpha=0.1)
    assert (fitted.refused, fitted.auroc) == (None, None)


@pytest.mark.parametrize("size", [18, 0])
def test_too_few_queries_are_refused_with_the_number_needed(router: ToolRouter, size: int) -> None:
    known = asked(size, seed=1, foreign=30)
    with pytest.raises(InvalidInput, match=r"takes at least 19"):
        router.calibrate(known.queries, known.labels)
    assert not router.calibration().valid


def test_as_many_queries_as_the_message_asks_for_suffice(router: ToolRouter) -> None:
    known = asked(19, seed=1)
    assert router.calibrate(known.queries, known.labels).valid
    with pytest.raises(InvalidInput, match=r"19 suffice for alpha=0\.05"):
        router.calibrate(known.queries, known.labels, alpha=0.04)


def test_a_label_that_names_no_tool_is_refused_with_the_one_meant(router: ToolRouter) -> None:
    known = asked(19, seed=1)
    with pytest.raises(InvalidInput, match=r"no tool 'toool_17'.*Did you mean 'tool_17'"):
        router.calibrate([*known.queries, "one more"], [*known.labels, "toool_17"])


GOOD = asked(19, seed=1)
BAD: list[tuple[Any, Any, dict[str, Any]]] = [
    ("a query", GOOD.labels, {}),
    (GOOD.queries, "tool_1", {}),
    (GOOD.queries, None, {}),
    (GOOD.queries[1:], GOOD.labels, {}),
    ([*GOOD.queries[1:], " "], GOOD.labels, {}),
    ([*GOOD.queries[1:], 7], GOOD.labels, {}),
    (GOOD.queries, [*GOOD.labels[1:], 7], {}),
    (GOOD.queries, [*GOOD.labels[1:], [""]], {}),
    (GOOD.queries, GOOD.labels, {"alpha": 0}),
    (GOOD.queries, GOOD.labels, {"alpha": 1}),
    (GOOD.queries, GOOD.labels, {"alpha": float("nan")}),
    (GOOD.queries, GOOD.labels, {"alpha": "0.05"}),
    (GOOD.queries, GOOD.labels, {"alpha": True}),
    (GOOD.queries, GOOD.labels, {"namespace": ""}),
    (GOOD.queries, GOOD.labels, {"namespace": "travel"}),
]


@pytest.mark.parametrize(("queries", "labels", "options"), BAD)
def test_what_cannot_be_used_is_refused_by_type(
    router: ToolRouter, queries: Any, labels: Any, options: dict[str, Any]
) -> None:
    with pytest.raises(InvalidInput):
        router.calibrate(queries, labels, **options)


def test_an_empty_catalogue_cannot_be_calibrated(tmp_path: Path) -> None:
    with open_router(tmp_path) as empty, pytest.raises(InvalidInput, match="the catalogue has no"):
        empty.calibrate(GOOD.queries, GOOD.labels)


def test_a_read_only_store_cannot_be_calibrated(router: ToolRouter, tmp_path: Path) -> None:
    assert len(router)
    with (
        open_router(tmp_path / "store", read_only=True) as reader,
        pytest.raises(StoreError, match="read_only"),
    ):
        reader.calibrate(GOOD.queries, GOOD.labels)


def test_a_changed_catalogue_ends_the_calibration_and_the_old_one_brings_it_back(
    router: ToolRouter,
) -> None:
    router.calibrate(GOOD.queries, GOOD.labels)
    router.register(define("newcomer", "Does something else."))
    ended = router.calibration()
    assert not ended.valid
    assert "the catalogue changed" in ended.reason
    assert not router.select("word3x1 word3x2").calibrated
    router.remove("newcomer")
    assert router.select("word3x1 word3x2").calibrated


def test_namespaces_are_calibrated_each_for_itself(router: ToolRouter) -> None:
    router.register(TOOLS, namespace="travel")
    fitted = router.calibrate(GOOD.queries, GOOD.labels, namespace="default")
    assert router.calibration("default") == fitted
    assert router.select("word3x1", namespace="default").calibrated
    assert not router.select("word3x1", namespace="travel").calibrated
    assert not router.select("word3x1").calibrated


def feed_back(router: ToolRouter, asked_: Asked) -> list[Selection]:
    found = router.select_batch(asked_.queries)
    for one, label in zip(found, asked_.labels, strict=True):
        router.feedback(one, used=label, guard=False)
    return found


def test_feedback_shows_the_realised_rate_of_wrong_refusals(router: ToolRouter) -> None:
    known = asked(100, seed=1)
    router.feedback(router.select(known.queries[0]), used=known.labels[0])  # before it was fitted
    fitted = router.calibrate(known.queries, known.labels, alpha=0.3)
    assert (fitted.realised, fitted.observed) == (None, 0)
    found = feed_back(router, asked(4, seed=2, foreign=1))
    router.feedback("word1x1 word1x2", used="tool_1")  # no selection, so nothing was refused
    now = router.calibration()
    assert now.observed == 4
    assert now.realised == pytest.approx(np.mean([one.abstained for one in found[:4]]))


def test_more_wrong_refusals_than_chance_explains_are_said(router: ToolRouter) -> None:
    known = asked(40, seed=1, foreign=40)
    fitted = router.calibrate(known.queries, known.labels, alpha=0.3)
    strange = router.select_batch([" ".join(ELSEWHERE[n : n + 4]) for n in range(60)])
    refusals = [one for one in strange if one.abstained][:4]
    for one in refusals:
        router.feedback(one, used="tool_1", guard=False)
    now = router.calibration()
    assert (now.realised, now.observed, now.valid) == (1.0, 4, True)
    assert "4 of 4 reported queries were refused wrongly" in now.reason
    assert fitted.reason in now.reason


def metatool(folder: Path, *, count: int) -> list[tuple[str, str]]:
    with (folder / "metatool" / "queries-dev.csv").open(encoding="utf-8") as file:
        rows = [(row["Query"], row["Tool"]) for row in csv.DictReader(file)]
    return random.Random(4).sample(rows, count)


@pytest.fixture(scope="module")
def remembering(minilm: SentenceTransformerEmbedder) -> CachedEmbedder:
    """Give the default embedder, which embeds a query once for all tests."""
    return CachedEmbedder(minilm)


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.parametrize("taught", [0, 400])
def test_real_queries_are_refused_within_two_points_of_the_nominal_rate(
    tmp_path: Path, real_data: Path, remembering: CachedEmbedder, taught: int
) -> None:
    rows = metatool(real_data, count=1_800)
    tools = sorted({tool for _, tool in rows})
    with open_router(tmp_path, embedder=remembering) as router:
        router.register(_described(real_data, tools))
        if taught:
            router.add_examples(_by_tool(rows[:taught]), guard=False)
        halves, rates = (rows[400:1_100], rows[1_100:]), []
        for fitting, testing in (halves, halves[::-1]):  # one rate of 700 errs by a point alone
            fitted: Calibration = router.calibrate(
                *map(list, zip(*fitting, strict=True)), alpha=0.05
            )
            rates.append(refused(router, [query for query, _ in testing]))
            assert fitted.upper_bound <= 0.07
    assert abs(sum(rates) / 2 - 0.05) <= 0.02


def _described(folder: Path, tools: Sequence[str]) -> list[dict[str, Any]]:
    told = json.loads((folder / "metatool" / "plugin_des.json").read_text(encoding="utf-8"))
    return [define(tool, told.get(tool, "")) for tool in tools]


def _by_tool(rows: Sequence[tuple[str, str]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for query, tool in rows:
        found.setdefault(tool, []).append(query)
    return found
