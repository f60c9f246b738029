"""The store's memory of itself: one writer wins each revision, whoever races."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import lancedb
import pytest
from storage_tools import HOSTILE

from agentmem.errors import ConcurrentWrite
from agentmem.storage.meta import META_SCHEMA, Meta, Value


def open_meta(folder: Path) -> Meta:
    db = lancedb.connect(folder, read_consistency_interval=timedelta(0))
    return Meta(db.create_table("meta", schema=META_SCHEMA, exist_ok=True), uri=str(folder))


@pytest.mark.parametrize("key", HOSTILE)
def test_values_come_back_under_their_own_name(tmp_path: Path, key: str) -> None:
    meta = open_meta(tmp_path)
    value = {key: [key, None, 1.5, True]}
    assert meta.get(key) is None
    assert meta.put_if_absent(key, value)
    assert not meta.put_if_absent(key, "other")
    assert meta.get(key) == Value(value, rev=0)
    assert meta.compare_and_swap(key, key, rev=0)
    assert meta.get(key) == Value(key, rev=1)
    assert meta.get(key + "x") is None


def test_a_stale_revision_changes_nothing(tmp_path: Path) -> None:
    meta = open_meta(tmp_path)
    assert not meta.compare_and_swap("a", 1, rev=0)
    assert meta.put_if_absent("a", 1)
    assert meta.compare_and_swap("a", 2, rev=0)
    assert not meta.compare_and_swap("a", 3, rev=0)
    assert not meta.compare_and_swap("a", 3, rev=2)
    assert meta.get("a") == Value(2, rev=1)


def test_of_many_that_put_one_wins(tmp_path: Path) -> None:
    metas = [open_meta(tmp_path) for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(lambda n: metas[n].put_if_absent("a", n), range(8)))
    assert won.count(True) == 1
    assert metas[0].get("a") == Value(won.index(True), rev=0)


def test_put_takes_the_place_of_whatever_is_there(tmp_path: Path) -> None:
    meta = open_meta(tmp_path)
    assert meta.put("a", {"b": 1}) == meta.get("a") == Value({"b": 1}, rev=0)
    assert meta.put("a", None) == meta.get("a") == Value(None, rev=1)
    assert meta.get("b") is None


def test_of_many_that_put_each_writes_a_revision_of_its_own(tmp_path: Path) -> None:
    metas = [open_meta(tmp_path) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        written = list(pool.map(lambda n: metas[n % 4].put("a", n), range(16)))
    assert sorted(value.rev for value in written) == list(range(16))
    assert metas[0].get("a") == max(written, key=lambda value: value.rev)


def test_a_put_that_never_wins_gives_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    meta = open_meta(tmp_path)
    meta.put("a", 1)
    monkeypatch.setattr(meta, "compare_and_swap", lambda *_, **__: False)
    with pytest.raises(ConcurrentWrite, match="call again"):
        meta.put("a", 2)


def test_no_swap_is_lost_between_handles(tmp_path: Path) -> None:
    metas = [open_meta(tmp_path) for _ in range(4)]
    metas[0].put_if_absent("count", 0)

    def increment(meta: Meta) -> None:
        for _ in range(5):
            while True:
                found = meta.get("count")
                assert found is not None
                if meta.compare_and_swap("count", found.value + 1, rev=found.rev):
                    break

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(increment, metas))
    assert metas[0].get("count") == Value(20, rev=20)
