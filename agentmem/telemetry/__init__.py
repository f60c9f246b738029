"""Spans, phases and metrics of everything agentmem does, and the records that replay needs."""

from __future__ import annotations

from agentmem.telemetry.baggage import scope_baggage
from agentmem.telemetry.content import Content, Redact
from agentmem.telemetry.conventions import Operation
from agentmem.telemetry.local import Recording, record
from agentmem.telemetry.setup import Configured, configure
from agentmem.telemetry.spans import Attributes, Current, Tracing, as_json

__all__ = [
    "Attributes",
    "Configured",
    "Content",
    "Current",
    "Operation",
    "Recording",
    "Redact",
    "Tracing",
    "as_json",
    "configure",
    "record",
    "scope_baggage",
]
