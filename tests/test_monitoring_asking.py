"""The sample of questions: kept where asked for, in the background, gone with who asked."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from drift_tools import Changeable, open_memory, open_router
from test_storage_questions import question, questions_of

from agentmem import ALL, Memory, Scope
from agentmem.embedding.queries import embed_query
from agentmem.monitoring import asking
from agentmem.monitoring.asking import BATCH, PENDING, Sampler
from agentmem.telemetry import scope_baggage

TOOLS = [
    {"name": "get_weather", "description": "Tells the weather of a place."},
    {"name": "send_mail", "description": "Sends a letter by mail."},
]


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Memory]:
    with open_memory(tmp_path, keep_questions=True) as opened:
        opened.add(["I moved to Lisbon.", "The cat is called Tom."], user_id="ada")
        yield opened


def test_questions_are_kept_as_vectors_and_scores(memory: Memory, tmp_path: Path) -> None:
    found = memory.search("Where is Lisbon?", user_id="ada")
    memory.search("Is there nobody?", user_id="bob")
    memory.search("Where is Lisbon?", user_id="ada", mode="lexical")
    memory.context("What is the cat called?", user_id="ada", max_tokens=99)
    memory.close()
    asked = questions_of(tmp_path).newest("memory")
    assert len(asked) == 3  # no vector was made for words alone
    np.testing.assert_allclose(asked.vectors[0], embed_query(Changeable(), "Where is Lisbon?"))
    assert asked.hits.tolist()[:2] == [len(found), 0]
    assert asked.score[0] == pytest.approx(found[0].score)
    assert asked.margin[0] == pytest.approx(found[0].score - found[1].score)
    expected = Changeable().embed([f"user: {found[0].turn.content}"], kind="document")[0]
    assert asked.similarity[0] == pytest.approx(float(expected @ asked.vectors[0]), abs=1e-3)
    assert np.isnan([asked.score[1], asked.margin[1], asked.similarity[1]]).all()
    assert asked.blocks[0] == asked.blocks[2] != asked.blocks[1]
    assert not asked.abstained.any()


def test_none_are_kept_unless_asked_for(tmp_path: Path) -> None:
    with open_memory(tmp_path) as memory:
        memory.add("I moved to Lisbon.", user_id="ada")
        memory.search("Lisbon?", user_id="ada")
    assert not (tmp_path / "questions_g1.lance").exists()
    with open_memory(tmp_path, read_only=True, keep_questions=True) as reader:
        reader.search("Lisbon?", user_id="ada")
    assert not (tmp_path / "questions_g1.lance").exists()


def test_what_a_replay_asks_is_not_kept(memory: Memory, tmp_path: Path) -> None:
    memory.replay(memory.search("Lisbon?", user_id="ada"), now=True)
    memory.close()
    assert len(questions_of(tmp_path).newest("memory")) == 1


def test_who_goes_takes_their_questions_along(memory: Memory, tmp_path: Path) -> None:
    memory.search("Lisbon?", user_id="ada")
    memory._home.drift._samplers[1].flush()
    memory.search("Cats?", user_id="ada", session_id="s1")  # waits to be written
    memory.search("Cats?", user_id="bob")
    memory.delete(user_id="ada", where={"role": "system"})  # a few turns, not a user
    memory.delete("no such turn", user_id="bob")
    memory.delete(user_id="ada", dry_run=True)
    memory.delete(user_id="ada")
    memory.close()
    asked = questions_of(tmp_path).newest("memory")
    assert asked.hits.tolist() == [0]


def test_deleting_everything_deletes_every_question(memory: Memory, tmp_path: Path) -> None:
    memory.search("Lisbon?", scope=ALL)
    memory.search("Lisbon?", user_id="ada")
    memory.delete(scope=ALL)
    memory.close()
    assert len(questions_of(tmp_path).newest("memory")) == 0


def test_a_router_keeps_its_queries_by_conversation(tmp_path: Path) -> None:
    history = [{"role": "user", "content": "I want to write to Tom."}]
    with open_router(tmp_path, keep_questions=True) as router:
        router.register(TOOLS)
        best = router.select("the weather of Lisbon")
        router.select("by mail please", history=history)
        router.select("a letter", history=history)
        with scope_baggage(user_id="ada", session_id="s1"):
            router.select("the weather")
    asked = questions_of(tmp_path).newest("router")
    assert len(asked) == 4
    assert asked.hits[0] == len(best)
    assert asked.abstained[0] == best.abstained
    assert asked.score[0] == pytest.approx(best.candidates[0].score)
    assert -1 <= asked.similarity[0] <= 1
    assert asked.blocks[1] == asked.blocks[2]
    assert len(set(asked.blocks)) == 3


def test_questions_are_written_in_batches_by_a_thread_that_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "FLUSH_SECONDS", 0.1)
    questions = questions_of(tmp_path)
    sampler = Sampler(questions, subject="memory")
    for number in range(3):
        sampler.asked(question(number))
    deadline = time.monotonic() + 20
    while sampler._thread is not None and time.monotonic() < deadline:
        time.sleep(0.02)
    assert sampler._thread is None
    assert len(questions.newest("memory")) == 3
    sampler.asked(question(4))  # starts it again
    sampler.close()
    sampler.asked(question(5))
    assert len(questions.newest("memory")) == 4


def test_a_full_batch_is_written_without_waiting(tmp_path: Path) -> None:
    questions = questions_of(tmp_path)
    sampler = Sampler(questions, subject="memory")
    for number in range(BATCH):
        sampler.asked(question(number))
    deadline = time.monotonic() + asking.FLUSH_SECONDS * 0.8
    while len(questions.newest("memory")) < BATCH and time.monotonic() < deadline:
        time.sleep(0.02)
    assert len(questions.newest("memory")) == BATCH
    sampler.close()


def test_too_many_questions_are_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    questions = questions_of(tmp_path)
    sampler = Sampler(questions, subject="memory")
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", lambda _: None)
        for number in range(PENDING + 10):
            sampler.asked(question(number))
    sampler.close()
    assert len(questions.newest("memory")) == PENDING


def test_a_store_that_cannot_be_written_breaks_no_answer(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    questions_of(tmp_path)
    sampler = Sampler(questions_of(tmp_path, read_only=True), subject="memory")
    with caplog.at_level(logging.WARNING):
        for number in range(2):
            sampler.asked(question(number))
            sampler.flush()
    assert caplog.text.count("could not be kept") == 1
    sampler.close()


def test_what_waits_is_forgotten_by_scope(tmp_path: Path) -> None:
    questions = questions_of(tmp_path)
    sampler = Sampler(questions, subject="memory")
    scopes = [Scope("ada"), Scope("ada", None, "s1"), Scope("bob"), Scope()]
    for number, scope in enumerate(scopes):
        sampler.asked(question(number, scope=scope))
    sampler.forget(Scope("ada"))
    sampler.forget(Scope())  # names nobody
    sampler.close()
    assert questions.newest("memory").vectors.argmax(axis=1).tolist() == [2, 3]
