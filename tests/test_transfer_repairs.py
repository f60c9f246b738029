"""What an import must survive: deletes, second sessions, odd cells, files that are not its own."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from memory_tools import contents, open_hashed, say

from agentmem import Memory
from agentmem.errors import InvalidInput, StoreError
from agentmem.transfer import Written, forget_imports, import_records, read_records
from agentmem.types import Scope

Message = dict[str, Any]
Write = Callable[[list[Message]], Written]


def accept(messages: list[Message]) -> Written:
    """Store nothing, and say that all is stored."""
    return Written(len(messages), 0)


def stopping(after: int, meanwhile: Callable[[], object] = lambda: None) -> Write:
    """Return a write that fails after so many batches; `meanwhile` happens before the last."""
    left = after

    def write(messages: list[Message]) -> Written:
        nonlocal left
        if not left:
            raise StoreError("no space left")
        left -= 1
        if not left:
            meanwhile()
        return accept(messages)

    return write


def file_of(folder: Path, *, records: int = 6) -> Path:
    """Return a file of messages without ids."""
    path = folder / "x.jsonl"
    path.write_text("".join(json.dumps(say(str(number))) + "\n" for number in range(records)))
    return path


def stop_halfway(memory: Memory, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Import two batches of two into a store, then fail as a full disk would."""
    writer = memory._parts.writer
    add, left = writer.add, iter((True, True))

    def failing(*args: Any, **options: Any) -> Any:
        if not next(left, False):
            raise StoreError("no space left")
        return add(*args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(writer, "add", failing)
        with pytest.raises(StoreError, match="no space"):
            memory.import_turns(path, user_id="ada", batch_size=2)


def test_what_was_deleted_after_a_stopped_import_comes_back_with_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = file_of(tmp_path)
    with open_hashed(tmp_path / "store") as memory, open_hashed(tmp_path / "store") as other:
        stop_halfway(memory, path, monkeypatch)
        assert memory.delete(user_id="ada", dry_run=True).turns == 4
        assert memory.import_turns(path, user_id="ada").resumed_at == 4
        assert other.delete(user_id="ada").turns == 6
        stop_halfway(memory, path, monkeypatch)
        assert other.delete(user_id="ada").turns == 4
        report = memory.import_turns(path, user_id="ada")
        assert (report.resumed_at, report.stored) == (0, 6)
        assert contents(memory.turns(user_id="ada")) == list("012345")


@pytest.mark.parametrize("others", [0, 1])
def test_an_import_during_a_delete_leaves_no_checkpoint_behind(tmp_path: Path, others: int) -> None:
    path, folder = file_of(tmp_path), tmp_path / "checkpoints"

    def delete() -> None:
        forget_imports(folder)
        for _ in range(others):  # begins after the delete, and keeps its own checkpoint
            with pytest.raises(StoreError):
                import_records(
                    path, write=stopping(0), scope=Scope("bob"), checkpoints=folder, batch_size=2
                )

    with pytest.raises(StoreError):
        import_records(path, write=stopping(2, delete), batch_size=2, checkpoints=folder)
    assert import_records(path, write=accept, checkpoints=folder).resumed_at == 0
    assert not [entry for entry in tmp_path.iterdir() if entry.name.startswith("checkpoints.")]
    forget_imports(None)


def test_another_way_of_resolving_conflicts_starts_over(tmp_path: Path) -> None:
    path, folder = file_of(tmp_path), tmp_path / "checkpoints"
    with pytest.raises(StoreError):
        import_records(path, write=stopping(1), batch_size=2, checkpoints=folder)
    report = import_records(path, write=accept, checkpoints=folder, on_conflict="replace")
    assert report.resumed_at == 0
    assert import_records(path, write=accept, checkpoints=folder).resumed_at == 2


@pytest.mark.parametrize("field", ["user_id", "agent_id", "session_id"])
def test_one_file_can_be_imported_into_two_sessions(tmp_path: Path, field: str) -> None:
    path = file_of(tmp_path)
    with open_hashed(tmp_path / "store") as memory:
        for name in ("a", "b"):
            scope: dict[str, Any] = {"user_id": "ada", field: name}
            report = memory.import_turns(path, **scope)
            assert (report.stored, report.rejected) == (6, 0)
            again = memory.import_turns(path, **scope)
            assert (again.stored, again.unchanged) == (0, 6)
            assert memory.count(**scope) == 6


@pytest.mark.parametrize(
    "wrong",
    [
        {"on_conflict": "skip"},
        {"on_conflict": ["error"]},
        {"batch_size": 0},
        {"batch_size": "512"},
        {"batch_size": 2.0},
        {"batch_size": True},
    ],
)
def test_a_wrong_argument_is_refused_before_anything_is_read(
    tmp_path: Path, wrong: dict[str, Any]
) -> None:
    records = iter([say("one")])
    with open_hashed(tmp_path / "store") as memory:
        with pytest.raises(InvalidInput, match=next(iter(wrong))):
            memory.import_turns(records, user_id="ada", **wrong)
        assert next(records) == say("one")


FAR = 2**62  # no year of Python's calendar, in milliseconds or in microseconds
BROKEN_TEXT = pa.array([b"a", b"\xff", b"c"]).view(pa.string())


@pytest.mark.parametrize(
    ("column", "cells", "says"),
    [
        ("created_at", pa.array([0, FAR, 0], pa.timestamp("us", tz="UTC")), "'created_at'"),
        ("created_at", pa.array([0, FAR, 0], pa.timestamp("ms", tz="UTC")), "'created_at'"),
        ("name", BROKEN_TEXT, "'name'"),
        ("metadata", pa.array(["{}", '{"a":' * 100_000, "{}"]), "metadata"),
        ("metadata", pa.array(["{}", f'{{"a": {"9" * 5000}}}', "{}"]), "metadata"),
    ],
)
def test_a_cell_that_cannot_be_read_costs_its_row_only(
    tmp_path: Path, column: str, cells: pa.Array[Any], says: str
) -> None:
    path = tmp_path / "x.parquet"
    table = pa.table({"role": ["user"] * 3, "content": ["a", "b", "c"], column: cells})
    pq.write_table(table, path)
    first, bad, last = read_records(path)
    assert [one.value["content"] for one in (first, last)] == ["a", "c"]
    assert (bad.position, bad.value) == (2, None)
    assert says in (bad.error or "")
    assert "'b'" in bad.text.replace('"', "'")


def test_a_file_with_a_column_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    table = pa.Table.from_arrays([pa.array(["user"]), pa.array(["a"])], names=["role", "role"])
    pq.write_table(table, path)
    with pytest.raises(InvalidInput, match="several columns 'role'"):
        import_records(path, write=accept)


def test_a_record_that_json_cannot_hold_is_set_aside_as_python_shows_it(tmp_path: Path) -> None:
    cycle: Message = say("")
    cycle["metadata"] = cycle
    deep: Any = "x"
    for _ in range(100_000):
        deep = [deep]
    records = [say("", metadata={(1, 2): 3}), cycle, say("", metadata=deep), say("kept")]
    path = tmp_path / "bad.jsonl"

    def write(messages: list[Message]) -> Written:
        if not all(message["content"] for message in messages):
            raise InvalidInput("no content")
        return accept(messages)

    report = import_records(records, write=write, rejects=path)
    assert (report.stored, report.rejected) == (1, 3)
    texts = [json.loads(line)["raw"] for line in path.read_text().splitlines()]
    for text, part in zip(texts, ("(1, 2): 3", "{...}", "[["), strict=True):
        assert part in text


def test_a_file_that_is_not_its_own_is_never_overwritten_by_rejects(tmp_path: Path) -> None:
    precious = tmp_path / "precious.txt"
    precious.write_text("precious")
    for source in ([7], file_of(tmp_path)):
        with pytest.raises(InvalidInput, match="exists already"):
            import_records(source, write=accept, rejects=precious)
    assert precious.read_text() == "precious"


@pytest.mark.parametrize("resume", [True, False])
def test_a_stopped_import_goes_on_with_the_rejects_it_was_given(
    tmp_path: Path, *, resume: bool
) -> None:
    path, folder, bad = file_of(tmp_path), tmp_path / "checkpoints", tmp_path / "bad.jsonl"
    path.write_text("broken\n" + path.read_text() + "broken\n")
    with pytest.raises(StoreError):
        import_records(path, write=stopping(1), batch_size=2, checkpoints=folder, rejects=bad)
    assert bad.exists()
    other = tmp_path / "other.jsonl"
    other.write_text("precious")
    with pytest.raises(InvalidInput, match="exists already"):
        import_records(path, write=accept, checkpoints=folder, rejects=other)
    import_records(path, write=accept, checkpoints=folder, rejects=bad, resume=resume)
    rejects = [json.loads(line)["line"] for line in bad.read_text().splitlines()]
    assert rejects == [1, 8]
    with pytest.raises(InvalidInput, match="exists already"):
        import_records(path, write=accept, checkpoints=folder, rejects=bad)
