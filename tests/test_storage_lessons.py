"""Lessons: a log that only grows, is read by what is new, and counts a lesson once it is whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from catalogue_tools import fragments_of, lesson, observed, open_tools, teach
from storage_tools import DIMENSION, HOSTILE, NOON, PASSPORT, vector_of

from agentmem.errors import EmbeddingFailed, InvalidInput, StoreError
from agentmem.storage.arrow import matrix
from agentmem.storage.handle import COMPACT_AFTER
from agentmem.storage.lesson_schema import Observation, lesson_row, observation_rows
from agentmem.storage.tool_store import ToolStore


@pytest.fixture
def store(tmp_path: Path) -> ToolStore:
    return open_tools(tmp_path / "store")


def queries_of(rows: Any) -> list[str]:
    queries: list[str] = rows["query"].to_pylist()
    return queries


def test_lessons_come_back_as_given_in_order_of_their_ids(store: ToolStore) -> None:
    full = lesson(
        id="b",
        tools=list(HOSTILE),
        before=0.5,
        by="a'da",
        reverted_to="a",
        reason="\U0001f642",
        detail={"nested": [1, None, "é"]},
    )
    first = lesson(id="a", kind="examples", applied=False)
    store.lessons.append(full)
    store.lessons.append(first)
    assert store.lessons.lessons() == [first, full]
    assert open_tools(store.name).lessons.lessons() == [first, full]


def test_what_may_be_null_may_be_left_out(store: ToolStore) -> None:
    short = lesson(after=None)
    given = {name: value for name, value in short.items() if value is not None}
    store.lessons.append(given)
    assert store.lessons.lessons() == [short]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"shoe_size": 42}, r"unknown fields \['shoe_size'\]"),
        ({"kind": None}, "lacks"),
        ({"observations": "many"}, "observations holds what cannot be stored"),
        ({"detail": object()}, "detail is not JSON"),
    ],
)
def test_a_lesson_that_cannot_be_stored_leaves_nothing(
    store: ToolStore, changes: dict[str, Any], says: str
) -> None:
    with pytest.raises(InvalidInput, match=says):
        store.lessons.append(lesson(**changes))
    assert store.lessons.version == 0


def test_a_lesson_that_lacks_a_field_is_refused_by_its_name() -> None:
    given = lesson()
    del given["namespace"]
    with pytest.raises(InvalidInput, match=r"lacks the fields \['namespace'\]"):
        lesson_row(given)


def test_observations_come_back_with_their_vectors(store: ToolStore) -> None:
    one = lesson(id="x", namespace="o'there")
    texts = [text for text in HOSTILE if text]
    store.lessons.observe(observed(one, *texts, label=-1, succeeded=False))
    version, rows = store.lessons.observations(None)
    assert version > 0
    assert queries_of(rows) == texts
    np.testing.assert_array_equal(matrix(rows["vector"]), [vector_of(text) for text in texts])
    last = rows.select(["lesson_id", "namespace", "tool", "label", "succeeded"]).to_pylist()[-1]
    assert last == {
        "lesson_id": "x",
        "namespace": "o'there",
        "tool": "get_weather",
        "label": -1,
        "succeeded": False,
    }


def test_nothing_learnt_is_version_nought_and_no_rows(store: ToolStore) -> None:
    assert store.lessons.version == 0
    assert store.lessons.lessons_since(None) == (0, [])
    version, rows = store.lessons.observations(None)
    assert (version, rows.num_rows) == (0, 0)
    assert "vector" in rows.column_names
    assert store.lessons.observations(0)[0] == 0


def test_only_what_was_added_since_is_read(store: ToolStore) -> None:
    teach(store, "one", "two")
    seen, _ = store.lessons.observations(None)
    lessons_seen, _ = store.lessons.lessons_since(None)
    assert store.lessons.observations(seen)[1].num_rows == 0
    assert store.lessons.lessons_since(lessons_seen) == (lessons_seen, [])
    second = teach(store, "three")
    version, rows = store.lessons.observations(seen)
    assert queries_of(rows) == ["three"]
    assert version > seen
    assert store.lessons.lessons_since(lessons_seen) == (store.lessons.version, [second])


def test_compaction_neither_repeats_nor_hides_what_is_new(store: ToolStore) -> None:
    teach(store, "one")
    teach(store, "two")
    seen, _ = store.lessons.observations(None)
    lessons_seen, _ = store.lessons.lessons_since(None)
    third = teach(store, "three")
    store.lessons.compact()
    compacted, rows = store.lessons.observations(seen)
    assert queries_of(rows) == ["three"]
    assert store.lessons.lessons_since(lessons_seen)[1] == [third]
    fourth = teach(store, "four")
    store.lessons.compact()
    assert queries_of(store.lessons.observations(compacted)[1]) == ["four"]
    assert queries_of(store.lessons.observations(seen)[1]) == ["three", "four"]
    assert store.lessons.lessons_since(lessons_seen)[1] == [third, fourth]
    assert queries_of(store.lessons.observations(None)[1]) == ["one", "two", "three", "four"]


def test_increments_through_many_commits_and_their_compactions_add_up(store: ToolStore) -> None:
    reader = open_tools(store.name, read_only=True)
    version, found = None, []
    asked = [f"query {n:03d}" for n in range(2 * COMPACT_AFTER + 5)]
    for place, query in enumerate(asked):
        teach(store, query)
        if place % 7 == 0 or query == asked[-1]:
            version, rows = reader.lessons.observations(version)
            found += queries_of(rows)
    assert found == asked


def test_observations_whose_lesson_was_not_written_belong_to_no_lesson(
    store: ToolStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(action: str) -> None:
        raise KeyboardInterrupt(action)

    whole = teach(store, "kept")
    version = store.lessons.version
    monkeypatch.setattr(store.lessons._log, "made", die)
    with pytest.raises(KeyboardInterrupt):
        teach(store, "lost")
    assert store.lessons.version == version
    known = {one["id"] for one in store.lessons.lessons()}
    rows = store.lessons.observations(None)[1].to_pylist()
    assert [row["query"] for row in rows if row["lesson_id"] in known] == ["kept"]
    assert known == {whole["id"]}


def test_the_observations_of_a_lesson_are_there_when_it_is(store: ToolStore) -> None:
    reader = open_tools(store.name)
    for n in range(5):
        teach(store, f"query {n}")
        ids = {one["id"] for one in reader.lessons.lessons()}
        rows = reader.lessons.observations(None)[1]
        assert ids <= set(rows["lesson_id"].to_pylist())


def test_observations_and_vectors_that_do_not_fit_are_refused() -> None:
    one = Observation(tool="a", query="b", lexemes="b", label=1)
    fields: dict[str, Any] = {"lesson_id": "x", "namespace": "default", "at": NOON}
    fields["passport_id"] = PASSPORT.id
    with pytest.raises(InvalidInput, match="1 observations came with 2 vectors"):
        observation_rows([one], vectors=np.ones((2, DIMENSION), np.float32), **fields)
    with pytest.raises(EmbeddingFailed, match="teach the examples again"):
        observation_rows([one], vectors=np.full((1, DIMENSION), np.nan, np.float32), **fields)


def test_processes_that_teach_once_leave_compact_tables(tmp_path: Path) -> None:
    for n in range(COMPACT_AFTER):
        visitor = open_tools(tmp_path)
        teach(visitor, f"query {n}")
        visitor.close()
    store = open_tools(tmp_path)
    assert [fragments_of(store, name) for name in ("tool_examples_g1", "tool_lessons")] == [1, 1]
    assert len(store.lessons.lessons()) == COMPACT_AFTER


def test_a_failed_read_names_what_was_read(store: ToolStore) -> None:
    teach(store, "one")
    for manifest in (Path(store.name) / "tool_examples_g1.lance" / "_versions").iterdir():
        manifest.unlink()
    with pytest.raises(StoreError, match=r"could not read usage examples"):
        store.lessons.observations(None)
