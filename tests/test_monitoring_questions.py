"""The check of questions: what is noticed of what was asked, and of how it was answered."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
from check_tools import EMBEDDER, again, at, given, unit, watched
from storage_tools import PASSPORT

from agentmem.monitoring.baseline import move_baseline
from agentmem.monitoring.checks.questions import QuestionsCheck
from agentmem.monitoring.watched import Watched, watched_router
from agentmem.storage.questions import Question
from agentmem.storage.tool_store import ToolStore
from agentmem.types import DriftFinding, Scope

check = QuestionsCheck()
ASKED = 4  # by a user in a day


def ask(one: Watched, *, seed: int, days: int = 20, users: int = 4, **moved: Any) -> None:
    """Keep what users asked on some days, which moved on the tenth."""
    rng = np.random.default_rng(seed)
    topics = unit(np.random.default_rng(1).standard_normal((8, one.passport.dimension)))
    questions = [
        asked(
            rng,
            topics=topics[:4] if day < 10 or not moved.get("topics") else topics[4:],
            user=user,
            hour=24 * day + user + number / 10,
            moved=moved if day >= 10 else {},
        )
        for day in range(days)
        for user in range(users)
        for number in range(ASKED)
    ]
    one.tables.questions.keep(one.subject, questions)


def asked(
    rng: np.random.Generator, *, topics: Any, user: int, hour: float, moved: dict[str, Any]
) -> Question:
    centre = 4 * topics[rng.integers(len(topics))]
    vector = unit((centre + rng.standard_normal(topics.shape[1]))[None])[0]
    nothing = bool(rng.random() < moved.get("nothing", 0.05))
    return Question(
        vector=vector,
        at=at(hour),
        scope=Scope(user_id=f"user {user}"),
        similarity=None if nothing else 0.6 + 0.1 * rng.standard_normal() - moved.get("fall", 0),
        score=None if nothing else 2.0,
        margin=None if nothing else float(rng.exponential(0.3)),
        hits=0 if nothing else 5,
        abstained=bool(rng.random() < moved.get("abstained", 0)),
    )


def found(one: Watched, *, day: float = 21) -> DriftFinding:
    return check(given(one, kind="questions", baseline=at(24 * 9.9), now=at(24 * day)))


def test_questions_about_other_things_are_found(tmp_path: Path) -> None:
    one = watched(tmp_path)
    ask(one, seed=1, topics=True)
    finding = found(one)
    assert (finding.status, finding.recommendation) == ("drifted", "evaluate")
    assert finding.samples == (40, 20)
    assert "what is asked moved" in finding.meaning
    assert len(finding.evidence["similarity_then"]) > len(finding.evidence["margin_now"]) // 2


def test_worse_answers_to_the_same_questions_are_found(tmp_path: Path) -> None:
    one = watched(tmp_path)
    ask(one, seed=1, fall=0.15, nothing=0.5)
    finding = found(one)
    assert finding.status == "drifted"
    assert "less similar" in finding.meaning
    assert "more questions find nothing" in finding.meaning
    assert "moved" not in finding.meaning
    assert finding.detail["similarity"]["latest"] < finding.detail["similarity"]["baseline"]


def test_better_answers_are_no_alarm(tmp_path: Path) -> None:
    one = watched(tmp_path)
    ask(one, seed=1, fall=-0.2)
    assert found(one).status == "stable"


def test_ordinary_questions_are_seldom_called_drift(tmp_path: Path) -> None:
    alarms = 0
    for seed in range(20):
        one = watched(tmp_path / str(seed))
        ask(one, seed=seed)
        alarms += found(one).status == "drifted"
    assert alarms <= 1


def test_nothing_kept_says_how_to_keep_some(tmp_path: Path) -> None:
    finding = found(watched(tmp_path))
    assert (finding.status, finding.samples) == ("insufficient_data", (0, 0))
    assert "keep_questions=True" in finding.advice


def test_too_few_questions_are_said_in_words(tmp_path: Path) -> None:
    one = watched(tmp_path)
    ask(one, seed=1, days=12)
    finding = found(one, day=13)
    assert finding.status == "insufficient_data"
    assert "Since the baseline 8 sessions have ended, and a comparison takes 16" in finding.meaning


def test_a_router_that_abstains_more_wants_calibration(tmp_path: Path) -> None:
    store = ToolStore.open(tmp_path, passport=PASSPORT)
    one = watched_router(store, embedder=EMBEDDER, tables=store.watching)
    ask(one, seed=1, abstained=0.6)
    move_baseline(one.tables.meta, subject="router", now=at(24 * 9.9))
    finding = check(again(one, kind="questions", now=at(0) + timedelta(days=21)))
    assert (finding.status, finding.recommendation) == ("drifted", "recalibrate")
    assert "more questions are abstained from" in finding.meaning
