"""Canaries in the store: once a generation, whoever comes first, and told when they came late."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from threading import Barrier

import numpy as np
import pytest
from drift_tools import Changeable
from storage_tools import run_python

from agentmem import CachedEmbedder, StoreError
from agentmem.embedding.canaries import compare, embed_canaries
from agentmem.ingest import Clock, Writer
from agentmem.storage.canaries import KeptCanaries, ensure_canaries
from agentmem.storage.turns import Store
from agentmem.telemetry import Tracing
from agentmem.types import Passport, Scope


def opened(folder: Path, *, read_only: bool = False) -> Store:
    return Store.open(folder, passport=Changeable().passport, read_only=read_only)


def canaries_of(folder: Path, *, read_only: bool = False) -> KeptCanaries:
    return opened(folder, read_only=read_only).watching.canaries


def test_canaries_come_back_as_they_were_put(tmp_path: Path) -> None:
    kept = canaries_of(tmp_path)
    assert kept.get() is None
    made = embed_canaries(Changeable())
    assert kept.put_if_absent(made)
    back = canaries_of(tmp_path).get()
    assert back is not None
    np.testing.assert_array_equal(back.canaries.documents, made.documents)
    np.testing.assert_array_equal(back.canaries.queries, made.queries)
    assert compare(back.canaries, made).verdict == "same"
    assert not back.is_late


def test_the_first_canaries_stay(tmp_path: Path) -> None:
    kept, other = canaries_of(tmp_path), Changeable()
    first = ensure_canaries(kept, Changeable())
    other.is_another = True
    again = ensure_canaries(canaries_of(tmp_path), other)
    np.testing.assert_array_equal(first.canaries.documents, again.canaries.documents)
    assert not kept.put_if_absent(embed_canaries(other))
    assert other.calls == 2  # of the canaries just above: those that are kept need no model


def test_threads_that_make_them_at_once_end_up_with_one_set(tmp_path: Path) -> None:
    opened(tmp_path)
    begin = Barrier(4)

    def make(number: int) -> bool:
        embedder = Changeable()
        embedder.noise = number / 2
        made, kept = embed_canaries(embedder), canaries_of(tmp_path)
        begin.wait()
        return kept.put_if_absent(made)

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(make, range(4))) == 1


RACER = """
import sys
from drift_tools import Changeable
from agentmem.embedding.canaries import embed_canaries
from test_storage_canaries import canaries_of
embedder = Changeable()
embedder.noise = float(sys.argv[2])
print(canaries_of(sys.argv[1]).put_if_absent(embed_canaries(embedder)))
"""


@pytest.mark.slow
def test_processes_that_make_them_at_once_end_up_with_one_set(tmp_path: Path) -> None:
    opened(tmp_path)
    with ThreadPoolExecutor(3) as pool:
        won = pool.map(lambda n: run_python(RACER, tmp_path, str(n)), range(3))
        assert sorted(one.strip() for one in won) == ["False", "False", "True"]


def test_canaries_that_are_younger_than_the_rows_are_told_as_such(tmp_path: Path) -> None:
    store = opened(tmp_path)
    writer = Writer(store, embedder=Changeable(), clock=Clock(), tracing=Tracing.silent())
    writer.add("Said by a process that died early.", scope=Scope(user_id="ada"))
    assert ensure_canaries(store.watching.canaries, Changeable()).is_late


def test_a_read_only_store_keeps_none(tmp_path: Path) -> None:
    opened(tmp_path).close()
    kept = canaries_of(tmp_path, read_only=True)
    assert kept.read_only
    with pytest.raises(StoreError, match="read_only"):
        ensure_canaries(kept, Changeable())
    assert not (tmp_path / "canaries_g1.lance").exists()


def test_each_generation_has_its_own(tmp_path: Path) -> None:
    store = opened(tmp_path)
    ensure_canaries(store.watching.canaries, Changeable())
    told = store.whole.generations.change(lambda now: now.with_next(Changeable(32).passport)[0])
    assert told is not None
    whole = store.whole
    second = KeptCanaries(whole.opened.at(told.generations[2]), guard=whole.guard)
    assert second.get() is None
    assert ensure_canaries(second, Changeable(32)).canaries.documents.shape == (64, 32)
    assert (tmp_path / "canaries_g2.lance").exists()


class Local(Changeable):
    """A model whose weights are known, and so are in this process."""

    @property
    def passport(self) -> Passport:
        """With a hash of the weights."""
        return replace(super().passport, weights="0" * 64)


@pytest.mark.parametrize(("model", "calls"), [(Local, 2), (Changeable, 6)])
def test_a_model_in_this_process_makes_them_once_for_all_stores(
    tmp_path: Path, model: type[Changeable], calls: int
) -> None:
    embedder = model()
    for number in range(3):
        store = Store.open(tmp_path / str(number), passport=embedder.passport)
        kept = ensure_canaries(store.watching.canaries, CachedEmbedder(embedder))
        assert compare(kept.canaries, embed_canaries(model())).verdict == "same"
    assert embedder.calls == calls
    assert not ensure_canaries(store.watching.canaries, model()).is_late
