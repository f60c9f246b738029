"""The first looks of a process: canaries made before the first write, a few asked at each load."""

from __future__ import annotations

import logging
import threading
import time
from pathlib import Path

import pytest
from drift_tools import Changeable, open_memory, open_router

from agentmem import EmbeddingFailed, InvalidInput, Memory, WritesBlocked
from agentmem.monitoring import first
from agentmem.types import DriftEvent

TOOL = {"name": "get_weather", "description": "Tells the weather of a place."}


def write(folder: Path, embedder: Changeable) -> None:
    with open_memory(folder, embedder) as memory:
        memory.add("I moved to Lisbon.", user_id="ada")


def test_canaries_are_made_with_the_first_write_and_not_before(tmp_path: Path) -> None:
    embedder = Changeable()
    with open_memory(tmp_path, embedder) as memory:
        assert memory.drift.canaries() is None
        assert embedder.calls == 0
        memory.add("I moved to Lisbon.", user_id="ada")
        kept = memory.drift.canaries()
        assert kept is not None
        assert not kept.is_late
        before = embedder.calls
        memory.add("I moved to Porto.", user_id="ada")
        assert embedder.calls == before + 1  # the message alone


def test_a_router_makes_them_too_and_shares_those_of_a_memory(tmp_path: Path) -> None:
    with open_router(tmp_path) as router, open_memory(tmp_path) as memory:
        router.sync([TOOL], dry_run=True)
        assert router.drift.canaries() is None
        router.register(TOOL)
        kept = router.drift.canaries()
        assert kept is not None
        memory.add("I moved to Lisbon.", user_id="ada")
        again = memory.drift.canaries()
        assert again is not None
        assert again.made_at == kept.made_at


def test_a_model_that_fails_at_the_canaries_alone_keeps_nobody_from_writing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    embedder = Changeable()
    embedder.refused = {"the"}  # a word of the canaries
    with open_memory(tmp_path, embedder) as memory:
        memory.add("Said.", user_id="ada")
        assert memory.drift.canaries() is None
        assert "could not be checked" in caplog.text
        embedder.refused = set()
        memory.add("Said again.", user_id="ada")  # and made as soon as it answers
        kept = memory.drift.canaries()
        assert kept is not None
        assert kept.is_late


def test_a_model_that_changed_is_noticed_before_it_writes(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    embedder = Changeable()
    write(tmp_path, embedder)
    embedder.is_another = True
    with open_memory(tmp_path, embedder) as memory:
        heard = threading.Event()
        memory.on_drift(lambda _: heard.set())
        memory.add("I moved to Porto.", user_id="ada")  # the policy is to warn
        assert heard.wait(20)
        (found,) = memory.drift.events()
        assert (found.kind, found.severity, found.recommendation) == (
            "model",
            "critical",
            "migrate",
        )
        assert found.meaning in caplog.text


def test_writes_are_blocked_until_the_model_is_back(tmp_path: Path) -> None:
    embedder = Changeable()
    write(tmp_path, embedder)
    embedder.is_another = True
    with open_memory(tmp_path, embedder, drift_policy="block_writes") as memory:
        with pytest.raises(WritesBlocked, match="block_writes") as raised:
            memory.add("I moved to Porto.", user_id="ada")
        assert raised.value.event_id == memory.drift.events()[0].id
        assert raised.value.event_id in str(raised.value)
        assert isinstance(raised.value, RuntimeError)
        assert memory.count(user_id="ada") == 1
        assert len(memory.search("Lisbon", user_id="ada", mode="lexical")) == 1  # reads go on
        assert memory.delete(user_id="bob").turns == 0
        embedder.is_another = False
        assert not memory.drift.check("model").drifted
        memory.add("I moved to Porto.", user_id="ada")


def test_writes_go_on_once_a_person_accepts_the_model(tmp_path: Path) -> None:
    embedder = Changeable()
    write(tmp_path, embedder)
    embedder.is_another = True
    with open_memory(tmp_path, embedder, drift_policy="block_writes") as memory:
        with pytest.raises(WritesBlocked) as raised:
            memory.add("I moved to Porto.", user_id="ada")
        with open_memory(tmp_path, embedder) as other:  # as from the command line
            other.drift.acknowledge(raised.value.event_id)
        memory.add("I moved to Porto.", user_id="ada")
        assert memory.drift.check("model").events == ()


def test_a_new_process_lifts_the_block_when_the_model_is_back(tmp_path: Path) -> None:
    embedder = Changeable()
    write(tmp_path, embedder)
    embedder.is_another = True
    with open_memory(tmp_path, embedder) as memory:
        memory.drift.check("model")
    embedder.is_another = False
    with open_memory(tmp_path, embedder, drift_policy="block_writes") as memory:
        memory.add("I moved to Porto.", user_id="ada")
        assert memory.drift.events() == []


def test_every_write_of_vectors_is_blocked_and_no_other(tmp_path: Path) -> None:
    embedder = Changeable()
    with open_router(tmp_path, embedder) as router:
        router.register([TOOL, {"name": "send_mail", "description": "Sends a letter."}])
    embedder.is_another = True
    with open_router(tmp_path, embedder, drift_policy="block_writes") as router:
        for blocked in (
            lambda: router.register({"name": "new", "description": "Is new."}),
            lambda: router.sync([TOOL]),
            lambda: router.add_examples({"get_weather": ["will it rain"]}),
            lambda: router.feedback("will it rain", used="get_weather"),
        ):
            with pytest.raises(WritesBlocked):
                blocked()
        assert router.sync([TOOL], dry_run=True).removed == ("send_mail",)
        router.remove("send_mail")
        assert len(router) == 1


def test_a_slight_change_blocks_nothing(tmp_path: Path) -> None:
    embedder = Changeable()
    write(tmp_path, embedder)
    embedder.noise = 0.1
    with open_memory(tmp_path, embedder, drift_policy="block_writes") as memory:
        memory.add("I moved to Porto.", user_id="ada")
        (found,) = memory.drift.events()
        assert (found.severity, found.recommendation) == ("warning", "evaluate")


def heard_after_a_search(memory: Memory) -> list[DriftEvent]:
    """Search, and return what hooks hear of within a while."""
    heard, seen = threading.Event(), []

    def hook(event: DriftEvent) -> None:
        seen.append(event)
        heard.set()

    memory.on_drift(hook)
    memory.search("Lisbon", user_id="ada")
    assert seen == []
    heard.wait(20)
    return seen


def test_a_model_that_changed_is_noticed_soon_after_the_first_search(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(first, "AFTER_SECONDS", 0.2)
    embedder = Changeable()
    write(tmp_path, embedder)
    embedder.is_another = True
    with open_memory(tmp_path, embedder) as memory:
        assert [one.kind for one in heard_after_a_search(memory)] == ["model"]
        before = embedder.calls
        memory.search("Porto", user_id="ada")
        time.sleep(0.5)
        assert embedder.calls == before + 1  # looked at once a process


def test_a_command_that_asks_once_and_ends_waits_for_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(first, "AFTER_SECONDS", 600.0)
    embedder = Changeable()
    write(tmp_path, embedder)
    embedder.calls = 0
    with open_memory(tmp_path, embedder) as memory:
        memory.search("Lisbon", user_id="ada")
    assert embedder.calls == 1  # the question alone
    assert not [one for one in threading.enumerate() if one.name == "agentmem-canaries"]


def test_a_read_only_handle_logs_nothing_and_fails_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(first, "AFTER_SECONDS", 0.0)
    embedder = Changeable()
    write(tmp_path, embedder)
    caplog.set_level(logging.WARNING)
    with open_memory(tmp_path, embedder, read_only=True) as memory:
        memory.search("Lisbon", user_id="ada")
        time.sleep(0.3)
    assert caplog.records == []


def test_a_policy_that_there_is_none_of_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    for opened in (open_memory, open_router):
        with pytest.raises(InvalidInput, match="drift_policy='panic'"):
            opened(tmp_path / "store", drift_policy="panic")
        with pytest.raises(InvalidInput, match="keep_questions=1"):
            opened(tmp_path / "store", keep_questions=1)
    assert not (tmp_path / "store").exists()


def test_an_embedder_that_fails_fails_the_write_as_ever(tmp_path: Path) -> None:
    embedder = Changeable()
    embedder.refused = {"*"}
    with open_memory(tmp_path, embedder) as memory, pytest.raises(EmbeddingFailed):
        memory.add("Said.", user_id="ada")


def test_the_policy_migrate_moves_the_store_to_the_model_in_use(tmp_path: Path) -> None:
    embedder = Changeable()
    write(tmp_path, embedder)
    embedder.is_another = True
    with open_memory(tmp_path, embedder, drift_policy="migrate") as memory:
        memory.drift.check("model")
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            migration = memory.migration()
            if migration is not None and migration.status().is_finished:
                break
            time.sleep(0.1)
        migration = memory.migration()
        assert migration is not None
        assert migration.status().state == "done", migration.status()
        assert not memory.drift.check("model").drifted
        assert memory.drift.events() == []
