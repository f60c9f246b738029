"""Verdicts on past retrievals: what they keep, which one holds, and files that are torn."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from shutil import copytree
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from traces_tools import NOON, Work, row, work, write_rows

from agentmem import ALL, InvalidInput, NotFound, Scope, StoreError, StoreNotFound
from agentmem.telemetry.span_files import SpanFiles
from agentmem.traces import (
    Label,
    Traces,
    mark,
    open_traces,
    prune,
    read_labels,
    unlabel,
    write_label,
)

LABEL = Label(
    span_id="a" * 16,
    trace_id="b" * 32,
    kind="search",
    verdict="right",
    query="Where does Ada live?",
    relevant=("t1",),
    wrong=(),
    results=("t1", "t2"),
    k=10,
    scope=Scope(user_id="ada"),
    mode="hybrid",
    at=NOON,
)


@pytest.fixture(scope="module")
def worked(tmp_path_factory: pytest.TempPathFactory) -> Work:
    return work(tmp_path_factory.mktemp("worked"))


@pytest.fixture
def traces(worked: Work, tmp_path: Path) -> Traces:
    """Give a folder of its own to a test."""
    return open_traces(copytree(worked.folder, tmp_path / "traces"))


def test_a_right_search_was_right_about_its_best_hit(traces: Traces, worked: Work) -> None:
    given = mark(traces, str(worked.found.span_id)[:10], verdict="right", note="yes", by="Grace")
    assert read_labels(traces.path) == traces.labels() == [given]
    best = worked.found[0].turn.id
    assert given == replace(
        LABEL,
        span_id=str(worked.found.span_id),
        trace_id=str(worked.found.trace_id),
        query="Who lived in Turin?",
        relevant=(best,),
        results=tuple(hit.turn.id for hit in worked.found),
        store=str(worked.store),
        user_id="ada",
        note="yes",
        by="Grace",
        at=given.at,
    )
    assert abs((datetime.now(timezone.utc) - given.at).total_seconds()) < 600


def test_a_wrong_search_was_wrong_about_its_best_hit_unless_told(
    traces: Traces, worked: Work
) -> None:
    span_id, best = str(worked.found.span_id), worked.found[0].turn.id
    plain = mark(traces, span_id, verdict="wrong")
    assert (plain.relevant, plain.wrong) == ((), (best,))
    expected = mark(traces, span_id, verdict="wrong", expected=["t9"])
    assert (expected.relevant, expected.wrong) == (("t9",), (best,))
    low = mark(traces, span_id, verdict="wrong", expected=[best])
    assert (low.relevant, low.wrong) == ((best,), ())
    named = mark(traces, span_id, verdict="wrong", wrong=["t2", "t0"])
    assert named.wrong == ("t2", "t0")
    assert traces.labels() == [named]


def test_a_selection_is_labelled_by_the_tools_it_handed_out(traces: Traces, worked: Work) -> None:
    span_id = str(worked.selected.span_id)
    chosen = tuple(f"default/{name}" for name in worked.selected.names)
    right = mark(traces, span_id, verdict="right")
    assert (right.kind, right.scope, right.mode) == ("selection", None, None)
    assert right.relevant == right.results == chosen
    wrong = mark(traces, span_id, verdict="wrong", expected=["send_mail", "default/new", "b/c"])
    assert wrong.relevant == ("default/send_mail", "default/new", "b/c")
    assert wrong.wrong == chosen[:1]


def test_a_right_abstention_says_that_no_tool_fits(traces: Traces, worked: Work) -> None:
    label = mark(traces, str(worked.refused.span_id), verdict="right")
    assert (label.relevant, label.results) == ((), ())


def test_what_was_not_recorded_has_to_be_given(traces: Traces, worked: Work) -> None:
    span_id, where = str(worked.hidden.span_id), {"role": "user"}
    with pytest.raises(InvalidInput, match="needs its query"):
        mark(traces, span_id, verdict="right")
    with pytest.raises(InvalidInput, match="needs its where"):
        mark(traces, span_id, verdict="right", query="Where did Ada live?")
    label = mark(traces, span_id, verdict="right", query="Where did Ada live?", where=where)
    assert (label.query, label.where) == ("Where did Ada live?", where)
    assert len(traces.labels()) == 1


def test_right_of_a_search_that_found_nothing_needs_an_expected_turn(
    traces: Traces, worked: Work
) -> None:
    (found,) = (one for one in traces.retrievals() if one.span_id == worked.found.span_id)
    kept = {k: v for k, v in found.attributes.items() if not k.startswith("retrieval.doc")}
    write_rows(traces.path, row(7, attributes=json.dumps(kept)))
    empty = "8".zfill(16)
    with pytest.raises(InvalidInput, match="found nothing"):
        mark(traces, empty, verdict="right")
    assert mark(traces, empty, verdict="right", expected=["t1"]).relevant == ("t1",)
    assert mark(traces, empty, verdict="wrong").wrong == ()


def test_what_is_no_retrieval_takes_no_label(traces: Traces) -> None:
    created = traces.retrievals(operation="create_memory")[0]
    with pytest.raises(NotFound, match="nothing to"):
        mark(traces, created.span_id, verdict="right")


def test_the_newest_label_of_a_span_holds_and_can_be_taken_back(tmp_path: Path) -> None:
    other = replace(LABEL, span_id="c" * 16)
    for label in (LABEL, other, replace(LABEL, verdict="wrong")):
        write_label(tmp_path, label)
    assert read_labels(tmp_path) == [other, replace(LABEL, verdict="wrong")]
    assert unlabel(tmp_path, LABEL.span_id, by="Grace")
    assert not unlabel(tmp_path, LABEL.span_id)
    assert read_labels(tmp_path / "labels.jsonl") == [other]
    write_label(tmp_path, LABEL)
    assert read_labels(tmp_path) == [other, LABEL]


ids = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)
labels = st.builds(
    replace,
    st.just(LABEL),
    query=ids,
    relevant=st.tuples(ids, ids),
    k=st.just("auto") | st.integers(1, 99),
    scope=st.sampled_from([ALL, None, Scope("u", "a", "s"), Scope(session_id="s")]),
    where=st.none() | st.dictionaries(ids, st.integers() | st.lists(ids)),
    since=st.none() | st.datetimes(timezones=st.just(timezone.utc)),
    texts=st.lists(ids).map(tuple),
    note=st.none() | ids,
)


@given(label=labels)
def test_a_label_reads_back_as_it_was_given(
    label: Label, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("labels")
    write_label(folder, label)
    assert read_labels(folder) == [label]


def test_labels_outlive_the_spans_they_speak_of(traces: Traces, worked: Work) -> None:
    given = mark(traces, str(worked.found.span_id), verdict="right")
    prune(traces.path, everything=True)
    assert open_traces(traces.path).retrievals() == ()
    assert open_traces(traces.path).labels() == [given]


def test_a_folder_without_labels_has_none_and_no_folder_is_an_error(tmp_path: Path) -> None:
    assert read_labels(tmp_path) == []
    (tmp_path / "labels.jsonl").write_text("\n")
    assert read_labels(tmp_path) == []
    with pytest.raises(StoreNotFound, match="no folder and no file of labels"):
        read_labels(tmp_path / "nowhere")


@pytest.mark.parametrize(
    "line", ["{", "[]", "7", '{"span_id": "a"}', '{"verdict": null}', '{"verdict": "perhaps"}']
)
def test_a_line_that_is_no_label_is_named(tmp_path: Path, line: str) -> None:
    write_label(tmp_path, LABEL)
    with (tmp_path / "labels.jsonl").open("a") as file:
        file.write(line + "\n")
    with pytest.raises(InvalidInput, match=r"line 2 of .* is no label"):
        read_labels(tmp_path)


def test_a_torn_line_does_not_swallow_the_next_label(tmp_path: Path) -> None:
    write_label(tmp_path, LABEL)
    torn = (tmp_path / "labels.jsonl").read_text()[:-20]
    (tmp_path / "labels.jsonl").write_text(torn)
    write_label(tmp_path, replace(LABEL, span_id="c" * 16))
    lines = (tmp_path / "labels.jsonl").read_text().splitlines()
    assert lines[0] == torn
    assert json.loads(lines[1])["span_id"] == "c" * 16


def test_fields_of_a_later_version_are_passed_over(tmp_path: Path) -> None:
    write_label(tmp_path, LABEL)
    line: dict[str, Any] = json.loads((tmp_path / "labels.jsonl").read_text())
    (tmp_path / "labels.jsonl").write_text(json.dumps({**line, "colour": "green"}))
    assert read_labels(tmp_path) == [LABEL]


MANY = """
import sys
from dataclasses import replace
from agentmem.traces import read_labels, write_label
(label,) = read_labels(sys.argv[1])[:1]
for number in range(50):
    write_label(sys.argv[1], replace(label, span_id=f"{sys.argv[2]}-{number}", note="x" * 9_000))
"""


def test_processes_label_one_folder_without_mixing_their_lines(tmp_path: Path) -> None:
    write_label(tmp_path, LABEL)
    crowd = [
        subprocess.Popen([sys.executable, "-c", MANY, str(tmp_path), str(name)])
        for name in range(2)
    ]
    assert [one.wait(timeout=120) for one in crowd] == [0, 0]
    assert len(read_labels(tmp_path)) == 101


def test_a_label_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "labels.jsonl").mkdir()
    with pytest.raises(StoreError, match="the label could not be written"):
        write_label(tmp_path, LABEL)
    with pytest.raises(StoreNotFound, match="there is no folder"):
        write_label(tmp_path / "nowhere", LABEL)


def test_a_label_waits_for_an_erasure_to_end(tmp_path: Path) -> None:
    write_label(tmp_path, LABEL)
    writing = threading.Thread(target=write_label, args=(tmp_path, replace(LABEL, note="late")))
    with SpanFiles(tmp_path).locked():
        writing.start()
        writing.join(timeout=0.3)
        assert writing.is_alive()
        assert read_labels(tmp_path) == [LABEL]
    writing.join(timeout=30)
    assert read_labels(tmp_path) == [replace(LABEL, note="late")]


def test_a_lock_that_is_never_given_back_is_an_error_in_words(tmp_path: Path) -> None:
    files = SpanFiles(tmp_path)
    with (
        files.locked(),
        pytest.raises(StoreError, match="another process is tidying"),
        files.locked(patience=0.05),
    ):
        pytest.fail("two hold the lock")
