"""Whose child a span is: callers, threads, tasks, baggage, sampling; with the real SDK."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from opentelemetry import baggage, context, trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, Sampler, SamplingResult
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags
from router_tools import TOOLS, open_router
from telemetry_tools import forget_providers, installed_exporter, only

from agentmem import Memory, ScopeRequired, ToolRouter
from agentmem.telemetry import scope_baggage
from agentmem.testing import HashEmbedder
from agentmem.tokens import CallableCounter
from agentmem.types import ALL, Recall


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    forget_providers(monkeypatch)


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Memory]:
    counter = CallableCounter(len)
    with Memory.open(tmp_path / "m", embedder=HashEmbedder(), token_counter=counter) as opened:
        opened.add(["I moved to Lisbon.", "The cat is called Tom."], user_id="ada")
        opened.add("Bob's cat is called Kim.", user_id="bob")
        yield opened


@pytest.fixture
def router(tmp_path: Path) -> Iterator[ToolRouter]:
    with open_router(tmp_path / "r") as opened:
        opened.register(TOOLS)
        yield opened


@pytest.fixture
def exporter(memory: Memory, router: ToolRouter) -> InMemorySpanExporter:
    """Install an SDK after the stores were opened: it is picked up."""
    return installed_exporter()


def attributes(span: ReadableSpan) -> dict[str, object]:
    return dict(span.attributes or {})


def parent_of(span: ReadableSpan) -> int | None:
    return None if span.parent is None else span.parent.span_id


def id_of(span: ReadableSpan) -> int:
    assert span.context is not None
    return int(span.context.span_id)


def test_an_sdk_that_comes_after_the_stores_were_opened_is_picked_up(
    memory: Memory, router: ToolRouter
) -> None:
    assert memory.search("cat", user_id="ada").trace_id is None
    assert router.select("weather").span_id is None
    exporter = installed_exporter()
    recall, selection = memory.search("cat", user_id="ada"), router.select("weather")
    search = only(exporter, "search_memory")
    assert recall.span_id == f"{id_of(search):016x}"
    assert selection.span_id is not None
    assert selection.trace_id != recall.trace_id


def test_a_search_is_part_of_its_callers_trace(
    memory: Memory, exporter: InMemorySpanExporter
) -> None:
    with trace.get_tracer("app").start_as_current_span("request"):
        memory.context("What is the cat called?", user_id="ada", max_tokens=100)
    request, packing = only(exporter, "request"), only(exporter, "agentmem.context")
    search = only(exporter, "search_memory")
    assert parent_of(packing) == id_of(request)
    assert parent_of(search) == id_of(packing)
    phases = [span for span in exporter.get_finished_spans() if parent_of(span) == id_of(search)]
    assert {attributes(span)["agentmem.phase"] for span in phases} >= {"embeddings", "dense"}


def test_a_trace_of_another_process_goes_on_here(
    memory: Memory, exporter: InMemorySpanExporter
) -> None:
    sampled = TraceFlags(TraceFlags.SAMPLED)
    remote = SpanContext(0xABC, 0xDEF, is_remote=True, trace_flags=sampled)
    token = context.attach(trace.set_span_in_context(NonRecordingSpan(remote)))
    try:
        recall = memory.search("cat", user_id="ada")
    finally:
        context.detach(token)
    assert recall.trace_id == f"{0xABC:032x}"
    assert parent_of(only(exporter, "search_memory")) == 0xDEF


def test_threads_that_carry_the_context_carry_the_parent(
    memory: Memory, exporter: InMemorySpanExporter
) -> None:
    with (
        ThreadPoolExecutor(4) as pool,
        trace.get_tracer("app").start_as_current_span("request") as request,
    ):
        calls = [
            pool.submit(contextvars.copy_context().run, search, memory, f"cat {place}")
            for place in range(8)
        ]
        recalls = [call.result() for call in calls]
    trace_id = f"{request.get_span_context().trace_id:032x}"
    assert {recall.trace_id for recall in recalls} == {trace_id}
    spans = exporter.get_finished_spans()
    searches = {id_of(span): span for span in spans if span.name == "search_memory"}
    assert len(searches) == 8
    assert {parent_of(span) for span in searches.values()} == {request.get_span_context().span_id}
    phases = [span for span in spans if span.name == "agentmem.dense"]
    assert sorted(parent_of(span) or 0 for span in phases) == sorted(searches)  # one for each


def search(memory: Memory, query: str) -> Recall:
    return memory.search(query, user_id="ada")


def test_threads_that_carry_nothing_begin_traces_of_their_own(
    memory: Memory, exporter: InMemorySpanExporter
) -> None:
    with (
        ThreadPoolExecutor(2) as pool,
        trace.get_tracer("app").start_as_current_span("request") as request,
    ):
        recalls = list(pool.map(lambda query: search(memory, query), ["cat", "Tom"]))
    found = {recall.trace_id for recall in recalls}
    assert len(found) == 2
    assert f"{request.get_span_context().trace_id:032x}" not in found


def test_tasks_keep_their_traces_apart(memory: Memory, exporter: InMemorySpanExporter) -> None:
    async def request(name: str) -> tuple[str, Recall]:
        with trace.get_tracer("app").start_as_current_span(name) as span:
            recall = await asyncio.to_thread(search, memory, f"cat {name}")
            assert trace.get_current_span() is span
            return f"{span.get_span_context().trace_id:032x}", recall

    async def requests() -> list[tuple[str, Recall]]:
        return list(await asyncio.gather(*(request(f"r{place}") for place in range(6))))

    for trace_id, recall in asyncio.run(requests()):
        assert recall.trace_id == trace_id


def test_a_span_is_left_after_an_error(memory: Memory, exporter: InMemorySpanExporter) -> None:
    with trace.get_tracer("app").start_as_current_span("request") as request:
        with pytest.raises(ValueError, match="k=0"):
            memory.search("cat", user_id="ada", k=0)
        assert trace.get_current_span() is request


# ---- sampling ----------------------------------------------------------------------------------


class Watching(Sampler):
    """Decides as another sampler does, and notes the names and attributes that it is shown."""

    def __init__(self, decider: Sampler) -> None:
        self.decider = decider
        self.seen: list[tuple[str, dict[str, object]]] = []

    def should_sample(  # noqa: PLR0917 - the SDK's order
        self,
        parent_context: context.Context | None,
        trace_id: int,
        name: str,
        kind: Any = None,
        attributes: Any = None,
        links: Any = None,
        trace_state: Any = None,
    ) -> SamplingResult:
        self.seen.append((name, dict(attributes or {})))
        return self.decider.should_sample(
            parent_context, trace_id, name, kind, attributes, links, trace_state
        )

    def get_description(self) -> str:
        return "watching"


def sampled_by(decider: Sampler) -> tuple[Watching, InMemorySpanExporter]:
    sampler, exporter = Watching(decider), InMemorySpanExporter()
    provider = TracerProvider(sampler, shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    return sampler, exporter


def test_what_is_not_sampled_costs_no_spans_and_has_no_ids(memory: Memory) -> None:
    sampler, exporter = sampled_by(ALWAYS_OFF)
    recall = memory.search("cat", user_id="ada")
    assert (recall.trace_id, recall.span_id) == (None, None)
    assert recall.milliseconds.keys() >= {"embeddings", "dense"}
    assert exporter.get_finished_spans() == ()
    assert [name for name, _ in sampler.seen] == ["search_memory"]  # no phase even asked


def test_a_sampler_can_go_by_what_kind_of_span_it_is(memory: Memory) -> None:
    sampler, exporter = sampled_by(ALWAYS_ON)
    memory.search("cat", user_id="ada")
    assert len(exporter.get_finished_spans()) == len(sampler.seen) > 5
    assert sampler.seen[0] == (
        "search_memory",
        {
            "openinference.span.kind": "RETRIEVER",
            "gen_ai.span.kind": "RETRIEVER",
            "gen_ai.operation.name": "search_memory",
        },
    )
    assert ("agentmem.phase", "dense") in {one for _, told in sampler.seen for one in told.items()}


def test_a_caller_that_is_not_sampled_is_followed(
    memory: Memory, exporter: InMemorySpanExporter
) -> None:
    remote = SpanContext(0xABC, 0xDEF, is_remote=True, trace_flags=TraceFlags(0))
    token = context.attach(trace.set_span_in_context(NonRecordingSpan(remote)))
    try:
        assert memory.search("cat", user_id="ada").trace_id is None
    finally:
        context.detach(token)
    assert exporter.get_finished_spans() == ()


# ---- baggage -----------------------------------------------------------------------------------


def test_baggage_names_the_user_of_a_selection(
    router: ToolRouter, exporter: InMemorySpanExporter
) -> None:
    with scope_baggage(user_id="ada", agent_id="guide", session_id="s1"):
        router.select("weather")
    (span,) = (one for one in exporter.get_finished_spans() if one.name.startswith("retrieval"))
    told = attributes(span)
    assert told["user.id"] == "ada"
    assert told["agentmem.scope.agent_id"] == "guide"
    assert told["session.id"] == "s1"


def test_an_inner_block_adds_to_the_outer_one_and_gives_it_back() -> None:
    with scope_baggage(user_id="ada"):
        with scope_baggage(session_id="s1"):
            assert baggage.get_baggage("user.id") == "ada"
            assert baggage.get_baggage("session.id") == "s1"
            with scope_baggage(user_id="bob"):
                assert baggage.get_baggage("user.id") == "bob"
            assert baggage.get_baggage("user.id") == "ada"
        assert baggage.get_baggage("session.id") is None
    assert baggage.get_baggage("user.id") is None


def test_baggage_of_the_application_stays(exporter: InMemorySpanExporter) -> None:
    token = context.attach(baggage.set_baggage("tenant", "hotel"))
    try:
        with scope_baggage(user_id="ada"):
            assert baggage.get_all() == {"tenant": "hotel", "user.id": "ada"}
        assert baggage.get_all() == {"tenant": "hotel"}
    finally:
        context.detach(token)


def test_an_error_inside_gives_the_baggage_back() -> None:
    with pytest.raises(KeyError), scope_baggage(user_id="ada"):
        raise KeyError
    assert baggage.get_all() == {}


def test_baggage_goes_along_to_threads(router: ToolRouter, exporter: InMemorySpanExporter) -> None:
    async def request() -> None:
        with scope_baggage(user_id="ada"):
            await asyncio.to_thread(router.select, "weather")

    asyncio.run(request())
    (span,) = (one for one in exporter.get_finished_spans() if one.name.startswith("retrieval"))
    assert attributes(span)["user.id"] == "ada"


def test_a_call_that_names_its_scope_keeps_it_on_its_span(
    memory: Memory, exporter: InMemorySpanExporter
) -> None:
    with scope_baggage(user_id="bob", session_id="of-bob"):
        memory.search("cat", user_id="ada")
    told = attributes(only(exporter, "search_memory"))
    assert told["user.id"] == told["agentmem.scope.user_id"] == "ada"
    assert "session.id" not in told


def test_baggage_neither_permits_nor_narrows_a_read(memory: Memory) -> None:
    plain = [hit.turn.id for hit in memory.search("cat", user_id="ada")]
    everyone = [hit.turn.id for hit in memory.search("cat", scope=ALL)]
    assert len(everyone) > len(plain)
    with scope_baggage(user_id="bob", agent_id="a", session_id="s"):
        assert [hit.turn.id for hit in memory.search("cat", user_id="ada")] == plain
        assert [hit.turn.id for hit in memory.search("cat", scope=ALL)] == everyone
        with pytest.raises(ScopeRequired):
            memory.search("cat")
        memory.add("of nobody else", session_id="mine")
    (turn,) = (hit.turn for hit in memory.search("nobody", session_id="mine"))
    assert (turn.user_id, turn.agent_id) == (None, None)


def test_baggage_does_not_let_a_bound_handle_out(memory: Memory) -> None:
    bound = memory.scoped(user_id="ada")
    with scope_baggage(user_id="bob"):
        found = [hit.turn.user_id for hit in bound.search("cat")]
    assert set(found) == {"ada"}
