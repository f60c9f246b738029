"""`configure`: OpenTelemetry's SDK for applications that have set up none.

What the application installed is left as it is. The SDK and the exporters load when it is called.
"""

from __future__ import annotations

import atexit
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, cast

from opentelemetry import metrics as metrics_api
from opentelemetry import trace

from agentmem.checks import shown
from agentmem.errors import InvalidInput
from agentmem.telemetry.bounded import Bounded, all_within
from agentmem.telemetry.exporters import (
    PROTOCOLS,
    Destination,
    Protocol,
    metric_exporters,
    span_exporters,
)
from agentmem.telemetry.providers import (
    Owner,
    identity,
    install_meter,
    install_tracer,
    owner_of_meter,
    owner_of_tracer,
)

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import MetricExporter, MetricReader
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter

__all__ = ["Configured", "State", "configure"]

State: TypeAlias = Literal["configured", "application", "off"]

DISABLED: Final = "OTEL_SDK_DISABLED"
CLOSING: Final = 5.0  # seconds that an exit may take where the collector does not answer
FLUSHING: Final = 10.0  # seconds; one attempt of an OTLP exporter takes as long at most

_LOCK: Final = threading.Lock()
_MADE: Final[list[Configured]] = []


class Configured:
    """What `configure` set up. Closed by itself when the interpreter exits.

    Attributes:
        traces: "configured", or "application" where the application had set up a provider of its
            own, which was left as it is, or "off" where nothing is to be exported.
        metrics: The same of metrics.
    """

    def __init__(
        self,
        traces: State,
        metrics: State,
        *,
        tracer_provider: TracerProvider | None = None,
        processors: Sequence[SpanProcessor] = (),
        meter_provider: MeterProvider | None = None,
    ) -> None:
        self.traces = traces
        self.metrics = metrics
        self._tracer_provider = tracer_provider
        self._meter_provider = meter_provider
        parts = [*processors, *([] if meter_provider is None else [meter_provider])]
        self._parts = [(part, Bounded("agentmem telemetry")) for part in parts]
        self._lock = threading.Lock()
        self._is_closed = False
        if parts:
            atexit.register(self.shutdown)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(traces={self.traces!r}, metrics={self.metrics!r})"

    def force_flush(self, timeout: float = FLUSHING) -> bool:
        """Send what there is.

        Args:
            timeout: How many seconds to wait at most.

        Returns:
            Whether everything was handed to the exporters in time. What a collector refused, or
            could not be told, the exporters log.
        """
        return not self._is_closed and self._each(lambda part: part.force_flush, seconds=timeout)

    def shutdown(self, timeout: float = CLOSING) -> bool:
        """Send what there is, and stop for good. A second call does nothing.

        OpenTelemetry takes one provider a process, so `configure` cannot start another after it.

        Args:
            timeout: How many seconds to wait at most.

        Returns:
            Whether everything ended in time.
        """
        with self._lock:
            if self._is_closed:
                return True
            self._is_closed = True
        atexit.unregister(self.shutdown)
        in_time = self._each(lambda part: part.shutdown, seconds=timeout)
        for _, thread in self._parts:
            thread.close()
        return in_time

    def is_in_force(self) -> bool:
        """Whether the spans and metrics of this process come here."""
        parts: list[tuple[object, object]] = [
            (self._tracer_provider, trace.get_tracer_provider()),
            (self._meter_provider, metrics_api.get_meter_provider()),
        ]
        own = [mine is current for mine, current in parts if mine is not None]
        return bool(own) and all(own)

    def _each(self, action: Callable[[Any], Callable[[], object]], *, seconds: float) -> bool:
        tasks = [thread.submit(action(part)) for part, thread in self._parts]
        return all_within(seconds, tasks)


def configure(
    *,
    service_name: str | None = None,
    endpoint: str | None = None,
    protocol: Protocol | None = None,
    headers: Mapping[str, str] | None = None,
    console: bool = False,
    metrics: bool = True,
    sample_ratio: float | None = None,
    resource: Mapping[str, str] | None = None,
) -> Configured:
    """Set up OpenTelemetry's SDK in an application that has set up none.

    Spans and metrics go to an OTLP collector. What is not given is as the standard variables say
    (`OTEL_EXPORTER_OTLP_ENDPOINT`, `OTEL_TRACES_EXPORTER`, `OTEL_TRACES_SAMPLER`,
    `OTEL_METRIC_EXPORT_INTERVAL`, `OTEL_SDK_DISABLED`, ...), else OpenTelemetry's defaults. A
    provider that the application installed is neither replaced nor added to: see what is
    returned. A second call changes nothing and returns what the first did.

    Args:
        service_name: What back ends call this process; "agentmem" if no variable names it.
        endpoint: Address of the collector, such as `http://127.0.0.1:4318`, without a path.
        protocol: "http/protobuf" (port 4318 by custom) or "grpc" (4317); the first if None.
        headers: Sent along with everything, such as an API key.
        console: Show spans and metrics on standard error; alone, without sending them anywhere,
            unless an endpoint is named.
        metrics: Whether to set up metrics too; some back ends take traces alone.
        sample_ratio: Which share of traces to record, from 0 to 1, where no caller decided.
        resource: Further attributes of this process, such as `openinference.project.name`.

    Raises:
        InvalidInput: An argument, or a variable, cannot be used.
        MissingDependency: The exporter is not installed: `pip install 'agentmem[otlp]'`.
    """
    destination = Destination(endpoint, protocol, headers, console)
    _check(destination, sample_ratio=sample_ratio)
    if os.environ.get(DISABLED, "").strip().lower() == "true":
        return Configured("off", "off")
    with _LOCK:
        for known in _MADE:
            if known.is_in_force():
                return known
        made = _made(destination, service_name, metrics=metrics, ratio=sample_ratio, more=resource)
        _MADE.append(made)
        return made


def _check(destination: Destination, *, sample_ratio: object) -> None:
    """Refuse arguments that could only fail later, and silently."""
    endpoint, protocol = destination.endpoint, destination.protocol
    if endpoint is not None and not str(endpoint).startswith(("http://", "https://")):
        raise InvalidInput(
            f"endpoint={shown(endpoint)}: pass an address that begins with http:// or https://, "
            "for gRPC as well; the scheme says whether the connection is encrypted."
        )
    if protocol is not None and protocol not in PROTOCOLS:
        raise InvalidInput(f"protocol={shown(protocol)} is none of {', '.join(PROTOCOLS)}.")
    if sample_ratio is None:
        return
    if not isinstance(sample_ratio, int | float) or not 0 <= sample_ratio <= 1:
        raise InvalidInput(f"sample_ratio={shown(sample_ratio)}: pass a number from 0 to 1.")


def _made(
    destination: Destination,
    service_name: str | None,
    *,
    metrics: bool,
    ratio: float | None,
    more: Mapping[str, str] | None,
) -> Configured:
    resource = identity(service_name, more=more)
    may_trace = owner_of_tracer() != "application"
    may_measure = metrics and owner_of_meter() == "nobody"
    # before anything is installed: an exporter that cannot be made leaves nothing half set up
    spans = span_exporters(destination) if may_trace else []
    measures = metric_exporters(destination) if may_measure else []
    tracer_provider = _installed_tracer(resource, ratio=ratio) if spans else None
    processors = [] if tracer_provider is None else _feeding(tracer_provider, spans)
    meter_provider = _installed_meter(resource, measures) if measures else None
    return Configured(
        "configured" if tracer_provider else _without(owner_of_tracer()),
        "configured" if meter_provider else _without(owner_of_meter()),
        tracer_provider=tracer_provider,
        processors=processors,
        meter_provider=meter_provider,
    )


def _without(owner: Owner) -> State:
    return "application" if owner == "application" else "off"


def _installed_tracer(resource: Resource, *, ratio: float | None) -> TracerProvider | None:
    """Return agentmem's provider, perhaps that of `record`; None if another was faster."""
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased

    if owner_of_tracer() == "nobody":
        sampler = None if ratio is None else ParentBased(TraceIdRatioBased(ratio))
        install_tracer(TracerProvider(sampler=sampler, resource=resource, shutdown_on_exit=False))
    provider: object = trace.get_tracer_provider()
    is_own = isinstance(provider, TracerProvider) and owner_of_tracer() == "agentmem"
    return cast("TracerProvider", provider) if is_own else None


def _feeding(provider: TracerProvider, exporters: Sequence[SpanExporter]) -> list[SpanProcessor]:
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    processors: list[SpanProcessor] = [BatchSpanProcessor(exporter) for exporter in exporters]
    for processor in processors:
        provider.add_span_processor(processor)
    return processors


def _installed_meter(
    resource: Resource, exporters: Sequence[MetricExporter | MetricReader]
) -> MeterProvider | None:
    """Return agentmem's provider; None if another was faster."""
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import MetricReader, PeriodicExportingMetricReader

    readers = [
        one if isinstance(one, MetricReader) else PeriodicExportingMetricReader(one)
        for one in exporters
    ]
    provider = MeterProvider(metric_readers=readers, resource=resource, shutdown_on_exit=False)
    if install_meter(provider):
        return provider
    provider.shutdown()
    return None
