"""Spans and phases of every operation, and the measurements taken of them.

Imports `opentelemetry-api` alone: without an SDK an operation costs microseconds and goes nowhere.
Whatever goes wrong while something is described is logged and passed over: telemetry never fails
a call.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Final, TypeAlias

from opentelemetry import trace
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer, TracerProvider

from agentmem.telemetry.baggage import scope_from_baggage
from agentmem.telemetry.content import Content
from agentmem.telemetry.conventions import OPERATIONS, PHASES, Operation, Phase, SpanSpec
from agentmem.telemetry.metrics import Metrics
from agentmem.types import AllScopes, Scope

__all__ = [
    "Attribute",
    "Attributes",
    "Current",
    "Tracing",
    "as_json",
    "library_version",
    "scope_attributes",
]

Attribute: TypeAlias = str | bool | int | float | Sequence[str]
Attributes: TypeAlias = Mapping[str, Attribute | None]

NAME: Final = "agentmem"
NOTHING: Final[Attributes] = {}

logger = logging.getLogger("agentmem")


@cache
def library_version() -> str:
    """Return the version of agentmem that is installed."""
    try:
        return version(NAME)
    except PackageNotFoundError:  # run from a checkout that was never installed
        return "unknown"


def as_json(value: object) -> str:
    """Return the JSON of a value for an attribute, in a stable order."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"), default=str)


def scope_attributes(scope: Scope | AllScopes) -> dict[str, Attribute | None]:
    """Whose memory an operation touches."""
    if isinstance(scope, AllScopes):
        return {"agentmem.scope.all": True}
    return {
        "user.id": scope.user_id,
        "session.id": scope.session_id,
        "agentmem.scope.user_id": scope.user_id,  # again: others may put a session.id on any span
        "agentmem.scope.agent_id": scope.agent_id,
        "agentmem.scope.session_id": scope.session_id,
    }


class Current:
    """One operation under way: its span, its phases, and what may be said of them.

    Attributes:
        span: Its span; one that records nothing where nobody listens.
        content: What may be recorded of what people said.
        metrics: Where measurements go.
        milliseconds: Wall time of each phase that ended, in order.
        operation: Its name.
    """

    def __init__(
        self, span: Span, *, operation: Operation, tracing: Tracing, parent: Current | None = None
    ) -> None:
        self.span = span
        self.operation = operation
        self.content = tracing.content
        self.metrics = tracing.metrics
        self.milliseconds: dict[str, float] = {} if parent is None else parent.milliseconds
        self._tracing = tracing

    @property
    def is_recording(self) -> bool:
        """Whether anybody will see what is said here."""
        return self.span.is_recording()

    @property
    def ids(self) -> tuple[str | None, str | None]:
        """Trace and span id in hexadecimal digits, or None each where none is recorded."""
        context = self.span.get_span_context()
        if not (context.is_valid and self.is_recording):
            return None, None
        return trace.format_trace_id(context.trace_id), trace.format_span_id(context.span_id)

    def set(self, attributes: Attributes) -> None:
        """Put attributes on the span; those that are None are left out."""
        if self.is_recording:
            self.span.set_attributes({k: v for k, v in attributes.items() if v is not None})

    def describe(self, describing: Callable[[], Attributes]) -> None:
        """Put on the span what a function says, if anybody will see it.

        Whatever it raises is logged, by its class alone, and passed over.
        """
        if not self.is_recording:
            return
        try:
            self.set(describing())
        except Exception as error:  # noqa: BLE001 - a description must never fail what it describes
            logger.warning("a span could not be described: %s", type(error).__name__)

    @contextmanager
    def phase(self, phase: Phase, *, model: str | None = None) -> Iterator[Current]:
        """Time a phase; where the operation is recorded, as a span of its own.

        Args:
            phase: Which.
            model: What is asked, for the span's name.
        """
        started = time.perf_counter()
        try:
            if self.is_recording:
                spec = PHASES[phase]
                name = spec.gen_ai or (phase if phase == "rerank" else f"{NAME}.{phase}")
                with self._tracing.opened(f"{name} {model}" if model else name, spec) as span:
                    span.set_attribute("agentmem.phase", phase)
                    yield Current(
                        span, operation=self.operation, tracing=self._tracing, parent=self
                    )
            else:
                yield self
        finally:
            spent = time.perf_counter() - started
            self.milliseconds[phase] = self.milliseconds.get(phase, 0.0) + spent * 1e3
            self.metrics.phase(self.operation, phase, seconds=spent)


class Tracing:
    """Opens the spans of one store. Safe for several threads.

    Args:
        store: The folder or address, as it was given.
        content: What may be recorded of what people said.
        provider: Whose spans; OpenTelemetry's global provider if None.
        metrics: Where measurements go.

    Attributes:
        store: See the arguments, likewise `content`, `metrics`.
        content: See `store`.
        metrics: See `store`.
    """

    def __init__(
        self,
        store: str = "",
        *,
        content: Content | None = None,
        provider: TracerProvider | None = None,
        metrics: Metrics | None = None,
    ) -> None:
        self.store = store
        self.content = Content() if content is None else content
        self.metrics = Metrics() if metrics is None else metrics
        self._provider = provider
        self._known: tuple[TracerProvider | None, Tracer | None] = None, None

    @classmethod
    def silent(cls) -> Tracing:
        """Return one that records nothing, for what is run again or measured."""
        return cls(
            content=Content(captured=False),
            provider=trace.NoOpTracerProvider(),
            metrics=Metrics.silent(),
        )

    @contextmanager
    def operation(
        self,
        operation: Operation,
        attributes: Attributes = NOTHING,
        *,
        scope: Scope | AllScopes | None = None,
        data_source: str | None = None,
    ) -> Iterator[Current]:
        """Open the span of one operation as the current one, and measure it.

        An error is recorded by its type alone: its message may quote what a user said.

        Args:
            operation: What is done.
            attributes: Further attributes; those that are None are left out.
            scope: Whose memory it touches. Where it knows of nobody, the baggage may name somebody.
            data_source: Put behind the span's name, as the conventions want it of a retrieval.
        """
        started = time.perf_counter()
        name = f"{operation} {data_source}" if data_source else operation
        with self.opened(name, OPERATIONS[operation]) as span:
            current = Current(span, operation=operation, tracing=self)
            if current.is_recording:
                whose = scope_from_baggage() if scope is None else scope_attributes(scope)
                current.set({**whose, **attributes})
            error_type: str | None = None
            try:
                yield current
            except BaseException as error:
                error_type = type(error).__name__
                raise
            finally:  # inside the span, so that exemplars find it
                spent = time.perf_counter() - started
                self.metrics.operation(operation, seconds=spent, error_type=error_type)

    @contextmanager
    def opened(self, name: str, spec: SpanSpec) -> Iterator[Span]:
        """Open a span of some kind as the current one."""
        with self._tracer().start_as_current_span(
            name, kind=SpanKind.INTERNAL, record_exception=False, set_status_on_exception=False
        ) as span:
            if span.is_recording():
                span.set_attribute("openinference.span.kind", spec.kind)
                span.set_attribute("gen_ai.span.kind", spec.kind)
                if spec.gen_ai:
                    span.set_attribute("gen_ai.operation.name", spec.gen_ai)
            try:
                yield span
            except BaseException as error:
                span.set_attribute("error.type", type(error).__name__)
                span.set_status(Status(StatusCode.ERROR))
                raise

    def _tracer(self) -> Tracer:
        """Return the tracer of the provider in force: an application may set one at any time."""
        provider = self._provider or trace.get_tracer_provider()
        known, tracer = self._known
        if known is not provider or tracer is None:
            tracer = provider.get_tracer(NAME, library_version())
            self._known = provider, tracer
        return tracer
