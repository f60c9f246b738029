"""Which exporters spans and metrics go to: as arguments say, else as the OTEL_* variables say.

Standard names and defaults throughout; what a variable means to an exporter alone (timeouts,
certificates, compression) is left to the exporter to read.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from agentmem.errors import InvalidInput, MissingDependency

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics.export import MetricExporter, MetricReader
    from opentelemetry.sdk.trace.export import SpanExporter

__all__ = ["PROTOCOLS", "Destination", "Protocol", "metric_exporters", "span_exporters"]

Protocol: TypeAlias = Literal["http/protobuf", "grpc"]
Signal: TypeAlias = Literal["traces", "metrics"]

PROTOCOLS: Final = ("http/protobuf", "grpc")  # the first is what the specification recommends
PACKAGES: Final[Mapping[str, str]] = {
    "http/protobuf": "opentelemetry.exporter.otlp.proto.http",
    "grpc": "opentelemetry.exporter.otlp.proto.grpc",
}
MODULES: Final[Mapping[Signal, str]] = {"traces": "trace_exporter", "metrics": "metric_exporter"}
CLASSES: Final[Mapping[Signal, str]] = {
    "traces": "OTLPSpanExporter",
    "metrics": "OTLPMetricExporter",
}
CONSOLES: Final[Mapping[Signal, tuple[str, str]]] = {
    "traces": ("opentelemetry.sdk.trace.export", "ConsoleSpanExporter"),
    "metrics": ("opentelemetry.sdk.metrics.export", "ConsoleMetricExporter"),
}


@dataclass(frozen=True, slots=True)
class Destination:
    """Where to, as the arguments say.

    Attributes:
        endpoint: Address of an OTLP collector, without the path of a signal.
        protocol: How to speak to it.
        headers: Sent along, such as an API key.
        console: Whether standard error shows everything as well.
    """

    endpoint: str | None = None
    protocol: str | None = None
    headers: Mapping[str, str] | None = None
    console: bool = False

    def names(self, signal: Signal) -> list[str]:
        """Return the exporters of a signal, by name; none if nothing is to be sent."""
        told = os.environ.get(f"OTEL_{signal.upper()}_EXPORTER", "").strip()
        listed = [name.strip() for name in told.split(",") if name.strip()]
        if self._is_given:
            listed = ["otlp"]
        elif not listed:
            listed = ["otlp"] if not self.console or _has_endpoint(signal) else []
        if self.console and "console" not in listed:
            listed.append("console")
        return [name for name in listed if name.lower() != "none"]

    @property
    def _is_given(self) -> bool:
        return any(one is not None for one in (self.endpoint, self.protocol, self.headers))


def span_exporters(destination: Destination) -> list[SpanExporter]:
    """Make the exporters of spans.

    Raises:
        MissingDependency: The package of an exporter is not installed.
        InvalidInput: A variable names an exporter or a protocol that there is none of.
    """
    return list(_made("traces", destination))


def metric_exporters(destination: Destination) -> list[MetricExporter | MetricReader]:
    """Make the exporters of metrics; such as are asked by their back end are readers.

    Raises:
        MissingDependency: The package of an exporter is not installed.
        InvalidInput: A variable names an exporter or a protocol that there is none of.
    """
    return list(_made("metrics", destination))


def _made(signal: Signal, destination: Destination) -> Iterator[Any]:
    for name in destination.names(signal):
        if name == "otlp":
            yield _otlp(signal, destination)
        elif name == "console":
            module, exporter = CONSOLES[signal]
            yield getattr(import_module(module), exporter)(out=sys.stderr)
        else:
            yield _named(signal, name)


def _otlp(signal: Signal, destination: Destination) -> Any:
    protocol = destination.protocol or _protocol(signal)
    package = PACKAGES[protocol]
    try:
        module = import_module(f"{package}.{MODULES[signal]}")
    except ImportError as error:
        distribution = package.replace(".", "-")
        raise MissingDependency(
            distribution, extra="otlp", purpose=f"sending {signal} over OTLP ({protocol})"
        ) from error
    exporter = getattr(module, CLASSES[signal])
    return exporter(**_arguments(signal, protocol, destination))


def _arguments(signal: Signal, protocol: str, destination: Destination) -> dict[str, Any]:
    """Return what an exporter is told; the rest it reads from its variables."""
    told: dict[str, Any] = {}
    if destination.endpoint is not None:
        base = destination.endpoint.rstrip("/").removesuffix(f"/v1/{signal}")
        told["endpoint"] = base if protocol == "grpc" else f"{base}/v1/{signal}"
    if destination.headers is not None:  # gRPC takes names in lower case alone
        told["headers"] = {name.lower(): value for name, value in destination.headers.items()}
    return told


def _protocol(signal: Signal) -> str:
    named = (f"OTEL_EXPORTER_OTLP_{signal.upper()}_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
    for variable in named:
        told = os.environ.get(variable, "").strip()
        if told in PROTOCOLS:
            return told
        if told:
            raise InvalidInput(
                f"the environment variable {variable} is {told!r}, which agentmem cannot speak. "
                f"Set it to one of {', '.join(PROTOCOLS)}."
            )
    return PROTOCOLS[0]


def _named(signal: Signal, name: str) -> Any:
    """Return an exporter that another package provides."""
    for entry in entry_points(group=f"opentelemetry_{signal}_exporter", name=name):
        return entry.load()()
    raise InvalidInput(
        f"the environment variable OTEL_{signal.upper()}_EXPORTER names {name!r}, and no package "
        "that is installed provides an exporter of that name. Install one, or set it to otlp, "
        "console or none."
    )


def _has_endpoint(signal: Signal) -> bool:
    named = (f"OTEL_EXPORTER_OTLP_{signal.upper()}_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
    return any(os.environ.get(variable) for variable in named)
