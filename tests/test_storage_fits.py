"""What is dear to compute: kept for every process, one at a time, and never more than a saving."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from storage_tools import HOSTILE, PASSPORT, run_python

from agentmem.errors import StoreError
from agentmem.storage.late import LateTable
from agentmem.storage.tool_store import ToolStore

READ = """
import sys
from storage_tools import PASSPORT
from agentmem.storage.tool_store import ToolStore
with_it = ToolStore.open(sys.argv[1], passport=PASSPORT, read_only=True)
print(with_it.fits.get("a")[1].tolist())
with_it.close()
"""


def open_store(folder: Path, *, read_only: bool = False) -> ToolStore:
    return ToolStore.open(folder, passport=PASSPORT, read_only=read_only)


def keys(rows: int) -> list[str]:
    return [f"tool {row}" for row in range(rows)]


def matrix_of(rows: int, *, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).standard_normal((rows, 5)).astype(np.float32)


def test_a_matrix_comes_back_bit_by_bit_in_any_memory_order(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    for matrix in (matrix_of(3), matrix_of(40)[::2], np.asfortranarray(matrix_of(7))):
        store.fits.put("a", matrix, tools=keys(len(matrix)))
        found = store.fits.get("a")
        assert found is not None
        assert found[0] == keys(len(matrix))
        np.testing.assert_array_equal(found[1], matrix)
        assert found[1].dtype == np.float32


@pytest.mark.parametrize("name", [one for one in HOSTILE if one])
def test_only_the_newest_is_kept_under_its_own_name(tmp_path: Path, name: str) -> None:
    store = open_store(tmp_path)
    store.fits.put("before", matrix_of(2), tools=keys(2))
    store.fits.put(name, matrix_of(3, seed=1), tools=keys(3))
    found = store.fits.get(name)
    assert found is not None
    np.testing.assert_array_equal(found[1], matrix_of(3, seed=1))
    assert store.fits.get("before") is None
    assert store.fits.get(f"{name}x") is None


def test_another_process_reads_what_was_kept(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    store.fits.put("a", np.array([[1, 2], [3, 4]], np.float32), tools=keys(2))
    assert run_python(READ, tmp_path).strip() == "[[1.0, 2.0], [3.0, 4.0]]"
    other = open_store(tmp_path)
    other.fits.put("b", matrix_of(2), tools=keys(2))
    assert store.fits.get("a") is None
    assert store.fits.get("b") is not None


def test_a_store_that_may_only_be_read_stays_as_it_was(tmp_path: Path) -> None:
    open_store(tmp_path).close()
    before = sorted(tmp_path.rglob("*"))
    reader = open_store(tmp_path, read_only=True)
    reader.fits.put("a", matrix_of(2), tools=keys(2))
    assert reader.fits.get("a") is None
    assert sorted(tmp_path.rglob("*")) == before


def test_a_fit_of_nothing_is_none(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    store.fits.put("a", matrix_of(0), tools=keys(0))
    assert store.fits.get("a") is None


def test_a_fit_that_cannot_be_kept_is_made_anew_without_a_word(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store(tmp_path)

    def refuse(*_: object, **__: object) -> None:
        raise StoreError("the disk is full")

    monkeypatch.setattr(LateTable, "made", refuse)
    store.fits.put("a", matrix_of(2), tools=keys(2))
    assert store.fits.get("a") is None
