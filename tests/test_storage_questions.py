"""Kept questions: vectors and scores, no words and no names, few of them, gone when told."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drift_tools import THEN, Changeable

from agentmem import ALL, Scope, StoreError
from agentmem.storage import questions as module
from agentmem.storage.questions import Question, Questions
from agentmem.storage.turns import Store

ADA = Scope(user_id="ada", session_id="s1")


def questions_of(folder: Path, *, read_only: bool = False) -> Questions:
    store = Store.open(folder, passport=Changeable().passport, read_only=read_only)
    return store.watching.questions


def question(number: int = 0, **changes: Any) -> Question:
    vector = np.zeros(64, np.float32)
    vector[number % 64] = 1
    fields: dict[str, Any] = {
        "vector": vector,
        "at": THEN + timedelta(seconds=number),
        "scope": ADA,
        "similarity": 0.75,
        "score": 3.5,
        "margin": 0.5,
        "hits": 10,
    }
    return Question(**{**fields, **changes})


@pytest.fixture
def questions(tmp_path: Path) -> Questions:
    return questions_of(tmp_path)


def test_questions_come_back_oldest_first(questions: Questions, tmp_path: Path) -> None:
    questions.keep("memory", [question(2, abstained=True), question(1)])
    questions.keep("memory", [question(0, similarity=None, score=None, margin=None, hits=0)])
    asked = questions_of(tmp_path).newest("memory")
    assert len(asked) == 3
    assert asked.vectors.argmax(axis=1).tolist() == [0, 1, 2]
    assert (np.diff(asked.at) == 1_000_000).all()
    np.testing.assert_array_equal(asked.similarity, [np.nan, 0.75, 0.75])
    np.testing.assert_array_equal(asked.score, [np.nan, 3.5, 3.5])
    np.testing.assert_array_equal(asked.margin, [np.nan, 0.5, 0.5])
    assert asked.hits.tolist() == [0, 10, 10]
    assert asked.abstained.tolist() == [False, False, True]
    assert asked.at[0] == THEN.timestamp() * 1e6
    assert questions.newest("memory", limit=2).hits.tolist() == [10, 10]


def test_none_are_none(questions: Questions) -> None:
    asked = questions.newest("memory")
    assert len(asked) == 0
    assert asked.vectors.shape == (0, 64)
    questions.keep("memory", [])
    assert len(questions.newest("memory")) == 0


def test_subjects_are_kept_apart(questions: Questions) -> None:
    questions.keep("memory", [question(1)])
    questions.keep("router", [question(2)])
    assert questions.newest("router").vectors.argmax(axis=1).tolist() == [2]


def test_the_newest_are_kept(questions: Questions, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "KEPT", 8)
    questions.keep("router", [question(0)])
    for start in range(0, 20, 5):
        questions.keep("memory", [question(start + n) for n in range(5)])
    assert questions.newest("memory").vectors.argmax(axis=1).tolist() == [*range(12, 20)]
    assert len(questions.newest("router")) == 1


def test_a_block_is_a_session_or_a_user_or_what_is_said_of_it(questions: Questions) -> None:
    scopes = [ADA, Scope("ada", None, "s2"), Scope("ada", "bot", "s1"), Scope("ada"), Scope("ada")]
    rows = [question(n, scope=scope) for n, scope in enumerate(scopes)]
    rows += [question(10, scope=Scope(), block="a"), question(11, scope=Scope(), block="b")]
    questions.keep("memory", rows)
    blocks = questions.newest("memory").blocks
    assert blocks[3] == blocks[4]
    assert len(set(blocks)) == 6


def test_neither_words_nor_names_are_stored(questions: Questions, tmp_path: Path) -> None:
    questions.keep("memory", [question(scope=Scope("adalovelace", "botanist", "sessile"))])
    stored = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert not any(name in stored for name in (b"adalovelace", b"botanist", b"sessile"))


@pytest.mark.parametrize(
    ("scope", "left"),
    [
        (Scope("ada"), [2, 3]),
        (Scope("ada", None, "s1"), [1, 2, 3]),
        (Scope(session_id="s1"), [1, 3]),
        (Scope(agent_id="bot"), [0, 1, 2, 3]),
        (Scope(), [0, 1, 2, 3]),
        (ALL, []),
    ],
)
def test_a_scope_takes_its_questions_with_it(
    questions: Questions, scope: Any, left: list[int]
) -> None:
    scopes = [ADA, Scope("ada", None, "s2"), Scope("bob", None, "s1"), Scope()]
    questions.forget(scope)  # before there are any
    questions.keep("memory", [question(n, scope=one) for n, one in enumerate(scopes)])
    questions.keep("router", [question(9, scope=Scope())])
    questions.forget(scope)
    assert questions.newest("memory").vectors.argmax(axis=1).tolist() == left
    assert len(questions.newest("router")) == 1


def test_a_read_only_store_keeps_none(tmp_path: Path) -> None:
    questions_of(tmp_path)
    reader = questions_of(tmp_path, read_only=True)
    with pytest.raises(StoreError, match="read_only"):
        reader.keep("memory", [question()])
    with pytest.raises(StoreError, match="read_only"):
        reader.forget(ALL)
