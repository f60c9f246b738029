"""The threshold in force: the stored one while it holds, the default otherwise, and why."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from catalogue_tools import open_tools
from storage_tools import NOON

from agentmem.errors import StoreError
from agentmem.ranking.tools import Routing
from agentmem.ranking.tools.scaling import IDENTITY, Scale
from agentmem.routing.thresholds import REREAD_SECONDS, Fit, Thresholds
from agentmem.storage.tool_store import ToolStore

ROUTING = Routing()
TOOLS_THEN = "the tools then"


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ToolStore]:
    opened = open_tools(tmp_path / "store")
    yield opened
    opened.close()


def opened(store: ToolStore, **changes: Any) -> Thresholds:
    return Thresholds(store, **{"routing": ROUTING, **changes})


def put(thresholds: Thresholds, namespace: str | None = None, **changes: Any) -> None:
    """Store a calibration that holds for these tools, with these fields changed."""
    fields: dict[str, Any] = {
        "alpha": 0.05,
        "threshold": 0.41,
        "queries": 120,
        "unanswerable": 30,
        "upper_bound": 0.09,
        "refused": 0.7,
        "auroc": 0.88,
        "slope": 1.5,
        "intercept": -0.25,
        "temperature": 0.8,
    }
    fit = Fit(**{**fields, **changes})
    thresholds.put(fit, namespace=namespace, fingerprint=TOOLS_THEN, at=NOON)


def alter(store: ToolStore, **changes: Any) -> None:
    """Change what is stored of a calibration."""
    value = store.meta.get("calibration:*")
    assert value is not None
    store.meta.put("calibration:*", {**value.value, **changes})


def test_without_a_calibration_the_default_applies_and_promises_nothing(store: ToolStore) -> None:
    found = opened(store).current(None, fingerprint=TOOLS_THEN)
    assert found.calibration.threshold == ROUTING.threshold
    assert not found.calibration.valid
    assert (found.calibration.queries, found.calibration.at) == (0, None)
    assert (found.calibration.alpha, found.calibration.upper_bound) == (1, 1)
    assert "promises nothing" in found.calibration.reason
    assert (found.scale, found.temperature) == (IDENTITY, ROUTING.temperature)


def test_a_calibration_is_in_force_at_once_and_after_opening_again(store: ToolStore) -> None:
    thresholds = opened(store)
    thresholds.current(None, fingerprint=TOOLS_THEN)
    put(thresholds)
    found = thresholds.current(None, fingerprint=TOOLS_THEN)
    assert found == opened(store).current(None, fingerprint=TOOLS_THEN)
    assert (found.scale, found.temperature) == (Scale(1.5, -0.25), 0.8)
    calibration = found.calibration
    assert (calibration.threshold, calibration.valid, calibration.at) == (0.41, True, NOON)
    assert (calibration.queries, calibration.unanswerable) == (120, 30)
    assert (calibration.refused, calibration.auroc) == (0.7, 0.88)


def test_a_calibration_belongs_to_its_namespace(store: ToolStore) -> None:
    thresholds = opened(store)
    put(thresholds, "*", threshold=0.1)
    put(thresholds, "travel", threshold=0.2)
    assert not thresholds.current(None, fingerprint=TOOLS_THEN).calibration.valid
    assert thresholds.current("*", fingerprint=TOOLS_THEN).calibration.threshold == 0.1
    assert thresholds.current("travel", fingerprint=TOOLS_THEN).calibration.threshold == 0.2
    other = thresholds.current("mail", fingerprint=TOOLS_THEN).calibration
    assert "of namespace 'mail'" in other.reason


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        (["the catalogue"], "the catalogue changed"),
        (["the embedder"], "the embedder changed"),
        (["the routing configuration"], "the routing configuration changed"),
        (["the embedder", "the catalogue"], "the catalogue and the embedder changed"),
    ],
)
def test_whatever_it_was_fitted_with_ends_a_calibration_by_changing(
    store: ToolStore, changed: list[str], told: str
) -> None:
    put(opened(store))
    value = store.meta.get("calibration:*")
    assert value is not None
    alter(store, fitted_with={**value.value["fitted_with"], **dict.fromkeys(changed, "other")})
    found = opened(store).current(None, fingerprint=TOOLS_THEN)
    assert told in found.calibration.reason
    assert "Call calibrate() again" in found.calibration.reason
    assert (found.calibration.valid, found.calibration.at) == (False, NOON)
    assert found.calibration.threshold == ROUTING.threshold
    assert (found.scale, found.temperature) == (IDENTITY, ROUTING.temperature)


def test_another_configuration_has_no_share_in_a_calibration(store: ToolStore) -> None:
    first = opened(store)
    put(first)
    other = opened(store, routing=replace(ROUTING, lexical=2.0, threshold=0.3))
    found = other.current(None, fingerprint=TOOLS_THEN).calibration
    assert (found.valid, found.threshold) == (False, 0.3)


def test_tools_that_come_and_go_take_the_calibration_along_and_bring_it_back(
    store: ToolStore,
) -> None:
    thresholds = opened(store)
    put(thresholds)
    assert not thresholds.current(None, fingerprint="other").calibration.valid
    assert thresholds.current(None, fingerprint=TOOLS_THEN).calibration.valid


def test_anothers_calibration_comes_into_force_within_a_second(store: ToolStore) -> None:
    clock = Clock()
    mine, other = opened(store, seconds=clock), opened(store)
    assert not mine.current(None, fingerprint=TOOLS_THEN).calibration.valid
    put(other)
    clock.seconds = REREAD_SECONDS / 2
    assert not mine.current(None, fingerprint=TOOLS_THEN).calibration.valid
    clock.seconds = REREAD_SECONDS
    assert mine.current(None, fingerprint=TOOLS_THEN).calibration.valid


def test_a_look_at_what_is_known_already_reads_nothing(
    store: ToolStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    thresholds = opened(store, seconds=Clock())
    first = thresholds.current(None, fingerprint=TOOLS_THEN)
    monkeypatch.setattr(store.meta, "get", None)
    assert thresholds.current(None, fingerprint=TOOLS_THEN) is first


def test_a_calibration_that_was_read_again_unchanged_is_not_judged_again(store: ToolStore) -> None:
    clock = Clock()
    thresholds = opened(store, seconds=clock)
    put(thresholds)
    first = thresholds.current(None, fingerprint=TOOLS_THEN)
    clock.seconds = 5
    assert thresholds.current(None, fingerprint=TOOLS_THEN) is first


def test_fields_that_a_newer_agentmem_stored_are_passed_over(store: ToolStore) -> None:
    put(opened(store))
    alter(store, later=1)
    assert opened(store).current(None, fingerprint=TOOLS_THEN).calibration.valid


def test_a_read_only_store_keeps_its_calibration(store: ToolStore, tmp_path: Path) -> None:
    reader = opened(open_tools(tmp_path / "store", read_only=True))
    with pytest.raises(StoreError, match="read_only"):
        put(reader)
    assert not reader.current(None, fingerprint=TOOLS_THEN).calibration.valid
