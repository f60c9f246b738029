"""The journal of drift: an event once, told once, until it is over; and every check."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from threading import Barrier

import numpy as np
import pytest
from drift_tools import THEN, Changeable, event, finding

from agentmem import StoreError
from agentmem.storage.journal import Journal, event_id
from agentmem.storage.turns import Store

LATER = THEN + timedelta(hours=1)


def journal_of(folder: Path, *, read_only: bool = False) -> Journal:
    store = Store.open(folder, passport=Changeable().passport, read_only=read_only)
    return store.watching.journal


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return journal_of(tmp_path)


def test_an_event_comes_back_as_it_was_put(journal: Journal, tmp_path: Path) -> None:
    given = event(p_value=0.25, detail={"names": ["a", "b"], "share": 0.5, "none": None})
    assert journal.put(given, fingerprint="other")
    (standing,) = journal_of(tmp_path).events()
    assert standing.event == given
    assert standing.fingerprint == "other"
    times = (standing.claimed_at, standing.acknowledged_at, standing.resolved_at)
    assert times == (None, None, None)


def test_what_json_cannot_hold_is_put_as_what_it_can(journal: Journal) -> None:
    detail = {
        "count": np.int64(3),
        "share": np.float32(0.5),
        "nothing": float("nan"),
        "many": np.arange(2),
        "at": THEN,
    }
    journal.put(event(detail=detail), fingerprint="")
    told = journal.events()[0].event.detail
    assert told == {"count": 3, "share": 0.5, "nothing": None, "many": [0, 1], "at": str(THEN)}


def test_an_event_is_put_once(journal: Journal) -> None:
    assert journal.put(event(), fingerprint="a")
    assert not journal.put(event(meaning="Other words."), fingerprint="a")
    assert [one.event.meaning for one in journal.events()] == [event().meaning]


def test_threads_that_put_one_event_at_once_put_it_once(tmp_path: Path) -> None:
    journal_of(tmp_path)
    begin = Barrier(4)

    def put(_: int) -> tuple[bool, bool]:
        own = journal_of(tmp_path)
        begin.wait()
        return own.put(event(), fingerprint="a"), own.claim(event().id, now=LATER)

    with ThreadPoolExecutor(4) as pool:
        put_by, claimed_by = zip(*pool.map(put, range(4)), strict=True)
    assert sum(put_by) == 1
    assert sum(claimed_by) == 1
    assert len(journal_of(tmp_path).events()) == 1


def test_marks_are_made_once_and_kept(journal: Journal) -> None:
    journal.put(event(), fingerprint="a")
    assert journal.claim("event1", now=LATER)
    assert not journal.claim("event1", now=LATER)
    assert journal.acknowledge("event1", now=LATER)
    assert not journal.acknowledge("event1", now=LATER)
    assert journal.resolve(["event1", "event2"], now=LATER) == 1
    assert journal.resolve(["event1"], now=LATER) == 0
    (standing,) = journal.events()
    times = (standing.claimed_at, standing.acknowledged_at, standing.resolved_at)
    assert times == (LATER, LATER, LATER)


def test_events_are_chosen_by_subject_kind_and_whether_they_stand(journal: Journal) -> None:
    journal.put(event(1), fingerprint="a")
    journal.put(event(2, subject="router", at=LATER), fingerprint="a")
    journal.put(event(3, kind="texts", at=THEN - timedelta(days=1)), fingerprint="a")
    journal.resolve(["event1"], now=LATER)

    def names(**chosen: object) -> list[str]:
        return [one.event.id for one in journal.events(**chosen)]  # type: ignore[arg-type]

    assert names() == ["event3", "event1", "event2"]  # oldest first
    assert names(subject="memory") == ["event3", "event1"]
    assert names(kind="model") == ["event1", "event2"]
    assert names(unresolved=True) == ["event3", "event2"]


def test_a_finding_that_went_and_came_again_is_another_episode(journal: Journal) -> None:
    assert journal.episodes("memory", "model", fingerprint="a") == 0
    journal.put(event(1), fingerprint="a")
    assert journal.episodes("memory", "model", fingerprint="a") == 0
    journal.resolve(["event1"], now=LATER)
    assert journal.episodes("memory", "model", fingerprint="a") == 1
    assert journal.episodes("memory", "model", fingerprint="b") == 0
    assert journal.episodes("router", "model", fingerprint="a") == 0


def test_the_version_changes_with_the_events_and_not_with_the_checks(journal: Journal) -> None:
    assert journal.version == 0
    journal.put(event(), fingerprint="a")
    version = journal.version
    journal.checked([finding()], subject="memory", generation=1, at=THEN)
    assert journal.version == version > 0
    journal.resolve(["event1"], now=LATER)
    assert journal.version > version


def test_checks_are_kept_as_points_of_a_plot(journal: Journal) -> None:
    assert journal.history() == []
    found = [finding("content"), finding("model", p_value=None, status="stable")]
    journal.checked(found, subject="memory", generation=2, at=LATER)
    journal.checked([finding("content", statistic=None)], subject="memory", generation=1, at=THEN)
    journal.checked([], subject="memory", generation=1, at=THEN)
    told = journal.history(subject="memory", kind="content")
    assert [(one.at, one.statistic, one.generation) for one in told] == [
        (THEN, None, 1),
        (LATER, 0.4, 2),
    ]
    assert [one.status for one in journal.history(kind="model")] == ["stable"]
    assert journal.history(subject="router") == []


def test_the_id_of_a_finding_is_the_same_everywhere() -> None:
    assert event_id("memory", "model", "1", "a") == event_id("memory", "model", "1", "a")
    assert event_id("memory", "model", "1", "a") != event_id("memory", "model", "1a", "")


def test_a_read_only_store_is_not_written_to(tmp_path: Path) -> None:
    journal_of(tmp_path)
    reader = journal_of(tmp_path, read_only=True)
    assert reader.read_only
    assert reader.events() == []
    for write in (
        lambda: reader.put(event(), fingerprint="a"),
        lambda: reader.claim("event1", now=LATER),
        lambda: reader.checked([finding()], subject="memory", generation=1, at=THEN),
    ):
        with pytest.raises(StoreError, match="read_only"):
            write()
