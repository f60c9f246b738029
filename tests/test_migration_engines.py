"""Who embeds the rows of a migration: with what is there, or behind everything else."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from memory_tools import open_hashed, say
from migration_tools import NEXT, assert_moved, filled
from numpy.typing import NDArray

from agentmem import InvalidInput
from agentmem.migration import engines
from agentmem.migration.engines import LocalEngine, engine_named
from agentmem.testing import HashEmbedder
from agentmem.types import Kind

linux = pytest.mark.skipif(sys.platform != "linux", reason="threads have a priority of their own")


class Seen(HashEmbedder):
    """Says in which thread it embedded how many documents a call, and how nice that was.

    Attributes:
        calls: Name of the thread, its niceness, and how many documents.
        seconds: It takes for a text.
    """

    def __init__(self) -> None:
        super().__init__(96)
        self.calls: list[tuple[str, int, int]] = []
        self.seconds = 0.0

    def embed(self, texts: Sequence[str], *, kind: Kind) -> NDArray[np.float32]:
        """Embed texts, after a while."""
        if kind == "document":
            self.calls.append((threading.current_thread().name, niceness(), len(texts)))
            time.sleep(self.seconds * len(texts))
        return super().embed(texts, kind=kind)


def niceness() -> int:
    """Return how far the calling thread stays behind others."""
    return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())


def carried(folder: Path, *, share: float | None) -> list[tuple[str, int, int]]:
    """Move a store, and return the calls that carried its turns."""
    target = Seen()
    with filled(folder, 300) as memory:
        memory.migrate(target, share=share)
    assert_moved(folder, HashEmbedder(96))
    return [call for call in target.calls if call[0].startswith("agentmem-migration")]


@linux
def test_with_less_than_all_of_the_time_it_stays_behind_others_and_the_caller_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "_processors", lambda: 4)
    before = niceness()
    calls = carried(tmp_path, share=0.99)
    assert sum(texts for _, _, texts in calls) == 300
    assert {nice for _, nice, _ in calls} == {max(before, engines.BACKGROUND)}
    assert max(texts for _, _, texts in calls) == 2 * engines.POLITE
    assert niceness() == before


def test_with_all_of_the_time_it_takes_what_it_can_get(tmp_path: Path) -> None:
    assert carried(tmp_path, share=1) == []


@pytest.mark.parametrize(
    ("processors", "texts"), [(1, engines.POLITE), (2, engines.POLITE), (999, engines.FULL)]
)
def test_half_of_the_processors_are_left_to_others(
    monkeypatch: pytest.MonkeyPatch, processors: int, texts: int
) -> None:
    monkeypatch.setattr(engines, "_processors", lambda: processors)
    assert LocalEngine(NEXT, share=None)._maker._texts == texts
    assert LocalEngine(NEXT, share=1)._maker._texts == engines.FULL


def test_it_rests_for_what_is_left_of_the_time(tmp_path: Path) -> None:
    target = Seen()
    target.seconds = 0.01
    with open_hashed(tmp_path) as memory:
        memory.add([say(f"word{n}") for n in range(50)], user_id="ada")
        began = time.monotonic()
        memory.migrate(target, share=0.25)
        assert time.monotonic() - began > 4 * 50 * target.seconds


@pytest.mark.parametrize("share", [0, -0.5, 1.01, float("nan")])
def test_a_share_that_is_none_is_refused(share: float) -> None:
    with pytest.raises(InvalidInput, match="share"):
        LocalEngine(NEXT, share=share)


def test_engines_are_known_by_name() -> None:
    assert engine_named("local", workers=2) is None
    with pytest.raises(InvalidInput, match="'local' or 'ray'"):
        engine_named("spark", workers=2)
    for workers in (0, True, 1.5):
        with pytest.raises(InvalidInput, match="workers"):
            engine_named("ray", workers=workers)  # type: ignore[arg-type]
