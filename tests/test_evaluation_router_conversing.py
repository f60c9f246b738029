"""Tests of asking and teaching conversations, on real stores with a real, tiny embedder."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from agentmem.evaluation.report import system_result
from agentmem.evaluation.router import RoutingQuery, RoutingTask, evaluate_router
from agentmem.evaluation.router.asking import opened, remembering, routing_row
from agentmem.evaluation.router.conversing import Conversed, converse, history_gain
from agentmem.evaluation.router.learning import apart
from agentmem.evaluation.router.systems import CALIBRATED
from agentmem.evaluation.router.tasks import Probe, without_gold
from agentmem.testing import HashEmbedder

if TYPE_CHECKING:
    from agentmem.router import ToolRouter

_TOOLS = {
    "get_weather": "Forecast of rain and sun for a city",
    "send_mail": "Write and send a letter to somebody",
    "book_flight": "Reserve a seat on an aeroplane",
    "play_music": "Start a song or an album",
}
_DEFINITIONS = {name: [{"name": name, "description": text}] for name, text in _TOOLS.items()}
_LEARNING = ["agentmem learning, with history", "agentmem learning, without history"]


def _talk(conversation: str, *turns: tuple[str, str]) -> list[RoutingQuery]:
    """Return the turns of a conversation: what was said, and the tool that it needs."""
    queries: list[RoutingQuery] = []
    history: tuple[dict[str, object], ...] = ()
    for said, tool in turns:
        kind = "later turn" if history else "first turn"
        queries.append(
            RoutingQuery(said, frozenset([tool]), kind, history, conversation=conversation)
        )
        called: dict[str, object] = {
            "role": "assistant",
            "content": "",
            "tool_calls": [{"name": tool}],
        }
        history = (*history, {"role": "user", "content": said}, called)
    return queries


@pytest.fixture
def router() -> Iterator[ToolRouter]:
    task = RoutingTask("own", _DEFINITIONS, [])
    with opened(task, embedder=remembering(HashEmbedder())) as (router, _):
        yield router


def _converse(router: ToolRouter, queries: list[RoutingQuery], *, seed: int = 0) -> Conversed:
    return converse(router, queries, k=5, names=_DEFINITIONS, seed=seed)


def _names(conversed: Conversed, *places: int) -> list[tuple[str, ...]]:
    return [conversed.untold.answers[place].names for place in places]


@pytest.mark.parametrize("seed", [0, 1, 2, 3])
def test_a_conversation_is_asked_before_any_of_it_is_taught(router: ToolRouter, seed: int) -> None:
    words = ("zork the frobnicator", "book_flight")
    before = tuple(match.name for match in router.select(words[0]).candidates)
    assert before[0] != "book_flight"
    queries = [*_talk("a", words, words), *_talk("b", words, words)]
    conversed = _converse(router, queries, seed=seed)
    first, second = _names(conversed, 0, 1), _names(conversed, 2, 3)
    if first != [before, before]:
        first, second = second, first
    assert first == [before, before]
    assert [names[0] for names in second] == ["book_flight", "book_flight"]


def test_the_order_of_conversations_is_drawn_by_the_seed() -> None:
    words = ("zork the frobnicator", "book_flight")
    queries = [*_talk("a", words), *_talk("b", words)]
    asked_first = set()
    for seed in range(6):
        task = RoutingTask("own", _DEFINITIONS, [])
        with opened(task, embedder=remembering(HashEmbedder())) as (router, _):
            names = _names(_converse(router, queries, seed=seed), 0, 1)
        asked_first.add(0 if names[1][0] == "book_flight" else 1)
        assert sum(one[0] == "book_flight" for one in names) == 1
    assert asked_first == {0, 1}


def test_every_turn_is_taught_once_with_what_went_before(router: ToolRouter) -> None:
    turns = (("rain in a city", "get_weather"), ("now to somebody", "send_mail"))
    queries = [*_talk("a", *turns), *_talk("b", *turns)]
    told: list[int] = []
    conversed = converse(router, queries, k=5, names=_DEFINITIONS, seed=0, advance=told.append)
    lessons = router.history()
    assert [lesson.kind for lesson in lessons] == ["feedback"] * 4
    assert {lesson.by for lesson in lessons} == {"agentmem eval"}
    assert told == [2, 2]
    assert conversed.teaching.examples == 4
    assert conversed.teaching.applied
    assert "4 turns of 2 conversations" in conversed.teaching.reason
    assert "4 of these lessons are in effect" in conversed.teaching.reason
    assert len(conversed.told.answers) == len(conversed.untold.answers) == 4
    assert conversed.told.config_id == router.select("rain").config_id


def test_first_turns_are_answered_alike_with_and_without_history(router: ToolRouter) -> None:
    queries = [turn for number in range(3) for turn in _talk(str(number), ("a song", "play_music"))]
    conversed = _converse(router, queries)
    assert conversed.told.answers == conversed.untold.answers


def test_tools_that_are_hidden_from_a_turn_are_not_found_by_it(router: ToolRouter) -> None:
    (query,) = _talk("a", ("a letter to somebody", "send_mail"))
    shown = frozenset(["send_mail", "play_music"])
    limited = RoutingQuery(query.text, query.gold, query.category, shown=shown, conversation="a")
    assert set(_converse(router, [limited]).told.answers[0].names) == shown


def test_feedback_on_a_name_with_two_definitions_teaches_the_first() -> None:
    variants = [{"name": "convert", "description": text} for text in ("Metres to feet", "Euros")]
    task = RoutingTask("own", {**_DEFINITIONS, "convert": variants}, [])
    with opened(task, embedder=remembering(HashEmbedder())) as (router, _):
        converse(router, _talk("a", ("feet", "convert")), k=5, names=task.tools, seed=0)
        (lesson,) = router.history()
        assert "convert" in lesson.tools
        assert lesson.applied


# Told minus not told


def _gain(turns: list[tuple[str, bool, bool]]) -> tuple[float, float, float]:
    """Return recall@1 told minus untold, and its interval.

    Args:
        turns: Of each, its conversation, and whether its tool was found told and untold.
    """
    queries = [RoutingQuery("q", frozenset("x"), "all", conversation=one) for one, *_ in turns]
    results = [
        system_result(
            [
                routing_row(query, ["x" if turn[way] else "y"], ks=(1,))
                for query, turn in zip(queries, turns, strict=True)
            ],
            name=str(way),
            about="",
            milliseconds={},
        )
        for way in (1, 2)
    ]
    gain = history_gain(queries, told=results[0], untold=results[1])
    assert (gain.told, gain.untold) == ("1", "2")
    assert gain.conversations == len({one for one, *_ in turns})
    one = gain.overall["recall@1"]
    assert gain.categories == {"all": gain.overall}
    return one.mean, one.low, one.high


def test_differences_are_paired() -> None:
    turns = [(str(number), True, number % 2 == 0) for number in range(200)]
    mean, low, high = _gain(turns)
    assert mean == 0.5
    assert [low, high] == pytest.approx([0.43, 0.57], abs=0.03)
    assert _gain([("a", True, False), ("b", False, True)])[0] == 0
    assert _gain([("a", False, True), ("b", False, True)]) == (-1, -1, -1)


def test_intervals_resample_whole_conversations() -> None:
    turns = [("a", True, False)] * 30 + [("b", True, True)] * 30
    assert _gain(turns) == (0.5, 0, 1)


# The report


def _dialogues() -> list[RoutingQuery]:
    """Return conversations in which the same words need what usually follows the tool before."""
    kinds = [
        ("forecast of rain", "get_weather", "send_mail"),
        ("a song", "play_music", "book_flight"),
    ]
    return [
        turn
        for number in range(8)
        for said, tool, after in kinds
        for turn in _talk(f"{tool} {number}", (said, tool), ("and now go on", after))
    ]


def test_a_report_shows_what_the_history_adds_untaught_and_learning() -> None:
    task = RoutingTask("own", _DEFINITIONS, _dialogues())
    report = evaluate_router(task, embedder=HashEmbedder(), progress=False, baselines=False)
    names = [system.name for system in report.systems]
    assert names == ["agentmem", "agentmem, no history", *_LEARNING]
    for system in report.systems:
        assert [row.question for row in system.rows] == [query.text for query in task.test]
    assert [gain.told for gain in report.history_gains] == ["agentmem", _LEARNING[0]]
    assert [gain.conversations for gain in report.history_gains] == [16, 16]
    learning = report.history_gains[1]
    assert learning.categories["first turn"]["recall@1"].mean == 0
    assert learning.categories["later turn"]["recall@1"].mean > 0
    told, untold = (system.overall["recall@1"].mean for system in report.systems[2:])
    assert learning.overall["recall@1"].mean == pytest.approx(told - untold)
    assert list(report.teachings) == ["agentmem", _LEARNING[0]]
    values = json.loads(json.dumps(report.to_dict(rows=False), allow_nan=False))
    assert values["history_gains"][1]["untold"] == _LEARNING[1]
    assert values["history_gains"][1]["overall"]["all@5"].keys() == {"mean", "low", "high"}
    assert set(_LEARNING) < values["failures"].keys()


def test_conversations_are_learnt_from_only_where_an_untaught_router_is_asked() -> None:
    train = [
        RoutingQuery(f"{said} {number}", frozenset([name]), "train")
        for name, said in _TOOLS.items()
        for number in range(3)
    ]
    task = RoutingTask(
        "own", _DEFINITIONS, _talk("a", ("rain", "get_weather"), ("go on", "send_mail")), train
    )
    report = evaluate_router(
        task, embedder=HashEmbedder(), progress=False, baselines=False, examples=(2,)
    )
    assert [system.name for system in report.systems] == ["agentmem +2"]
    assert report.history_gains == []


# Probes of conversations


def _probed(conversations: int) -> RoutingTask:
    """Return conversations of two turns, and each one's second turn without its tool too."""
    queries: list[RoutingQuery] = []
    tools = list(_TOOLS)
    for number in range(conversations):
        first, second = tools[number % 4], tools[(number + 1) % 4]
        said = [(f"{_TOOLS[tool].split()[0]}, number {number}", tool) for tool in (first, second)]
        queries += _talk(str(number), *said)
    asked = queries[1::2]
    probe = Probe("missing function", "made up", [*asked, *without_gold(asked)])
    return RoutingTask("own", _DEFINITIONS, queries, alike=False, probes=[probe])


def test_no_conversation_is_asked_by_a_router_that_it_taught() -> None:
    task = _probed(7)
    asked = task.probes[0].queries
    parts = apart(task.test, asked)
    for turns, places in parts:
        taught = {turn.conversation for turn in turns}
        assert taught
        assert taught.isdisjoint(asked[place].conversation for place in places)
    assert sorted(place for _, places in parts for place in places) == list(range(len(asked)))


@pytest.mark.slow
@pytest.mark.parametrize(("conversations", "calibrated"), [(8, False), (44, True)])
def test_probes_are_asked_once_more_of_a_router_that_others_taught_and_calibrated(
    *, conversations: int, calibrated: bool
) -> None:
    task = _probed(conversations)
    report = evaluate_router(task, embedder=HashEmbedder(), baselines=False, progress=False)
    found = {one.system: one for one in report.probes if one.probe == "missing function"}
    assert (CALIBRATED in found) is calibrated
    assert (CALIBRATED in report.teachings) is calibrated
    if calibrated:
        assert found[CALIBRATED].answerable == found[CALIBRATED].unanswerable == conversations
        assert found[CALIBRATED].wrongly_refused.mean < found["agentmem"].wrongly_refused.mean
    assert list(report.teachings)[-1] in {one.name for one in report.systems}  # its failures show
