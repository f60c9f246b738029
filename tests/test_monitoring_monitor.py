"""Checks become events: once, told once, over when a later check is calm, corrected over stores."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path

import pytest
from drift_tools import Scripted, finding, open_memory, open_router, scripted

from agentmem import EmbeddingFailed, InvalidInput, Memory, StoreError
from agentmem.monitoring import Given, check_all
from agentmem.monitoring.monitor import Looked, corrected
from agentmem.types import DriftEvent, DriftFinding


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Memory]:
    with open_memory(tmp_path) as opened:
        yield opened


def test_a_new_finding_is_an_event_and_told(memory: Memory) -> None:
    seen: list[DriftEvent] = []
    memory.on_drift(seen.append)
    report = scripted(memory.drift, Scripted("content", detail={"most_shifted": ["s7"]})).check()
    (found,) = report.events
    assert seen == [found] == memory.drift.events()
    assert report.drifted
    assert (found.kind, found.severity, found.store) == ("content", "warning", report.store)
    assert (found.samples, found.statistic, found.p_value) == ((40, 20), 0.4, 0.01)
    assert found.detail["most_shifted"] == ["s7"]
    assert found.passport == found.given == memory.passport
    assert found.generation == 1


def test_a_finding_that_lasts_is_told_once(memory: Memory, tmp_path: Path) -> None:
    seen: list[DriftEvent] = []
    memory.on_drift(seen.append)
    first = scripted(memory.drift, Scripted()).check()
    assert scripted(memory.drift, Scripted(statistic=0.9)).check().events == ()
    with open_memory(tmp_path) as again:  # after a restart
        again.on_drift(seen.append)
        assert scripted(again.drift, Scripted()).check().events == ()
        assert [one.id for one in again.drift.events()] == [first.events[0].id]
    assert len(seen) == 1


def test_a_finding_is_over_when_a_later_check_is_calm_and_new_when_it_comes_again(
    memory: Memory,
) -> None:
    seen: list[DriftEvent] = []
    memory.on_drift(seen.append)
    check = Scripted()
    drift = scripted(memory.drift, check)
    before = drift.check().events[0]
    check.is_calm()
    assert not drift.check().drifted
    assert drift.events() == []
    assert drift.events(unresolved=False) == [before]
    check.changes = {}
    again = drift.check().events[0]
    assert again.id != before.id
    assert seen == [before, again]


def test_too_little_data_ends_nothing(memory: Memory) -> None:
    check = Scripted()
    drift = scripted(memory.drift, check)
    drift.check()
    check.changes = {"status": "insufficient_data", "severity": "info"}
    assert drift.check().events == ()
    assert len(drift.events()) == 1


def test_a_worse_finding_takes_the_place_of_the_milder(memory: Memory) -> None:
    check = Scripted("model", severity="warning", detail={"fingerprint": "warn"})
    drift = scripted(memory.drift, check)
    drift.check()
    check.changes = {"severity": "critical", "detail": {"fingerprint": "other"}}
    assert drift.check().events[0].severity == "critical"
    assert [one.severity for one in drift.events()] == ["critical"]


def test_an_event_waits_for_somebody_who_wants_to_hear_of_it(
    memory: Memory, tmp_path: Path
) -> None:
    scripted(memory.drift, Scripted("content")).check()  # as a scheduler without hooks would
    seen: list[DriftEvent] = []
    with open_memory(tmp_path) as application:
        application.on_drift(kind="texts")(seen.append)
        scripted(application.drift, Scripted("content")).check()
        assert seen == []
        application.on_drift(kind="content")(seen.append)
        assert scripted(application.drift, Scripted("content")).check().events == ()
        assert [one.kind for one in seen] == ["content"]


def test_an_acknowledged_event_is_not_told(memory: Memory) -> None:
    drift = scripted(memory.drift, Scripted())
    (found,) = drift.check().events
    assert drift.acknowledge(found.id) == found
    seen: list[DriftEvent] = []
    memory.on_drift(seen.append)
    drift.check()
    assert seen == []
    assert drift.events() == [found]


def test_only_the_kinds_that_are_named_are_checked(memory: Memory) -> None:
    drift = scripted(memory.drift, Scripted("model"), Scripted("texts"), Scripted("length"))
    assert [one.kind for one in drift.check("texts").findings] == ["texts"]
    report = drift.check(["length", "model"])
    assert [one.kind for one in report.findings] == ["model", "length"]
    assert report.of("texts") is None
    assert set(report.milliseconds) == {"model", "length"}
    with pytest.raises(InvalidInput, match="no drift of kind"):
        drift.check("vibes")  # type: ignore[arg-type]


def test_a_model_that_fails_leaves_the_other_checks(memory: Memory) -> None:
    class Failing(Scripted):
        def __call__(self, given: Given) -> DriftFinding:
            self.given.append(given)
            raise EmbeddingFailed("no answer")

    report = scripted(memory.drift, Failing("model"), Scripted("texts")).check()
    model = report.of("model")
    assert model is not None
    assert model.status == "insufficient_data"
    assert "no answer" in model.meaning
    assert [one.kind for one in report.events] == ["texts"]


def test_chance_is_the_same_all_day_and_another_for_every_kind(memory: Memory) -> None:
    one, other = Scripted("content"), Scripted("questions")
    drift = scripted(memory.drift, one, other)
    drift.check()
    drift.check()
    drawn = [given.rng.random() for given in (*one.given, *other.given)]
    if one.given[0].now.date() == one.given[1].now.date():
        assert drawn[0] == drawn[1]
    assert drawn[0] != drawn[2]


def test_the_baseline_begins_with_the_first_check_and_is_moved(memory: Memory) -> None:
    check = Scripted("content")
    drift = scripted(memory.drift, check, Scripted("model"))
    drift.check()
    first = check.given[0].baseline
    assert first.is_new
    assert first.at == check.given[0].now
    assert first.kept("probes") is None
    assert first.keep("probes", [1, 2]) == [1, 2]
    assert first.keep("probes", [3]) == [1, 2]
    drift.check()
    second = check.given[1].baseline
    assert (second.is_new, second.at, second.kept("probes")) == (False, first.at, [1, 2])
    assert [one.kind for one in drift.rebase(dry_run=True)] == ["content"]
    assert len(drift.events()) == 2
    assert [one.kind for one in drift.rebase()] == ["content"]
    assert [one.kind for one in drift.events()] == ["model"]
    drift.check()
    third = check.given[2].baseline
    assert third.at > first.at
    assert third.kept("probes") is None


def test_what_is_kept_is_of_one_subject_and_generation(memory: Memory, tmp_path: Path) -> None:
    check, other = Scripted("content"), Scripted("content")
    scripted(memory.drift, check).check()
    check.given[0].baseline.keep("probes", 1)
    with open_router(tmp_path) as router:
        scripted(router.drift, other).check()
        assert other.given[0].baseline.kept("probes") is None
        assert other.given[0].subject == "router"
        assert other.given[0].tools is not None
        assert other.given[0].store is None
        assert [one.subject for one in router.drift.events()] == ["router"]
        assert [one.subject for one in memory.drift.events()] == ["memory"]


def test_every_check_is_a_point_of_the_history(memory: Memory) -> None:
    check = Scripted("content")
    drift = scripted(memory.drift, check, Scripted("model", p_value=None))
    drift.check()
    check.is_calm()
    drift.check("content")
    assert [(one.kind, one.status) for one in drift.history(kind="content")] == [
        ("content", "drifted"),
        ("content", "stable"),
    ]
    assert len(drift.history()) == 3


def test_on_a_read_only_store_findings_are_told_to_the_caller_alone(tmp_path: Path) -> None:
    with open_memory(tmp_path) as memory:
        memory.add("Said.", user_id="ada")
    with open_memory(tmp_path, read_only=True) as reader:
        seen: list[DriftEvent] = []
        reader.on_drift(seen.append)
        check = Scripted()
        report = scripted(reader.drift, check).check()
        assert report.drifted
        assert report.events == ()
        assert seen == reader.drift.events() == []
        assert reader.drift.history() == []
        assert check.given[0].baseline.keep("probes", 1) == 1
        assert check.given[0].baseline.kept("probes") is None
        with pytest.raises(StoreError, match="read_only"):
            reader.drift.watch()


def looked(memory: Memory, *p_values: float | None) -> Looked:
    found = tuple(finding("content", p_value=p) for p in p_values)
    watched = memory._home.parts.watched
    return Looked(watched, datetime.now(timezone.utc), found, {})


def test_of_many_stores_one_that_looks_odd_by_chance_is_no_drift(memory: Memory) -> None:
    lonely = corrected([looked(memory, 0.04)])
    assert lonely[0].findings[0].status == "drifted"
    among = corrected([looked(memory, 0.04), *(looked(memory, 0.5) for _ in range(9))])
    (odd,) = among[0].findings
    assert (odd.status, odd.severity, odd.recommendation) == ("stable", "info", "nothing")
    assert odd.p_value == pytest.approx(0.4)
    assert "10 stores" in odd.meaning
    strong = corrected([looked(memory, 0.001), *(looked(memory, 0.5) for _ in range(9))])
    assert strong[0].findings[0].status == "drifted"


def test_exact_findings_need_no_correction(memory: Memory) -> None:
    given = looked(memory, None)
    assert corrected([given, looked(memory, 0.5)])[0].findings == given.findings
    assert corrected([]) == []


def test_several_stores_are_checked_together(tmp_path: Path) -> None:
    with open_memory(tmp_path / "a") as one, open_router(tmp_path / "b") as two:
        scripted(one.drift, Scripted("content", p_value=0.04))
        scripted(two.drift, Scripted("content", p_value=0.9, status="stable"))
        reports = check_all([one, two])
        assert [report.subject for report in reports] == ["memory", "router"]
        assert reports[0].findings[0].status == "stable"
        assert one.drift.events() == []
        assert one.drift.check().events  # alone, it is drift
        with pytest.raises(InvalidInput, match="neither a Memory nor a ToolRouter"):
            check_all([one, "no store"])  # type: ignore[list-item]
