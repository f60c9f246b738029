"""Whose providers are in force: none, the application's, or one that agentmem put there itself.

OpenTelemetry takes one provider of each kind a process. What the application installed is its
own; what agentmem installed may be used by each part of agentmem.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, Literal, TypeAlias
from weakref import WeakSet

from opentelemetry import metrics, trace

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider

__all__ = [
    "Owner",
    "identity",
    "install_meter",
    "install_tracer",
    "owner_of_meter",
    "owner_of_tracer",
]

Owner: TypeAlias = Literal["nobody", "agentmem", "application"]

WAITING: Final = "_ProxyMeterProvider"  # until one is installed; the API has no public name for it
SERVICE: Final = "agentmem"
UNNAMED: Final = "unknown_service"  # how the SDK calls a service that nothing names

_OWN: Final[WeakSet[object]] = WeakSet()


def owner_of_tracer() -> Owner:
    """Who installed the tracer provider in force."""
    provider = trace.get_tracer_provider()
    if isinstance(provider, trace.ProxyTracerProvider):
        return "nobody"
    return "agentmem" if provider in _OWN else "application"


def owner_of_meter() -> Owner:
    """Who installed the meter provider in force."""
    provider = metrics.get_meter_provider()
    if type(provider).__name__ == WAITING:
        return "nobody"
    return "agentmem" if provider in _OWN else "application"


def install_tracer(provider: TracerProvider) -> bool:
    """Put a tracer provider of agentmem's in force; False where another thread was faster."""
    _OWN.add(provider)
    trace.set_tracer_provider(provider)
    return trace.get_tracer_provider() is provider


def install_meter(provider: MeterProvider) -> bool:
    """Put a meter provider of agentmem's in force; False where another thread was faster."""
    _OWN.add(provider)
    metrics.set_meter_provider(provider)
    return metrics.get_meter_provider() is provider


def identity(service_name: str | None = None, *, more: Mapping[str, str] | None = None) -> Resource:
    """Say which process this is: as told, else as the OTEL_* variables say, else "agentmem".

    Args:
        service_name: What back ends call it.
        more: Further attributes.
    """
    from opentelemetry.sdk.resources import Resource

    given = dict(more or {}) | ({} if service_name is None else {"service.name": service_name})
    resource = Resource.create(given)
    if str(resource.attributes.get("service.name", UNNAMED)).startswith(UNNAMED):
        return resource.merge(Resource({"service.name": SERVICE}))
    return resource
