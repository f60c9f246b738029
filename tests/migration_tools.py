"""What the tests of migrations share: a model that fails, and a look at both generations."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lancedb
import numpy as np
import pytest
from memory_tools import open_hashed, say
from numpy.typing import NDArray

from agentmem import EmbeddingFailed, Memory
from agentmem.ingest import pieces_of
from agentmem.migration import steps
from agentmem.protocols import Embedder
from agentmem.storage.description import Description
from agentmem.storage.turns import Store
from agentmem.testing import HashEmbedder
from agentmem.types import ALL, Kind, Turn

__all__ = [
    "NEXT",
    "OLD",
    "Next",
    "assert_moved",
    "description",
    "filled",
    "rows_in",
    "turns_in",
    "without_grace",
]

NEXT = HashEmbedder(96)
OLD = HashEmbedder(512)  # of `open_hashed`


@dataclass(slots=True)
class _Coming:
    word: str
    happening: Callable[[], object]
    left: int


class Next(HashEmbedder):
    """The next space, whose model fails where it is told to.

    Attributes:
        poison: Words that it fails on.
        is_down: Whether it fails on everything.
        spoil: What becomes of its vectors.
        texts: Documents that it was asked for.
    """

    def __init__(self, dimension: int = 96, *, window: int = 256) -> None:
        super().__init__(dimension, window=window)
        self.poison: tuple[str, ...] = ()
        self.is_down = False
        self.spoil: Callable[[NDArray[np.float32]], NDArray[np.float32]] | None = None
        self.texts: list[str] = []
        self._coming: list[_Coming] = []
        self._lock = threading.Lock()

    def when(self, word: str, happening: Callable[[], object], *, after: int = 0) -> None:
        """Let something happen when a text with that word is embedded after so many others."""
        self._coming.append(_Coming(word, happening, after))

    def embed(self, texts: Sequence[str], *, kind: Kind) -> NDArray[np.float32]:
        """Embed texts, or fail."""
        with self._lock:
            for one in self._coming:
                one.left -= sum(one.word in text for text in texts)
            due = [one for one in self._coming if one.left < 0]
            self._coming = [one for one in self._coming if one.left >= 0]
        for one in due:
            one.happening()
        if self.is_down or any(word in text for word in self.poison for text in texts):
            raise EmbeddingFailed("the model gave up")
        if kind == "document":
            self.texts += texts
        made = super().embed(texts, kind=kind)
        return made if self.spoil is None else self.spoil(made)


def without_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drop generations at once: nobody reads them."""
    monkeypatch.setattr(steps.drop, "__kwdefaults__", {"grace": 0.0})


def filled(folder: Path, count: int = 300, **options: Any) -> Memory:
    """Open a store with so many turns of two users."""
    memory = open_hashed(folder, **options)
    for user in ("ada", "bob"):
        said = [say(f"{user} said word{n}", id=f"{user}{n}") for n in range(count // 2)]
        memory.add(said, user_id=user, session_id="s")
    return memory


def description(folder: Path) -> Description:
    """Return what a store says of itself."""
    return Store.open(folder, passport=None).whole.generations.read()


def turns_in(folder: Path, number: int) -> dict[tuple[str | None, str | None, str], Turn]:
    """Return the turns of a generation, by user, agent and id."""
    store = Store.open(folder, passport=None)
    store = store.at_generation(store.whole.generations.read().generations[number])
    found = [turn for batch in store.scan_turns(scope=ALL, batch_turns=999) for turn in batch]
    by_id = {(turn.user_id, turn.agent_id, turn.id): turn for turn in found}
    assert len(by_id) == len(found)
    return by_id


def rows_in(folder: Path, number: int, held: str = "turns") -> list[dict[str, Any]]:
    """Return the rows of a generation as they lie on disk."""
    table = lancedb.connect(folder).open_table(f"{held}_g{number}")
    found: list[dict[str, Any]] = table.search().limit(10**6).to_arrow().to_pylist()
    return found


def assert_moved(folder: Path, embedder: Embedder, *, source: int = 1, target: int = 2) -> None:
    """Check that one generation holds what another does, in its own space, and nothing else."""
    told = description(folder)
    assert (told.active, told.seal, told.shadow) == (target, None, None)
    turns = turns_in(folder, target)
    assert turns == turns_in(folder, source)
    rows = rows_in(folder, target)
    assert len({row["chunk_key"] for row in rows}) == len(rows)
    assert {row["passport"] for row in rows} <= {embedder.passport.id}
    by_turn: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for row in rows:
        by_turn.setdefault((row["user_id"], row["agent_id"], row["id"]), []).append(row)
    assert by_turn.keys() == turns.keys()
    for place, turn in turns.items():
        pieces, texts = pieces_of([turn], embedder=embedder)
        stored = sorted(by_turn[place], key=lambda row: int(row["chunk"]))
        assert [row["chunk"] for row in stored] == list(range(len(pieces[0])))
        assert len({row["rev"] for row in stored}) == 1
        vectors = np.array([row["vector"] for row in stored], np.float32)
        assert np.allclose(vectors, embedder.embed(texts, kind="document"), atol=1e-6)
