"""The check of content: what is noticed of a store of turns, and of a catalogue of tools."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from catalogue_tools import stored, tool
from check_tools import (
    DIMENSION,
    EMBEDDER,
    about,
    again,
    at,
    given,
    store_sessions,
    unit,
    watched,
)
from numpy.typing import NDArray
from storage_tools import PASSPORT

from agentmem.monitoring.baseline import move_baseline
from agentmem.monitoring.checks.content import ContentCheck
from agentmem.monitoring.watched import watched_router
from agentmem.storage.tool_store import ToolStore
from agentmem.types import DriftFinding, Tool

check = ContentCheck()


def topics(count: int, *, seed: int) -> NDArray[np.float32]:
    return unit(np.random.default_rng(seed).standard_normal((count, DIMENSION)))


def found(folder: Path, *, seed: int, foreign: float, sessions: int = 80) -> DriftFinding:
    """Check a store whose sessions after the baseline are foreign with that probability."""
    rng = np.random.default_rng(seed)
    usual, other = topics(8, seed=1), topics(4, seed=2)
    one = watched(folder)
    held = [
        about(n, topics=other if n >= 40 and rng.random() < foreign else usual, rng=rng)
        for n in range(sessions)
    ]
    store_sessions(one, held)
    return check(given(one, kind="content", baseline=at(39.5), now=at(sessions + 1)))


def test_sessions_about_other_things_are_found_and_named(tmp_path: Path) -> None:
    finding = found(tmp_path, seed=3, foreign=0.6)
    assert (finding.status, finding.severity) == ("drifted", "warning")
    assert finding.recommendation == "evaluate"
    assert finding.samples == (40, 20)
    assert finding.p_value is not None
    assert finding.p_value <= 0.05
    named = finding.detail["most_shifted"]
    assert len(named) == 5
    assert all(60 <= int(name.split()[1]) < 80 for name in named)


def test_ordinary_sessions_are_seldom_called_drift(tmp_path: Path) -> None:
    alarms = sum(
        found(tmp_path / str(seed), seed=seed, foreign=0).status == "drifted" for seed in range(20)
    )
    assert alarms <= 1  # at .05 in both windows the chance of two is below one percent


def test_one_odd_window_is_no_drift(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    usual, other = topics(8, seed=1), topics(2, seed=2)
    one = watched(tmp_path)
    odd = range(60, 80)
    store_sessions(one, [about(n, topics=other if n in odd else usual, rng=rng) for n in range(80)])
    finding = check(given(one, kind="content", baseline=at(39.5), now=at(81)))
    assert finding.status == "stable"
    assert finding.detail["p_latest"] <= 0.05 < finding.detail["p_previous"]
    assert "One of two windows" in finding.meaning


def test_the_evidence_is_what_the_report_draws(tmp_path: Path) -> None:
    evidence = found(tmp_path, seed=3, foreign=0.6).evidence
    assert {"null_previous", "null_latest", "statistic_previous", "statistic_latest"} <= set(
        evidence
    )
    assert evidence["reference"].shape == (40 * 6, 2)
    assert evidence["current"].shape == (40 * 6, 2)
    assert set(evidence["current_sessions"].tolist()) == set(range(40, 80))
    assert evidence["session_names"][79] == "session 79"


def test_too_few_sessions_since_the_baseline_are_said_in_words(tmp_path: Path) -> None:
    one = watched(tmp_path)
    rng = np.random.default_rng(1)
    store_sessions(one, [about(n, topics=topics(3, seed=1), rng=rng) for n in range(50)])
    finding = check(given(one, kind="content", baseline=at(39.5), now=at(51)))
    assert (finding.status, finding.recommendation) == ("insufficient_data", "wait")
    assert "Since the baseline 10 sessions have ended, and a comparison takes 16" in finding.meaning
    assert finding.p_value is None


def test_a_session_that_goes_on_does_not_count(tmp_path: Path) -> None:
    one = watched(tmp_path)
    rng = np.random.default_rng(1)
    store_sessions(one, [about(n, topics=topics(3, seed=1), rng=rng) for n in range(56)])
    late = given(one, kind="content", baseline=at(39.5), now=at(56))
    early = given(one, kind="content", baseline=at(39.5), now=at(55.25))
    assert check(late).status == "stable"
    assert check(early).status == "insufficient_data"


def test_a_store_watched_from_its_first_day_is_compared_with_its_oldest_sessions(
    tmp_path: Path,
) -> None:
    one = watched(tmp_path)
    rng = np.random.default_rng(1)
    store_sessions(one, [about(n, topics=topics(3, seed=1), rng=rng) for n in range(40)])
    finding = check(given(one, kind="content", baseline=at(-1), now=at(41)))
    assert finding.status == "stable"
    assert finding.detail["substitute_baseline"]
    assert finding.samples == (20, 10)


def test_an_empty_store_is_no_failure(tmp_path: Path) -> None:
    finding = check(given(watched(tmp_path), kind="content", baseline=at(0), now=at(1)))
    assert finding.status == "insufficient_data"
    assert finding.samples == (0, 0)


def test_turns_without_a_session_count_by_day(tmp_path: Path) -> None:
    one = watched(tmp_path)
    rng = np.random.default_rng(1)
    held = [about(n * 24, topics=topics(3, seed=1), rng=rng) for n in range(60)]
    bare = [
        replace(s, turns=[replace(t, session_id=None, user_id="a") for t in s.turns]) for s in held
    ]
    store_sessions(one, bare)
    finding = check(given(one, kind="content", baseline=at(39.5 * 24), now=at(61 * 24)))
    assert finding.status == "stable"
    assert finding.samples == (40, 10)
    assert all(len(name) == len("2024-05-01") for name in finding.detail["most_shifted"])


def test_the_same_day_gives_the_same_numbers(tmp_path: Path) -> None:
    one = watched(tmp_path)
    rng = np.random.default_rng(1)
    store_sessions(one, [about(n, topics=topics(3, seed=1), rng=rng) for n in range(60)])
    first = check(given(one, kind="content", baseline=at(39.5), now=at(61)))
    second = check(again(one, kind="content", now=at(61)))
    assert first == second


def router(folder: Path, tools: list[Tool], *, baseline: float, now: float) -> DriftFinding:
    """Put a catalogue, and check it."""
    store = ToolStore.open(folder, passport=PASSPORT)
    keys = list(store.catalogue.hashes(None))
    store.catalogue.rewrite(keys, stored(*tools))
    one = watched_router(store, embedder=EMBEDDER, tables=store.watching)
    if now == baseline:
        move_baseline(one.tables.meta, subject="router", now=at(baseline))
    return check(again(one, kind="content", now=at(now)))


def test_a_catalogue_of_other_tools_wants_another_calibration(tmp_path: Path) -> None:
    tools = [tool(f"tool_{n}") for n in range(20)]
    first = router(tmp_path, tools, baseline=0, now=0)
    same = router(tmp_path, tools, baseline=0, now=1)
    few = [replace(tools[0], description="another"), *tools[1:]]
    little = router(tmp_path, few, baseline=0, now=2)
    many = [replace(one, description="another") for one in tools[:6]] + tools[6:18]
    much = router(tmp_path, [*many, tool("new")], baseline=0, now=3)
    assert first.status == "insufficient_data"
    assert (same.status, same.statistic) == ("stable", 0)
    assert (little.status, little.statistic) == ("stable", 0.05)
    assert (much.status, much.recommendation) == ("drifted", "recalibrate")
    assert much.samples == (20, 19)
    counts = {name: much.detail[name] for name in ("unchanged", "changed", "added", "removed")}
    assert counts == {"unchanged": 12, "changed": 6, "added": 1, "removed": 2}
    assert much.statistic == 9 / 21


def test_a_catalogue_without_tools_is_nothing_to_compare(tmp_path: Path) -> None:
    finding = router(tmp_path, [], baseline=0, now=0)
    assert (finding.status, finding.meaning) == ("insufficient_data", "There are no tools.")
