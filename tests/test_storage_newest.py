"""The newest version is always the newest, and LanceDB is spared the question where it can be."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import lancedb
import pyarrow as pa
import pytest
from lancedb.table import Table

from agentmem.errors import StoreError
from agentmem.storage import newest as newest_module
from agentmem.storage.newest import Newest


@pytest.fixture
def table(tmp_path: Path) -> Table:
    db = lancedb.connect(tmp_path, read_consistency_interval=timedelta(0))
    return db.create_table("t", pa.table({"n": [1]}))


@pytest.fixture
def folder(table: Table, tmp_path: Path) -> Path:
    assert table.name == "t"
    return tmp_path / "t.lance"


class Asking:
    """Asks for the version, and counts how often."""

    def __init__(self, ask: Callable[[], int]) -> None:
        self._ask = ask
        self.times = 0

    def __call__(self) -> int:
        self.times += 1
        return self._ask()


def age(folder: Path) -> None:
    """Make a folder look as if nothing was written to it for an hour."""
    at = (folder / "_versions").stat().st_mtime_ns - 3600 * 10**9
    os.utime(folder / "_versions", ns=(at, at))


def test_every_commit_is_seen_at_once(table: Table, folder: Path) -> None:
    newest = Newest(folder, lambda: int(table.version))
    elsewhere = lancedb.connect(folder.parent).open_table("t")
    for number in range(30):
        elsewhere.add(pa.table({"n": [number]}))
        assert newest.get() == elsewhere.version
        assert newest.get() == elsewhere.version


def test_lancedb_is_not_asked_while_nothing_was_written(
    table: Table, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(newest_module, "SETTLED", -1)  # as if what was just written were old
    asking = Asking(lambda: int(table.version))
    newest = Newest(folder, asking)
    assert [newest.get() for _ in range(5)] == [1] * 5
    assert asking.times == 1
    for write in (
        lambda: table.add(pa.table({"n": [2]})),
        lambda: table.delete("n = 2"),
        table.optimize,
        lambda: table.update(where="n = 1", values={"n": 3}),
    ):
        before, asked = table.version, asking.times
        write()
        assert [newest.get() for _ in range(5)] == [table.version] * 5
        assert asking.times - asked == (table.version != before)


def test_a_time_that_is_not_long_past_proves_nothing(table: Table, folder: Path) -> None:
    asking = Asking(lambda: int(table.version))
    newest = Newest(folder, asking)
    for _ in range(3):
        newest.get()
    age(folder)  # which changes the time of the folder's own record to now
    for _ in range(3):
        newest.get()
    assert asking.times == 6


def test_buckets_are_asked_every_time(table: Table) -> None:
    asking = Asking(lambda: int(table.version))
    newest = Newest(None, asking)
    assert [newest.get(), newest.get()] == [1, 1]
    assert asking.times == 2


def test_a_table_that_is_gone_is_asked_for(
    table: Table, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(newest_module, "SETTLED", -1)

    def gone() -> int:
        raise StoreError("gone")

    newest = Newest(folder, lambda: int(table.version) if folder.exists() else gone())
    assert newest.get() == 1
    shutil.rmtree(folder)
    with pytest.raises(StoreError, match="gone"):
        newest.get()
