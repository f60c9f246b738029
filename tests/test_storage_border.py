"""The border to LanceDB: each kind of failure has its type, its repair and its cause."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from agentmem.errors import (
    ConcurrentWrite,
    FilesMissing,
    InvalidInput,
    StoreError,
    StoreNotFound,
)
from agentmem.storage import border
from agentmem.storage.border import commit, store_errors

LOST = "lance error: Not found: a/b.lance, /home/x/.cargo/registry/lance-io/src/local.rs:273:40"
CONFLICT = "lance error: Retryable commit conflict for version 7: Rewrite was preempted by Append"


def os_error(code: int) -> OSError:
    return OSError(code, os.strerror(code))


@pytest.mark.parametrize(
    ("raised", "kind", "says"),
    [
        (os_error(errno.ENOSPC), StoreError, "free some space"),
        (os_error(errno.EDQUOT), StoreError, "free some space"),
        (
            RuntimeError("lance error: IO: No space left on device (os error 28)"),
            StoreError,
            "free",
        ),
        (RuntimeError("lance error: IO: File too large (os error 27)"), StoreError, "free"),
        (PermissionError(errno.EACCES, "Permission denied"), StoreError, "read_only=True"),
        (os_error(errno.EROFS), StoreError, "write access"),
        (
            RuntimeError("LanceError(IO): Permission denied (os error 13)"),
            StoreError,
            "write access",
        ),
        (RuntimeError(LOST), FilesMissing, "files of the store are missing"),
        (ValueError("Table 'turns_g1' was not found"), FilesMissing, "backup"),
        (RuntimeError(CONFLICT), ConcurrentWrite, "call again"),
        (
            RuntimeError("lance error: something new\nbacktrace"),
            StoreError,
            "something new. Repair",
        ),
    ],
)
def test_a_failure_says_what_happened_and_what_repairs_it(
    raised: Exception,
    kind: type[StoreError],
    says: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("ada.mem").mkdir()
    with pytest.raises(StoreError) as caught, store_errors("ada.mem", "add turns"):
        raise raised
    assert type(caught.value) is kind
    assert str(caught.value).startswith("could not add turns in ada.mem: ")
    assert says in str(caught.value)
    assert "Repair: " in str(caught.value)
    assert ".rs:" not in str(caught.value)
    assert caught.value.__cause__ is raised


def test_a_store_whose_folder_is_gone_says_so(tmp_path: Path) -> None:
    with pytest.raises(StoreNotFound, match="deleted or moved away"):  # noqa: SIM117 - as above
        with store_errors(str(tmp_path / "ada.mem"), "add turns"):
            raise RuntimeError(LOST)


@pytest.mark.parametrize("raised", [InvalidInput("ours"), StoreError("ours"), KeyError("a bug")])
def test_our_own_errors_and_bugs_pass_unchanged(raised: Exception) -> None:
    with pytest.raises(type(raised)) as caught, store_errors("ada.mem", "add turns"):
        raise raised
    assert caught.value is raised


def test_a_commit_is_repeated_while_others_win(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(border, "FIRST_WAIT", 0)
    attempts = []

    def lose_twice() -> str:
        attempts.append(1)
        if len(attempts) < 3:
            raise RuntimeError(CONFLICT)
        return "won"

    assert commit(lose_twice, uri="ada.mem", action="add turns") == "won"
    assert len(attempts) == 3


def test_a_commit_that_never_wins_gives_up_as_a_concurrent_write(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(border, "FIRST_WAIT", 0)
    attempts = []

    def lose() -> None:
        attempts.append(1)
        raise RuntimeError(CONFLICT)

    with pytest.raises(ConcurrentWrite):
        commit(lose, uri="ada.mem", action="add turns")
    assert len(attempts) == border.ATTEMPTS


def test_a_commit_that_cannot_succeed_is_not_repeated() -> None:
    attempts = []

    def fail() -> None:
        attempts.append(1)
        raise os_error(errno.ENOSPC)

    with pytest.raises(StoreError, match="full"):
        commit(fail, uri="ada.mem", action="add turns")
    assert len(attempts) == 1
