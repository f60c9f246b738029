"""Telemetry that breaks, with the real SDK: every answer stays what it is without telemetry."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import pytest
from opentelemetry import baggage, context, metrics, trace
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcExporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpExporter
from opentelemetry.metrics import _internal as metrics_internal
from opentelemetry.sdk.metrics import ExemplarFilter, MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader, PeriodicExportingMetricReader
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import (
    BatchSpanProcessor,
    SimpleSpanProcessor,
    SpanExporter,
    SpanExportResult,
)
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import Sampler, SamplingResult
from router_tools import TOOLS, open_router
from telemetry_tools import forget_providers, installed_exporter, only

from agentmem import Memory, ToolRouter
from agentmem.telemetry import Content, Tracing, passing
from agentmem.testing import HashEmbedder
from agentmem.tokens import CallableCounter

CLOSED = "http://127.0.0.1:9"  # the port of discard, where nobody listens
ENDING = 10.0  # seconds; an exporter that hangs is not waited for
WHISPER = "I never told anyone about Lisbon"


class BrokenError(Exception):
    """What everything here raises."""


def broken(*_: object, **__: object) -> NoReturn:
    raise BrokenError(WHISPER)


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    forget_providers(monkeypatch)
    passing._warn.cache_clear()
    yield
    providers = (trace._TRACER_PROVIDER, metrics_internal._METER_PROVIDER)
    ending = [
        threading.Thread(target=provider.shutdown, daemon=True)
        for provider in providers
        if isinstance(provider, TracerProvider | MeterProvider)
    ]
    for thread in ending:
        thread.start()
    for thread in ending:  # so that no exporter complains while later tests listen
        thread.join(ENDING)


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fill a store with turns and tools, once."""
    path = tmp_path_factory.mktemp("stored") / "ada.mem"
    with Memory.open(path, embedder=HashEmbedder()) as memory:
        memory.add(
            ["I moved to Lisbon.", "The cat is called Tom.", "Tom likes fish.", WHISPER],
            user_id="ada",
        )
    with open_router(path, embedder=HashEmbedder()) as router:
        router.register(TOOLS)
    return path


@dataclass(frozen=True)
class Answers:
    """What was answered; equal where nothing differs."""

    hits: tuple[tuple[str, float], ...]
    packed: str
    chosen: tuple[tuple[str, float], ...]


def asked(stored: Path, *, content: bool = False, redact: Any = None) -> Answers:
    options: dict[str, Any] = {"capture_content": content, "redact": redact}
    counter = CallableCounter(len)
    with (
        Memory.open(stored, embedder=HashEmbedder(), token_counter=counter, **options) as memory,
        open_router(stored, embedder=HashEmbedder(), **options) as router,
    ):
        recall = memory.search("Where does the cat live?", user_id="ada")
        found = memory.context("What does Tom like?", user_id="ada", max_tokens=200)
        selection = router.select("what is the weather of a place")
        return Answers(
            tuple((hit.turn.id, hit.score) for hit in recall),
            found.text,
            tuple((match.tool.name, match.score) for match in selection.candidates),
        )


@pytest.fixture(scope="module")
def expected(stored: Path) -> Answers:
    """What is answered where nobody installed anything."""
    answers = asked(stored)
    assert len(answers.hits) == 4
    assert "Tom" in answers.packed
    assert len(answers.chosen) == 3
    return answers


class RaisingExporter(SpanExporter):
    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:  # noqa: ARG002
        broken()


class SilentExporter(SpanExporter):
    """Takes spans, and never comes back with them until it is let go."""

    def __init__(self) -> None:
        self.until = threading.Event()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:  # noqa: ARG002
        self.until.wait(30)
        return SpanExportResult.FAILURE


def processor_that_breaks(method: str) -> SpanProcessor:
    made = SpanProcessor()
    setattr(made, method, broken)
    return made


class BrokenSampler(Sampler):
    def should_sample(self, *_: Any, **__: Any) -> SamplingResult:
        broken()

    def get_description(self) -> str:
        return "broken"


class BrokenIds(IdGenerator):
    def generate_span_id(self) -> int:
        broken()

    def generate_trace_id(self) -> int:
        broken()


class BrokenProvider(trace.TracerProvider):
    def get_tracer(self, *_: Any, **__: Any) -> trace.Tracer:
        broken()


class BrokenFilter(ExemplarFilter):
    def should_sample(self, *_: Any, **__: Any) -> bool:
        broken()


class BrokenMeters(metrics.MeterProvider):
    def get_meter(self, *_: Any, **__: Any) -> metrics.Meter:
        broken()


def with_processor(processor: SpanProcessor) -> TracerProvider:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(processor)
    return provider


def batching(exporter: SpanExporter) -> TracerProvider:
    return with_processor(BatchSpanProcessor(exporter))


def already_shut_down() -> TracerProvider:
    provider = batching(RaisingExporter())
    provider.shutdown()
    return provider


TRACERS: dict[str, Callable[[], trace.TracerProvider]] = {
    "exporter raises": lambda: with_processor(SimpleSpanProcessor(RaisingExporter())),
    "exporter raises in a batch": lambda: batching(RaisingExporter()),
    "collector down, http": lambda: batching(HttpExporter(CLOSED, timeout=0.5)),
    "collector down, grpc": lambda: batching(GrpcExporter(CLOSED, timeout=0.5)),
    "on_start raises": lambda: with_processor(processor_that_breaks("on_start")),
    "on_ending raises": lambda: with_processor(processor_that_breaks("_on_ending")),
    "on_end raises": lambda: with_processor(processor_that_breaks("on_end")),
    "sampler raises": lambda: TracerProvider(sampler=BrokenSampler(), shutdown_on_exit=False),
    "ids raise": lambda: TracerProvider(id_generator=BrokenIds(), shutdown_on_exit=False),
    "provider raises": BrokenProvider,
    "provider shut down": already_shut_down,
    "no attribute allowed": lambda: TracerProvider(
        span_limits=SpanLimits(max_attributes=0), shutdown_on_exit=False
    ),
}


@pytest.mark.parametrize("name", TRACERS)
@pytest.mark.parametrize("content", [False, True])
def test_a_tracer_provider_that_breaks_changes_no_answer(
    stored: Path, expected: Answers, name: str, *, content: bool
) -> None:
    trace.set_tracer_provider(TRACERS[name]())
    assert asked(stored, content=content) == expected


def broken_measuring() -> metrics.MeterProvider:
    readers = [InMemoryMetricReader()]
    return MeterProvider(readers, exemplar_filter=BrokenFilter(), shutdown_on_exit=False)


def measuring_shut_down() -> metrics.MeterProvider:
    provider = MeterProvider([InMemoryMetricReader()], shutdown_on_exit=False)
    provider.shutdown()
    return provider


def measuring_into_nothing() -> metrics.MeterProvider:
    reader = PeriodicExportingMetricReader(
        OTLPMetricExporter(CLOSED, timeout=0.5), export_interval_millis=20, export_timeout_millis=20
    )
    return MeterProvider([reader], shutdown_on_exit=False)


METERS: dict[str, Callable[[], metrics.MeterProvider]] = {
    "measurement raises": broken_measuring,
    "provider raises": BrokenMeters,
    "provider shut down": measuring_shut_down,
    "collector down": measuring_into_nothing,
}


@pytest.mark.parametrize("name", METERS)
def test_a_meter_provider_that_breaks_changes_no_answer(
    stored: Path, expected: Answers, name: str
) -> None:
    metrics.set_meter_provider(METERS[name]())
    assert asked(stored) == expected


@pytest.mark.parametrize("variable", ["OTEL_PYTHON_TRACER_PROVIDER", "OTEL_PYTHON_METER_PROVIDER"])
def test_a_provider_that_cannot_be_loaded_changes_no_answer(
    stored: Path,
    expected: Answers,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    variable: str,
) -> None:
    monkeypatch.setenv(variable, "of-nobody")
    with caplog.at_level(logging.ERROR):
        assert asked(stored) == expected
    assert len(caplog.records) <= 4  # looked for once by each handle and each of its gauges


def test_a_full_queue_drops_spans_and_holds_nothing_up(stored: Path, expected: Answers) -> None:
    exporter = SilentExporter()
    queue = BatchSpanProcessor(exporter, max_queue_size=1, max_export_batch_size=1)
    trace.set_tracer_provider(with_processor(queue))
    started = time.perf_counter()
    assert all(asked(stored) == expected for _ in range(5))
    assert time.perf_counter() - started < 15  # the exporter takes 30 seconds for one batch
    exporter.until.set()


def answers_of(value: object) -> Callable[[str], Any]:
    return lambda _: value


HOOKS: dict[str, Any] = {
    "raises": broken,
    "gives None": answers_of(None),
    "gives bytes": answers_of(b"\xff"),
    "gives half a character": answers_of("\ud800"),
    "takes no argument": lambda: "x",
}


@pytest.mark.parametrize("name", HOOKS)
def test_a_redaction_hook_that_breaks_changes_no_answer(
    stored: Path, expected: Answers, name: str
) -> None:
    exporter = installed_exporter()
    assert asked(stored, content=True, redact=HOOKS[name]) == expected
    spans = exporter.get_finished_spans()
    assert len(spans) > 10
    assert not [span for span in spans if "Tom" in span.to_json() or WHISPER in span.to_json()]


def test_a_failing_hook_is_logged_once_and_without_the_text(
    stored: Path, caplog: pytest.LogCaptureFixture
) -> None:
    installed_exporter()
    with caplog.at_level(logging.DEBUG, logger="agentmem"):
        asked(stored, content=True, redact=broken)
    said = [record.getMessage() for record in caplog.records if record.name == "agentmem"]
    assert [line for line in said if "redaction" in line] == [
        "the redaction hook failed, and what it saw is left out: BrokenError (said once)"
    ]
    assert WHISPER not in caplog.text


@pytest.mark.parametrize("recorded", [True, False])
def test_a_hook_costs_nothing_where_nothing_is_recorded(stored: Path, *, recorded: bool) -> None:
    """A slow hook slows what it redacts, and that alone."""
    seen: list[str] = []

    def slow(text: str) -> str:
        seen.append(text)
        return text

    if recorded:
        installed_exporter()
    asked(stored, content=False, redact=slow)
    if not recorded:
        asked(stored, content=True, redact=slow)
    assert not seen


class Odd:
    """Cannot even be shown."""

    def __str__(self) -> str:
        raise BrokenError

    __repr__ = __str__


@pytest.mark.parametrize("value", [object(), {1: 2}, [Odd()], b"\xff", float("nan"), 2**70])
def test_an_attribute_that_no_exporter_takes_fails_nothing(value: Any) -> None:
    exporter = installed_exporter()
    with Tracing("s").operation("search_memory", {"agentmem.odd": value}) as current:
        current.set({"agentmem.odd": value})
        current.describe(lambda: {"agentmem.odd": value})
        current.set({"agentmem.filtered": True})
    assert (only(exporter, "search_memory").attributes or {})["agentmem.filtered"] is True


def test_baggage_that_cannot_be_shown_fails_nothing() -> None:
    exporter = installed_exporter()
    token = context.attach(baggage.set_baggage("user.id", Odd()))
    try:
        with Tracing("s").operation("retrieval"):
            pass
    finally:
        context.detach(token)
    assert "user.id" not in (only(exporter, "retrieval").attributes or {})


def test_errors_of_an_operation_come_through_a_broken_provider() -> None:
    trace.set_tracer_provider(with_processor(processor_that_breaks("on_end")))
    with (
        pytest.raises(KeyError, match="mine"),
        Tracing("s").operation("search_memory") as current,
        current.phase("dense"),
    ):
        raise KeyError("mine")
    assert not trace.get_current_span().get_span_context().is_valid


def test_a_span_that_cannot_start_leaves_the_callers_trace_in_place() -> None:
    installed_exporter()
    tracing = Tracing("s", content=Content(captured=False), provider=BrokenProvider())
    with trace.get_tracer("app").start_as_current_span("request") as outer:
        with tracing.operation("search_memory") as current:
            assert current.ids == (None, None)
            inside = trace.get_current_span().get_span_context()
            assert inside.trace_id == outer.get_span_context().trace_id
        assert trace.get_current_span() is outer


def test_a_fully_captured_retrieval_fits_into_the_sdks_limits(tmp_path: Path) -> None:
    exporter = installed_exporter()
    tools = [{**TOOLS[0], "name": f"tool_{place}"} for place in range(30)]
    with (
        Memory.open(tmp_path / "a", embedder=HashEmbedder(), capture_content=True) as memory,
        ToolRouter.open(
            tmp_path / "b",
            embedder=HashEmbedder(),
            token_counter=CallableCounter(len),
            capture_content=True,
        ) as router,
    ):
        memory.add([f"turn {place} of a cat" for place in range(30)], user_id="ada")
        recall = memory.search(
            "a cat",
            user_id="ada",
            k=25,
            since="2020-01-01T00:00:00Z",
            until="2090-01-01T00:00:00Z",
            where={"role": "user"},
        )
        router.register(tools)
        router.select("weather of a place", k=25, max_tokens=10_000, exclude=["tool_1"])
    assert len(recall) == 25
    for span in exporter.get_finished_spans():
        assert span.dropped_attributes == 0, span.name
