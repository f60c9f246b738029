from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from memory_tools import CANARIES, WIDE, contents, say
from numpy.typing import NDArray

from agentmem import ALL, ConcurrentWrite, EmbeddingFailed, InvalidInput, Memory, StoreError
from agentmem.embedding.service import EmbeddingUnavailable
from agentmem.ingest.grouping import MOST_TEXTS
from agentmem.storage.turns import Store
from agentmem.testing import HashEmbedder
from agentmem.types import AuditEvent, Kind
from agentmem.types.guards import AddedIds

PATIENCE = 20.0


class Held(HashEmbedder):
    """Notes its batches of documents, and holds them until it is let go."""

    def __init__(self) -> None:
        super().__init__(WIDE)
        self.batches: list[list[str]] = []
        self.go = threading.Event()

    def embed(self, texts: Sequence[str], *, kind: Kind) -> NDArray[np.float32]:
        """Embed texts; one that is unlucky fails, and one that is cut off finds nobody there."""
        if kind == "query" or CANARIES.issuperset(texts):
            return super().embed(texts, kind=kind)
        self.batches.append(list(texts))
        assert self.go.wait(PATIENCE)
        if any("unlucky" in text for text in texts):
            raise EmbeddingFailed("unlucky")
        if any("cut off" in text for text in texts):
            raise EmbeddingUnavailable("nobody there")
        return super().embed(texts, kind=kind)


class Adding:
    """A store that several threads add to, each a turn, while the first batch is held."""

    def __init__(self, folder: Path, pool: ThreadPoolExecutor) -> None:
        self.embedder = Held()
        self.events: list[AuditEvent] = []
        self.memory = Memory.open(folder, embedder=self.embedder, audit=self.events.append)
        self.pool = pool
        grouping = self.memory._home.parts.writer._grouping
        self.batches, self.commits = grouping._batches, grouping._commits
        self.batches._free = 1  # else who waits may be shared out among two
        self.first = self.add("first")
        while not self.embedder.batches:
            threading.Event().wait(0.001)

    def add(self, content: str, **fields: str) -> Future[AddedIds]:
        """Add a turn in another thread."""
        return self.pool.submit(self.memory.add, [say(content, **fields)], user_id="ada")

    def waiting(self, *contents: str, **fields: str) -> list[Future[AddedIds]]:
        """Add turns that wait for a batch, in this order."""
        calls = []
        for content in contents:
            before = len(self.batches._waiting)
            calls.append(self.add(content, **fields))
            while len(self.batches._waiting) == before:
                threading.Event().wait(0.001)
        return calls

    def stored(self) -> list[str]:
        """Return what is stored, in any order."""
        return sorted(contents(self.memory.turns(scope=ALL)))


@pytest.fixture
def adding(tmp_path: Path) -> Iterator[Adding]:
    with ThreadPoolExecutor(16) as pool:
        adding = Adding(tmp_path / "m.mem", pool)
        yield adding
        adding.embedder.go.set()
    adding.memory.close()


def test_turns_that_are_added_at_once_are_embedded_in_one_batch(adding: Adding) -> None:
    calls = adding.waiting(*(f"turn {n}" for n in range(6)))
    adding.embedder.go.set()
    ids = [call.result(PATIENCE)[0] for call in (adding.first, *calls)]
    assert len(set(ids)) == 7
    assert sorted(map(len, adding.embedder.batches)) == [1, 6]
    assert adding.stored() == ["first", *(f"turn {n}" for n in range(6))]
    for place, one in enumerate(ids[1:]):
        turn = adding.memory.get(one, user_id="ada")
        assert turn.content == f"turn {place}"
        assert adding.memory.search(f"turn {place}", user_id="ada", k=1)[0].turn.id == one
    done = [event for event in adding.events if event.stage == "done"]
    assert sorted(event.ids[0] for event in done) == sorted(ids)
    assert {event.count for event in done} == {1}


def test_a_turn_that_cannot_be_embedded_fails_its_own_call(adding: Adding) -> None:
    good, bad, also = adding.waiting("good", "unlucky", "also")
    adding.embedder.go.set()
    with pytest.raises(EmbeddingFailed, match="unlucky"):
        bad.result(PATIENCE)
    adding.first.result(PATIENCE)
    assert len(good.result(PATIENCE)) == len(also.result(PATIENCE)) == 1
    assert adding.stored() == ["also", "first", "good"]
    assert [event.error for event in adding.events if event.stage == "failed"] == [
        "EmbeddingFailed"
    ]


def test_a_service_that_is_away_is_asked_once_for_all(adding: Adding) -> None:
    calls = adding.waiting("one", "cut off", "two")
    adding.embedder.go.set()
    for call in calls:
        with pytest.raises(EmbeddingUnavailable):
            call.result(PATIENCE)
    adding.first.result(PATIENCE)
    assert len(adding.embedder.batches) == 2
    assert adding.stored() == ["first"]


def test_an_id_that_two_take_at_once_is_one_turn_or_one_s_failure(adding: Adding) -> None:
    same = adding.waiting("same", "same", id="a", created_at="2024-05-01T12:00:00Z")
    other = adding.waiting("this", "that", id="b", created_at="2024-05-01T12:00:00Z")
    adding.embedder.go.set()
    assert [list(call.result(PATIENCE)) for call in same] == [["a"], ["a"]]
    failures = [call.exception(PATIENCE) for call in other]
    adding.first.result(PATIENCE)
    assert [type(one) for one in failures if one] == [InvalidInput]
    assert len(adding.stored()) == 3


def test_a_large_write_goes_by_itself_and_waits_for_nobody(adding: Adding) -> None:
    waiting = adding.waiting("small")
    large = adding.pool.submit(
        adding.memory.add, [say(f"large {n}") for n in range(MOST_TEXTS + 1)], user_id="ada"
    )
    while len(adding.embedder.batches) == 1:
        threading.Event().wait(0.001)
    assert not waiting[0].done()
    adding.embedder.go.set()
    assert len(large.result(PATIENCE)) == MOST_TEXTS + 1
    waiting[0].result(PATIENCE)


def test_who_waits_while_the_store_is_closed_is_told(adding: Adding) -> None:
    calls = adding.waiting("one", "two")
    adding.memory.close()
    adding.embedder.go.set()
    for call in (adding.first, *calls):
        assert isinstance(call.exception(PATIENCE), StoreError)


class Commits:
    """Holds the first commit, and notes how many rows each one has."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.rows: list[int] = []
        self.begun, self.go = threading.Event(), threading.Event()
        self.after: Exception | None = None
        self.append = Store.append

        def append(store: Store, rows: pa.Table) -> None:
            self.commit(store, rows)

        monkeypatch.setattr(Store, "append", append)

    def commit(self, store: Store, rows: pa.Table) -> None:
        """Store rows; then fail if that is wanted of a group."""
        self.rows.append(rows.num_rows)
        self.begun.set()
        assert self.go.wait(PATIENCE)
        if rows.num_rows > 1 and isinstance(self.after, ConcurrentWrite):
            raise self.after
        self.append(store, rows)
        if rows.num_rows > 1 and self.after is not None:
            raise self.after

    def five(self, memory: Memory, pool: ThreadPoolExecutor) -> list[Future[AddedIds]]:
        """Add five turns, of which four wait for the commit of the first."""
        waiting = memory._home.parts.writer._grouping._commits._waiting
        calls = [pool.submit(memory.add, "turn 0", user_id="ada")]
        assert self.begun.wait(PATIENCE)
        calls += [pool.submit(memory.add, f"turn {n}", user_id="ada") for n in range(1, 5)]
        while len(waiting) < 4:
            threading.Event().wait(0.001)
        self.go.set()
        return calls


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Memory]:
    with Memory.open(tmp_path / "m.mem", embedder=HashEmbedder(WIDE)) as memory:
        yield memory


def test_turns_that_wait_for_a_commit_share_the_next(
    memory: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    commits = Commits(monkeypatch)
    with ThreadPoolExecutor(5) as pool:
        for call in commits.five(memory, pool):
            call.result(PATIENCE)
    assert commits.rows == [1, 4]
    assert len(memory.turns(scope=ALL)) == 5


def test_a_commit_that_may_have_been_made_stores_nothing_twice(
    memory: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    commits = Commits(monkeypatch)
    commits.after = StoreError("the answer was lost")
    with ThreadPoolExecutor(5) as pool:
        ids = [call.result(PATIENCE)[0] for call in commits.five(memory, pool)]
    assert commits.rows == [1, 4]  # what came after that was inserted only where absent
    assert sorted(turn.id for turn in memory.turns(scope=ALL)) == sorted(ids)


def test_where_others_keep_coming_first_all_of_the_group_are_told(
    memory: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    commits = Commits(monkeypatch)
    commits.after = ConcurrentWrite("others came first")
    with ThreadPoolExecutor(5) as pool:
        failures = [call.exception(PATIENCE) for call in commits.five(memory, pool)]
    assert sum(isinstance(one, ConcurrentWrite) for one in failures) == 4
    assert contents(memory.turns(scope=ALL)) == ["turn 0"]


def test_the_order_of_a_session_is_that_of_its_own_calls(memory: Memory) -> None:
    def talk(session: int) -> None:
        for n in range(10):
            memory.add(f"{session}.{n}", user_id="ada", session_id=f"s{session}")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(talk, range(8)))
    for session in range(8):
        turns = memory.turns(user_id="ada", session_id=f"s{session}")
        assert contents(turns) == [f"{session}.{n}" for n in range(10)]
