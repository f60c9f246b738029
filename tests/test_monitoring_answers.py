"""The check of answers: kept questions find what they found, and indexes what exact search does."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from catalogue_tools import row_of, stored, tool
from check_tools import EMBEDDER, again, at, given, said, session, store_sessions, unit, watched
from lancedb.index import IvfFlat
from numpy.typing import NDArray
from storage_tools import PASSPORT, vector_of

from agentmem.embedding.cache import CachedEmbedder
from agentmem.filters import field
from agentmem.monitoring.baseline import move_baseline
from agentmem.monitoring.checks.answers import AnswersCheck
from agentmem.monitoring.given import Given
from agentmem.monitoring.watched import Watched, watched_router
from agentmem.storage.tool_store import ToolStore
from agentmem.storage.turns import Store
from agentmem.testing import HashEmbedder
from agentmem.types import ALL, DriftFinding, Kind, Passport

check = AnswersCheck()
PLACES = ("kitchen", "garden", "cellar", "attic", "office", "garage", "harbour", "station")
THINGS = ("cat", "lamp", "letter", "bicycle", "kettle", "ladder", "painting", "radio")


class Swapped:
    """An embedder with an old passport whose questions go elsewhere since a moment."""

    def __init__(self, passport: Passport) -> None:
        self.passport = passport
        self.swapped = False

    def embed(self, texts: Sequence[str], *, kind: Kind) -> NDArray[np.float32]:
        rows = EMBEDDER.embed(texts, kind=kind)
        return rows[:, ::-1].copy() if self.swapped else rows

    def split(self, texts: Sequence[str], *, prefixes: Sequence[str]) -> list[list[str]]:
        return EMBEDDER.split(texts, prefixes=prefixes)


def told(folder: Path, *, sessions: range, embedder: Swapped | HashEmbedder = EMBEDDER) -> Watched:
    """Store sessions in each of which a user asks and is answered."""
    one = watched(folder, embedder=embedder)
    store_sessions(
        one,
        [
            said(
                n,
                f"Where is the {THINGS[n % 8]} number {n}?",
                f"The {THINGS[n % 8]} is in the {PLACES[n % 7]}.",
                f"And there is a {THINGS[n % 5]} in the {PLACES[n % 3]} as well.",
            )
            for n in sessions
        ],
        written=at(sessions.stop),
    )
    return one


def first(one: Watched, *, hour: float) -> DriftFinding:
    return check(given(one, kind="answers", baseline=at(hour), now=at(hour)))


def later(one: Watched, *, hour: float) -> DriftFinding:
    return check(again(one, kind="answers", now=at(hour)))


def test_the_first_check_takes_questions_and_the_next_compares_them(tmp_path: Path) -> None:
    one = told(tmp_path, sessions=range(30))
    assert first(one, hour=31).status == "insufficient_data"
    finding = later(one, hour=32)
    assert (finding.status, finding.statistic, finding.effect) == ("stable", 1.0, 0.0)
    assert finding.samples == (30, 30)
    assert finding.detail["top_now"] == pytest.approx(finding.detail["top_then"], abs=1e-5)
    assert (finding.detail["recall"], finding.detail["index"]) == (1.0, None)


def test_new_and_deleted_turns_are_no_drift(tmp_path: Path) -> None:
    one = told(tmp_path, sessions=range(30))
    first(one, hour=31)
    told(tmp_path, sessions=range(40, 80))
    assert isinstance(one.store, Store)
    one.store.delete(scope=ALL, where=field("session_id").in_([f"session {n}" for n in range(8)]))
    finding = later(one, hour=90)
    assert (finding.status, finding.statistic) == ("stable", 1.0)
    assert finding.samples == (30, 22)


def test_questions_embedded_otherwise_are_noticed_in_spite_of_the_cache(tmp_path: Path) -> None:
    model = Swapped(EMBEDDER.passport)
    one = told(tmp_path, sessions=range(30), embedder=model)
    first(one, hour=31)
    model.swapped = True
    finding = later(one, hour=32)
    assert isinstance(one.embedder, CachedEmbedder)
    assert (finding.status, finding.severity) == ("drifted", "critical")
    assert finding.recommendation == "evaluate"
    assert finding.detail["overlap"] < 0.5
    assert finding.detail["fingerprint"].startswith("neighbours")
    assert "still there, unchanged" in finding.meaning


def test_a_bad_index_is_to_be_rebuilt(tmp_path: Path) -> None:
    one = watched(tmp_path)
    vectors = unit(np.random.default_rng(0).standard_normal((3_000, 32)))
    store_sessions(one, [session(1, texts=[f"t {n}" for n in range(3_000)], vectors=vectors)])
    opened = one.store._opened  # type: ignore[union-attr]
    table = opened.db.open_table(opened.table("turns"))
    table.create_index("vector", config=IvfFlat(distance_type="cosine", num_partitions=300))
    finding = first(one, hour=1)
    assert (finding.status, finding.recommendation) == ("drifted", "rebuild_index")
    assert finding.statistic == finding.detail["recall"] < 0.9
    assert finding.detail["index"] == "IVF_FLAT"


def test_a_good_index_with_many_rows_outside_is_to_be_folded(tmp_path: Path) -> None:
    one = watched(tmp_path)
    rng = np.random.default_rng(0)
    for number, rows in ((1, 600), (2, 1_200)):
        vectors = unit(rng.standard_normal((rows, 32)))
        held = session(number, texts=[f"t {n}" for n in range(rows)], vectors=vectors)
        store_sessions(one, [held])
        if number == 1:
            opened = one.store._opened  # type: ignore[union-attr]
            table = opened.db.open_table(opened.table("turns"))
            table.create_index("vector", config=IvfFlat(distance_type="cosine", num_partitions=1))
    finding = first(one, hour=1)
    assert (finding.status, finding.recommendation) == ("drifted", "rebuild_index")
    assert finding.detail["unindexed_rows"] == 1_200
    assert finding.statistic == 1
    assert "1,200 of 1,800 rows" in finding.meaning


def test_an_empty_store_takes_its_questions_once_there_are_some(tmp_path: Path) -> None:
    one = watched(tmp_path)
    assert first(one, hour=0).status == "insufficient_data"
    told(tmp_path, sessions=range(20))
    assert later(one, hour=21).status == "insufficient_data"
    assert later(one, hour=22).status == "stable"


def router(folder: Path) -> tuple[ToolStore, Watched, Swapped]:
    store = ToolStore.open(folder, passport=PASSPORT)
    store.catalogue.rewrite([], stored(*(row_of(tool(f"tool_{n}")) for n in range(20))))
    model = Tiny()
    one = watched_router(store, embedder=model, tables=store.watching)
    move_baseline(one.tables.meta, subject="router", now=at(0))
    return store, one, model


class Tiny(Swapped):
    """The space of the stored tools."""

    def __init__(self) -> None:
        super().__init__(PASSPORT)

    def embed(self, texts: Sequence[str], *, kind: Kind) -> NDArray[np.float32]:  # noqa: ARG002
        rows = np.stack([vector_of(text) for text in texts])
        return -rows if self.swapped else rows


def test_descriptions_of_tools_find_the_same_tools(tmp_path: Path) -> None:
    store, one, model = router(tmp_path)
    assert later(one, hour=0).status == "insufficient_data"
    store.catalogue.rewrite([], stored(*(tool(f"new_{n}") for n in range(20))))
    same = later(one, hour=1)
    assert (same.status, same.statistic, same.samples) == ("stable", 1.0, (20, 20))
    assert "recall" not in same.detail
    model.swapped = True
    finding = later(one, hour=2)
    assert (finding.status, finding.recommendation) == ("drifted", "recalibrate")


def test_what_is_kept_holds_no_text_and_no_vector(tmp_path: Path) -> None:
    one = told(tmp_path, sessions=range(30))
    first(one, hour=31)
    found: Given = again(one, kind="answers", now=at(32))
    kept = found.baseline.kept("probes")
    assert set(kept) == {"written_by", "probes"}
    assert all(set(probe) == {"key", "keys", "similarities"} for probe in kept["probes"])
    assert all(len(probe["keys"]) <= 10 for probe in kept["probes"])
