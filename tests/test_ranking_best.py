"""The best turns: those of the highest score, however few of them were scored in full."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.typing import NDArray
from ranking_tools import MAY_2023, Said, conversation_of, conversations, question_of, rankings

from agentmem.ranking import Ranking, best
from agentmem.ranking.best import Best, Contest
from agentmem.ranking.fusion import moments, top
from agentmem.ranking.score import STEPS, Conversation, Question, score

WORDS = ("lisbon", "flat", "rain", "mother", "so", "we", "moved")
SEEDS = st.integers(0, 2**32 - 1)


@pytest.fixture(autouse=True)
def prune_however_small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(best, "SMALL", 0)


def best_of(
    conversation: Conversation,
    question: Question,
    k: int,
    *,
    ranking: Ranking | None = None,
    exact: NDArray[np.float32] | None = None,
) -> Best:
    contest = Contest(conversation, question, ranking=ranking or Ranking())
    for step in STEPS:
        contest.take(step)
    return contest.best(k, measured=None if exact is None else lambda places: exact[places])


def check(
    found: Best, conversation: Conversation, question: Question, k: int, *, ranking: Ranking
) -> None:
    """They score as they would if all were scored, and no other turn scores higher."""
    terms = score(conversation, question, ranking=ranking)
    total = sum(terms.values(), np.zeros(len(conversation), np.float32))
    expected = top(total, k, mask=question.candidates)
    np.testing.assert_allclose(found.total, total[found.places], atol=1e-4)
    np.testing.assert_allclose(found.total, total[expected], atol=1e-4)
    assert len(set(found.places.tolist())) == len(found.places)
    for name, row in found.terms.items():
        expected_row = terms.get(name, np.zeros(len(conversation), np.float32))
        np.testing.assert_allclose(row, expected_row[found.places], atol=1e-4, err_msg=name)


@given(conversations(), rankings(), st.sampled_from((-0.5, 0.03, 0.4)), st.integers(1, 6))
def test_the_best_are_those_of_the_highest_score(
    turns: list[Said], ranking: Ranking, coherence: float, k: int
) -> None:
    assume(any(turn.seen for turn in turns))
    conversation = conversation_of(turns, coherence=coherence)
    question = question_of(turns, words=["ada"], spans=[MAY_2023])
    found = best_of(conversation, question, k, ranking=ranking)
    check(found, conversation, question, k, ranking=ranking)


@given(seed=SEEDS, k=st.sampled_from((1, 10, 64)), masked=st.booleans())
def test_the_best_of_long_conversations_are_those_of_the_highest_score(
    *, seed: int, k: int, masked: bool
) -> None:
    conversation, question = _long(seed, masked=masked)
    for _ in range(2):  # once more with the counts of frequent terms kept
        found = best_of(conversation, question, k)
        check(found, conversation, question, k, ranking=Ranking())


@given(seed=SEEDS, masked=st.booleans())
def test_cosines_that_are_a_little_off_cost_no_hit(*, seed: int, masked: bool) -> None:
    """The coarse cosines only choose who is measured; the best by exact ones are all found."""
    conversation, exact = _long(seed, masked=masked)
    assert exact.cosines is not None
    random, error = np.random.default_rng(seed), 0.01
    off = random.uniform(-error, error, len(conversation)).astype(np.float32)
    coarse = replace(exact, cosines=exact.cosines + off, error=error)
    assert coarse.cosines is not None
    terms = score(conversation, coarse, ranking=Ranking())
    slope = Ranking().dense / moments(coarse.cosines, coarse.candidates)[1]
    change = slope * (exact.cosines - coarse.cosines)
    total = sum(terms.values(), change.astype(np.float32))
    found = best_of(conversation, coarse, 10, exact=exact.cosines)
    expected = top(total, 10, mask=coarse.candidates)
    np.testing.assert_allclose(found.total, total[expected], atol=1e-4)
    np.testing.assert_allclose(found.total, total[found.places], atol=1e-4)


def test_only_a_few_turns_are_scored_in_full(monkeypatch: pytest.MonkeyPatch) -> None:
    conversation, question = _long(1, masked=False, asked=("lisbon", "mother"))
    scored = []
    real = best._Words.at

    def counted(words: best._Words, places: NDArray[np.int64]) -> object:
        scored.append(len(places))
        return real(words, places)

    monkeypatch.setattr(best._Words, "at", counted)
    best_of(conversation, question, 5)
    assert 5 <= max(scored) < len(conversation) / 2


def _long(
    seed: int, *, masked: bool, asked: Sequence[str] = WORDS
) -> tuple[Conversation, Question]:
    """Some hundred turns of a few words each; some words are in most of them."""
    random = np.random.default_rng(seed)
    shares = np.array([0.02, 0.05, 0.1, 0.03, 0.5, 0.2, 0.1])
    turns = [
        Said(
            words=tuple(random.choice(WORDS, size, p=shares).tolist()),
            session=place // 40,
            minute=place,
            cosine=float(cosine),
            speaker=int(random.integers(3)),
            seen=not masked or bool(random.random() < 0.7),
        )
        for place, (size, cosine) in enumerate(
            zip(random.integers(0, 12, 300), random.normal(0.1, 0.1, 300), strict=True)
        )
    ]
    return conversation_of(turns), question_of(turns, asked, words=["ada"])
