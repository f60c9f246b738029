"""The log of lessons: what has effect after reverts of reverts, and what is not settled yet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from catalogue_tools import lesson, open_tools, teach
from hypothesis import given
from hypothesis import strategies as st
from storage_tools import NOON, PASSPORT, vector_of

from agentmem.routing.lessons import (
    EVERYWHERE,
    LessonLog,
    active,
    as_lesson,
    concerns,
    counted,
    ids,
    unchecked,
)
from agentmem.routing.recording import Recorder
from agentmem.storage.tool_store import ToolStore


def row(name: str, **changes: Any) -> dict[str, Any]:
    return lesson(**{"id": name, "detail": {}, **changes})


def revert(name: str, to: str | None, *, within: str = EVERYWHERE, **changes: Any) -> Any:
    return row(name, kind="revert", reverted_to=to, namespace=within, **changes)


def recorder_of(store: ToolStore) -> Recorder:
    """Return what writes the lessons of a store that stays in its generation."""
    recorder = Recorder(
        store.lessons,
        passport_id=PASSPORT.id,
        reserve=lambda _: NOON,
        embed=lambda queries: np.stack([vector_of(query) for query in queries]),
        writing=lambda: iter([recorder]),
    )
    return recorder


def taught(lessons: Sequence[Any]) -> list[str]:
    """Return the ids of the lessons that have effect, reverts themselves left out."""
    return [one["id"] for one in active(lessons) if one["kind"] != "revert"]


def test_lessons_have_effect_unless_the_guard_refused_them() -> None:
    assert taught([row("a"), row("b", applied=False), row("c")]) == ["a", "c"]
    assert active([]) == []


def test_a_revert_takes_the_effect_of_what_came_after() -> None:
    log = [row("a"), row("b"), row("c"), revert("d", "a"), row("e")]
    assert taught(log) == ["a", "e"]
    assert taught([*log, revert("f", None)]) == []


def test_a_revert_can_be_reverted() -> None:
    log = [row("a"), row("b"), revert("c", "a"), row("d")]
    assert taught([*log, revert("e", "b")]) == ["a", "b"]
    assert taught([*log, revert("e", "b"), revert("f", "d")]) == ["a", "d"]
    assert taught([*log, revert("e", "c")]) == ["a"]


def test_a_revert_to_a_refused_lesson_is_to_that_moment() -> None:
    assert taught([row("a"), row("b", applied=False), row("c"), revert("d", "b")]) == ["a"]


def test_a_revert_within_a_namespace_leaves_the_others_alone() -> None:
    log = [row("a", namespace="x"), row("b", namespace="y"), row("c", namespace="x")]
    assert taught([*log, revert("d", "a", within="x")]) == ["a", "b"]
    assert taught([*log, revert("d", None, within="x")]) == ["b"]
    assert taught([*log, revert("d", None, within="x"), revert("e", "c")]) == ["a", "b", "c"]


def test_a_revert_to_a_lesson_that_is_not_there_changes_nothing() -> None:
    assert taught([row("a"), revert("b", "zzz"), row("c")]) == ["a", "c"]


@dataclass(frozen=True)
class Step:
    """One lesson as a test draws it: a revert goes back so many lessons."""

    namespace: str
    applied: bool
    back: int | None


steps = st.lists(
    st.builds(
        Step,
        namespace=st.sampled_from(["x", "y"]),
        applied=st.booleans(),
        back=st.none() | st.integers(0, 6),
    ),
    max_size=12,
)


@given(steps)
def test_reverting_gives_exactly_the_state_of_then(steps: list[Step]) -> None:
    log: list[Any] = []
    states: dict[str | None, list[str]] = {None: []}
    names = (f"{n:03d}" for n in count())
    for step in steps:
        name = next(names)
        if step.back is None:
            log.append(row(name, namespace=step.namespace, applied=step.applied))
        else:
            places = [None, *(one["id"] for one in log)]
            to = places[max(len(places) - 1 - step.back, 0)]
            log.append(revert(name, to))
            assert taught(log) == states[to]
        states[name] = taught(log)


@given(steps)
def test_reverting_one_namespace_after_the_other_is_reverting_both(steps: list[Step]) -> None:
    log = [
        row(f"{n:03d}", namespace=step.namespace, applied=step.applied)
        for n, step in enumerate(steps)
    ]
    to = log[len(log) // 2]["id"] if log else None
    both = taught([*log, revert("r", to)])
    assert taught([*log, revert("r", to, within="x"), revert("s", to, within="y")]) == both


def test_what_is_not_settled_begins_after_the_last_good_lesson() -> None:
    log = [
        row("a"),
        row("b", detail={"accepted": True}),
        row("c"),
        row("d", namespace="other", detail={"accepted": True}),
        row("e", applied=False),
        row("f"),
    ]
    good, since = unchecked(log, namespace="default")
    assert (good, [one["id"] for one in since]) == ("b", ["c", "f"])
    assert unchecked(log, namespace="other") == ("d", [])
    assert unchecked(log, namespace="third") == (None, [])
    assert unchecked(log[:1], namespace="default")[1] == log[:1]


def test_after_a_revert_nothing_is_unsettled() -> None:
    log = [row("a"), row("b"), revert("c", "a")]
    assert unchecked(log, namespace="default") == ("c", [])
    log.append(revert("d", None, within="other"))
    assert unchecked(log, namespace="default") == ("c", [])
    assert unchecked(log, namespace="other") == ("d", [])


def test_a_lesson_of_several_namespaces_concerns_each() -> None:
    wide = row("a", namespace=EVERYWHERE)
    assert concerns(wide, "default")
    assert concerns(row("b"), None)
    assert not concerns(row("b"), "other")


def test_a_row_becomes_a_value() -> None:
    value = as_lesson(row("a", tools=["x", "y"]), is_active=False)
    assert (value.id, value.tools, value.active, value.after) == ("a", ("x", "y"), False, 0.75)


def test_things_are_counted_in_words() -> None:
    assert [counted(n, "lesson") for n in (0, 1, 1_234)] == [
        "0 lessons",
        "1 lesson",
        "1,234 lessons",
    ]


def test_the_log_follows_what_others_teach(tmp_path: Path) -> None:
    store, other = open_tools(tmp_path), open_tools(tmp_path)
    log = LessonLog(store.lessons)
    assert log.newest() == (0, ())
    late = teach(other, "one", id="b")
    first = log.current()
    assert list(first) == [late]
    assert log.newest() == (store.lessons.version, first)
    assert log.current() is first
    early = teach(other, id="a")
    assert list(log.current()) == [early, late]
    assert list(first) == [late]
    assert log.at(1) == []
    assert log.at(store.lessons.version - 1) == [late]
    assert log.at(store.lessons.version) == [early, late]


def test_a_new_lesson_sorts_behind_every_known_one(tmp_path: Path) -> None:
    store = open_tools(tmp_path)
    ahead = "fffffffe-ffff-7fff-bfff-fffffffffff0"  # written by a clock that is years ahead
    recorder = recorder_of(store)
    fields = {"kind": "feedback", "namespace": "default", "applied": True, "reason": "so"}
    row = recorder.row(log=[lesson(id=ahead)], **fields)
    assert row["id"] > ahead
    assert recorder.row(log=[], **fields)["id"] < ahead
    recorder.write(row)
    assert ids(store.lessons.lessons()) == {row["id"]}


@pytest.mark.parametrize("missing", ["kind", "reason"])
def test_a_lesson_without_its_fields_is_not_written(tmp_path: Path, missing: str) -> None:
    store = open_tools(tmp_path)
    recorder = recorder_of(store)
    fields = {"kind": "feedback", "namespace": "default", "applied": True, "reason": "so"}
    del fields[missing]
    with pytest.raises(ValueError, match=missing):
        recorder.write(recorder.row(log=[], **fields))
