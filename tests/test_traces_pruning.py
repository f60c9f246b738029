"""Taking spans out of a folder: exactly those named, with what happened within them."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from shutil import copytree

import pytest
from traces_tools import NOON, Work, fresh_process, row, work, write_rows

from agentmem import InvalidInput, StoreNotFound
from agentmem.telemetry import Tracing, record
from agentmem.traces import Traces, mark, open_traces, prune, unlabel


@pytest.fixture(scope="module")
def worked(tmp_path_factory: pytest.TempPathFactory) -> Work:
    return work(tmp_path_factory.mktemp("worked"))


@pytest.fixture
def traces(worked: Work, tmp_path: Path) -> Traces:
    """Give a folder of its own to a test."""
    return open_traces(copytree(worked.folder, tmp_path / "traces"))


def text_of(folder: Path) -> str:
    """Return everything that is left in a folder, as its readers see it."""
    traces = open_traces(folder)
    spans = [span for one in traces.retrievals() for span in traces.trace(one.trace_id).spans]
    return f"{spans} {traces.labels()}"


def test_a_dry_run_counts_and_deletes_nothing(traces: Traces) -> None:
    before = traces.retrievals()
    would = prune(traces.path, user_id="ada", dry_run=True)
    assert would.dry_run
    assert traces.retrievals() == before
    done = prune(traces.path, user_id="ada")
    assert (done.spans, done.spans_left) == (would.spans, would.spans_left)
    assert not done.dry_run


def test_a_users_spans_go_with_their_phases_and_nobody_elses(traces: Traces, worked: Work) -> None:
    mark(traces, str(worked.found.span_id), verdict="right")
    (bobs,) = traces.retrievals(user_id="bob")
    kept = mark(traces, bobs.span_id, verdict="right", query="jazz")
    mark(traces, str(worked.found.span_id), verdict="wrong")
    others = [span for span in traces.retrievals() if span.user_id != "ada"]
    done = prune(traces.path, user_id="ada")
    assert done.labels == 1
    assert list(open_traces(traces.path).retrievals()) == others
    left = text_of(traces.path)
    assert "Turin" not in left
    assert re.search(r"\bada\b", left.replace("ada.mem", "")) is None
    assert open_traces(traces.path).labels() == [kept]
    assert prune(traces.path, user_id="ada").spans == 0


def test_a_label_that_was_taken_back_is_erased_with_its_user(traces: Traces, worked: Work) -> None:
    label = mark(traces, str(worked.found.span_id), verdict="right")
    unlabel(traces.path, label.span_id)
    prune(traces.path, everything=True)
    assert "Turin" in (traces.path / "labels.jsonl").read_text()
    prune(traces.path, user_id="ada")
    assert (traces.path / "labels.jsonl").read_text() == ""


def test_spans_before_a_moment_go_to_the_span(tmp_path: Path) -> None:
    write_rows(tmp_path, *(row(number) for number in range(10)))
    write_rows(tmp_path, row(10))
    done = prune(tmp_path, before=NOON + timedelta(minutes=4))
    assert (done.spans, done.labels, done.spans_left) == (4, 0, 7)
    left = open_traces(tmp_path).retrievals()
    assert min(span.started_at for span in left) == NOON + timedelta(minutes=4)


def test_phases_that_name_no_user_go_with_their_operation_from_other_files(tmp_path: Path) -> None:
    write_rows(tmp_path, row(0, user_id="ada"), row(5))
    phase = {"parent_id": "1".zfill(16), "operation": None, "phase": "dense"}
    write_rows(tmp_path, row(1, **phase), row(2, parent_id="2".zfill(16)))
    done = prune(tmp_path, user_id="ada")
    assert (done.spans, done.spans_left) == (3, 1)


def test_conditions_narrow_each_other(tmp_path: Path) -> None:
    write_rows(
        tmp_path,
        row(0, user_id="ada", session_id="s1"),
        row(1, user_id="ada", session_id="s2"),
        row(2, user_id="bob", session_id="s1"),
    )
    assert prune(tmp_path, user_id="ada", session_id="s1", dry_run=True).spans == 1
    assert prune(tmp_path, session_id="s1", dry_run=True).spans == 2
    before = NOON + timedelta(seconds=30)
    assert prune(tmp_path, user_id="ada", before=before, dry_run=True).spans == 1


def test_everything_goes_only_when_that_is_written_out(traces: Traces) -> None:
    with pytest.raises(InvalidInput, match="nothing says which spans go"):
        prune(traces.path)
    with pytest.raises(InvalidInput, match="everything=True alone"):
        prune(traces.path, everything=True, user_id="ada")
    done = prune(traces.path, everything=True)
    assert done.spans_left == 0
    assert list(traces.path.glob("*.parquet")) == []


def test_files_that_cannot_be_read_are_named_and_go_only_with_everything(tmp_path: Path) -> None:
    broken = write_rows(tmp_path, row(0))
    broken.write_bytes(b"nothing")
    assert prune(tmp_path, user_id="ada").skipped == (broken.name,)
    assert broken.exists()
    prune(tmp_path, everything=True, dry_run=True)
    assert broken.exists()
    prune(tmp_path, everything=True)
    assert not broken.exists()


def test_a_folder_of_something_else_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "spans.parquet").write_text("mine")
    with pytest.raises(StoreNotFound, match="no spans"):
        prune(tmp_path, everything=True)
    write_rows(tmp_path, row(0))
    prune(tmp_path, everything=True)
    assert (tmp_path / "spans.parquet").read_text() == "mine"


def test_what_is_recorded_while_spans_are_pruned_is_kept(tmp_path: Path) -> None:
    with fresh_process(), record(tmp_path) as recording:
        tracing, ids = Tracing("ada.mem"), []
        for _ in range(30):
            with tracing.operation("search_memory") as current:
                ids.append(current.ids[1])
            recording.flush()
            prune(tmp_path, user_id="ada")
    assert [span.span_id for span in open_traces(tmp_path).retrievals()] == ids[::-1]
