"""Import and export: nothing lost, nothing twice, bad records set aside, killed imports resumed."""

from __future__ import annotations

import gzip
import io
import itertools
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agentmem.errors import InvalidInput, StoreError
from agentmem.messages import to_turns
from agentmem.transfer import (
    Written,
    derived_id,
    import_records,
    read_records,
    turn_record,
    write_turns,
)
from agentmem.transfer.reading import MAX_LINE_BYTES
from agentmem.types import Attachment, Scope, Turn

NOW = datetime(2025, 3, 1, 12, tzinfo=timezone.utc)
MAY = datetime(2023, 5, 4, 9, 30, 0, 123456, tzinfo=timezone.utc)
SUFFIXES = [".jsonl", ".ndjson", ".jsonl.gz", ".parquet"]

RICH = Turn(
    id='o\'neil "✓"',
    role="assistant",
    content=" \0 NUL, 😀, \u2028 and\nlines ",
    event_time=MAY,
    ingested_at=NOW,
    name="Ada",
    user_id="ada",
    agent_id="helper",
    session_id="s 1",
    metadata={"f": 1.0, "i": 1, "b": True, "n": None, "deep": {"l": ["é", 0.1]}, "big": 2**62},
    attachments=(Attachment("image", "https://x/y.png", "a flat"), Attachment("file")),
    importance=0.1,
)
PLAIN = Turn(id="t2", role="user", content="hi", event_time=MAY, ingested_at=NOW)


class Shelf:
    """A store of turns by key: validates like the real one, and skips what it holds."""

    def __init__(self, scope: Scope | None = None) -> None:
        self.turns: dict[tuple[str | None, str | None, str], Turn] = {}
        self.batches: list[int] = []
        self._scope = scope or Scope()
        self._clock = itertools.count()

    def write(self, messages: list[dict[str, Any]]) -> Written:
        """Store a batch, all or nothing."""
        self.batches.append(len(messages))
        now = NOW + timedelta(seconds=next(self._clock))
        made = (f"made{number}" for number in itertools.count(len(self.turns)))
        turns = to_turns(messages, scope=self._scope, now=now, new_id=lambda: next(made))
        before = len(self.turns)
        for turn in turns:
            self.turns.setdefault((turn.user_id, turn.agent_id, turn.id), turn)
        stored = len(self.turns) - before
        return Written(stored, len(turns) - stored)

    @property
    def contents(self) -> list[str]:
        """What was stored, in order."""
        return [turn.content for turn in self.turns.values()]


def lines(path: Path, *records: Any) -> Path:
    """Write records as JSON lines; bytes as they are."""
    path.write_bytes(
        b"".join(
            (record if isinstance(record, bytes) else json.dumps(record).encode()) + b"\n"
            for record in records
        )
    )
    return path


def say(content: str, **fields: Any) -> dict[str, Any]:
    """Return a record of the user."""
    return {"role": "user", "content": content, **fields}


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_what_is_exported_imports_as_identical_turns(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"turns{suffix}"
    assert write_turns(path, [[RICH], [], [PLAIN]]) == 2
    shelf = Shelf()
    report = import_records(path, write=shelf.write)
    assert (report.stored, report.unchanged, report.rejected) == (2, 0, 0)
    assert list(shelf.turns.values()) == [RICH, PLAIN]
    assert json.dumps(dict(shelf.turns["ada", "helper", RICH.id].metadata)) == json.dumps(
        dict(RICH.metadata)
    )
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(str.strip)
ids = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1)
moments = st.datetimes(
    min_value=datetime(1900, 1, 1),  # noqa: DTZ001 (the zone is drawn beside it)
    max_value=datetime(2025, 1, 1),  # noqa: DTZ001
    timezones=st.just(timezone.utc),
)
turns = st.builds(
    Turn,
    id=ids,
    role=st.sampled_from(["user", "assistant", "system", "developer", "tool"]),
    content=texts,
    event_time=moments,
    ingested_at=moments,
    name=st.none() | ids,
    user_id=st.none() | ids,
    session_id=st.none() | ids,
    metadata=st.dictionaries(
        texts,
        st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(-1, 1) | texts,
        max_size=3,
    ),
    importance=st.none() | st.floats(0, 1),
)


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(given_=st.lists(turns, max_size=5, unique_by=lambda turn: (turn.user_id, turn.id)))
def test_any_turn_survives_a_file(tmp_path: Path, suffix: str, given_: list[Turn]) -> None:
    path = tmp_path / f"any{suffix}"
    write_turns(path, [given_], overwrite=True)
    shelf = Shelf()
    import_records(path, write=shelf.write)
    assert list(shelf.turns.values()) == given_


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_vectors_are_written_on_request_and_not_taken_for_a_field(
    tmp_path: Path, suffix: str
) -> None:
    def vectors(batch: Sequence[Turn]) -> list[np.ndarray[Any, np.dtype[np.float32]]]:
        return [np.full((len(turn.content), 3), 0.1, dtype=np.float32) for turn in batch]

    path = tmp_path / f"turns{suffix}"
    write_turns(path, [[PLAIN]], vectors=vectors)
    (record,) = read_records(path)
    assert np.array_equal(np.float32(record.value["vectors"]), vectors([PLAIN])[0])
    shelf = Shelf()
    import_records(path, write=shelf.write)
    assert list(shelf.turns.values()) == [PLAIN]


def test_an_existing_file_is_kept_unless_told_otherwise(tmp_path: Path) -> None:
    path = lines(tmp_path / "x.jsonl", say("precious"))
    with pytest.raises(InvalidInput, match="overwrite=True"):
        write_turns(path, [[PLAIN]])
    assert "precious" in path.read_text()
    assert write_turns(path, [[PLAIN]], overwrite=True) == 1
    assert "precious" not in path.read_text()
    (tmp_path / "folder.jsonl").mkdir()
    with pytest.raises(InvalidInput, match="exists already"):
        write_turns(tmp_path / "folder.jsonl", [], overwrite=True)


def broken_off() -> Iterator[list[Turn]]:
    """Yield one batch, then fail as a store might."""
    yield [PLAIN]
    raise StoreError("the disk was pulled out")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_an_export_that_breaks_off_leaves_nothing_and_harms_nothing(
    tmp_path: Path, suffix: str
) -> None:
    path = tmp_path / f"x{suffix}"
    path.write_bytes(b"precious")
    with pytest.raises(StoreError, match="pulled out"):
        write_turns(path, broken_off(), overwrite=True)
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]
    assert path.read_bytes() == b"precious"


def test_a_file_that_cannot_be_written_says_why(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="folder exists"):
        write_turns(tmp_path / "missing" / "x.jsonl", [[PLAIN]])
    with pytest.raises(InvalidInput, match=r"\.parquet"):
        write_turns(tmp_path / "x.csv", [[PLAIN]])


FULL_DISK = """
import resource, signal, sys
from datetime import datetime, timezone
from agentmem.errors import StoreError
from agentmem.transfer import write_turns
from agentmem.types import Turn
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
now = datetime.now(timezone.utc)
turn = Turn(id="a", role="user", content="x" * 9000, event_time=now, ingested_at=now)
try:
    write_turns(sys.argv[1], [[turn]])
except StoreError as error:
    print(error)
"""


def test_a_full_disk_leaves_no_half_export(tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(tmp_path / "x.jsonl")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "has room" in ran.stdout
    assert list(tmp_path.iterdir()) == []


def test_a_bad_line_is_set_aside_and_the_rest_is_loaded(tmp_path: Path) -> None:
    path = lines(
        tmp_path / "chat.jsonl",
        b"\xef\xbb\xbf" + json.dumps(say("one")).encode(),
        b'{"role": "user", "content": "cut o',
        b"",
        b'{"role": "user", "content": "\xff"}',
        [1, 2],
        b'{"role": "user", "content": "x", "importance": NaN}',
        b"[" * 100_000,
        {"role": "nobody", "content": "x"},
        say("two"),
        say("x", timestamp="2024-01-01T00:00:00Z"),
        b'{"role": "user", "content": "\\ud800"}',
        say("three") | {"created_at": "2024-01-01"},
        say("four"),
    )
    shelf = Shelf()
    report = import_records(path, write=shelf.write)
    assert shelf.contents == ["one", "two", "four"]
    assert (report.stored, report.rejected) == (3, 9)
    assert report.rejects_path == str(tmp_path / "chat.jsonl.rejects.jsonl")
    rejects = [json.loads(line) for line in Path(report.rejects_path).read_text().splitlines()]
    reasons = {reject["line"]: reject["error"] for reject in rejects}
    assert reasons.keys() == {2, 4, 5, 6, 7, 8, 10, 11, 12}
    for line, reason in (
        (2, "not JSON"),
        (4, "not UTF-8: byte 29 is 0xff"),
        (5, "a JSON list"),
        (6, "NaN"),
        (7, "nested too deep"),
        (8, "role 'nobody'"),
        (10, "created_at"),
        (11, "lone surrogate"),
        (12, "no time zone"),
    ):
        assert reason in reasons[line]
    raw = {reject["line"]: reject["raw"] for reject in rejects}
    assert raw[2] == '{"role": "user", "content": "cut o'
    assert json.loads(raw[8]) == {"role": "nobody", "content": "x"}


def test_an_endless_line_is_set_aside_without_being_kept(tmp_path: Path) -> None:
    path = lines(tmp_path / "x.jsonl", b"x" * (MAX_LINE_BYTES + 5), say("after"))
    bad, good = read_records(path)
    assert bad.position == 1
    assert "longer than" in (bad.error or "")
    assert len(bad.text) == 1_000
    assert good.value == say("after")


def test_refused_records_cost_few_writes(tmp_path: Path) -> None:
    records = [say(f"m{number}") for number in range(64)]
    records[37]["role"] = "nobody"
    shelf = Shelf()
    report = import_records(lines(tmp_path / "x.jsonl", *records), write=shelf.write)
    assert (report.stored, report.rejected) == (63, 1)
    assert len(shelf.batches) <= 13


def test_batches_are_of_the_size_asked_for(tmp_path: Path) -> None:
    shelf = Shelf()
    path = lines(tmp_path / "x.jsonl", *(say(str(number)) for number in range(10)))
    import_records(path, write=shelf.write, batch_size=4)
    assert shelf.batches == [4, 4, 2]
    with pytest.raises(InvalidInput, match="batch_size"):
        import_records(path, write=shelf.write, batch_size=0)


def test_importing_a_file_twice_stores_nothing_twice(tmp_path: Path) -> None:
    path = lines(tmp_path / "x.jsonl", say("hi"), say("hi"), say("hi", id="own"))
    copy = tmp_path / "elsewhere.jsonl"
    copy.write_bytes(path.read_bytes())
    shelf = Shelf()
    assert import_records(path, write=shelf.write).stored == 3
    again = import_records(copy, write=shelf.write)
    assert (again.stored, again.unchanged) == (0, 3)
    other = lines(tmp_path / "other.jsonl", say("hi"), say("hey"))
    assert import_records(other, write=shelf.write).stored == 2


def test_derived_ids_differ_by_file_by_line_and_by_scope() -> None:
    ada = Scope("ada")
    made = {
        derived_id(source, position=place, scope=scope)
        for source in ("a", "a1")
        for place in (1, 11)
        for scope in (ada, Scope(None, "ada"))
    }
    assert len(made) == 8
    assert derived_id("a", position=11, scope=ada) in made


KILLED = """
import os, signal, sys
from pathlib import Path
from agentmem.transfer import Written, import_records

done = 0

def write(messages):
    global done
    with open(sys.argv[2], "a") as store:
        store.writelines(message["id"] + " " + message["content"] + "\\n" for message in messages)
        store.flush()
        done += 1
        if done == 3:
            os.kill(os.getpid(), signal.SIGKILL)
    return Written(len(messages), 0)

import_records(sys.argv[1], write=write, batch_size=2, checkpoints=Path(sys.argv[3]))
"""


def test_a_killed_import_resumes_after_its_last_whole_batch(tmp_path: Path) -> None:
    records = [say(f"m{number}") for number in range(1, 9)]
    path = lines(tmp_path / "x.jsonl", records[0], b"bad", *records[1:4], b"worse", *records[4:])
    store, checkpoints = tmp_path / "store", tmp_path / "checkpoints"
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, str(path), str(store), str(checkpoints)], check=False
    )
    assert killed.returncode == -signal.SIGKILL
    before = [line.split()[1] for line in store.read_text().splitlines()]
    assert before == ["m1", "m2", "m3", "m4", "m5", "m6"]
    written: list[dict[str, Any]] = []

    def write(messages: list[dict[str, Any]]) -> Written:
        written.extend(messages)
        return Written(len(messages), 0)

    report = import_records(path, write=write, batch_size=2, checkpoints=checkpoints)
    assert report.resumed_at == 5
    assert [message["content"] for message in written] == ["m5", "m6", "m7", "m8"]
    stored = dict(line.split() for line in store.read_text().splitlines())
    assert stored[written[0]["id"]] == "m5"
    assert report.rejects_path is not None
    rejects = Path(report.rejects_path).read_text().splitlines()
    assert [json.loads(line)["line"] for line in rejects] == [2, 6]
    assert list(checkpoints.iterdir()) == []


def failing(after: int, shelf: Shelf) -> Callable[[list[dict[str, Any]]], Written]:
    """Return a write that fails as a full disk would, after so many batches."""

    def write(messages: list[dict[str, Any]]) -> Written:
        if len(shelf.batches) == after:
            raise StoreError("no space left")
        return shelf.write(messages)

    return write


def test_a_checkpoint_holds_for_that_file_and_scope_only(tmp_path: Path) -> None:
    path = lines(tmp_path / "x.jsonl", *(say(str(number)) for number in range(6)))
    folder = tmp_path / "checkpoints"

    def start(user: str) -> Shelf:
        shelf = Shelf(Scope(user))
        with pytest.raises(StoreError, match="no space"):
            import_records(
                path,
                write=failing(2, shelf),
                scope=Scope(user),
                batch_size=2,
                checkpoints=folder,
            )
        return shelf

    ada = start("ada")
    start("bob")
    for scope, resume, resumed_at in ((Scope("eve"), True, 0), (Scope("bob"), False, 0)):
        fresh = Shelf(scope)
        report = import_records(
            path, write=fresh.write, scope=scope, resume=resume, checkpoints=folder
        )
        assert (report.resumed_at, report.stored) == (resumed_at, 6)
    report = import_records(path, write=ada.write, scope=Scope("ada"), checkpoints=folder)
    assert (report.resumed_at, report.stored) == (4, 2)
    assert ada.contents == list("012345")
    start("ada")
    lines(path, *(say(str(number)) for number in range(7)))
    report = import_records(
        path, write=Shelf(Scope("ada")).write, scope=Scope("ada"), checkpoints=folder
    )
    assert report.resumed_at == 0


@pytest.mark.parametrize("junk", [b"", b"{", b"[]", b'{"version": 1}', b'{"version": 9}'])
def test_an_unusable_checkpoint_starts_over(tmp_path: Path, junk: bytes) -> None:
    path = lines(tmp_path / "x.jsonl", *(say(str(number)) for number in range(4)))
    folder = tmp_path / "checkpoints"
    shelf = Shelf()
    with pytest.raises(StoreError):
        import_records(path, write=failing(1, shelf), batch_size=2, checkpoints=folder)
    (kept,) = folder.iterdir()
    kept.write_bytes(junk)
    report = import_records(path, write=shelf.write, batch_size=2, checkpoints=folder)
    assert (report.resumed_at, report.stored, report.unchanged) == (0, 2, 2)


def test_dates_are_inherited_across_batches_and_across_a_restart(tmp_path: Path) -> None:
    path = lines(
        tmp_path / "x.jsonl",
        say("a0", session_id="a"),
        say("a1", session_id="a", created_at=MAY.isoformat()),
        say("b0", session_id="b"),
        say("a2", session_id="a"),
        say("a3", session_id="a", created_at="broken"),
        say("a4", session_id="a"),
    )
    shelf = Shelf(Scope("ada"))
    options: dict[str, Any] = {
        "scope": Scope("ada"),
        "batch_size": 2,
        "checkpoints": tmp_path / "checkpoints",
    }
    with pytest.raises(StoreError):
        import_records(path, write=failing(1, shelf), **options)
    report = import_records(path, write=shelf.write, **options)
    assert report.rejected == 1
    times = {turn.content: turn.event_time for turn in shelf.turns.values()}
    assert {times[name] for name in ("a0", "a1", "a2", "a4")} == {MAY}
    assert times["b0"] > NOW


def test_any_iterable_of_messages_imports(caplog: pytest.LogCaptureFixture) -> None:
    shelf = Shelf()
    messages = (one for one in ["text", RICH, say("dict"), 7, say(""), say("last")])
    report = import_records(messages, write=shelf.write)
    assert shelf.contents == ["text", RICH.content, "dict", "last"]
    assert (report.rejected, report.rejects_path) == (2, None)
    assert "record 4" in caplog.text
    assert "record 5" in caplog.text


def test_rejects_of_an_iterable_go_where_they_are_wanted(tmp_path: Path) -> None:
    path = tmp_path / "bad.jsonl"
    report = import_records([say(""), PLAIN], write=Shelf().write, rejects=path)
    assert report.rejects_path == str(path)
    (reject,) = [json.loads(line) for line in path.read_text().splitlines()]
    assert (reject["line"], json.loads(reject["raw"])) == (1, say(""))
    with pytest.raises(StoreError, match="rejects="):
        import_records([7], write=Shelf().write, rejects=tmp_path / "missing" / "x.jsonl")


def test_the_file_to_import_is_never_overwritten_by_its_rejects(tmp_path: Path) -> None:
    path = lines(tmp_path / "x.jsonl", b"bad")
    with pytest.raises(InvalidInput, match="another path"):
        import_records(path, write=Shelf().write, rejects=tmp_path / "." / "x.jsonl")
    assert path.read_bytes() == b"bad\n"


class Terminal(io.StringIO):
    """A standard error that a person looks at."""

    def isatty(self) -> bool:
        return True


def test_progress_is_drawn_on_a_terminal_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = lines(tmp_path / "x.jsonl", *(say(str(number)) for number in range(9)))
    import_records(path, write=Shelf().write)
    assert capsys.readouterr() == ("", "")
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    import_records(path, write=Shelf().write, progress=False)
    assert terminal.getvalue() == ""
    import_records(path, write=Shelf().write, batch_size=4)
    assert "8 turns" in terminal.getvalue()


def test_standard_input_is_read_as_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    text = io.TextIOWrapper(io.BytesIO(json.dumps(say("piped")).encode()))
    monkeypatch.setattr(sys, "stdin", text)
    shelf = Shelf()
    import_records("-", write=shelf.write)
    assert shelf.contents == ["piped"]


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("missing.jsonl", None, "not there"),
        ("chat.csv", b"a,b", r"format.*\.jsonl"),
        ("x.parquet", b"not parquet", "cannot be read"),
        ("x.jsonl.gz", b"not gzip", "cannot be read"),
    ],
)
def test_a_source_that_is_none_is_refused_with_its_repair(
    tmp_path: Path, name: str, content: bytes | None, says: str
) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InvalidInput, match=f"(?s){says}"):
        import_records(path, write=Shelf().write)


def test_folders_mappings_and_numbers_are_no_sources(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="a folder"):
        import_records(tmp_path, write=Shelf().write)
    for source in (say("one"), 7):
        with pytest.raises(InvalidInput, match="list or generator"):
            import_records(source, write=Shelf().write)  # type: ignore[arg-type]


def test_a_compressed_file_that_breaks_off_keeps_what_was_read(tmp_path: Path) -> None:
    content = "".join(os.urandom(8).hex() for _ in range(40))
    records = b"".join(
        json.dumps(say(f"{number}{content}")).encode() + b"\n" for number in range(200)
    )
    path = tmp_path / "x.jsonl.gz"
    packed = gzip.compress(records)
    path.write_bytes(packed[: len(packed) // 2])
    shelf = Shelf()
    report = import_records(path, write=shelf.write)
    assert 0 < report.stored < 200
    assert report.rejected == 1


def test_other_people_s_parquet_is_read_with_its_own_types(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    table = pa.table(
        {
            "role": ["user", "user", "user"],
            "content": ["a", "b", "c"],
            "created_at": pa.array([1_683_192_600_000_000_001] * 3, pa.timestamp("ns", tz="UTC")),
            "metadata": ['{"n": 1}', "broken", None],
        }
    )
    pq.write_table(table, path)
    shelf = Shelf()
    report = import_records(path, write=shelf.write)
    assert shelf.contents == ["a", "c"]
    first = next(iter(shelf.turns.values()))
    assert first.event_time == datetime(2023, 5, 4, 9, 30, tzinfo=timezone.utc)
    assert first.metadata == {"n": 1}
    assert report.rejected == 1
    assert [record.value["content"] for record in read_records(path, after=2)] == ["c"]


def test_a_record_leaves_out_what_a_turn_has_not() -> None:
    assert turn_record(PLAIN) == {
        "id": "t2",
        "role": "user",
        "content": "hi",
        "created_at": MAY.isoformat(),
        "ingested_at": NOW.isoformat(),
    }
