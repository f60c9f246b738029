"""Erasure beside erasure: each drops the versions that the other is reading."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from memory_tools import open_hashed, say

from agentmem import Memory
from agentmem.storage.erasure import Rewriter
from agentmem.storage.turns import Store

SECONDS = 6.0


@pytest.mark.slow
def test_calls_go_on_while_others_drop_what_they_read(tmp_path: Path) -> None:
    """Forget, delete and correct turns of different users at once."""
    failed: list[Exception] = []
    until = time.monotonic() + SECONDS

    def goes_on(user: str, work: Callable[[Memory, str], object]) -> None:
        with open_hashed(tmp_path / "store") as memory:
            turn = 0
            while time.monotonic() < until and not failed:
                turn += 1
                try:
                    memory.add(say(f"{user} says {turn}", id=f"{turn}"), user_id=user)
                    work(memory, f"{turn}")
                except Exception as error:  # noqa: BLE001 - every error is a finding
                    failed.append(error)

    def forgets(memory: Memory, turn: str) -> None:
        memory.forget([turn], user_id="ada", reason="asked", progress=False)

    def forgets_too(memory: Memory, turn: str) -> None:
        memory.forget([turn], user_id="bob", reason="asked", progress=False)

    def deletes(memory: Memory, turn: str) -> None:
        assert memory.delete([turn, "none"], user_id="eve").missing == ("none",)

    open_hashed(tmp_path / "store").close()
    works = {"ada": forgets, "bob": forgets_too, "eve": deletes}
    threads = [threading.Thread(target=goes_on, args=one) for one in works.items()]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert failed == []


def test_what_vanishes_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_hashed(tmp_path / "store") as memory:
        memory.add([say("one", id="a"), say("two", id="b")], user_id="ada")
        store = memory._home.parts.store
        table = Rewriter(store.whole.opened, "turns_g1", guard=store.whole.guard)
        failing = {"left": 2}

        def vanishing(found: object) -> int:
            if failing["left"]:
                failing["left"] -= 1
                raise RuntimeError("lance error: Not found: turns_g1.lance/data/x.lance")
            return 7

        assert table._read(vanishing) == 7
        assert failing["left"] == 0
        monkeypatch.setattr(Store, "scan", _once_missing(Store.scan))
        assert memory.delete(["a", "none"], user_id="ada").missing == ("none",)


def _once_missing(scan: Callable[..., object]) -> Callable[..., object]:
    from agentmem.errors import FilesMissing

    calls = {"n": 0}

    def missing(*given: object, **named: object) -> object:
        calls["n"] += 1
        if calls["n"] == 1:
            raise FilesMissing("files of the store are missing")
        return scan(*given, **named)

    return missing
