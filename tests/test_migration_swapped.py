"""A model that changed behind an equal passport: the store is made anew in the space it is in."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from agentmem import Memory
from agentmem.testing import HashEmbedder
from agentmem.types import Kind, Passport

TURNS = [
    {"role": "user", "content": f"Where did {name} put the {thing} on day {day}?"}
    for day, (name, thing) in enumerate(
        (name, thing)
        for name in ("Ada", "Bert", "Carla", "Dora", "Emil", "Fritz")
        for thing in ("kettle", "ladder", "violin", "anchor", "carpet", "candle", "pencil")
    )
]


class Service:
    """An embedder whose model is exchanged without a word."""

    def __init__(self) -> None:
        self._inner = HashEmbedder(64)
        self.turned = False

    @property
    def passport(self) -> Passport:
        """The same, whatever model answers."""
        return self._inner.passport

    def embed(self, texts: Sequence[str], *, kind: Kind) -> NDArray[np.float32]:
        """Embed; once exchanged, into a space in which nothing is where it was."""
        rows = self._inner.embed(texts, kind=kind)
        return np.ascontiguousarray(-rows[:, ::-1]) if self.turned else rows

    def split(self, texts: Sequence[str], *, prefixes: Sequence[str]) -> list[list[str]]:
        """Split as before."""
        return self._inner.split(texts, prefixes=prefixes)


def best(memory: Memory, question: str) -> tuple[str, float]:
    """Return what a question finds by meaning alone, and how near it is."""
    hit = memory.search(question, user_id="u", k=1, mode="dense", explain=True)[0]
    assert hit.evidence is not None
    return hit.turn.content, hit.evidence.similarity


def test_a_swapped_model_is_caught_and_repaired_and_nothing_of_the_old_one_is_remembered(
    tmp_path: Path,
) -> None:
    service = Service()
    question = TURNS[10]["content"]
    with Memory.open(tmp_path / "a.mem", embedder=service) as memory:
        memory.add(TURNS, user_id="u", session_id="s")
        known, near = best(memory, question)
        service.turned = True
        found = memory.drift.check(kinds=["model"]).of("model")
        assert found is not None
        assert (found.status, found.severity) == ("drifted", "critical")
        assert best(memory, question)[1] < near - 0.5  # what the cache knew of it is forgotten
        status = memory.migrate(service, reembed=True, progress=False).status()
        assert status.state == "done"
        assert memory.search(question, user_id="u").generation == 2
        assert best(memory, question) == (known, near)
        again = memory.drift.check(kinds=["model"]).of("model")
        assert again is not None
        assert again.status == "stable"


def test_the_policy_to_migrate_repairs_it_unasked(tmp_path: Path) -> None:
    service = Service()
    with Memory.open(tmp_path / "a.mem", embedder=service, drift_policy="migrate") as memory:
        memory.add(TURNS, user_id="u", session_id="s")
        service.turned = True
        memory.drift.check(kinds=["model"])
        until = time.monotonic() + 60
        while (migration := memory.migration()) is None or not migration.status().is_finished:
            assert time.monotonic() < until
            time.sleep(0.05)
        assert migration.status().state == "done"
        found = memory.drift.check(kinds=["model"]).of("model")
        assert found is not None
        assert found.status == "stable"
