"""`configure`, with the real SDK and exporters, against collectors on loopback."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from concurrent import futures
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc  # type: ignore[import-untyped]
import pytest
from opentelemetry import metrics, trace
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import (
    TraceServiceServicer,
    add_TraceServiceServicer_to_server,
)
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.trace import TracerProvider
from telemetry_tools import collector, forget_providers, installed_exporter, installed_reader

from agentmem import InvalidInput, MissingDependency
from agentmem.telemetry import Configured, Tracing, configure, record

CLOSED = "http://127.0.0.1:9"  # the port of discard, where nobody listens


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    forget_providers(monkeypatch)
    for name in list(os.environ):
        if name.startswith("OTEL_"):
            monkeypatch.delenv(name)


@contextmanager
def configured(**arguments: Any) -> Iterator[Configured]:
    """Configure for a block, and shut down before the collector around it goes."""
    made = configure(**arguments)
    try:
        yield made
    finally:
        made.shutdown(2)


def work() -> None:
    with Tracing("s").operation("search_memory"):
        pass


def sent(body: bytes) -> ExportTraceServiceRequest:
    request = ExportTraceServiceRequest()
    request.ParseFromString(body)
    return request


def service(request: ExportTraceServiceRequest) -> dict[str, str]:
    attributes = request.resource_spans[0].resource.attributes
    return {one.key: one.value.string_value for one in attributes}


def test_spans_and_metrics_reach_a_collector() -> None:
    given = {"X-Api-Key": "k"}
    more = {"openinference.project.name": "hotel"}
    with (
        collector() as there,
        configured(
            endpoint=there.address, service_name="night-porter", headers=given, resource=more
        ) as made,
    ):
        assert (made.traces, made.metrics) == ("configured", "configured")
        work()
        assert made.force_flush()
        assert there.paths == {"/v1/traces", "/v1/metrics"}
        assert all(headers["x-api-key"] == "k" for _, headers, _ in there.requests)
        (body,) = (body for path, _, body in there.requests if path == "/v1/traces")
        assert sent(body).resource_spans[0].scope_spans[0].spans[0].name == "search_memory"
        told = service(sent(body))
        assert told["service.name"] == "night-porter"
        assert told["openinference.project.name"] == "hotel"


class Spans(TraceServiceServicer):
    """Keeps what it is sent, and with which metadata."""

    def __init__(self) -> None:
        self.requests: list[ExportTraceServiceRequest] = []
        self.metadata: dict[str, str] = {}

    def Export(  # noqa: N802 - the protocol's name
        self, request: ExportTraceServiceRequest, context: grpc.ServicerContext
    ) -> ExportTraceServiceResponse:
        self.requests.append(request)
        self.metadata |= {key: str(value) for key, value in context.invocation_metadata()}
        return ExportTraceServiceResponse()


def test_spans_reach_a_collector_over_grpc() -> None:
    server, spans = grpc.server(futures.ThreadPoolExecutor(1)), Spans()
    add_TraceServiceServicer_to_server(spans, server)  # type: ignore[no-untyped-call]
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        with configured(
            endpoint=f"http://127.0.0.1:{port}",
            protocol="grpc",
            headers={"X-Api-Key": "k"},
            metrics=False,
        ) as made:
            work()
            assert made.force_flush()
            assert (
                spans.requests[0].resource_spans[0].scope_spans[0].spans[0].name == "search_memory"
            )
            assert spans.metadata["x-api-key"] == "k"
            assert made.metrics == "off"
    finally:
        server.stop(None)


def test_variables_say_what_arguments_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    with collector() as there, collector() as elsewhere:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", elsewhere.address)
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", f"{there.address}/v1/traces")
        monkeypatch.setenv("OTEL_SERVICE_NAME", "from-variable")
        monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "team=night")
        with configured() as made:
            work()
            assert made.force_flush()
            assert there.paths == {"/v1/traces"}
            assert elsewhere.paths == {"/v1/metrics"}
            told = service(sent(there.requests[0][2]))
            assert (told["service.name"], told["team"]) == ("from-variable", "night")


def test_arguments_win_over_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", CLOSED)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
    monkeypatch.setenv("OTEL_SERVICE_NAME", "from-variable")
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "none")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "always_off")
    with (
        collector() as there,
        configured(
            endpoint=f"{there.address}/v1/traces",  # as people copy it from a back end's page
            protocol="http/protobuf",
            service_name="argument",
            sample_ratio=1,
            metrics=False,
        ) as made,
    ):
        work()
        assert made.force_flush()
        assert there.paths == {"/v1/traces"}
        assert service(sent(there.requests[0][2]))["service.name"] == "argument"


def test_a_process_that_nobody_named_is_called_agentmem() -> None:
    with collector() as there, configured(endpoint=there.address, metrics=False) as made:
        work()
        assert made.force_flush()
        assert service(sent(there.requests[0][2]))["service.name"] == "agentmem"


def test_a_provider_of_the_application_is_left_as_it_is() -> None:
    exporter, reader = installed_exporter(), installed_reader()
    tracer_provider, meter_provider = trace.get_tracer_provider(), metrics.get_meter_provider()
    assert isinstance(tracer_provider, TracerProvider)
    before = tracer_provider._active_span_processor._span_processors
    made = configure(endpoint=CLOSED, console=True)
    assert (made.traces, made.metrics) == ("application", "application")
    assert trace.get_tracer_provider() is tracer_provider
    assert metrics.get_meter_provider() is meter_provider
    assert tracer_provider._active_span_processor._span_processors == before
    assert made.shutdown()
    work()
    assert len(exporter.get_finished_spans()) == 1  # not even shut down
    assert reader.get_metrics_data() is not None


def test_where_the_application_traces_and_does_not_measure_metrics_are_set_up_alone() -> None:
    exporter = installed_exporter()
    with collector() as there, configured(endpoint=there.address) as made:
        assert (made.traces, made.metrics) == ("application", "configured")
        work()
        assert made.force_flush()
        assert there.paths == {"/v1/metrics"}
        assert len(exporter.get_finished_spans()) == 1


def test_a_second_call_changes_nothing() -> None:
    with configured(endpoint=CLOSED, metrics=False) as first:
        provider = trace.get_tracer_provider()
        assert isinstance(provider, TracerProvider)
        processors = provider._active_span_processor._span_processors
        assert configure(endpoint="http://127.0.0.1:10") is first
        assert trace.get_tracer_provider() is provider
        assert provider._active_span_processor._span_processors == processors


def test_after_a_local_recording_began_spans_go_to_both(tmp_path: Path) -> None:
    with (
        collector() as there,
        record(tmp_path / "traces") as recording,
        configured(endpoint=there.address, metrics=False) as made,
    ):
        assert made.traces == "configured"
        work()
        assert made.force_flush()
        recording.flush()
        assert there.paths == {"/v1/traces"}
        assert list((tmp_path / "traces").rglob("*.parquet"))


@pytest.mark.parametrize("value", ["true", "TRUE"])
def test_the_sdk_can_be_disabled(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("OTEL_SDK_DISABLED", value)
    made = configure(endpoint=CLOSED)
    assert (made.traces, made.metrics) == ("off", "off")
    assert isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider)
    assert not isinstance(metrics.get_meter_provider(), MeterProvider)


def test_nothing_is_exported_where_the_variables_say_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "none")
    monkeypatch.setenv("OTEL_METRICS_EXPORTER", "none")
    made = configure()
    assert repr(made) == "Configured(traces='off', metrics='off')"
    assert isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider)


def test_the_console_alone_sends_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    with configured(console=True) as made:
        work()
        assert made.force_flush()
        shown = capfd.readouterr()
        assert '"name": "search_memory"' in shown.err
        assert "gen_ai.client.operation.duration" in shown.err
        assert not shown.out


def test_a_share_of_the_traces_is_recorded() -> None:
    with (
        configured(endpoint=CLOSED, sample_ratio=0.0, metrics=False),
        Tracing("s").operation("search_memory") as current,
    ):
        assert not current.is_recording


def test_the_sampler_of_the_variables_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "always_off")
    with (
        configured(endpoint=CLOSED, metrics=False),
        Tracing("s").operation("search_memory") as current,
    ):
        assert not current.is_recording


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"endpoint": "127.0.0.1:4317"}, "http://"),
        ({"protocol": "http/json"}, "http/protobuf, grpc"),
        ({"sample_ratio": 1.5}, "from 0 to 1"),
        ({"sample_ratio": "half"}, "from 0 to 1"),
    ],
)
def test_an_argument_that_cannot_be_used_is_refused(arguments: dict[str, str], said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        configure(**arguments)  # type: ignore[arg-type]
    assert isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("OTEL_METRICS_EXPORTER", "carrier-pigeon"),
        ("OTEL_TRACES_EXPORTER", "otlp,carrier-pigeon"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "carrier-pigeon"),
        ("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "carrier-pigeon"),
    ],
)
def test_a_variable_that_cannot_be_used_is_named_and_nothing_is_half_set_up(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(InvalidInput, match=rf"{variable}.*carrier-pigeon"):
        configure()
    assert isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider)


def test_an_exporter_of_another_package_is_found_by_its_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "otlp_proto_http")  # as it is registered
    with collector() as there:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", there.address)
        with configured(metrics=False) as made:
            work()
            assert made.force_flush()
            assert there.paths == {"/v1/traces"}


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_a_missing_exporter_is_named_with_the_line_that_installs_it(
    monkeypatch: pytest.MonkeyPatch, protocol: str
) -> None:
    full = "http/protobuf" if protocol == "http" else "grpc"
    name = f"opentelemetry.exporter.otlp.proto.{protocol}.trace_exporter"
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingDependency, match=r"pip install 'agentmem\[otlp\]'") as caught:
        configure(protocol=full)  # type: ignore[arg-type]
    assert caught.value.package == f"opentelemetry-exporter-otlp-proto-{protocol}"
    assert isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider)


def test_closing_takes_no_longer_than_told_where_the_collector_does_not_answer() -> None:
    with collector(answers=False) as there:
        made = configure(endpoint=there.address, metrics=False)
        work()
        started = time.perf_counter()
        assert not made.force_flush(0.2)
        assert not made.shutdown(0.2)
        assert time.perf_counter() - started < 5
        assert made.shutdown()  # a second one has nothing to do
        assert not made.force_flush()


def run(code: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("OTEL_")} | variables
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env=environment,
    )


ONE_SPAN = """
from agentmem.telemetry import Tracing, configure
configure(metrics=False)
with Tracing("s").operation("search_memory"):
    pass
"""


def test_what_was_recorded_is_sent_when_the_interpreter_exits() -> None:
    with collector() as there:
        ended = run(ONE_SPAN, OTEL_EXPORTER_OTLP_ENDPOINT=there.address)
        assert ended.returncode == 0, ended.stderr
        assert there.paths == {"/v1/traces"}


def test_an_exit_is_not_held_up_by_a_collector_that_does_not_answer() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes connections, says nothing
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        started = time.perf_counter()
        ended = run(ONE_SPAN, OTEL_EXPORTER_OTLP_ENDPOINT=address)
        assert ended.returncode == 0, ended.stderr
        assert time.perf_counter() - started < 20


def test_nothing_of_the_sdk_is_imported_before_it_is_asked_for() -> None:
    code = "import sys, agentmem.telemetry; print([m for m in sys.modules if '.sdk' in m])"
    assert run(code).stdout == "[]\n"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_can_flush() -> None:
    code = """
    import os, warnings
    from agentmem.telemetry import Tracing, configure
    made = configure(metrics=False)
    warnings.simplefilter("ignore")  # threads and forks: what is tested
    child = os.fork()
    if child == 0:
        with Tracing("s").operation("search_memory"):
            pass
        os._exit(0 if made.force_flush(10) else 1)
    raise SystemExit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    """
    with collector() as there:
        ended = run(code, OTEL_EXPORTER_OTLP_ENDPOINT=there.address)
        assert ended.returncode == 0, ended.stderr
        assert there.paths == {"/v1/traces"}
