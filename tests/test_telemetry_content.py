"""Nothing that anybody said is in any span, measurement or log, unless it was asked for."""

from __future__ import annotations

import json
import logging
import tempfile
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry import trace
from span_tools import MARK, Ears, faults, kind_of, listening, run_everything

from agentmem import Memory, Scope, ToolRouter
from agentmem.telemetry import Content, passing
from agentmem.telemetry.content import MOST_CHARACTERS, VARIABLE
from agentmem.telemetry.describing import of_recall, of_selection
from agentmem.telemetry.reading import record_of
from agentmem.telemetry.table import attribute_of
from agentmem.testing import HashEmbedder
from agentmem.types import Hit, Origin, Recall, SearchAsked, Turn

NOON = datetime(2024, 5, 1, 12, tzinfo=timezone.utc)
GONE = "[gone]"
LOUD = MARK.upper()  # a hook that looks for this would not know it in lower case
IDS_AND_SCORES = {"gen_ai.retrieval.documents"}  # opt-in by the conventions, without a text in it

marks = st.text("abcdefghijklmnopqrstuvwxyz0123456789", min_size=4, max_size=9).map("qz{}".format)
surroundings = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=20)


def hear(folder: Path, **options: Any) -> Ears:
    """Run every operation, and return what was heard."""
    with listening() as ears:
        run_everything(folder, **options)
    return ears


def opt_in(ears: Ears) -> dict[str, list[Any]]:
    """Return the values of each opt-in attribute that was heard, by its name in the table."""
    found: dict[str, list[Any]] = {}
    for span in ears.spans:
        for name, value in (span.attributes or {}).items():
            row = attribute_of(name)
            if row is not None and row.level == "opt-in":
                found.setdefault(row.name, []).append(value)
    return found


# Without content.


def test_no_operation_lets_anything_out(tmp_path: Path) -> None:
    ears = hear(tmp_path, capture_content=False)
    assert ears.leaks() == []
    assert opt_in(ears) == {}
    assert len(ears.spans) > 300
    assert len(ears.points()) > 40
    assert ears.logs.said  # a record that was not imported, at least


@settings(max_examples=3)
@given(mark=marks, around=surroundings)
def test_no_operation_lets_anything_out_however_it_is_said(mark: str, around: str) -> None:
    with tempfile.TemporaryDirectory(prefix="A") as folder:
        ears = hear(Path(folder), mark=mark, around=around, capture_content=False)
    assert ears.leaks(mark) == []


def test_what_is_looked_for_would_be_found(tmp_path: Path) -> None:
    ears = hear(tmp_path, capture_content=True)
    found = {span.name.partition(" ")[0] for span in ears.spans if MARK in (span.to_json() or "")}
    assert found >= {"search_memory", "create_memory", "upsert_memory", "agentmem.context"}
    assert found >= {"retrieval", "embeddings", "rerank"}
    told = opt_in(ears)
    assert all(
        MARK in json.dumps(values) for name, values in told.items() if name not in IDS_AND_SCORES
    )
    with listening() as ears:
        ears.logs.handle(logging.makeLogRecord({"msg": "%s", "args": (MARK,)}))
        trace.get_tracer("app").start_span("s", attributes={"a": [MARK]}).end()
    assert len(ears.leaks()) == 2


def test_ids_scopes_and_names_of_tools_are_told_on_purpose(tmp_path: Path) -> None:
    ears = hear(tmp_path, capture_content=False)
    said = list(ears.said())
    for told in ("ada", "guide", "s1", "t1", "m2", "mail", "default/tool_1", "tool_1"):
        assert told in said, told


def test_an_application_that_records_errors_itself_is_beyond_our_reach(tmp_path: Path) -> None:
    with (
        Memory.open(tmp_path / "a", embedder=HashEmbedder()) as memory,
        listening() as ears,
        pytest.raises(ValueError, match=MARK),
        trace.get_tracer("app").start_as_current_span("app"),
    ):
        memory.search("x", user_id="ada", mode=MARK)  # type: ignore[arg-type]
    leaking = {span.name for span in ears.spans if MARK in (span.to_json() or "")}
    assert leaking == {"app"}


# With content, and a hook that sees it first.


@pytest.mark.slow
def test_what_the_hook_returns_is_there_and_what_it_was_given_is_not(tmp_path: Path) -> None:
    ears = hear(
        tmp_path,
        mark=LOUD,
        capture_content=True,
        redact=lambda text: text.replace(LOUD, GONE),
    )
    assert ears.leaks(LOUD) == []
    told = opt_in(ears)
    whole = set(opt_in(hear(tmp_path / "again", capture_content=True)))
    assert whole - told.keys() == {"agentmem.router.reason"}
    silent = {name for name, values in told.items() if GONE not in json.dumps(values)}
    assert silent == IDS_AND_SCORES
    assert {fault for span in ears.spans for fault in faults(span, captured=True)} == set()


def test_a_reason_is_told_unless_the_query_was_redacted(tmp_path: Path) -> None:
    for redact, expected in ((None, True), (lambda text: text.replace("Ada Zebra", GONE), False)):
        folder = tmp_path / str(expected)
        options: dict[str, Any] = {"capture_content": True, "redact": redact}
        with (
            ToolRouter.open(folder, embedder=HashEmbedder(), **options) as router,
            listening() as ears,
        ):
            router.register({"name": "get_weather", "description": "Tells the weather."})
            selection = router.select("Ada Zebra")
        assert "'Ada', 'Zebra'" in (selection.reason or "")  # which the hook does not know
        told = next(dict(s.attributes or {}) for s in ears.spans if kind_of(s) == "retrieval")
        assert ("agentmem.router.reason" in told) is expected
        assert ("Zebra" in json.dumps(told)) is expected


@pytest.mark.slow(keep=1)
@pytest.mark.parametrize("failing", ["raises", "returns None", "returns a number"])
def test_of_a_hook_that_fails_nothing_is_told(tmp_path: Path, failing: str) -> None:
    def redact(text: str) -> Any:
        if failing == "raises":
            raise ValueError(f"cannot redact {text}")
        return None if failing == "returns None" else 7

    passing._warn.cache_clear()  # each failure is said once
    ears = hear(tmp_path, capture_content=True, redact=redact)
    assert ears.leaks() == []
    assert set(opt_in(ears)) == IDS_AND_SCORES
    assert any("redaction hook" in said for said in ears.logs.said) is (failing == "raises")


@given(mark=marks, before=surroundings, after=surroundings, hits=st.integers(0, 3))
def test_a_text_is_redacted_wherever_it_stands(
    mark: str, before: str, after: str, hits: int
) -> None:
    text = f"{before}{mark}{after}"
    turn = Turn(id="t", role="user", content=text, event_time=NOON, ingested_at=NOON, name=text)
    recall = Recall(
        hits=(Hit(turn, 1.0, {"dense": 1.0}),) * hits,
        query=text,
        mode="hybrid",
        scope=Scope(user_id="ada"),
        asked=SearchAsked(k=9, ranking={"dense": 1.0}, at=NOON, where={"metadata.topic": text}),
        candidates=4,
        table_version=7,
        passport_id="p1",
        config_id="c1",
        milliseconds={},
    )

    def redact(given: str) -> str:
        return given.replace(mark, GONE)

    for content in (Content(captured=False), Content(captured=True, redact=redact)):
        told = json.dumps(of_recall(recall, content), ensure_ascii=False)
        assert mark not in told
        assert (GONE in told) is content.is_on
    assert mark in json.dumps(of_recall(recall, Content(captured=True)), ensure_ascii=False)


def test_a_filter_that_was_redacted_cannot_be_replayed_from_the_span(tmp_path: Path) -> None:
    with (
        Memory.open(
            tmp_path / "a",
            embedder=HashEmbedder(),
            capture_content=True,
            redact=lambda text: text.replace("secret", GONE),
        ) as memory,
        listening() as ears,
    ):
        memory.search("Where?", user_id="ada", where={"metadata.topic": "secret"})
        memory.search("Where?", user_id="ada", where={"metadata.topic": "open"})
    found = [
        record_of(dict(span.attributes or {}), origin=Origin(store="a", agentmem="1"))
        for span in ears.spans
        if kind_of(span) == "search_memory"
    ]
    assert [(one.query, one.where) for one in found] == [
        (None, None),
        ("Where?", {"metadata.topic": {"eq": "open"}}),
    ]
    assert all(one.filtered for one in found)


def test_a_document_is_cut_after_it_was_redacted(tmp_path: Path) -> None:
    long = "x" * (MOST_CHARACTERS - 3) + "secret" + "y" * 50
    content = Content(captured=True, redact=lambda text: text.replace("secret", "-"))
    assert content.short(long) == "x" * (MOST_CHARACTERS - 3) + "-yy"


# The gate.


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Give a function that searches, and tells whether the question is on the span."""

    def ask(value: str | None, *, argument: bool | None = None) -> bool:
        monkeypatch.delenv(VARIABLE, raising=False)
        if value is not None:
            monkeypatch.setenv(VARIABLE, value)
        options: dict[str, Any] = {"embedder": HashEmbedder(), "capture_content": argument}
        with Memory.open(tmp_path / "a", **options) as memory, listening() as ears:
            memory.search(f"Where is {MARK}?", user_id="ada")
        return bool(ears.leaks())

    return ask


@pytest.mark.parametrize("value", ["SPAN_ONLY", "SPAN_AND_EVENT", "span_only", "true", "True", "1"])
def test_the_standard_variable_turns_content_on(asked: Any, value: str) -> None:
    assert asked(value)


@pytest.mark.parametrize("value", [None, "", "NO_CONTENT", "EVENT_ONLY", "false", "0", "nonsense"])
def test_other_values_of_the_variable_do_not(asked: Any, value: str | None) -> None:
    assert not asked(value)


@pytest.mark.parametrize("value", [None, "NO_CONTENT", "SPAN_ONLY", "SPAN_AND_EVENT", "true"])
def test_an_argument_wins_over_the_variable(asked: Any, value: str | None) -> None:
    assert asked(value, argument=True)
    assert not asked(value, argument=False)


def test_the_variable_is_asked_again_for_every_operation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    with ToolRouter.open(tmp_path / "a", embedder=HashEmbedder()) as router:
        for value, expected in ((None, 0), ("SPAN_ONLY", 1), ("NO_CONTENT", 0)):
            if value is not None:
                monkeypatch.setenv(VARIABLE, value)
            with listening() as ears:
                router.select(f"Where is {MARK}?")
            assert bool(ears.leaks()) is bool(expected)


def test_messages_that_were_told_are_redacted_and_mark_the_selection(tmp_path: Path) -> None:
    options: dict[str, Any] = {"embedder": HashEmbedder(), "capture_content": True}
    with ToolRouter.open(tmp_path / "a", **options) as router:
        router.register({"name": "get_weather", "description": "Tells the weather."})
        selection = router.select("weather", history=["my secret"])
    content = Content(captured=True, redact=lambda text: text.replace("secret", GONE))
    told = of_selection(selection, content)
    assert told["agentmem.router.texts"] == [f"my {GONE}"]
    assert told["agentmem.content.redacted"] is True
    assert "agentmem.content.redacted" not in of_selection(selection, Content(captured=True))
