"""Spans, phases and metrics of everything agentmem does, and the records that replay needs."""

from __future__ import annotations

from agentmem.telemetry.audit_log import AuditLog, AuditTo, audit_sink, read_audit_log
from agentmem.telemetry.auditing import Audit, Entry, acting_as
from agentmem.telemetry.baggage import scope_baggage
from agentmem.telemetry.content import Content, Redact
from agentmem.telemetry.conventions import Operation
from agentmem.telemetry.local import Recording, record
from agentmem.telemetry.setup import Configured, configure
from agentmem.telemetry.spans import Attributes, Current, Tracing, as_json

__all__ = [
    "Attributes",
    "Audit",
    "AuditLog",
    "AuditTo",
    "Configured",
    "Content",
    "Current",
    "Entry",
    "Operation",
    "Recording",
    "Redact",
    "Tracing",
    "acting_as",
    "as_json",
    "audit_sink",
    "configure",
    "read_audit_log",
    "record",
    "scope_baggage",
]
