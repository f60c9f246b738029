"""Tests of `agentmem replay`: found by id or file, told to people and programs, with exit codes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from memory_tools import say
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from typer.testing import CliRunner, Result

from agentmem import Memory, Recall, ToolRouter
from agentmem.cli.app import app
from agentmem.cli.options import embedder
from agentmem.telemetry import record

HOSTILE = "\x1b[2J\x1b]0;owned\x07 [red]bold[/red] \u202etxt.exe"


def run(*arguments: object, **environment: str) -> Result:
    variables: dict[str, str | None] = {
        "COLUMNS": "100",
        "AGENTMEM_STORE": None,
        "AGENTMEM_TRACES": None,
        **environment,
    }
    return CliRunner().invoke(app, ["replay", *map(str, arguments)], env=variables)


@dataclass(frozen=True)
class Past:
    """A store, a search of it, the span of that search in a file, and a folder of traces."""

    store: Path
    traces: Path
    file: Path
    recall: Recall

    def edit(self, **attributes: Any) -> Path:
        """Write the span anew with other attributes; None takes one away."""
        span = json.loads(self.file.read_text("utf-8"))
        merged = {**span["attributes"], **attributes}
        span["attributes"] = {key: one for key, one in merged.items() if one is not None}
        path = self.file.with_name("edited.json")
        path.write_text(json.dumps(span), encoding="utf-8")
        return path


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch) -> Iterator[TracerProvider]:
    """Put an SDK in place for one test."""
    provider = TracerProvider()
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)
    yield provider
    provider.shutdown()


def last(exporter: InMemorySpanExporter, name: str) -> ReadableSpan:
    return next(s for s in reversed(exporter.get_finished_spans()) if s.name.startswith(name))


@pytest.fixture
def past(provider: TracerProvider, tmp_path: Path) -> Past:
    """Record one search, and add a turn afterwards."""
    exporter = InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    store, traces, file = tmp_path / "ada.mem", tmp_path / "traces", tmp_path / "span.json"
    with (
        record(traces),
        Memory.open(store, embedder=embedder(None), capture_content=True) as memory,
    ):
        memory.add([say("I moved to Lisbon.", id="home"), say(HOSTILE, id="odd")], user_id="ada")
        recall = memory.search("Where do I live?", user_id="ada")
        memory.add(say("I live in Turin now.", id="turin"), user_id="ada")
    file.write_text(last(exporter, "search_memory").to_json() or "", encoding="utf-8")
    return Past(store, traces, file, recall)


def printed(result: Result, *, code: int = 0) -> str:
    assert result.exit_code == code, (result.output, result.exception)
    return result.stdout


def machine(*arguments: object, code: int = 0) -> Any:
    stdout = printed(run(*arguments, "--json"), code=code)
    assert stdout.isascii()
    return json.loads(stdout)


def test_a_search_is_found_by_span_by_trace_and_in_a_file(past: Past) -> None:
    span_id, trace_id = past.recall.span_id, past.recall.trace_id
    assert span_id is not None
    for wanted in (span_id, span_id[:8], trace_id):
        assert "identical" in printed(run(wanted, "--traces", past.traces))
    assert "identical" in printed(run(span_id, AGENTMEM_TRACES=str(past.traces)))
    assert "identical" in printed(run(past.file))
    assert "identical" in printed(run(past.file, "--span", span_id))


def test_a_person_sees_then_beside_now_and_why_it_moved(past: Past) -> None:
    shown = printed(run(past.file, "--now"))
    assert "then" in shown
    assert "now" in shown
    assert "I moved to Lisbon." in shown
    assert "I live in Turin now." in shown
    assert "came in at 1: this turn is new" in " ".join(shown.split())
    assert "\x1b[2J" not in shown
    assert "\u202e" not in shown
    assert "[red]bold[/red]" in shown
    assert "Moved since" not in printed(run(past.file))


def test_a_program_gets_everything(past: Past) -> None:
    told = machine(past.file, "--now")
    assert told["verdict"] == "identical"
    assert [one["id"] for one in told["replayed"]] == [hit.turn.id for hit in past.recall]
    assert told["replayed"][0]["item"]["content"] == "I moved to Lisbon."
    assert told["now"][0]["id"] == "turin"
    assert {change["cause"] for change in told["changes"]} == {"added"}
    assert told["record"]["query"] == "Where do I live?"
    assert told["record"]["scope"]["user_id"] == "ada"
    assert told["record"]["origin"]["span_id"] == past.recall.span_id
    assert machine(past.file)["now"] is None


def test_a_deleted_turn_is_not_shown(past: Past) -> None:
    with Memory.open(past.store, embedder=embedder(None)) as memory:
        memory.delete("home", user_id="ada")
    shown = printed(run(past.file))
    assert "identical" in shown
    assert "gone" in shown
    assert "Lisbon" not in shown


def test_exit_codes_tell_the_verdict(past: Past) -> None:
    other = {"retrieval.documents.0.document.score": 99.0}
    assert "Not as recorded" in printed(run(past.edit(**other)), code=3)
    assert machine(past.edit(**other), code=3)["differences"]
    gone = machine(past.edit(**{"agentmem.table.version": 4_000}), "--now", code=4)
    assert gone["verdict"] == "impossible"
    assert gone["replayed"] == []
    assert "4000" in printed(run(past.edit(**{"agentmem.table.version": 4_000})), code=4)


def test_what_was_not_recorded_is_asked_for_by_its_option(past: Past) -> None:
    file = past.edit(**{"gen_ai.memory.query.text": None})
    assert "--query" in run(file).stderr
    assert run(file).exit_code == 1
    assert "identical" in printed(run(file, "--query", "Where do I live?"))


def test_another_store_may_be_named(past: Past, tmp_path: Path) -> None:
    moved = past.store.rename(tmp_path / "moved.mem")
    missing = run(past.file)
    assert missing.exit_code == 1
    assert "--store" in missing.stderr
    assert "identical" in printed(run(past.file, "--store", moved))


def test_the_store_on_the_record_wins_over_the_environment(past: Past, tmp_path: Path) -> None:
    shown = printed(run(past.file, AGENTMEM_STORE=str(tmp_path / "another.mem")))
    assert "identical" in shown


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["nothing.json"], 1, "no file"),
        (["not-an-id"], 1, "no span or trace id"),
        (["abc"], 1, "abc"),
    ],
)
def test_what_is_not_found_is_told(past: Past, arguments: list[str], code: int, told: str) -> None:
    result = run(*arguments, "--traces", past.traces)
    assert result.exit_code == code
    assert told in " ".join(result.stderr.split())


def test_a_search_has_no_history(past: Past, tmp_path: Path) -> None:
    said = tmp_path / "said.jsonl"
    said.write_text(json.dumps(say("hello")) + "\n", encoding="utf-8")
    result = run(past.file, "--history", said)
    assert result.exit_code == 2
    assert "--history" in result.stderr


def test_a_selection_of_tools_is_replayed_too(provider: TracerProvider, tmp_path: Path) -> None:
    exporter = InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    options: dict[str, Any] = {"embedder": embedder(None), "capture_content": True}
    with ToolRouter.open(tmp_path / "tools", **options) as router:
        names = {"get_weather": "Tell the weather.", "send_mail": "Send an e-mail."}
        router.register([{"name": name, "description": text} for name, text in names.items()])
        router.select("Will it rain?", k=1)
    file = tmp_path / "span.json"
    file.write_text(last(exporter, "retrieval").to_json() or "", encoding="utf-8")
    assert "get_weather" in printed(run(file, "--now"))
    told = machine(file)
    assert told["verdict"] == "identical"
    assert told["record"]["k"] == 1
    assert told["replayed"][0]["item"]["name"] == "get_weather"
