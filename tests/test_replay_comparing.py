"""Tests of comparing two answers: what is the same, what moved, and what moved it."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentmem.replay.comparing import (
    NAMED,
    TOLERANCE,
    Data,
    Fate,
    Move,
    Step,
    answer_of,
    changes,
    counted,
    differences,
    is_same,
    largest_drift,
)
from agentmem.types import Cause, Change, Scored

Answer = dict[str, float]
keys = st.text("abcdefgh", min_size=1, max_size=1)
answers = st.lists(keys, unique=True, max_size=6).map(lambda found: ranked(*found))


def ranked(*names: str) -> Answer:
    """Give an answer of these results, one point apart."""
    return {name: float(len(names) - place) for place, name in enumerate(names)}


def step(cause: Cause, answer: Answer) -> Step:
    return Step(f"the {cause}", answer, lambda _: (cause, f"because of the {cause}"))


def test_results_of_one_id_are_told_apart_by_their_number() -> None:
    answer = answer_of([Scored("a", 3.0), Scored("b", 2.0), Scored("a", 1.0)])
    assert answer == {"a": 3.0, "b": 2.0, "a (2)": 1.0}
    assert list(answer) == ["a", "b", "a (2)"]


@given(answers)
def test_an_answer_is_the_same_as_itself(answer: Answer) -> None:
    assert is_same(answer, dict(answer), found=len(answer))
    assert largest_drift(answer, answer) == 0


@given(answers, st.data())
def test_rounding_leaves_an_answer_the_same(answer: Answer, data: st.DataObject) -> None:
    drift = st.floats(-TOLERANCE / 2, TOLERANCE / 2)
    rounded = {key: score + data.draw(drift) for key, score in answer.items()}
    assert is_same(answer, rounded, found=len(answer))
    assert largest_drift(answer, rounded) <= TOLERANCE


@given(answers, answers)
def test_other_results_or_another_order_are_not_the_same(one: Answer, other: Answer) -> None:
    assert is_same(one, other, found=len(one)) == (list(one) == list(other))


def test_only_results_of_almost_one_score_may_change_places() -> None:
    recorded = {"a": 2.0, "b": 2.0 - TOLERANCE / 2, "c": 1.0}
    assert is_same(recorded, {"b": 2.0, "a": 2.0 - TOLERANCE / 2, "c": 1.0}, found=3)
    assert not is_same(recorded, {"a": 2.0, "c": 1.0, "b": 2.0}, found=3)


@pytest.mark.parametrize("score", [1.0 + 2 * TOLERANCE, math.nan, math.inf])
def test_a_score_beyond_rounding_is_not_the_same(score: float) -> None:
    assert not is_same({"a": 1.0}, {"a": score}, found=1)


def test_only_what_was_recorded_of_many_results_is_compared_and_their_number() -> None:
    recorded, replayed = {"a": 3.0, "b": 2.0}, {"a": 3.0, "b": 2.0, "c": 1.0}
    assert is_same(recorded, replayed, found=3)
    assert not is_same(recorded, replayed, found=2)
    assert not is_same(recorded, {"a": 3.0, "c": 2.5, "b": 2.0}, found=3)
    cut = {"a": 3.0, "c": 2.0, "b": 2.0}  # a tie at the last that was recorded
    assert is_same(recorded, cut, found=3)


def test_differences_are_moves_and_scores_beyond_rounding() -> None:
    recorded, replayed = ranked("a", "b", "c"), {**ranked("a", "c", "d"), "a": 3.5}
    found = differences(
        recorded, replayed, explain=lambda _: ("unknown", "nobody knows"), names={"c": "C"}
    )
    told = {change.id: (change.before, change.after) for change in found}
    assert told == {"a": (1, 1), "C": (3, 2), "d": (None, 3), "b": (2, None)}
    assert [change.reason for change in found] == [
        "stayed at 1, its score differs by 0.5: nobody knows",
        "rose from 3 to 2: nobody knows",
        "came in at 3: nobody knows",
        "dropped out from 2: nobody knows",
    ]


def test_a_change_is_put_down_to_the_step_that_made_it() -> None:
    start = ranked("a", "b", "c")
    data = step("data", ranked("a", "b", "c"))
    ranking = step("ranking", ranked("b", "a", "c"))
    found = changes(start, [data, ranking, step("time", {**ranking.answer})], names={})
    assert {change.cause for change in found} == {"ranking"}
    assert [(change.id, change.before, change.after) for change in found] == [
        ("b", 2, 1),
        ("a", 1, 2),
    ]


def test_a_change_of_several_steps_is_put_down_to_the_largest_in_its_direction() -> None:
    start = ranked("a", "b", "c", "d")
    down = step("data", ranked("b", "c", "d", "a"))
    up = step("ranking", ranked("b", "a", "c", "d"))
    change = {one.id: one for one in changes(start, [down, up], names={})}["a"]
    assert (change.before, change.after, change.cause) == (1, 2, "data")
    assert change.reason == ("fell from 1 to 2: because of the data; the ranking moved it as well")


@given(answers, st.lists(answers, min_size=1, max_size=4))
def test_every_result_that_moved_has_one_change_and_no_other_has(
    start: Answer, after: list[Answer]
) -> None:
    found = changes(start, [step("data", answer) for answer in after], names={})
    before, end = list(start), list(after[-1])
    moved = {
        key
        for key in {*before, *end}
        if (key in before and before.index(key)) != (key in end and end.index(key))
        or (key in before) != (key in end)
    }
    assert sorted(change.id for change in found) == sorted(moved)
    for change in found:
        assert change.score_before == start.get(change.id)
        assert change.score_after == after[-1].get(change.id)


def explained(before: Answer, after: Answer, fates: dict[str, Fate]) -> dict[str, Change]:
    data = Data(
        before=before,
        after=after,
        fates=fates,
        names={"n": "new one"},
        noun="turn",
        measured="all else weighs otherwise",
    )
    found = changes(before, [Step("the data", after, data.explain)], names={})
    return {change.id: change for change in found}


def test_what_is_new_is_the_cause_of_its_coming_and_of_what_it_pushes_down() -> None:
    found = explained(ranked("a", "b"), ranked("n", "a"), {"n": "added"})
    assert {key: change.cause for key, change in found.items()} == dict.fromkeys("nab", "added")
    assert found["a"].reason == "fell from 1 to 2: 1 newer turn ranks above it (new one)"
    assert found["n"].reason == "came in at 1: this turn is new"


def test_what_was_deleted_is_the_cause_of_its_going_and_of_what_comes_up() -> None:
    found = explained(ranked("x", "y", "a"), ranked("a"), {"x": "removed", "y": "removed"})
    assert {change.cause for change in found.values()} == {"removed"}
    assert found["a"].reason == "rose from 3 to 1: 2 deleted turns ranked above it (x, y)"
    assert found["x"].reason == "dropped out from 1: this turn was deleted"


def test_what_was_replaced_is_its_own_cause_and_data_to_others() -> None:
    found = explained(ranked("a", "b"), ranked("b", "a"), {"a": "changed"})
    assert (found["a"].cause, found["b"].cause) == ("changed", "data")
    assert found["b"].reason == "rose from 2 to 1: 1 edited turn no longer ranks above it (a)"
    back = explained(ranked("a", "b"), ranked("b", "a"), {"b": "changed"})
    assert back["a"].reason == "fell from 1 to 2: 1 edited turn ranks above it (b)"


def test_what_moved_among_the_same_is_put_down_to_what_all_are_measured_against() -> None:
    found = explained(ranked("a", "b"), ranked("b", "a"), {})
    assert {change.cause for change in found.values()} == {"data"}
    assert found["a"].reason == "fell from 1 to 2: all else weighs otherwise"


def test_a_reason_names_a_few_and_counts_the_others() -> None:
    new = [f"n{place}" for place in range(NAMED + 3)]
    found = explained(ranked("a"), ranked(*new, "a"), dict.fromkeys(new, "added"))
    assert found["a"].reason.endswith(f"rank above it ({', '.join(new[:NAMED])} and 3 more)")


def test_a_move_is_worse_where_its_rank_is_larger_or_missing() -> None:
    assert Move("a", 1, 2, 1.0, 1.0).is_worse
    assert Move("a", 1, None, 1.0, None).is_worse
    assert not Move("a", None, 1, None, 1.0).is_worse
    assert not Move("a", 2, 1, 1.0, 1.0).is_worse
    assert Move("a", 2, 2, 1.0, 2.0).is_none


def test_counts_have_their_nouns() -> None:
    assert [counted(1, "turn"), counted(0, "turn"), counted(1_200, "turn")] == [
        "1 turn",
        "0 turns",
        "1,200 turns",
    ]
