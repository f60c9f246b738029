"""Stale texts and fast sources: found, listed, and embedded anew where they are."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drift_tools import Changeable, Scripted, open_memory, open_router, scripted

from agentmem import ALL, EmbeddingFailed, InvalidInput, Memory, StoreError, ToolRouter
from agentmem.messages import embedding_text
from agentmem.monitoring.checks.texts import TextsCheck
from agentmem.storage.schema import turn_key
from agentmem.toolspec import hashing
from agentmem.types import DriftFinding, StaleText

WEATHER = {"name": "get_weather", "description": "Tells the weather of a place."}
MAIL = {"name": "send_mail", "description": "Sends a letter by mail."}
SAID = ["I moved to Lisbon.", "The cat is called Tom.", "It rains in Turin."]


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Memory]:
    with open_memory(tmp_path) as opened:
        opened.add(SAID, user_id="ada", agent_id="bot")
        opened.add("Nobody said this to anybody.", user_id="bob")
        yield opened


@pytest.fixture
def router(tmp_path: Path) -> Iterator[ToolRouter]:
    with open_router(tmp_path) as opened:
        opened.register([WEATHER, MAIL])
        opened.add_examples({"get_weather": ["will it rain"]}, guard=False)
        yield opened


def spoil(owner: Any, where: str, *, held: str = "turns", **values: Any) -> None:
    """Change stored rows, as an accident of a migration would have left them."""
    table = owner._home._opened.whole.opened.db.open_table(f"{held}_g1")
    table.update(where=where, values=values)


def of_texts(owner: Any) -> DriftFinding:
    found: DriftFinding = owner.drift.check("texts").findings[0]
    return found


def brief(stale: list[StaleText]) -> list[tuple[str, str, str]]:
    return [(one.held, one.id, one.reason) for one in stale]


def vector_of(memory: Memory, content: str) -> np.ndarray[Any, Any]:
    store = memory._home.parts.store
    (turn,) = [one for one in memory.turns(scope=ALL) if one.content == content]
    key = turn_key(turn.id, user_id=turn.user_id, agent_id=turn.agent_id)
    return store.vectors_by_key([key])[key]


def test_fresh_texts_are_stable(memory: Memory, router: ToolRouter) -> None:
    for owner in (memory, router):
        found = of_texts(owner)
        assert (found.status, found.statistic, found.recommendation) == ("stable", 0.0, "nothing")
        assert owner.drift.stale() == []
    assert found.samples == (3, 0)  # two tools and an example


def test_an_empty_store_is_stable(tmp_path: Path) -> None:
    with open_memory(tmp_path) as memory, open_router(tmp_path) as router:
        for owner in (memory, router):
            assert of_texts(owner).status == "stable"
            assert owner.drift.reembed(progress=False).embedded == 0


def test_rows_of_another_space_or_of_none_are_stale(memory: Memory) -> None:
    spoil(memory, "content LIKE '%Lisbon%'", passport="")
    spoil(memory, "content LIKE '%Tom%'", passport="0123456789abcdef")
    found = of_texts(memory)
    assert (found.status, found.severity, found.recommendation) == (
        "drifted",
        "warning",
        "re_embed",
    )
    assert found.samples == (4, 2)
    assert found.detail["reasons"] == {"failed": 1, "space": 1}
    assert "could not be embedded" in found.meaning
    stale = memory.drift.stale()
    assert sorted(one.reason for one in stale) == ["failed", "space"]
    assert {(one.source, one.user_id, one.agent_id) for one in stale} == {("bot", "ada", "bot")}


def test_tools_whose_texts_are_made_otherwise_by_now_are_stale(
    router: ToolRouter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hashing, "VIEWS", "name-description-arguments-v2")
    stale = router.drift.stale()
    assert brief(stale) == [
        ("tools", "default/get_weather", "content"),
        ("tools", "default/send_mail", "content"),
    ]
    assert of_texts(router).detail["reasons"] == {"content": 2}
    assert router.drift.reembed(progress=False).embedded == 2
    assert router.drift.stale() == []


def test_stale_turns_are_embedded_anew_where_they_are(memory: Memory) -> None:
    before = memory.turns(scope=ALL)
    spoil(memory, "user_id = 'ada'", passport="", vector=[0.125] * 64)
    assert brief(memory.drift.stale())[0][0] == "turns"
    dry = memory.drift.reembed(dry_run=True)
    assert (dry.embedded, dry.dry_run) == (3, True)
    assert len(memory.drift.stale()) == 3
    done = memory.drift.reembed(progress=False)
    assert (done.embedded, done.skipped, done.poisoned, done.dry_run) == (3, 0, (), False)
    assert memory.drift.stale() == []
    assert memory.turns(scope=ALL) == before
    for content in SAID:
        (turn,) = [one for one in before if one.content == content]
        text = "".join(embedding_text(turn))
        expected = Changeable().embed([text], kind="document")
        np.testing.assert_allclose(vector_of(memory, content), expected, atol=1e-6)
    assert memory.search("Where is Lisbon?", user_id="ada", k=1)[0].turn.content == SAID[0]


def test_stale_examples_are_embedded_anew(router: ToolRouter) -> None:
    spoil(router, "true", held="tool_examples", passport="")
    spoil(router, "name = 'send_mail'", held="tools", passport="")
    assert sorted(one.held for one in router.drift.stale()) == ["tool_examples", "tools"]
    listed = router.list()
    assert router.drift.reembed(progress=False).embedded == 2
    assert router.drift.stale() == []
    assert router.list() == listed
    assert router.select("will it rain", k=1).names == ["get_weather"]


def test_as_many_are_embedded_as_are_asked_for(memory: Memory) -> None:
    spoil(memory, "true", passport="")
    assert memory.drift.reembed(limit=3, progress=False).embedded == 3
    assert len(memory.drift.stale()) == 1
    for limit in (0, -1, 1.5, True):
        with pytest.raises(InvalidInput, match="limit="):
            memory.drift.reembed(limit=limit)  # type: ignore[arg-type]


def test_a_text_that_the_model_refuses_is_set_aside_and_stops_no_other(tmp_path: Path) -> None:
    embedder = Changeable()
    with open_memory(tmp_path, embedder) as memory:
        memory.add(SAID, user_id="ada")
        spoil(memory, "true", passport="")
        embedder.refused = {"Lisbon"}
        done = memory.drift.reembed(progress=False)
        assert done.embedded == 2
        (poisoned,) = done.poisoned
        assert poisoned.held == "turns"
        assert "refuses this text" in poisoned.error
        assert [one.reason for one in memory.drift.stale()] == ["failed"]
        found = memory.search("Lisbon", user_id="ada", mode="lexical")
        assert found[0].turn.content == SAID[0]


def test_a_model_that_fails_stops_it_and_keeps_what_was_done(tmp_path: Path) -> None:
    embedder = Changeable()
    with open_memory(tmp_path, embedder) as memory:
        memory.add(SAID, user_id="ada")
        spoil(memory, "true", passport="")
        embedder.refused = {"*"}
        with pytest.raises(EmbeddingFailed):
            memory.drift.reembed(progress=False)
        assert len(memory.drift.stale()) == 3


def test_a_read_only_handle_lists_and_changes_nothing(memory: Memory, tmp_path: Path) -> None:
    spoil(memory, "true", passport="")
    with open_memory(tmp_path, read_only=True) as reader:
        assert len(reader.drift.stale()) == 4
        assert reader.drift.reembed(dry_run=True).embedded == 4
        with pytest.raises(StoreError, match="read_only"):
            reader.drift.reembed()


def test_texts_of_sources_that_change_most_come_first(
    router: ToolRouter, monkeypatch: pytest.MonkeyPatch
) -> None:
    for description in ("Reads mail.", "Reads letters."):
        tool = {"name": "read_mail", "description": description}
        router.register(tool, namespace="often", on_conflict="replace")
    monkeypatch.setattr(hashing, "VIEWS", "name-description-arguments-v2")
    stale = router.drift.stale()
    assert [(one.source, one.churn) for one in stale] == [
        ("often/plain", 1.0),
        ("default/plain", 0.0),
        ("default/plain", 0.0),
    ]
    assert router.drift.reembed(limit=1, progress=False).embedded == 1
    assert {one.source for one in router.drift.stale()} == {"default/plain"}


def replaced(memory: Memory, count: int) -> None:
    """Say so many things of twenty otherwise."""
    for n in range(count):
        message = {"role": "user", "content": f"said {n} anew", "id": str(n)}
        memory.add(message, user_id="eve", agent_id="fast", on_conflict="replace")


def test_a_source_that_changes_fast_calls_for_an_evaluation(tmp_path: Path) -> None:
    with open_memory(tmp_path) as memory:
        many = [{"role": "user", "content": f"said {n}", "id": str(n)} for n in range(20)]
        memory.add(many, user_id="eve", agent_id="fast")
        replaced(memory, 5)
        assert of_texts(memory).status == "stable"  # a quarter may
        replaced(memory, 6)
        found = of_texts(memory)
        assert (found.status, found.severity, found.recommendation) == (
            "drifted",
            "info",
            "evaluate",
        )
        assert found.effect == pytest.approx(6 / 20)
        assert "6 of 20 turns of fast" in found.meaning
        (source,) = found.detail["sources"]
        assert (source["name"], source["texts"], source["replaced"]) == ("fast", 20, 6)
        assert 0 <= source["age_days"] < 1
        assert found.evidence["sources"] == ["turns: fast"]
        assert found.evidence["churn"] == [6 / 20]


def test_a_few_texts_say_nothing_about_churn(memory: Memory) -> None:
    memory.add({"role": "user", "content": "one", "id": "1"}, user_id="eve", agent_id="fast")
    replaced(memory, 1)
    assert of_texts(memory).status == "stable"


def test_another_text_format_calls_for_a_migration(
    memory: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    check = Scripted()
    scripted(memory.drift, check).check()
    older = replace(Changeable().passport, text_format="speaker-v0")
    monkeypatch.setattr(Changeable, "passport", property(lambda _: older))
    found = TextsCheck()(check.given[0])
    assert (found.recommendation, found.status) == ("migrate", "drifted")
    assert "speaker-v0" in found.meaning


def test_a_tool_that_is_edited_is_never_stale(router: ToolRouter) -> None:
    edited = {**WEATHER, "description": "Forecasts rain and sun."}
    router.sync([edited, MAIL])
    assert router.drift.stale() == []
    source = of_texts(router).detail["sources"][0]
    assert (source["held"], source["name"], source["replaced"]) == ("tools", "default/plain", 1)
