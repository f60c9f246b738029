"""Tests of the evaluation of a router, on real stores with a real, tiny embedder."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from agentmem.errors import InvalidInput
from agentmem.evaluation.report import macro_average
from agentmem.evaluation.router import (
    MACRO,
    Amount,
    Probe,
    RouterReport,
    RoutingQuery,
    RoutingTask,
    evaluate_router,
)
from agentmem.evaluation.router.abstaining import probe_result
from agentmem.evaluation.router.asking import Answer, routing_row
from agentmem.evaluation.router.learning import amounts_of, examples_of, halves
from agentmem.evaluation.router.sampling import sample
from agentmem.evaluation.router.tasks import without_gold
from agentmem.testing import HashEmbedder

_TOOLS = {
    "get_weather": "Forecast of rain and sun for a city",
    "send_mail": "Write and send a letter to somebody",
    "book_flight": "Reserve a seat on an aeroplane",
    "play_music": "Start a song or an album",
}
_ASKED = {
    "get_weather": [
        "umbrella tomorrow",
        "forecast of rain",
        "sun in a city",
        "is it going to pour",
    ],
    "send_mail": ["send a letter", "write to somebody", "drop Ada a line", "a letter to Ben"],
    "book_flight": [
        "reserve an aeroplane seat",
        "fly me out",
        "a seat on a plane",
        "to Oslo by air",
    ],
    "play_music": ["start a song", "an album by Bach", "put something on", "a song to dance"],
}


def _query(text: str, *gold: str, **more: Any) -> RoutingQuery:
    return RoutingQuery(text, frozenset(gold), "asked", **more)


_TEST = [_query(text, name) for name, texts in _ASKED.items() for text in texts]
_TRAIN = [
    _query(f"{text}, please {number}", name)
    for number in range(6)
    for name, texts in _ASKED.items()
    for text in texts
]


@pytest.fixture
def task() -> RoutingTask:
    tools = {name: [{"name": name, "description": text}] for name, text in _TOOLS.items()}
    nothing = _query("the meaning of life", answerable=False)
    probe = Probe("none fits", "made up", [*_TEST, nothing])
    return RoutingTask("own", tools, _TEST, probes=[probe], notes={"a note": 1})


def _evaluate(task: RoutingTask, **options: Any) -> RouterReport:
    return evaluate_router(task, embedder=HashEmbedder(), progress=False, **options)


def _without_times(report: RouterReport) -> dict[str, Any]:
    values = report.to_dict()
    del values["seconds_registering"]
    for system in values["systems"]:
        del system["milliseconds"]
        del system["config_id"]
    return values


# Ranking


def test_queries_in_the_words_of_a_tool_find_it(task: RoutingTask) -> None:
    asked = replace(task, test=[_query("forecast of rain in a city", "get_weather")])
    report = _evaluate(asked)
    product = report.systems[0]
    assert product.name == "agentmem"
    assert product.config_id
    assert product.overall["recall@1"].mean == product.overall["mrr"].mean == 1
    assert (report.tools, report.training, report.questions) == (4, 0, {"asked": 1})
    assert report.notes == {"a note": 1}


def test_baselines_stand_beside_the_product_on_the_same_queries(task: RoutingTask) -> None:
    report = _evaluate(task)
    assert [system.name for system in report.systems] == ["agentmem", "dense", "lexical", "rrf"]
    for system in report.systems:
        assert [row.question for row in system.rows] == [query.text for query in _TEST]
        assert all(len(row.retrieved) <= 10 for row in system.rows)
    assert [one.name for one in _evaluate(task, baselines=False).systems] == ["agentmem"]


def test_the_same_run_gives_the_same_report(task: RoutingTask) -> None:
    first, second = (_evaluate(task) for _ in range(2))
    assert _without_times(first) == _without_times(second)


def test_tools_of_one_name_are_all_registered_and_each_is_a_hit() -> None:
    variants = [{"name": "convert", "description": text} for text in ("Metres to feet", "Euros")]
    other = {"name": "sing", "description": "A song"}
    queries = [_query("how many feet is a metre", "convert"), _query("euros", "convert")]
    report = _evaluate(RoutingTask("own", {"convert": variants, "sing": [other]}, queries))
    assert report.tools == 3
    assert report.systems[0].overall["recall@1"].mean == 1
    assert Counter(report.systems[0].rows[0].retrieved) == {"convert": 2, "sing": 1}


def test_queries_with_a_history_are_asked_with_and_without_it(task: RoutingTask) -> None:
    before = ({"role": "user", "content": "Forecast of rain and sun"},)
    asked = replace(task, test=[_query("and in Turin?", "get_weather", history=before), *_TEST])
    report = _evaluate(asked, baselines=False)
    assert [system.name for system in report.systems] == ["agentmem", "agentmem, no history"]
    (gain,) = report.history_gains
    assert (gain.told, gain.untold) == ("agentmem", "agentmem, no history")
    assert gain.conversations == len(asked.test)


def test_a_limit_asks_fewer_queries_the_same_ones_each_time(task: RoutingTask) -> None:
    first, second = (_evaluate(task, limit=5) for _ in range(2))
    assert len(first.systems[0].rows) == 5
    assert _without_times(first) == _without_times(second)
    assert [one.answerable for one in first.probes] == [5, 5]


def test_a_limit_keeps_conversations_whole_but_for_the_last() -> None:
    turns = [
        _query(f"{number}.{place}", "x", conversation=f"c{number}")
        for place in range(3)
        for number in range(4)
    ]
    drawn = sample(turns, limit=7, seed=1)
    counts = Counter(query.conversation for query in drawn)
    assert sorted(counts.values()) == [1, 3, 3]
    assert [query for query in turns if query in drawn] == list(drawn)
    assert min(query.text[2:] for query in drawn if counts[query.conversation] == 1) == "0"
    assert sample(turns, limit=7, seed=1) == drawn != sample(turns, limit=7, seed=2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ks": (0,)}, "ks must be numbers"),
        ({"label_noise": 1.5}, "label_noise is a share"),
        ({"alpha": 0}, "alpha is a rate"),
        ({"limit": 0}, "limit has to be 1"),
        ({"examples": (5,)}, "no training queries"),
    ],
)
def test_arguments_out_of_range_are_refused(
    task: RoutingTask, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidInput, match=message):
        _evaluate(task, **options)


def test_a_task_without_test_queries_is_refused(task: RoutingTask) -> None:
    with pytest.raises(InvalidInput, match="no test queries"):
        _evaluate(replace(task, test=[]))


# The report


def test_macro_averages_weigh_each_tool_alike() -> None:
    rows = [
        *(routing_row(_query(f"q{n}", "often"), ["often"], ks=(1,)) for n in range(9)),
        routing_row(_query("q", "seldom"), ["often", "seldom"], ks=(1,)),
    ]
    assert macro_average(rows)["recall@1"].mean == 0.5


def test_the_table_ends_with_the_means_over_tools(task: RoutingTask) -> None:
    last = _evaluate(task).table()[-1]
    assert (last.category, last.questions) == (MACRO, 4)
    assert list(last.values) == ["agentmem", "dense", "lexical", "rrf"]


def test_json_lists_the_failing_queries_of_the_product(task: RoutingTask) -> None:
    asked = replace(task, test=[*_TEST, _query("zzz qqq", "play_music")])
    report = _evaluate(asked, ks=(1,))
    whole = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    failures = whole["failures"]["agentmem"]
    missed = [row for row in report.systems[0].rows if row.metrics["recall@1"] < 1]
    assert list(whole["failures"]) == ["agentmem"]
    assert failures["count"] == len(failures["worst"]) == len(missed)
    assert failures["worst"][0].keys() == {"query", "gold", "ranks", "instead"}
    short = report.to_dict(rows=False)
    assert "rows" not in short["systems"][0]
    assert short["failures"]["agentmem"]["count"] == failures["count"]


# Learning


def test_examples_are_the_first_of_each_tool() -> None:
    train = [_query("a", "x"), _query("b", "x", "y"), _query("c", "x")]
    lessons = examples_of(train, amount=2, noise=0, names=["x", "y"], seed=0)
    assert lessons.examples == {"x": ["a", "b"], "y": ["b"]}
    assert lessons.wrong == 0


@pytest.mark.parametrize("noise", [0.2, 1.0])
def test_noise_gives_that_share_of_the_examples_to_other_tools(noise: float) -> None:
    names = ["x", "y", "z"]
    train = [_query(f"x{place}", "x") for place in range(1000)]
    lessons = examples_of(train, amount="all", noise=noise, names=names, seed=3)
    moved = {name: len(lessons.examples.get(name, [])) for name in ("y", "z")}
    assert sum(moved.values()) == lessons.wrong == pytest.approx(1000 * noise, abs=40)
    assert moved["y"] == pytest.approx(moved["z"], abs=80)
    assert lessons == examples_of(train, amount="all", noise=noise, names=names, seed=3)


def test_halves_share_each_tool_alike() -> None:
    train = [_query(f"{name}{place}", name) for name in "xy" for place in range(5)]
    first, second = halves(train)
    assert Counter(min(query.gold) for query in first) == {"x": 3, "y": 3}
    assert Counter(min(query.gold) for query in second) == {"x": 2, "y": 2}


@pytest.mark.parametrize(
    ("examples", "train", "amounts"),
    [(None, [], (0,)), (None, _TRAIN, (0, "all")), ((5, 0), _TRAIN, (5, 0)), ((0,), [], (0,))],
)
def test_what_is_learnt_is_nothing_and_all_unless_said(
    examples: tuple[Amount, ...] | None, train: list[RoutingQuery], amounts: tuple[Amount, ...]
) -> None:
    assert amounts_of(examples, train=train) == amounts


@pytest.mark.parametrize("examples", [(), (5, 5), (-1,)])
def test_amounts_that_make_no_sense_are_refused(examples: tuple[Amount, ...]) -> None:
    with pytest.raises(InvalidInput, match="examples"):
        amounts_of(examples, train=_TRAIN)


def test_examples_improve_a_router_and_are_reported(task: RoutingTask) -> None:
    report = _evaluate(replace(task, train=_TRAIN), examples=(0, 3, "all"))
    untaught, few, taught = report.systems[:3]
    assert [one.name for one in (untaught, few, taught)] == [
        "agentmem",
        "agentmem +3",
        "agentmem +all",
    ]
    assert taught.overall["mrr"].mean > untaught.overall["mrr"].mean
    assert report.teachings["agentmem +3"].examples == 12
    assert report.teachings["agentmem +all"].examples == report.training == len(_TRAIN)
    assert report.teachings["agentmem +all"].applied


# Abstaining


def test_a_probe_tells_confidence_refusals_and_what_was_found() -> None:
    queries = [
        _query("a", "x"),
        _query("b", "x", "y"),
        _query("c", answerable=False),
        _query("d", answerable=False),
    ]
    answers = [
        Answer(("x", "y"), 0.9, abstained=False),
        Answer(("z", "y"), 0.4, abstained=True),
        Answer(("x",), 0.5, abstained=False),
        Answer(("y",), 0.1, abstained=True),
    ]
    result = probe_result(Probe("p", "about", queries), answers, system="agentmem")
    assert (result.answerable, result.unanswerable) == (2, 2)
    assert result.auroc.mean == 0.75
    assert result.coverage == 0.25  # b has a wrong tool first, so one answer of four is safe
    assert result.wrongly_refused.mean == result.rightly_refused.mean == 0.5
    assert result.found is not None
    assert result.found.mean == 0.75
    assert result.found_hidden is None


def test_a_probe_tells_whether_hidden_tools_were_found_all_the_same() -> None:
    there = _query("a", "x", "y")
    queries = [there, *without_gold([there, there])]
    found = ("x", "y")
    answers = [Answer(names, 0.5, abstained=False) for names in (found, ("z",), ("z", "x"))]
    result = probe_result(Probe("p", "about", queries), answers, system="agentmem")
    assert result.found is not None
    assert result.found_hidden is not None
    assert (result.found.mean, result.found_hidden.mean) == (1, 0.25)


def test_unknown_gold_of_an_answerable_query_counts_as_answered_rightly() -> None:
    queries = [_query("a"), _query("b", answerable=False)]
    answers = [Answer(("x",), 0.9, abstained=False), Answer(("x",), 0.1, abstained=False)]
    result = probe_result(Probe("p", "about", queries), answers, system="agentmem")
    assert result.coverage == 0.5
    assert result.found is None


def test_the_right_tool_is_removed_for_every_query(task: RoutingTask) -> None:
    removed, own = _evaluate(task).probes
    assert (removed.probe, removed.answerable, removed.unanswerable) == ("tool removed", 16, 16)
    assert removed.auroc.mean > 0.5
    assert removed.found_hidden is not None
    assert removed.found_hidden.mean == 0
    assert (own.probe, own.answerable, own.unanswerable) == ("none fits", 16, 1)


def test_calibrations_are_fitted_on_one_half_and_tested_on_others(task: RoutingTask) -> None:
    report = _evaluate(replace(task, train=_TRAIN), alpha=0.1)
    untaught, taught = report.calibrations
    assert (untaught.system, taught.system) == ("agentmem", "agentmem +all")
    for one in report.calibrations:
        assert (one.alpha, one.fitted_on, one.tested_on) == (0.1, len(_TRAIN) // 2, len(_TEST))
        assert one.realised.mean < 0.5


def test_too_few_or_other_training_queries_calibrate_nothing(task: RoutingTask) -> None:
    assert not _evaluate(replace(task, train=_TRAIN[:20]), examples=(0,)).calibrations
    assert not _evaluate(replace(task, train=_TRAIN), examples=(0,), alpha=1e-4).calibrations
    assert not _evaluate(replace(task, train=_TRAIN, alike=False), examples=(0,)).calibrations
