"""Recorded spans read back: lists, spans, trees and records, and folders that are broken."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from traces_tools import BROKEN, NOON, Work, row, work, write_rows

from agentmem import InvalidInput, NotFound, StoreNotFound
from agentmem.telemetry.reading import record_of_recall, record_of_selection
from agentmem.traces import Branch, SpanRow, SpanTree, Traces, open_traces, read_spans, tree_of
from agentmem.types import SearchRecord, SelectionRecord


def named(number: int, parent: int) -> SpanRow:
    """Return a span of a trace by its number, and that of its parent or -1."""
    told = {"trace_id": "a" * 32, "span_id": f"{number + 1:016x}", "name": "part"}
    if parent >= 0:
        told["parent_id"] = f"{parent + 1:016x}"
    moments = dict.fromkeys(("started_at", "ended_at"), NOON.isoformat())
    (span,) = read_spans(json.dumps(told | moments))
    return span


@pytest.fixture(scope="module")
def worked(tmp_path_factory: pytest.TempPathFactory) -> Work:
    """Give recorded work that tests only read."""
    return work(tmp_path_factory.mktemp("worked"))


@pytest.fixture
def traces(worked: Work) -> Traces:
    return open_traces(worked.folder)


def test_retrievals_are_listed_with_the_newest_first(traces: Traces) -> None:
    found = traces.retrievals()
    assert [span.query for span in found] == [
        "zzz qqq xxx",
        "Book a seat on a plane.",
        None,
        None,
        None,
        "Who lived in Porto?",
        "Who lived in Turin?",
    ]
    assert [span.started_at for span in found] == sorted(
        (span.started_at for span in found), reverse=True
    )
    assert [span.query for span in traces.retrievals(limit=2)] == [
        "zzz qqq xxx",
        "Book a seat on a plane.",
    ]


def test_each_filter_narrows_the_list(traces: Traces, worked: Work) -> None:
    everything = traces.retrievals()
    (refused,) = traces.retrievals(abstained=True)
    assert refused.span_id == worked.refused.span_id
    (failed,) = traces.retrievals(errors=True)
    assert failed.error_type == "EmbeddingFailed"
    assert BROKEN not in str(failed)
    assert {span.user_id for span in traces.retrievals(user_id="bob")} == {"bob"}
    assert len(traces.retrievals(operation="create_memory")) == 4
    assert len(traces.retrievals(operation="agentmem.context")) == 1
    assert traces.retrievals(store="elsewhere.mem") == ()
    assert len(traces.retrievals(store=str(worked.store))) == len(everything)
    middle = everything[3].started_at
    assert traces.retrievals(since=middle) == everything[:4]
    assert traces.retrievals(until=middle.isoformat()) == everything[4:]
    bound = timedelta(microseconds=int(sorted(one.milliseconds for one in everything)[-2] * 1e3))
    least = bound / timedelta(milliseconds=1)
    slow = {one.span_id for one in everything if one.milliseconds >= least}
    assert 2 <= len(slow) < len(everything)
    assert {one.span_id for one in traces.retrievals(slower_than=bound)} == slow


def test_low_scores_and_none_are_below_a_bound_and_errors_are_not(tmp_path: Path) -> None:
    write_rows(
        tmp_path,
        row(0, top_score=0.5),
        row(1, top_score=1.5),
        row(2),
        row(3, status="ERROR", error_type="EmbeddingFailed"),
    )
    low = open_traces(tmp_path).retrievals(below=1.0)
    assert [span.top_score for span in low] == [None, 0.5]


def test_an_unknown_operation_and_a_moment_without_a_zone_are_refused(traces: Traces) -> None:
    with pytest.raises(InvalidInput, match="Did you mean 'search_memory'"):
        traces.retrievals(operation="search_memroy")
    with pytest.raises(InvalidInput, match=r"since .* has no time zone"):
        traces.retrievals(since=NOON.replace(tzinfo=None))


@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00Z", "9999-12-31T00:00:00Z"])
def test_a_moment_beyond_what_files_can_hold_is_still_a_bound(traces: Traces, moment: str) -> None:
    everything = len(traces.retrievals())
    assert len(traces.retrievals(since=moment)) == (everything if moment < "1" else 0)
    assert len(traces.retrievals(until=moment)) == (0 if moment < "1" else everything)


def test_a_trace_is_a_tree_of_operations_and_phases(traces: Traces, worked: Work) -> None:
    assert worked.found.trace_id is not None
    tree = traces.trace(worked.found.trace_id)
    assert tree.trace_id == worked.found.trace_id
    (branch,) = tree.branches
    assert branch.span.span_id == worked.found.span_id
    phases = [part.span.phase for part in branch.children]
    assert phases == list(worked.found.milliseconds)
    assert tree.started_at == branch.span.started_at
    assert tree.milliseconds == pytest.approx(branch.span.milliseconds, abs=0.01)
    assert tree.branch(branch.children[0].span.span_id) == branch.children[0]
    assert tree.branch("0") is None


def test_ids_are_found_by_their_first_digits(traces: Traces, worked: Work) -> None:
    span_id, trace_id = str(worked.found.span_id), str(worked.found.trace_id)
    span = traces.span(span_id)
    assert traces.span(span_id[:12]) == span
    assert traces.span(f"0x{span_id.upper()}") == span
    assert traces.trace(trace_id[:16]) == traces.trace(span_id) == traces.trace(trace_id)
    found = traces.branch(span_id)
    assert isinstance(found, Branch)
    assert found.span == span
    assert isinstance(traces.branch(trace_id), SpanTree)


def test_an_id_that_is_none_or_fits_several_or_none_says_so(tmp_path: Path) -> None:
    write_rows(tmp_path, row(0, span_id="ab" * 8), row(1, span_id="abcd" * 4), row(2))
    traces = open_traces(tmp_path)
    with pytest.raises(InvalidInput, match="may mean abababababababab, abcdabcdabcdabcd"):
        traces.span("ab")
    with pytest.raises(InvalidInput, match="'search 1' is no span or trace id"):
        traces.span("search 1")
    with pytest.raises(NotFound, match="begins with 'ffff'"):
        traces.trace("ffff")
    with pytest.raises(InvalidInput, match="may mean"):
        traces.trace("0")  # begins the ids of three traces


def test_the_record_of_a_search_is_the_recalls_own(traces: Traces, worked: Work) -> None:
    kept, made = traces.record(str(worked.found.span_id)), record_of_recall(worked.found)
    assert isinstance(kept, SearchRecord)
    assert kept.origin.started_at is not None
    assert list(kept.origin.milliseconds) == list(made.origin.milliseconds)
    took = traces.span(str(worked.found.span_id)).milliseconds
    assert min(kept.origin.milliseconds.values()) > 0
    assert sum(kept.origin.milliseconds.values()) <= took  # phases follow one another
    assert replace(kept, origin=made.origin) == made


def test_the_record_of_a_selection_is_the_selections_own(traces: Traces, worked: Work) -> None:
    kept, made = traces.record(str(worked.selected.span_id)), record_of_selection(worked.selected)
    assert isinstance(kept, SelectionRecord)
    assert replace(kept, origin=made.origin, texts=kept.texts or ()) == made


def test_a_record_without_content_says_what_it_lacks(traces: Traces, worked: Work) -> None:
    record = traces.record(str(worked.hidden.span_id))
    assert record.lacks == ("query", "where")
    assert record.query is None


def test_the_record_of_a_context_is_that_of_its_search(traces: Traces) -> None:
    (context,) = traces.retrievals(operation="agentmem.context")
    record = traces.record(context.span_id)
    assert record.query == "Who lived in Porto?"
    assert record == traces.record(context.trace_id)


def test_what_holds_no_retrieval_or_several_has_no_record(traces: Traces, tmp_path: Path) -> None:
    created = traces.retrievals(operation="create_memory")[0]
    with pytest.raises(NotFound, match="no search and no selection"):
        traces.record(created.span_id)
    with pytest.raises(NotFound, match="no search and no selection"):
        traces.record(created.trace_id)
    write_rows(tmp_path, row(0, trace_id="a" * 32), row(1, trace_id="a" * 32))
    with pytest.raises(InvalidInput, match="several retrievals: 0000000000000001, "):
        open_traces(tmp_path).record("aaa")


def test_a_span_that_lost_attributes_is_named(tmp_path: Path) -> None:
    write_rows(tmp_path, row(0))
    with pytest.raises(InvalidInput, match="has no attribute"):
        open_traces(tmp_path).record("1".zfill(16))


@pytest.mark.parametrize(
    ("told", "why"),
    [
        ({"error.type": "EmbeddingFailed"}, "failed with 'EmbeddingFailed', so nothing came of it"),
        (
            {"agentmem.router.queries": 3},
            "a batch of 3 selections, and tells of none of them alone",
        ),
    ],
)
def test_a_span_that_tells_of_no_one_answer_says_why(
    tmp_path: Path, told: dict[str, object], why: str
) -> None:
    operation = {"gen_ai.operation.name": "retrieval"}
    write_rows(tmp_path, row(0, attributes=json.dumps(operation | told)))
    with pytest.raises(InvalidInput, match=why):
        open_traces(tmp_path).record("1".zfill(16))


def test_a_span_whose_parent_was_not_recorded_is_a_branch_of_its_own(tmp_path: Path) -> None:
    request = {"trace_id": "a" * 32, "parent_id": "f" * 16}
    write_rows(tmp_path, row(1, **request), row(0, **request))
    tree = open_traces(tmp_path).trace("aaa")
    assert [branch.span.span_id for branch in tree.branches] == ["1".zfill(16), "2".zfill(16)]


def test_only_what_recorded_folders_hold_is_opened(tmp_path: Path) -> None:
    with pytest.raises(StoreNotFound, match="there is no such folder"):
        open_traces(tmp_path / "nowhere")
    assert open_traces(tmp_path).retrievals() == ()  # a recording that wrote nothing yet
    (tmp_path / "letter.txt").write_text("mine")
    with pytest.raises(StoreNotFound, match=r"other files, such as 'letter\.txt', and no spans"):
        open_traces(tmp_path)
    write_rows(tmp_path, row(0))
    assert len(open_traces(tmp_path).retrievals()) == 1


def test_a_file_named_for_a_moment_that_never_was_is_somebody_elses(tmp_path: Path) -> None:
    write_rows(tmp_path, row(0))
    stranger = tmp_path / "spans-20249999T000000.000000Z-1-0123abcd.parquet"
    stranger.write_bytes(b"not ours")
    assert len(open_traces(tmp_path).retrievals()) == 1
    assert stranger.read_bytes() == b"not ours"


def test_a_folder_that_goes_away_is_an_error_in_words(tmp_path: Path) -> None:
    file = write_rows(tmp_path / "traces", row(0))
    traces = open_traces(tmp_path / "traces")
    file.unlink()
    file.parent.rmdir()
    with pytest.raises(StoreNotFound, match="there is no such folder"):
        traces.retrievals()


def test_broken_files_are_left_out_and_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    whole, cut, foreign = (write_rows(tmp_path, row(number)) for number in range(3))
    cut.write_bytes(cut.read_bytes()[:200])
    pq.write_table(pa.table({"numbers": [1, 2]}), foreign)
    traces = open_traces(tmp_path)
    with caplog.at_level(logging.WARNING, logger="agentmem"):
        assert len(traces.retrievals()) == 1
        assert len(traces.retrievals()) == 1
    assert traces.skipped.keys() == {cut.name, foreign.name}
    assert len(caplog.messages) == 2
    assert whole.exists()


def test_files_that_come_later_are_seen_and_files_that_go_are_not_missed(tmp_path: Path) -> None:
    first = write_rows(tmp_path, row(0))
    traces = open_traces(tmp_path)
    assert len(traces.retrievals()) == 1
    write_rows(tmp_path, row(1))
    assert len(traces.retrievals()) == 2
    first.unlink()
    (left,) = traces.retrievals()
    assert left.span_id == "2".zfill(16)


@given(parents=st.lists(st.integers(-1, 12), max_size=12))
def test_every_span_is_in_its_tree_exactly_once_however_parents_are_named(
    parents: list[int],
) -> None:
    spans = [named(number, parent) for number, parent in enumerate(parents)]
    found = tree_of("a" * 32, spans).spans
    assert sorted(span.span_id for span in found) == [span.span_id for span in spans]


def test_a_deep_trace_is_still_a_tree() -> None:
    depths = [
        depth for depth, _ in tree_of("a" * 32, [named(n, n - 1) for n in range(5_000)]).walk()
    ]
    assert depths == list(range(5_000))
