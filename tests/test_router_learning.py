"""`ToolRouter` learns: at once, guarded, logged, and back again."""

from __future__ import annotations

import csv
import json
import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from learning_tools import CATALOGUE, SLANG, asked, batch, best, first_rate, observed
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from router_tools import MAIL, TOOLS, WEATHER, Counting, define, names, open_router
from storage_tools import run_python, start_python

from agentmem.embedding import SentenceTransformerEmbedder
from agentmem.errors import EmbeddingFailed, InvalidInput, NotFound, StoreError
from agentmem.router import ToolRouter
from agentmem.testing import HashEmbedder
from agentmem.types import Selection

TIDE = "look up the tide"


@pytest.fixture
def router(tmp_path: Path) -> Iterator[ToolRouter]:
    with open_router(tmp_path / "store") as opened:
        opened.register(CATALOGUE)
        yield opened


@pytest.fixture
def taught(router: ToolRouter) -> ToolRouter:
    assert router.add_examples(batch(5)).applied
    return router


def showing(router: ToolRouter, query: str, *, k: int) -> Selection:
    """Return a selection that shows its candidates, however sure of them the router is."""
    selection = router.select(query, k=k)
    return replace(selection, matches=selection.candidates, abstained=False)


def made_by(lessons: list[Any], who: str) -> list[Any]:
    return [one for one in lessons if one.by == who]


def test_the_next_selection_knows_an_example(router: ToolRouter) -> None:
    lesson = router.add_examples({"fix_car": ["my piston knocks"]}, by="ada")
    assert best(router, "it knocks in the piston") == "fix_car"
    assert (lesson.kind, lesson.tools, lesson.observations) == ("examples", ("fix_car",), 1)
    assert (lesson.applied, lesson.active, lesson.by) == (True, True, "ada")
    assert "unchecked" in lesson.reason
    assert router.history() == [lesson]


def test_learning_from_examples_improves_queries_that_were_never_seen(router: ToolRouter) -> None:
    before = first_rate(router)
    lesson = router.add_examples(batch(10))
    assert first_rate(router) > max(0.9, before + 0.3)
    assert lesson.applied
    assert lesson.before is not None
    assert lesson.after is not None
    assert lesson.after > lesson.before
    assert f"{lesson.after:.3f}" in lesson.reason


def test_another_process_knows_the_example_and_embeds_nothing_of_it(tmp_path: Path) -> None:
    with open_router(tmp_path) as first:
        first.register(CATALOGUE)
        first.add_examples({"fix_car": ["my piston knocks"]})
    embedder = Counting()
    with open_router(tmp_path, embedder=embedder) as second:
        assert best(second, "it knocks in the piston") == "fix_car"
    assert embedder.texts == ["it knocks in the piston"]


def test_examples_that_are_known_are_not_learnt_twice(tmp_path: Path) -> None:
    embedder = Counting()
    with open_router(tmp_path, embedder=embedder) as router:
        router.register(CATALOGUE)
        given = {"fix_car": ["my piston knocks", "my piston knocks"], "send_mail": ["a stamp"]}
        assert router.add_examples(given).observations == 2
        embedder.texts = []
        again = router.add_examples(given)
        assert (again.observations, again.applied, again.active) == (0, False, False)
        assert "known already" in again.reason
        assert embedder.texts == []
        assert len(router.history()) == 1
        more = router.add_examples({"fix_car": ["my piston knocks", "a new gasket"]})
        assert more.observations == 1
        assert router.add_examples({"send_mail": ["my piston knocks"]}).observations == 1


def test_no_examples_teach_nothing(router: ToolRouter) -> None:
    nothings: tuple[dict[str, list[str]], ...] = ({}, {"fix_car": []})
    for nothing in nothings:
        assert not router.add_examples(nothing).applied
    assert router.history() == []


def test_examples_of_an_unknown_tool_are_refused_whole(router: ToolRouter) -> None:
    with pytest.raises(NotFound, match=r"'fix_cars'.*nearest names are 'fix_car'"):
        router.add_examples({"send_mail": ["a stamp"], "fix_cars": ["my piston"]})
    assert router.history() == []
    assert observed(router) == []
    with pytest.raises(NotFound, match="'default' has one of that name"):
        router.add_examples({"fix_car": ["my piston"]}, namespace="garage")


def test_long_queries_are_taught_whole(tmp_path: Path) -> None:
    with open_router(tmp_path, embedder=HashEmbedder(512, window=8)) as router:
        router.register(CATALOGUE)
        text = " ".join(f"{SLANG['fix_car']} and so on {n}" for n in range(9))
        router.add_examples({"fix_car": [text]})
        assert [row["query"] for row in observed(router)] == [text]
        assert best(router, "exhaust radiator") == "fix_car"


def test_tools_are_registered_with_their_examples(router: ToolRouter) -> None:
    tide = define("tide_tables", "Reads numbers.")
    change = router.register(tide, examples={"tide_tables": ["spring ebb"], "fix_car": ["clutch"]})
    assert change.added == ("tide_tables",)
    assert best(router, "the ebb of spring") == "tide_tables"
    assert router.history()[-1].tools == ("tide_tables", "fix_car")


def test_examples_that_cannot_be_taught_keep_the_tools_from_being_registered(
    router: ToolRouter,
) -> None:
    tide = define("tide_tables", "Reads numbers.")
    with pytest.raises(NotFound, match="'ebb'"):
        router.register(tide, examples={"ebb": ["spring"]})
    with pytest.raises(InvalidInput, match="tide_tables"):
        router.register(tide, examples={"tide_tables": "spring"})
    assert "tide_tables" not in names(router)


def test_a_lesson_with_some_wrong_labels_is_learnt(router: ToolRouter) -> None:
    first = router.add_examples(batch(10, wrong=0.2))
    assert first.applied
    assert first_rate(router) > 0.8
    second = router.add_examples(batch(10, seed=1, wrong=0.2))
    assert second.applied
    assert first_rate(router) > 0.8


@pytest.mark.parametrize("wrong", [0.8, 1.0])
def test_a_lesson_of_mostly_wrong_labels_is_logged_and_has_no_effect(
    taught: ToolRouter, wrong: float
) -> None:
    before = first_rate(taught)
    scores = taught.select("clutch and brake").candidates[0].score
    lesson = taught.add_examples(batch(6, seed=1, wrong=wrong))
    assert (lesson.applied, lesson.active) == (False, False)
    assert lesson.reason.startswith("not applied: ")
    assert taught.history()[-1] == lesson
    assert len(observed(taught)) == 5 * 8 + 6 * 8
    assert first_rate(taught) == before
    assert taught.select("clutch and brake").candidates[0].score == scores
    forced = taught.add_examples(batch(6, seed=1, wrong=wrong), guard=False)
    assert forced.applied
    assert "without the guard" in forced.reason
    assert first_rate(taught) < before


def test_new_tools_may_cost_the_known_ones_a_little(tmp_path: Path) -> None:
    with open_router(tmp_path) as router:
        router.register(CATALOGUE)
        few = ("fix_car", "send_mail", "get_weather")
        assert router.add_examples({name: asked(name, 10) for name in few}).applied
        rest = router.add_examples({name: asked(name, 10) for name in SLANG if name not in few})
        assert rest.applied


def test_what_was_used_is_right_and_what_was_passed_over_is_wrong(taught: ToolRouter) -> None:
    selection = showing(taught, "brake and clutch and stamp", k=4)
    shown = selection.names
    lesson = taught.feedback(selection, used=shown[2], succeeded=True, by="the loop")
    rows = observed(taught)[-3:]
    assert [(row["tool"], row["label"], row["succeeded"]) for row in rows] == [
        (shown[2], 1, True),
        (shown[0], -1, None),
        (shown[1], -1, None),
    ]
    assert {row["query"] for row in rows} == {"brake and clutch and stamp"}
    assert (lesson.kind, lesson.observations) == ("feedback", 3)
    assert lesson.tools == (shown[2], shown[0], shown[1])
    assert lesson.by == "the loop"


def test_at_most_three_tools_are_held_to_be_passed_over(taught: ToolRouter) -> None:
    selection = showing(taught, "brake and clutch", k=8)
    taught.feedback(selection, used=selection.names[6])
    assert [row["label"] for row in observed(taught)[-4:]] == [1, -1, -1, -1]
    assert observed(taught)[-4]["succeeded"] is None


def test_a_tool_that_was_not_shown_was_found_below_all_that_were(taught: ToolRouter) -> None:
    selection = showing(taught, "brake and clutch", k=2)
    other = next(name for name in SLANG if name not in selection.names)
    taught.feedback(selection, used=other)
    rows = [(row["tool"], row["label"]) for row in observed(taught)[-3:]]
    assert rows == [(other, 1), (selection.names[0], -1), (selection.names[1], -1)]


def test_feedback_on_an_abstention_blames_nothing_that_was_not_shown(taught: ToolRouter) -> None:
    selection = showing(taught, "brake and clutch", k=3)
    refused = replace(selection, matches=(), abstained=True)
    lesson = taught.feedback(refused, used=selection.candidates[1].name)
    assert (lesson.observations, lesson.tools) == (1, (selection.candidates[1].name,))
    assert taught._parts.store.lessons.lessons()[-1]["detail"]["abstained"] is True


def test_several_tools_used_for_one_query_are_all_right(taught: ToolRouter) -> None:
    selection = showing(taught, "brake and clutch and stamp", k=3)
    first, second, third = selection.names
    lesson = taught.feedback(selection, used=[first, third, first])
    assert [(row["tool"], row["label"]) for row in observed(taught)[-3:]] == [
        (first, 1),
        (third, 1),
        (second, -1),
    ]
    assert lesson.observations == 3


def test_where_no_tool_was_right_all_that_were_shown_are_wrong(taught: ToolRouter) -> None:
    selection = showing(taught, "brake and clutch", k=3)
    nothings: tuple[None, list[str]] = (None, [])
    for nothing in nothings:
        lesson = taught.feedback(selection, used=nothing)
        assert [row["label"] for row in observed(taught)[-3:]] == [-1, -1, -1]
        assert lesson.observations == 3


def test_a_failed_call_says_nothing_about_the_match(taught: ToolRouter) -> None:
    selection = showing(taught, "brake and clutch", k=3)
    taught.feedback(selection, used=selection.names[1], succeeded=False)
    last = observed(taught)[-1]
    assert (last["tool"], last["label"], last["succeeded"]) == (selection.names[1], 0, False)
    assert len(observed(taught)) == 5 * 8 + 1


def test_a_tool_that_keeps_failing_sinks_and_recovers(tmp_path: Path) -> None:
    def success(router: ToolRouter) -> float:
        found = {match.name: match.terms for match in router.select(TIDE, k=3).candidates}
        return found[first].get("success", 0.0)

    with open_router(tmp_path) as router:
        twins = [define(name, "Looks the tide up in tables.") for name in ("tide_a", "tide_b")]
        router.register([*CATALOGUE, *twins])
        first = best(router, TIDE)
        for n in range(6):
            router.feedback(f"query {n}", used=first, succeeded=False)
        assert best(router, TIDE) == next(one["name"] for one in twins if one["name"] != first)
        sunk = success(router)
        for n in range(30):
            router.feedback(f"query {n}", used=first, succeeded=True, guard=False)
        assert sunk < success(router) / 4 < 0


def test_feedback_on_a_query_alone_finds_the_tool_by_its_name(taught: ToolRouter) -> None:
    taught.register(MAIL, namespace="office")
    taught.register(define("staple"), namespace="office")
    assert taught.feedback("hello staples", used="staple").namespace == "office"
    assert taught.feedback("clutch", used="fix_car").namespace == "default"
    assert taught.feedback("stamp", used="send_mail", namespace="office").namespace == "office"
    with pytest.raises(InvalidInput, match=r"several namespaces.*'office'.*Pass namespace="):
        taught.feedback("stamp", used="send_mail")
    with pytest.raises(NotFound, match=r"the catalogue has no tool 'fix_cra'.*'fix_car'"):
        taught.feedback("stamp", used="fix_cra")
    with pytest.raises(NotFound, match="'default' has one of that name"):
        taught.feedback("stamp", used="fix_car", namespace="office")


def test_feedback_on_a_selection_means_the_tool_that_it_found(taught: ToolRouter) -> None:
    taught.register(MAIL, namespace="office")
    selection = taught.select("a stamp", namespace="office")
    assert taught.feedback(selection, used="send_mail").namespace == "office"
    with pytest.raises(InvalidInput, match="made in namespace 'office'"):
        taught.feedback(selection, used="send_mail", namespace="default")


def test_feedback_over_several_namespaces_is_one_lesson(tmp_path: Path) -> None:
    with open_router(tmp_path) as router:
        router.register(WEATHER, namespace="europe")
        router.register(MAIL, namespace="asia")
        selection = showing(router, "weather by mail", k=2)
        lesson = router.feedback(selection, used=["get_weather", "send_mail"])
        assert lesson.namespace == "*"
        assert {(row["namespace"], row["tool"]) for row in observed(router)} == {
            ("europe", "get_weather"),
            ("asia", "send_mail"),
        }
        assert router.history(namespace="asia") == [lesson]
        router.feedback("a letter", used="send_mail")
        assert len(router.history(namespace="europe")) == 1


def test_a_query_no_tool_fits_is_remembered_without_observations(taught: ToolRouter) -> None:
    lesson = taught.feedback("what is love", used=None)
    assert (lesson.observations, lesson.tools, lesson.applied) == (0, (), True)
    row = taught._parts.store.lessons.lessons()[-1]
    assert row["detail"]["query"] == "what is love"
    assert row["detail"]["used"] == []


def test_the_circumstances_of_a_selection_are_kept(taught: ToolRouter) -> None:
    history = [{"role": "assistant", "tool_calls": [{"function": {"name": "send_mail"}}]}]
    selection = taught.select("brake and clutch", k=2, history=history)
    taught.feedback(selection, used=selection.names[0])
    detail = taught._parts.store.lessons.lessons()[-1]["detail"]
    assert detail["shown"] == selection.names
    assert detail["called"] == ["send_mail"]
    assert detail["abstained"] is False
    assert detail["confidence"] == selection.confidence
    assert detail["config_id"] == selection.config_id


def test_a_selection_of_another_router_is_refused(taught: ToolRouter, tmp_path: Path) -> None:
    with open_router(tmp_path / "other") as other:
        other.register(define("tide_tables", "Reads numbers."))
        strange = other.select("numbers")
    with pytest.raises(InvalidInput, match="tools that are not in this one"):
        taught.feedback(strange, used="fix_car")
    mine = taught.select("brake")
    with pytest.raises(InvalidInput, match="with another embedder"):
        taught.feedback(replace(mine, passport_id="other"), used="fix_car")
    with pytest.raises(InvalidInput, match="does not belong in the store"):
        taught.feedback(replace(mine, catalogue_version=10_000), used="fix_car")
    assert len(taught.history()) == 1


def test_feedback_outlives_the_removal_of_what_was_shown(taught: ToolRouter) -> None:
    selection = showing(taught, "brake and clutch", k=3)
    used, gone = selection.names[2], selection.names[0]
    taught.remove(gone)
    lesson = taught.feedback(selection, used=used)
    assert lesson.tools == (used, selection.names[1])
    with pytest.raises(NotFound, match=gone):
        taught.feedback(selection, used=gone)


def test_what_was_learnt_of_a_tool_waits_for_its_return(router: ToolRouter) -> None:
    router.add_examples({"fix_car": ["my piston knocks"]})
    router.remove("fix_car")
    assert best(router, "it knocks in the piston") != "fix_car"
    router.register(CATALOGUE[-1])
    assert best(router, "it knocks in the piston") == "fix_car"
    assert router.history()[0].active


def test_wrong_feedback_is_undone_together(taught: ToolRouter) -> None:
    good = first_rate(taught)
    wrong = {"fix_car": "send_mail", "send_mail": "fix_car", "get_weather": "play_music"}
    pairs = [(query, to) for name, to in wrong.items() for query in asked(name, 20, seed=7)]
    refused = None
    for query, to in pairs:
        lesson = taught.feedback(query, used=to, succeeded=True, by="a broken loop")
        if not lesson.applied:
            refused = lesson
            break
    assert refused is not None
    assert "judged with it and undone" in refused.reason
    (undoing,) = made_by(taught.history(), "guard")
    assert undoing == taught.history()[-1]
    assert refused.id in undoing.reason
    assert undoing.reverted_to == taught.history()[0].id
    assert not any(one.active for one in made_by(taught.history(), "a broken loop"))
    assert first_rate(taught) == good


def test_right_feedback_is_never_undone_and_looked_at_now_and_then(taught: ToolRouter) -> None:
    pairs = [(name, query) for name in SLANG for query in asked(name, 5, seed=7)]
    lessons = [taught.feedback(query, used=name, succeeded=True) for name, query in pairs]
    assert all(one.active for one in taught.history())
    looked = [n + 1 for n, one in enumerate(lessons) if one.after is not None]
    assert looked == [10, 20, 30, 40]


def test_feedback_without_the_guard_is_taken_as_it_is(taught: ToolRouter) -> None:
    for query in asked("fix_car", 30, seed=7):
        assert taught.feedback(query, used="send_mail", guard=False).applied
    assert best(taught, "clutch gasket piston") == "send_mail"
    assert taught.feedback("stamp envelope", used="send_mail").applied
    assert not made_by(taught.history(), "guard")


def test_history_lists_the_newest_last_and_as_many_as_asked(router: ToolRouter) -> None:
    router.register(MAIL, namespace="office")
    first = router.add_examples({"fix_car": ["my piston"]})
    second = router.add_examples({"send_mail": ["a stamp"]}, namespace="office")
    third = router.feedback("clutch", used="fix_car")
    assert router.history() == [first, second, third]
    assert router.history(limit=2) == [second, third]
    assert router.history(limit=9) == [first, second, third]
    assert router.history(namespace="office") == [second]
    assert router.history(namespace="nowhere") == []


def scored(router: ToolRouter, query: str) -> dict[str, float]:
    return {match.name: match.score for match in router.select(query).candidates}


def test_reverting_restores_what_was_known(router: ToolRouter) -> None:
    query = "clutch and stamp"
    scores = [scored(router, query)]
    lessons = []
    for examples in (batch(2), batch(2, seed=1), {"fix_car": ["stamp stamp stamp"]}):
        lessons.append(router.add_examples(examples))
        scores.append(scored(router, query))
    planned = router.revert(lessons[0].id, dry_run=True)
    assert (planned.id, planned.applied) == ("", False)
    assert "2 lessons with 17 observations" in planned.reason
    assert len(router.history()) == 3
    undone = router.revert(lessons[0].id)
    assert (undone.kind, undone.applied, undone.active) == ("revert", True, True)
    assert undone.reverted_to == lessons[0].id
    assert [one.active for one in router.history()] == [True, False, False, True]
    assert scored(router, query) == pytest.approx(scores[1], abs=1e-4)
    back = router.revert(lessons[2].id)
    assert "effect again of 2 lessons with 17 observations" in back.reason
    assert scored(router, query) == pytest.approx(scores[3], abs=1e-4)
    router.revert(None)
    assert scored(router, query) == pytest.approx(scores[0], abs=1e-4)


def test_reverting_to_where_one_is_writes_nothing(router: ToolRouter) -> None:
    assert "nothing to undo" in router.revert(None).reason
    lesson = router.add_examples({"fix_car": ["my piston"]})
    same = router.revert(lesson.id)
    assert (same.applied, same.id) == (False, "")
    assert router.history() == [lesson]


def test_one_namespace_is_reverted_alone(router: ToolRouter) -> None:
    router.register(MAIL, namespace="office")
    router.add_examples({"fix_car": ["my piston"]})
    router.add_examples({"send_mail": ["a stamp"]}, namespace="office")
    undone = router.revert(None, namespace="office")
    assert undone.namespace == "office"
    assert undone.tools == ("send_mail",)
    assert [one.active for one in router.history()] == [True, False, True]


def test_an_unknown_lesson_is_refused_with_the_last_ones(router: ToolRouter) -> None:
    with pytest.raises(NotFound, match="There is none yet"):
        router.revert("x")
    lesson = router.add_examples({"fix_car": ["my piston"]})
    with pytest.raises(NotFound, match=f"'x', and nothing was changed. The last .*{lesson.id}"):
        router.revert("x")


BAD_CALLS: dict[str, tuple[Any, str]] = {
    "examples that are no mapping": (lambda r: r.add_examples(["x"]), "pass a dictionary"),
    "one query for a list": (lambda r: r.add_examples({"fix_car": "x"}), "Pass a list of queries"),
    "an example that is no text": (lambda r: r.add_examples({"fix_car": [7]}), "an example of"),
    "a blank example": (lambda r: r.add_examples({"fix_car": [" "]}), "an example of"),
    "half a character": (lambda r: r.add_examples({"fix_car": ["\ud800"]}), "surrogate"),
    "a tool that is no text": (lambda r: r.add_examples({7: ["x"]}), "name in examples"),
    "an empty namespace": (lambda r: r.add_examples({"fix_car": ["x"]}, namespace=""), "namespace"),
    "a teacher without a name": (lambda r: r.add_examples({"fix_car": ["x"]}, by=""), "by is"),
    "feedback on nothing": (lambda r: r.feedback(None, used="fix_car"), "pass the Selection"),
    "feedback on a blank": (lambda r: r.feedback(" ", used="fix_car"), "the query is"),
    "a use that is no name": (lambda r: r.feedback("x", used=7), "used=7"),
    "uses that are no names": (lambda r: r.feedback("x", used=[7]), "name in used"),
    "a success of a sort": (
        lambda r: r.feedback("x", used="fix_car", succeeded="yes"),
        "succeeded",
    ),
    "a success of nothing": (
        lambda r: r.feedback("x", used=None, succeeded=True),
        "succeeded=True",
    ),
    "feedback nowhere": (lambda r: r.feedback("x", used="fix_car", namespace=""), "namespace"),
    "no history": (lambda r: r.history(limit=0), "limit=0"),
    "some history": (lambda r: r.history(limit=True), "limit=True"),
    "history nowhere": (lambda r: r.history(namespace=""), "namespace"),
    "a namespace to revert in that means all": (
        lambda r: r.revert(None, namespace="*"),
        "stands for all",
    ),
    "a lesson that is no id": (lambda r: r.revert(7), "a lesson's id"),
    "an empty id": (lambda r: r.revert(""), "a lesson's id"),
}


@pytest.mark.parametrize("call", BAD_CALLS)
def test_bad_arguments_are_refused_by_name(router: ToolRouter, call: str) -> None:
    do, says = BAD_CALLS[call]
    with pytest.raises(InvalidInput, match=says):
        do(router)
    assert router._parts.store.lessons.version == 0


def fail() -> None:
    """Fail as a model's library might."""
    raise RuntimeError("out of memory")


def test_a_failing_model_teaches_nothing(tmp_path: Path) -> None:
    embedder = Counting()
    with open_router(tmp_path, embedder=embedder) as router:
        router.register(CATALOGUE)
        embedder.meanwhile = fail
        with pytest.raises(EmbeddingFailed, match="out of memory"):
            router.add_examples({"fix_car": ["my piston"]})
        assert router.history() == []
        assert observed(router) == []


def test_a_read_only_router_shows_and_teaches_nothing(tmp_path: Path) -> None:
    with open_router(tmp_path) as router:
        router.register(CATALOGUE)
        lesson = router.add_examples({"fix_car": ["my piston"]})
    with open_router(tmp_path, read_only=True) as router:
        assert router.history() == [lesson]
        assert router.revert(None, dry_run=True).reason.startswith("would go back")
        with pytest.raises(StoreError, match="read_only"):
            router.revert(None)
        with pytest.raises(StoreError, match="read_only"):
            router.add_examples({"fix_car": ["clutch"]})
        with pytest.raises(StoreError, match="read_only"):
            router.feedback("clutch", used="fix_car")
        assert router.history() == [lesson]


TEACHING = """
import sys
from learning_tools import CATALOGUE, SLANG, asked
from router_tools import open_router
folder, who = sys.argv[1:]
router = open_router(folder)
print("ready", flush=True)
sys.stdin.readline()
for n, name in enumerate(SLANG):
    selection = router.select(asked(name, 3, seed=len(who) + n)[0], k=2)
    router.feedback(selection, used=name, succeeded=True, by=who)
    router.add_examples({name: [f"{who} asks {name} {n}"]}, by=who)
router.close()
"""


def test_processes_teach_at_once_and_nothing_is_lost(tmp_path: Path) -> None:
    with open_router(tmp_path) as router:
        router.register(CATALOGUE)
        workers = [start_python(TEACHING, tmp_path, who) for who in ("ada", "benedict")]
        for worker in workers:
            assert worker.stdout is not None
            assert worker.stdout.readline() == "ready\n"
        for worker in workers:
            assert worker.stdin is not None
            worker.stdin.write("go\n")
            worker.stdin.flush()
        for worker in workers:
            _, err = worker.communicate(timeout=120)
            assert worker.returncode == 0, err
        lessons = router.history()
        assert [len(made_by(lessons, who)) for who in ("ada", "benedict")] == [16, 16]
        assert all(one.active for one in lessons)
        assert [one.id for one in lessons] == sorted(one.id for one in lessons)
        assert len({row["key"] for row in observed(router)}) == sum(
            one.observations for one in lessons
        )
        assert best(router, "benedict asks fix_car 7") == "fix_car"


def test_what_another_process_reverted_is_forgotten_here_at_once(tmp_path: Path) -> None:
    with open_router(tmp_path) as router:
        router.register(TOOLS)
        router.add_examples({"send_mail": ["knocking piston"]})
        assert best(router, "piston") == "send_mail"
        code = "import sys; from router_tools import *; open_router(sys.argv[1]).revert(None)"
        run_python(code, tmp_path)
        assert not router.history()[0].active
        assert router.select("piston").candidates[0].terms.get("usage", 0.0) == 0.0


def test_every_lesson_leaves_a_span_with_counts_and_no_content(
    router: ToolRouter, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider, exporter = TracerProvider(), InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)
    lesson = router.add_examples({"fix_car": ["my piston knocks"]})
    router.feedback("my clutch burns", used="fix_car")
    router.revert(None)
    with pytest.raises(NotFound):
        router.feedback("my clutch burns", used="unknown")
    text = "".join(one.to_json() for one in exporter.get_finished_spans())
    spans = [one for one in exporter.get_finished_spans() if one.parent is None]
    provider.shutdown()
    assert {one.name for one in spans} == {"agentmem.router.feedback"}
    told = [
        [(one.attributes or {}).get(f"agentmem.lesson.{part}") for part in ("kind", "observations")]
        for one in spans
    ]
    assert told == [["examples", 1], ["feedback", 1], ["revert", 0], [None, None]]
    assert (spans[0].attributes or {})["agentmem.lesson.id"] == lesson.id
    assert not any(word in text for word in ("piston", "clutch", "fix_car"))


@pytest.mark.data
@pytest.mark.slow
def test_real_queries_teach_with_a_fifth_of_the_labels_wrong_and_not_with_most_of_them(
    minilm: SentenceTransformerEmbedder, real_data: Path, tmp_path: Path
) -> None:
    folder = real_data / "metatool"
    described = json.loads((folder / "plugin_des.json").read_text(encoding="utf-8"))
    with (folder / "queries-dev.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    tools = sorted(described)[:40]
    queries = {name: [row["Query"] for row in rows if row["Tool"] == name][:8] for name in tools}

    generator = random.Random(7)

    def lesson(begin: int, end: int, *, wrong: float) -> dict[str, list[str]]:
        """Give a share of the examples to a tool that is not theirs."""
        given: dict[str, list[str]] = {name: [] for name in tools}
        for place, name in enumerate(tools):
            for query in queries[name][begin:end]:
                other = tools[(place + generator.randint(1, len(tools) - 1)) % len(tools)]
                given[other if generator.random() < wrong else name].append(query)
        return given

    with open_router(tmp_path, embedder=minilm) as router:
        router.register([define(name, described[name]) for name in tools])
        assert router.add_examples(lesson(0, 4, wrong=0.2)).applied
        noisy = router.add_examples(lesson(4, 6, wrong=0.2))
        assert noisy.applied, noisy.reason
        bad = router.add_examples(lesson(6, 8, wrong=0.8))
        assert not bad.applied, bad.reason
