"""Spans, read back through the real SDK: names, attributes, errors, and no content."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime, timezone
from typing import get_args

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from agentmem.telemetry import MAX_DOCUMENTS, Operation, record_recall, scope_attributes, span
from agentmem.types import ALL, Evidence, Hit, Recall, Scope, Turn

NOON = datetime(2024, 5, 1, 12, tzinfo=timezone.utc)
RETRIEVERS = ("search_memory", "agentmem.router.select")
WHISPER = "I never told anyone about Lisbon"


@pytest.fixture
def exporter(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    """Put an SDK in place for one test: OpenTelemetry itself allows one for each process."""
    provider, exporter = TracerProvider(), InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)
    yield exporter
    provider.shutdown()


def only(exporter: InMemorySpanExporter) -> ReadableSpan:
    (finished,) = exporter.get_finished_spans()
    return finished


def recall(hits: int) -> Recall:
    """Give a recall whose every text is private."""
    found = tuple(
        Hit(
            Turn(
                id=f"t{place}",
                role="user",
                content=WHISPER,
                name=WHISPER,
                event_time=NOON,
                ingested_at=NOON,
                metadata={"note": WHISPER},
            ),
            score=1.0 / (1 + place),
            terms={"dense": 1.0},
            evidence=Evidence(similarity=0.5, bm25=1.0, words={WHISPER: 1.0}, chunk=WHISPER),
        )
        for place in range(hits)
    )
    return Recall(
        hits=found,
        query=WHISPER,
        mode="hybrid",
        scope=Scope(user_id="ada"),
        candidates=40,
        table_version=7,
        passport_id="p1",
        config_id="c1",
        milliseconds={"rank": 0.5},
    )


@pytest.mark.parametrize("operation", get_args(Operation))
def test_a_span_is_named_for_its_operation(
    exporter: InMemorySpanExporter, operation: Operation
) -> None:
    with span(operation, {"gen_ai.retrieval.top_k": 3, "user.id": None}) as current:
        assert trace.get_current_span() is current
    finished = only(exporter)
    assert finished.name == operation
    assert finished.kind is SpanKind.INTERNAL
    assert finished.status.status_code is StatusCode.UNSET
    assert finished.instrumentation_scope is not None
    assert finished.instrumentation_scope.name == "agentmem"
    assert dict(finished.attributes or {}) == {
        "gen_ai.operation.name": operation,
        "openinference.span.kind": "RETRIEVER" if operation in RETRIEVERS else "CHAIN",
        "gen_ai.retrieval.top_k": 3,
    }


def test_spans_nest(exporter: InMemorySpanExporter) -> None:
    with span("create_memory", {}), span("search_memory", {}):
        pass
    inner, outer = exporter.get_finished_spans()
    assert inner.parent is not None
    assert inner.parent.span_id == outer.context.span_id


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_error_is_recorded_by_its_type_alone(
    exporter: InMemorySpanExporter, error: type[BaseException]
) -> None:
    with pytest.raises(error, match=WHISPER), span("create_memory", {}):
        raise error(WHISPER)
    finished = only(exporter)
    assert finished.status.status_code is StatusCode.ERROR
    assert finished.status.description is None
    assert finished.events == ()
    assert (finished.attributes or {})["error.type"] == error.__name__
    assert WHISPER not in finished.to_json()


def test_a_recall_is_recorded_by_ids_scores_and_versions(exporter: InMemorySpanExporter) -> None:
    with span("search_memory", {}) as current:
        record_recall(current, recall(2))
    recorded = dict(only(exporter).attributes or {})
    assert recorded == {
        "gen_ai.operation.name": "search_memory",
        "openinference.span.kind": "RETRIEVER",
        "gen_ai.memory.record.count": 2,
        "agentmem.search.mode": "hybrid",
        "agentmem.search.candidates": 40,
        "agentmem.table.version": 7,
        "agentmem.passport.id": "p1",
        "agentmem.ranking.id": "c1",
        "retrieval.documents.0.document.id": "t0",
        "retrieval.documents.0.document.score": 1.0,
        "retrieval.documents.1.document.id": "t1",
        "retrieval.documents.1.document.score": 0.5,
    }


def test_nothing_that_anyone_said_or_asked_is_recorded(exporter: InMemorySpanExporter) -> None:
    with span("search_memory", scope_attributes(Scope(user_id="ada"))) as current:
        record_recall(current, recall(5))
    assert WHISPER not in only(exporter).to_json()


def test_a_long_recall_is_recorded_in_part(exporter: InMemorySpanExporter) -> None:
    with span("search_memory", {}) as current:
        record_recall(current, recall(MAX_DOCUMENTS + 30))
    recorded = dict(only(exporter).attributes or {})
    assert recorded["gen_ai.memory.record.count"] == MAX_DOCUMENTS + 30
    assert sum(name.endswith("document.id") for name in recorded) == MAX_DOCUMENTS


def test_a_scope_is_recorded_in_the_names_dashboards_know(exporter: InMemorySpanExporter) -> None:
    scope = Scope(user_id="ada", agent_id="guide", session_id="s1")
    with span("delete_memory", scope_attributes(scope)):
        pass
    recorded = dict(only(exporter).attributes or {})
    assert recorded["user.id"] == "ada"
    assert recorded["agentmem.scope.agent_id"] == "guide"
    assert recorded["session.id"] == "s1"
    assert scope_attributes(ALL) == {"agentmem.scope.all": True}


def test_a_span_that_was_not_sampled_costs_no_attributes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", None)
    with span("search_memory", {"user.id": "ada"}) as current:
        assert not current.is_recording()
        record_recall(current, recall(3))
    with pytest.raises(ValueError, match="no"), span("search_memory", {}):
        raise ValueError("no")


def test_without_an_sdk_nothing_is_recorded_and_none_is_imported() -> None:
    code = (
        "import sys\n"
        "from agentmem.telemetry import span\n"
        "with span('search_memory', {'user.id': 'ada'}) as current:\n"
        "    assert not current.is_recording()\n"
        "    assert not current.get_span_context().is_valid\n"
        "assert 'opentelemetry.sdk' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
