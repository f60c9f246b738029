"""What the tests of telemetry share: OpenTelemetry as in a fresh process, an SDK, a collector."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from opentelemetry import metrics, trace
from opentelemetry.metrics import _internal as metrics_internal
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.util._once import Once


def forget_providers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a test begin as a process does: nobody has installed a provider yet."""
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", None)
    monkeypatch.setattr(trace, "_TRACER_PROVIDER_SET_ONCE", Once())
    monkeypatch.setattr(metrics_internal, "_METER_PROVIDER", None)
    monkeypatch.setattr(metrics_internal, "_METER_PROVIDER_SET_ONCE", Once())
    waiting = metrics_internal._ProxyMeterProvider()
    monkeypatch.setattr(metrics_internal, "_PROXY_METER_PROVIDER", waiting)


def installed_exporter() -> InMemorySpanExporter:
    """Install a tracer provider of the SDK, and return what collects its spans."""
    provider, exporter = TracerProvider(shutdown_on_exit=False), InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    return exporter


def installed_reader() -> InMemoryMetricReader:
    """Install a meter provider of the SDK, and return what collects its metrics."""
    reader = InMemoryMetricReader()
    metrics.set_meter_provider(MeterProvider(metric_readers=[reader], shutdown_on_exit=False))
    return reader


def points(reader: InMemoryMetricReader) -> dict[str, list[Any]]:
    """Collect the points of every metric, by its name."""
    data = reader.get_metrics_data()
    if data is None:
        return {}
    found = (
        metric
        for of_resource in data.resource_metrics
        for of_scope in of_resource.scope_metrics
        for metric in of_scope.metrics
    )
    return {metric.name: list(metric.data.data_points) for metric in found}


def only(exporter: InMemorySpanExporter, name: str) -> ReadableSpan:
    """Return the one span of a name."""
    (found,) = (span for span in exporter.get_finished_spans() if span.name == name)
    return found


@dataclass
class Collector:
    """An OTLP/HTTP collector on loopback: keeps what it is sent, by path."""

    port: int
    requests: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def paths(self) -> set[str]:
        return {path for path, _, _ in self.requests}


@contextmanager
def collector(*, answers: bool = True) -> Iterator[Collector]:
    """Run a collector for a block; one that does not answer takes requests and stays silent."""
    until = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            there.requests.append((self.path, dict(self.headers.items()), body))
            if not answers:
                until.wait(30)
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    there = Collector(server.server_address[1])
    running = threading.Thread(target=server.serve_forever, daemon=True)
    running.start()
    try:
        yield there
    finally:
        until.set()
        server.shutdown()
        server.server_close()
        running.join()
