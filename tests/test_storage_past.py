"""A store as it was: past versions, how long they are kept, and what is gone for good."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from catalogue_tools import stored, tool
from lancedb.table import Table
from storage_tools import ADA, PASSPORT, key_of, open_store, rows_of, turn

from agentmem.errors import InvalidInput, StoreError, VersionGone
from agentmem.storage import expiry, handle
from agentmem.storage.resident import Residents
from agentmem.storage.retention import DEFAULT_KEPT, kept_for
from agentmem.storage.tool_store import ToolStore
from agentmem.storage.turns import Store

SHORT = timedelta(minutes=10)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """Open a store with one turn in it."""
    opened = open_store(tmp_path / "s")
    opened.append(rows_of([turn("t1")]))
    yield opened
    opened.close()


def policy(store: Store) -> timedelta:
    return kept_for(store._opened)


def test_a_past_version_holds_what_was_there_whatever_was_written_since(store: Store) -> None:
    version = store.version
    store.append(rows_of([turn("t2")]))
    store.replace(store.revisions([key_of(turn("t1"))]), rows_of([turn("t1", content="edited")]))
    past = store.at(version)
    assert [one.content for one in past.page(scope=ADA, limit=9)] == ["said t1"]
    store.delete(scope=ADA)
    assert store.count(scope=ADA) == 0
    assert past.count(scope=ADA) == store.at(version).count(scope=ADA) == 1
    assert past.version == version


def test_the_columns_of_a_past_version_are_those_that_were_resident_then(store: Store) -> None:
    before = Residents(store).columns(ADA)
    store.append(rows_of([turn(f"t{n}") for n in range(2, 9)]))
    again = Residents(store.at(before.version)).columns(ADA)
    assert again.version == before.version
    assert again.head_row.tolist() == before.head_row.tolist()
    np.testing.assert_array_equal(again.vectors[:], before.vectors[:])


def test_a_version_that_never_was_is_refused_by_its_number(store: Store) -> None:
    with pytest.raises(VersionGone, match="version 4000") as told:
        store.at(4_000)
    assert told.value.version == 4_000
    assert isinstance(told.value, StoreError)
    past = store.at(store.version)
    assert past.at(past.version).count(scope=ADA) == 1
    with pytest.raises(VersionGone):
        past.at(past.version + 1)


def test_compaction_keeps_the_versions_of_a_week_unless_the_store_says_otherwise(
    store: Store, tmp_path: Path
) -> None:
    assert policy(store) == DEFAULT_KEPT == timedelta(days=7)
    other = open_store(tmp_path / "s", keep_versions=timedelta(days=30))
    assert policy(store) == policy(other) == timedelta(days=30)
    version = store.version
    store.append(rows_of([turn("t2")]))
    store.compact()
    assert store.at(version).count(scope=ADA) == 1


def test_a_version_older_than_the_policy_is_dropped_by_compaction(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = store.version
    store.append(rows_of([turn("t2")]))
    monkeypatch.setattr(handle, "kept_for", lambda _: timedelta(seconds=1))
    monkeypatch.setattr(handle, "MARGIN", timedelta(0))
    time.sleep(1.1)
    store.compact()
    with pytest.raises(VersionGone, match="keep_versions"):
        store.at(version)
    assert store.count(scope=ADA) == 2


def test_an_old_version_that_was_the_newest_until_lately_is_kept(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Searches are asked about by when they were made, whenever the last turn came before them."""
    version = store.version
    time.sleep(1.5)
    store.append(rows_of([turn("t2")]))
    monkeypatch.setattr(handle, "kept_for", lambda _: timedelta(seconds=1))
    monkeypatch.setattr(handle, "MARGIN", timedelta(milliseconds=300))
    store.compact()
    assert store.at(version).count(scope=ADA) == 1


def test_compactions_one_after_the_other_ask_once_when_versions_were_made(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Table] = []
    moments = expiry._moments

    def counted(table: Table) -> list[datetime]:
        asked.append(table)
        return moments(table)

    monkeypatch.setattr(expiry, "_moments", counted)
    version = store.version
    for one in range(3):
        store.append(rows_of([turn(f"later {one}")]))
        store.compact()
    assert len(asked) == 1
    assert store.at(version).count(scope=ADA) == 1


@pytest.mark.parametrize("window", [SHORT - timedelta(seconds=1), timedelta(days=-1), 7, "7 days"])
def test_a_policy_that_would_break_reads_under_way_is_refused(
    tmp_path: Path, window: object
) -> None:
    with pytest.raises(InvalidInput, match="keep_versions"):
        open_store(tmp_path / "s", keep_versions=window)


def test_a_read_only_store_cannot_change_its_policy(tmp_path: Path) -> None:
    open_store(tmp_path / "s", keep_versions=SHORT).close()
    with pytest.raises(StoreError, match="read_only"):
        open_store(tmp_path / "s", read_only=True, keep_versions=timedelta(days=9))
    same = open_store(tmp_path / "s", read_only=True, keep_versions=SHORT)
    assert policy(same) == SHORT
    same.close()


def test_a_catalogue_is_read_as_it_was(tmp_path: Path) -> None:
    tools = ToolStore.open(tmp_path / "s", passport=PASSPORT)
    assert tools.catalogue.read_at(0).heads.num_rows == 0
    with pytest.raises(VersionGone, match="right store"):
        tools.catalogue.read_at(3)
    tools.catalogue.insert_absent(stored(tool("a")))
    version = tools.catalogue.version
    tools.catalogue.insert_absent(stored(tool("b")))
    assert tools.catalogue.read_at(version).heads["name"].to_pylist() == ["a"]
    assert tools.catalogue.read_at(version).version == version
    assert tools.catalogue.read_at(0).heads.num_rows == 0
    tools.close()
