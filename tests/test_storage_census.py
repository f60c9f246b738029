"""What is counted over a store's folder, while others change it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from agentmem.storage.census import below, folder_bytes


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a", "b/deep", "c"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "file").write_bytes(b"12345")
    return tmp_path


def test_everything_below_a_folder_is_given(folder: Path) -> None:
    assert set(below(folder)) == set(folder.rglob("*"))
    assert folder_bytes(folder) == 15
    assert list(below(folder / "none")) == []


def test_a_folder_that_vanishes_is_passed_over(folder: Path) -> None:
    given = below(folder)
    seen = [next(given)]
    shutil.rmtree(folder / "b")
    seen += given
    assert folder / "c" / "file" in seen
    assert folder / "b" / "deep" not in seen


def test_what_vanishes_counts_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    walk = os.walk

    def racing(top: Path) -> object:
        for place in walk(top):
            yield place
            shutil.rmtree(folder / "b", ignore_errors=True)
            (folder / "c" / "file").unlink(missing_ok=True)

    monkeypatch.setattr(os, "walk", racing)
    assert folder_bytes(folder) == 5


def test_two_names_of_one_file_count_once(folder: Path) -> None:
    os.link(folder / "a" / "file", folder / "c" / "link")
    assert folder_bytes(folder) == 15
