"""Spans, read back through the real SDK: names, attributes, errors, and no content."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime, timezone

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from agentmem.telemetry import Content, Tracing
from agentmem.telemetry.conventions import OPERATIONS, PHASES, Operation, Phase
from agentmem.telemetry.describing import MAX_DOCUMENTS, of_recall
from agentmem.types import ALL, Evidence, Hit, Recall, Scope, SearchAsked, Turn

NOON = datetime(2024, 5, 1, 12, tzinfo=timezone.utc)
WHISPER = "I never told anyone about Lisbon"
QUIET = Content(captured=False)


@pytest.fixture
def exporter(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    """Put an SDK in place for one test: OpenTelemetry itself allows one for each process."""
    provider, exporter = TracerProvider(), InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)
    yield exporter
    provider.shutdown()


@pytest.fixture
def tracing() -> Tracing:
    return Tracing("ada.mem", content=QUIET)


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
        asked=SearchAsked(k=9, ranking={"dense": 1.0}, at=NOON, store="ada.mem"),
        candidates=40,
        table_version=7,
        passport_id="p1",
        config_id="c1",
        milliseconds={"rank": 0.5},
    )


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_span_is_named_for_its_operation(
    exporter: InMemorySpanExporter, tracing: Tracing, operation: Operation
) -> None:
    with tracing.operation(operation, {"gen_ai.retrieval.top_k": 3, "user.id": None}) as current:
        assert trace.get_current_span() is current.span
    finished, spec = only(exporter), OPERATIONS[operation]
    assert finished.name == operation
    assert finished.kind is SpanKind.INTERNAL
    assert finished.status.status_code is StatusCode.UNSET
    assert finished.instrumentation_scope is not None
    assert finished.instrumentation_scope.name == "agentmem"
    told = dict(finished.attributes or {})
    assert told.pop("gen_ai.operation.name", None) == spec.gen_ai
    assert told == {
        "openinference.span.kind": spec.kind,
        "gen_ai.span.kind": spec.kind,
        "gen_ai.retrieval.top_k": 3,
    }


@pytest.mark.parametrize("phase", PHASES)
def test_a_phase_is_a_span_below_its_operation(
    exporter: InMemorySpanExporter, tracing: Tracing, phase: Phase
) -> None:
    with tracing.operation("search_memory") as current:
        with current.phase(phase, model="tiny"):
            pass
        assert list(current.milliseconds) == [phase]
    inner, outer = exporter.get_finished_spans()
    assert inner.parent is not None
    assert outer.context is not None
    assert inner.parent.span_id == outer.context.span_id
    assert inner.name.endswith("tiny")
    assert (inner.attributes or {})["agentmem.phase"] == phase


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_error_is_recorded_by_its_type_alone(
    exporter: InMemorySpanExporter, tracing: Tracing, error: type[BaseException]
) -> None:
    with (
        pytest.raises(error, match=WHISPER),
        tracing.operation("create_memory") as current,
        current.phase("commit"),
    ):
        raise error(WHISPER)
    for finished in exporter.get_finished_spans():
        assert finished.status.status_code is StatusCode.ERROR
        assert finished.status.description is None
        assert finished.events == ()
        assert (finished.attributes or {})["error.type"] == error.__name__
        assert WHISPER not in finished.to_json()


def test_nothing_that_anyone_said_or_asked_is_recorded(
    exporter: InMemorySpanExporter, tracing: Tracing
) -> None:
    with tracing.operation("search_memory", scope=Scope(user_id="ada")) as current:
        current.describe(lambda: of_recall(recall(5), current.content))
    recorded = dict(only(exporter).attributes or {})
    assert recorded["user.id"] == "ada"
    assert recorded["retrieval.documents.4.document.id"] == "t4"
    assert WHISPER not in only(exporter).to_json()


def test_a_long_recall_is_recorded_in_part(
    exporter: InMemorySpanExporter, tracing: Tracing
) -> None:
    with tracing.operation("search_memory") as current:
        current.describe(lambda: of_recall(recall(MAX_DOCUMENTS + 30), current.content))
    recorded = dict(only(exporter).attributes or {})
    assert recorded["gen_ai.memory.record.count"] == MAX_DOCUMENTS + 30
    assert sum(name.endswith("document.id") for name in recorded) == MAX_DOCUMENTS


def test_a_scope_is_recorded_in_the_names_dashboards_know(
    exporter: InMemorySpanExporter, tracing: Tracing
) -> None:
    scope = Scope(user_id="ada", agent_id="guide", session_id="s1")
    with tracing.operation("delete_memory", scope=scope):
        pass
    recorded = dict(only(exporter).attributes or {})
    assert recorded["user.id"] == "ada"
    assert recorded["agentmem.scope.agent_id"] == "guide"
    assert recorded["session.id"] == "s1"


def test_reading_across_all_users_is_told_as_such(
    exporter: InMemorySpanExporter, tracing: Tracing
) -> None:
    with tracing.operation("delete_memory", scope=ALL):
        pass
    assert (only(exporter).attributes or {})["agentmem.scope.all"] is True


def test_a_description_that_fails_is_passed_over(
    exporter: InMemorySpanExporter, tracing: Tracing
) -> None:
    def broken() -> dict[str, str]:
        raise RuntimeError(WHISPER)

    with tracing.operation("search_memory") as current:
        current.describe(broken)
    assert only(exporter).status.status_code is StatusCode.UNSET


def test_without_an_sdk_nothing_is_recorded_and_none_is_imported() -> None:
    code = (
        "import sys\n"
        "from agentmem.telemetry import Tracing\n"
        "with Tracing('s').operation('search_memory', {'user.id': 'ada'}) as current:\n"
        "    assert not current.is_recording\n"
        "    assert current.ids == (None, None)\n"
        "assert 'opentelemetry.sdk' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
