"""Recording into a folder, by real providers, processes, disks and kills."""

from __future__ import annotations

import json
import logging
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime, timedelta, timezone
from itertools import count, islice
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from memory_tools import open_hashed, say
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import NoOpTracerProvider
from traces_tools import NOON, fresh_process, row, write_rows

from agentmem import InvalidInput
from agentmem.telemetry import Tracing, record
from agentmem.telemetry.local import MAX_AGE, MAX_BYTES
from agentmem.telemetry.span_files import MANY, SpanFiles
from agentmem.telemetry.span_rows import COLUMNS, FORMAT, KEY
from agentmem.traces import open_traces


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    with fresh_process():
        yield


def search(times: int = 1) -> list[str]:
    """Open spans as a search does, and return their ids."""
    tracing, ids = Tracing("ada.mem"), []
    for _ in range(times):
        with tracing.operation("search_memory") as current, current.phase("dense"):
            ids.append(str(current.ids[1]))
    return ids


def recorded(folder: Path) -> list[str]:
    """Return the ids of the searches in a folder, the oldest first."""
    traces = open_traces(folder)
    ids = [span.span_id for span in traces.retrievals()]
    assert traces.skipped == {}
    return ids[::-1]


def installed() -> InMemorySpanExporter:
    provider, exporter = TracerProvider(), InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    return exporter


def test_without_a_provider_one_is_set_up(tmp_path: Path) -> None:
    with record(tmp_path / "traces") as recording:
        ids = search(3)
        assert recording.path == tmp_path / "traces"
    assert isinstance(trace.get_tracer_provider(), TracerProvider)
    assert recorded(tmp_path / "traces") == ids


def test_an_applications_provider_stays_and_exports_as_before(tmp_path: Path) -> None:
    exporter = installed()
    provider = trace.get_tracer_provider()
    with record(tmp_path):
        ids = search()
    assert trace.get_tracer_provider() is provider
    assert recorded(tmp_path) == ids
    search()
    assert len(exporter.get_finished_spans()) == 4
    assert recorded(tmp_path) == ids


def test_a_provider_that_is_not_the_sdks_is_refused(tmp_path: Path) -> None:
    trace.set_tracer_provider(NoOpTracerProvider())
    with pytest.raises(InvalidInput, match="NoOpTracerProvider, which takes no"):
        record(tmp_path)


@pytest.mark.parametrize(
    "bounds", [{"max_bytes": 10}, {"max_bytes": 2e6}, {"max_age": 7}, {"max_age": timedelta(0)}]
)
def test_a_bound_that_keeps_nothing_is_refused(tmp_path: Path, bounds: dict[str, object]) -> None:
    with pytest.raises(InvalidInput, match=next(iter(bounds))):
        record(tmp_path, **bounds)  # type: ignore[arg-type]


def test_spans_are_there_after_a_flush_and_after_a_stop(tmp_path: Path) -> None:
    recording = record(tmp_path)
    first = search()
    recording.flush()
    assert recorded(tmp_path) == first
    second = search()
    recording.stop()
    recording.stop()
    search()
    assert recorded(tmp_path) == first + second


def test_spans_are_written_within_seconds_by_themselves(tmp_path: Path) -> None:
    with record(tmp_path):
        ids = search()
        until = time.monotonic() + 20
        while not list(tmp_path.glob("*.parquet")) and time.monotonic() < until:
            time.sleep(0.05)
        assert recorded(tmp_path) == ids


def test_recordings_come_and_go_on_one_provider(tmp_path: Path) -> None:
    installed()
    with record(tmp_path / "a"):
        both = search()
        with record(tmp_path / "b"):
            both += search()
    with record(tmp_path / "a"):
        later = search()
    assert recorded(tmp_path / "a") == both + later
    assert recorded(tmp_path / "b") == both[1:]


def test_spans_of_other_libraries_are_kept_only_on_request(tmp_path: Path) -> None:
    installed()
    with (
        record(tmp_path / "own"),
        record(tmp_path / "all", everything=True),
        trace.get_tracer("web").start_as_current_span("GET /") as outer,
    ):
        ids = search()
    assert recorded(tmp_path / "own") == ids
    with_request = open_traces(tmp_path / "all").trace(ids[0])
    assert [(depth, span.name) for depth, span in with_request.walk()] == [
        (0, "GET /"),
        (1, "search_memory"),
        (2, "agentmem.dense"),
    ]
    without = open_traces(tmp_path / "own").trace(ids[0])
    (branch,) = without.branches
    assert branch.span.parent_id == trace.format_span_id(outer.get_span_context().span_id)


def test_a_file_has_the_columns_that_are_documented(tmp_path: Path) -> None:
    with record(tmp_path), open_hashed(tmp_path / "m", capture_content=False) as memory:
        memory.add(say("I live in Lisbon.", id="t1"), user_id="ada", session_id="s1")
        memory.search("Lisbon?", user_id="ada")
    (file,) = (one for one in tmp_path.iterdir() if one.suffix == ".parquet")
    table = pq.read_table(file)
    assert table.schema.names == list(COLUMNS)
    assert (table.schema.metadata or {})[KEY] == str(FORMAT).encode()
    assert str(table.schema.field("started_at").type) == "timestamp[ns, tz=UTC]"
    kept = dict(zip(table["operation"].to_pylist(), range(table.num_rows), strict=True))
    found = table.drop_columns(["started_at", "ended_at"]).slice(kept["search_memory"], 1)
    (one,) = found.to_pylist()
    assert one["user_id"] == "ada"
    assert one["store"] == str(tmp_path / "m")
    assert one["results"] == 1
    assert one["top_score"] is not None
    assert one["phase"] is None
    assert json.loads(one["attributes"])["gen_ai.retrieval.top_k"] == 10
    assert "Lisbon" not in str(table.drop_columns(["started_at", "ended_at"]).to_pylist())
    phases = [phase for phase in table["phase"].to_pylist() if phase]
    assert {"embeddings", "dense", "commit"} <= set(phases)


def test_the_documentation_lists_the_columns_as_they_are() -> None:
    page = Path(__file__).parents[1] / "docs" / "traces.md"
    listed = re.findall(r"^\| `(\w+)` \| (\w+) \|", page.read_text("utf-8"), re.MULTILINE)
    assert listed == list(COLUMNS.items())


def test_what_a_span_tells_is_kept_even_where_it_is_no_json_or_no_text(tmp_path: Path) -> None:
    installed()
    with record(tmp_path, everything=True):
        with trace.get_tracer("web").start_as_current_span("half \ud800") as span:
            span.set_attributes({"nan": float("nan"), "half": "\ud800", "list": [1, 2], "b": b"x"})
            span.add_event("tick", {"n": 1})
        trace_id = trace.format_trace_id(span.get_span_context().trace_id)
    (kept,) = open_traces(tmp_path).trace(trace_id).spans
    assert kept.name == "half ?"
    assert kept.attributes == {"nan": "nan", "half": "?", "list": [1, 2], "b": "b'x'"}
    assert kept.events[0]["name"] == "tick"
    assert kept.events[0]["attributes"] == {"n": 1}
    assert kept.resource["service.name"]


def test_a_folder_that_cannot_be_written_is_logged_once_and_nothing_fails(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("no folder")
    with (
        caplog.at_level(logging.WARNING, logger="agentmem"),
        record(tmp_path / "file" / "traces") as recording,
        open_hashed(tmp_path / "m") as memory,
    ):
        memory.add(say("I live in Lisbon."), user_id="ada")
        recording.flush()
        assert len(memory.search("Lisbon?", user_id="ada")) == 1
        recording.flush()
    (said,) = (one.getMessage() for one in caplog.records if one.name == "agentmem")
    assert str(tmp_path / "file" / "traces") in said
    assert "NotADirectoryError" in said


FULL = """
import logging, resource, sys
logging.basicConfig(level="WARNING", stream=sys.stdout)
resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))  # every write fails, as on a full disk
from agentmem.telemetry import Tracing, record
with record(sys.argv[1]) as recording:
    for _ in range(3):
        with Tracing("ada.mem").operation("search_memory"):
            pass
        recording.flush()
print("went on")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="limits of processes are POSIX")
def test_a_full_disk_is_logged_once_and_leaves_no_rubbish(tmp_path: Path) -> None:
    with child(FULL, tmp_path) as done:
        output, _ = done.communicate(timeout=120)
    said = output.splitlines()
    assert said[-1] == "went on"
    assert len([line for line in said if "spans are not recorded" in line]) == 1
    assert [one.name for one in tmp_path.iterdir() if "spans" in one.name] == []


def child(code: str, *arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


ENDLESS = """
import sys, time
from agentmem.telemetry import Tracing, record
recording, tracing = record(sys.argv[1]), Tracing("ada.mem")
for number in range(1_000_000):
    with tracing.operation("search_memory") as current:
        span_id = current.ids[1]
    print(span_id, flush=True)
    if number == 9:
        recording.flush()
        print("flushed", flush=True)
    time.sleep(0.001)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="kills as POSIX does")
def test_a_killed_process_loses_at_most_what_was_not_written_yet(tmp_path: Path) -> None:
    ended: list[str] = []
    with child(ENDLESS, tmp_path) as running:
        assert running.stdout is not None
        until = time.monotonic() + 60
        for line in running.stdout:
            ended.append(line.strip())
            if line == "flushed\n":
                until = time.monotonic() + 2
            if time.monotonic() > until:
                break
        os.kill(running.pid, signal.SIGKILL)
    assert ended[10] == "flushed"
    del ended[10]
    kept = recorded(tmp_path)
    assert len(kept) > 10
    assert kept[: len(ended)] == ended[: len(kept)]  # nothing but the last is missing


CROWD = """
import sys
from agentmem.telemetry import Tracing, record
tracing = Tracing("ada.mem")
with record(sys.argv[1]) as recording:
    for number in range(40):
        with tracing.operation("search_memory") as current:
            print(current.ids[1])
        recording.flush()
"""


def test_processes_write_one_folder_while_it_is_tidied_and_read(tmp_path: Path) -> None:
    (tmp_path / "traces").mkdir()
    seen = 0
    with ExitStack() as stack:
        crowd = [stack.enter_context(child(CROWD, tmp_path / "traces")) for _ in range(3)]
        while any(one.poll() is None for one in crowd):
            found = recorded(tmp_path / "traces")
            assert len(found) == len(set(found)) >= seen
            seen = len(found)
        ended = [line for one in crowd for line in one.communicate(timeout=60)[0].split()]
    assert len(ended) == 120
    assert sorted(recorded(tmp_path / "traces")) == sorted(ended)
    assert len(SpanFiles(tmp_path / "traces").oldest_first()) < 120


def test_a_listing_that_a_merge_runs_into_misses_no_span(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(MANY):
        write_rows(tmp_path, row(number))
    scan = os.scandir
    merged: list[Path] = []

    @contextmanager
    def overtaken(path: Path) -> Iterator[Iterator[os.DirEntry[str]]]:
        with scan(path) as entries:
            listed = list(entries)
        if not merged:
            merged.append(path)
            SpanFiles(tmp_path).tidy(max_bytes=MAX_BYTES, max_age=MAX_AGE, now=NOON)
        yield iter(listed)

    monkeypatch.setattr(os, "scandir", overtaken)
    assert len(recorded(tmp_path)) == MANY
    assert len(SpanFiles(tmp_path).oldest_first()) == 1


def test_reading_comes_to_an_end_where_merging_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_rows(tmp_path, row(0))
    read, numbers = SpanFiles.read, count(1)

    def raced(files: SpanFiles, path: Path, columns: Sequence[str] | None = None) -> pa.Table:
        if columns is not None:  # a merge reads all of them
            for number in islice(numbers, MANY):
                write_rows(tmp_path, row(number))
            files.tidy(max_bytes=MAX_BYTES, max_age=MAX_AGE, now=NOON)
        return read(files, path, columns)

    monkeypatch.setattr(SpanFiles, "read", raced)
    found = recorded(tmp_path)
    assert len(found) == len(set(found)) > MANY


def test_threads_record_what_each_of_them_does(tmp_path: Path) -> None:
    with record(tmp_path):
        threads = [threading.Thread(target=search, args=(50,)) for _ in range(4)]
        for one in threads:
            one.start()
        for one in threads:
            one.join()
    assert len(set(recorded(tmp_path))) == 200


def test_small_files_of_one_day_become_one(tmp_path: Path) -> None:
    for number in range(MANY):
        write_rows(tmp_path, row(number), at=NOON + timedelta(minutes=number))
    write_rows(tmp_path, row(99), at=NOON + timedelta(days=1))
    SpanFiles(tmp_path).tidy(max_bytes=MAX_BYTES, max_age=MAX_AGE, now=NOON)
    merged, other = SpanFiles(tmp_path).oldest_first()
    assert pq.read_metadata(merged.path).num_rows == MANY
    assert merged.written_at == NOON + timedelta(minutes=MANY - 1)
    assert pq.read_metadata(other.path).num_rows == 1
    assert len(recorded(tmp_path)) == MANY + 1


def test_a_merge_that_was_killed_halfway_shows_no_span_twice(tmp_path: Path) -> None:
    for number in range(MANY):
        write_rows(tmp_path, row(number))
    write_rows(tmp_path, *(row(number) for number in range(MANY)))
    assert len(recorded(tmp_path)) == MANY
    SpanFiles(tmp_path).tidy(max_bytes=MAX_BYTES, max_age=MAX_AGE, now=NOON)
    (merged,) = SpanFiles(tmp_path).oldest_first()
    assert pq.read_metadata(merged.path).num_rows == MANY


def test_a_broken_file_outlives_a_merge(tmp_path: Path) -> None:
    for number in range(MANY):
        broken = write_rows(tmp_path, row(number))
    broken.write_bytes(b"PAR1 and then nothing")
    SpanFiles(tmp_path).tidy(max_bytes=MAX_BYTES, max_age=MAX_AGE, now=NOON)
    assert broken.exists()
    assert len(SpanFiles(tmp_path).oldest_first()) == 2


def test_the_oldest_files_go_first_when_there_are_too_many_bytes(tmp_path: Path) -> None:
    sizes = [
        write_rows(tmp_path, row(number), at=NOON + timedelta(days=number)).stat().st_size
        for number in range(5)
    ]
    SpanFiles(tmp_path).tidy(max_bytes=sum(sizes[2:]), max_age=timedelta(days=99), now=NOON)
    assert [file.written_at.day for file in SpanFiles(tmp_path).oldest_first()] == [3, 4, 5]


def test_files_that_are_too_old_go_and_those_of_others_stay(tmp_path: Path) -> None:
    for days in range(5):
        write_rows(tmp_path, row(days), at=NOON + timedelta(days=days))
    (tmp_path / "notes.parquet").write_text("mine")
    (tmp_path / "spans-of-mine.parquet").write_text("mine")
    now = NOON + timedelta(days=4)
    SpanFiles(tmp_path).tidy(max_bytes=10**9, max_age=timedelta(days=2), now=now)
    assert [file.written_at.day for file in SpanFiles(tmp_path).oldest_first()] == [3, 4, 5]
    assert len(list(tmp_path.glob("*.parquet"))) == 5


def test_what_a_killed_process_left_unfinished_goes_after_an_hour(tmp_path: Path) -> None:
    write_rows(tmp_path, row(0))
    fresh, stale = tmp_path / ".spans-a.tmp", tmp_path / ".spans-b.tmp"
    for path in (fresh, stale):
        path.write_bytes(b"half")
    os.utime(stale, (0, 0))
    SpanFiles(tmp_path).tidy(max_bytes=MAX_BYTES, max_age=MAX_AGE, now=NOON)
    assert fresh.exists()
    assert not stale.exists()


def test_nothing_is_tidied_while_another_process_does_it(tmp_path: Path) -> None:
    write_rows(tmp_path, row(0))
    files, now = SpanFiles(tmp_path), datetime.now(timezone.utc)
    with files.locked():
        files.tidy(max_bytes=MAX_BYTES, max_age=MAX_AGE, now=now)
        assert len(files.oldest_first()) == 1
    files.tidy(max_bytes=MAX_BYTES, max_age=MAX_AGE, now=now)
    assert files.oldest_first() == []


def test_a_new_folder_is_for_its_owner_alone(tmp_path: Path) -> None:
    write_rows(tmp_path / "traces", row(0))
    if sys.platform != "win32":
        assert (tmp_path / "traces").stat().st_mode & 0o777 == 0o700
