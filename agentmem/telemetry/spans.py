"""Spans and phases of every operation, and the measurements taken of them.

Imports `opentelemetry-api` alone: without an SDK an operation costs microseconds and goes nowhere.
Whatever goes wrong in it, or in an SDK, is logged and passed over: telemetry never fails a call.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Final, TypeAlias

from opentelemetry import context, trace
from opentelemetry.trace import (
    NonRecordingSpan,
    Span,
    SpanKind,
    Status,
    StatusCode,
    Tracer,
    TracerProvider,
)

from agentmem.telemetry.baggage import scope_from_baggage
from agentmem.telemetry.content import Content
from agentmem.telemetry.conventions import OPERATIONS, PHASES, Operation, Phase, SpanSpec
from agentmem.telemetry.metrics import Metrics
from agentmem.telemetry.passing import passed_over
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
JSON: Final = json.JSONEncoder(
    ensure_ascii=False, sort_keys=True, separators=(",", ":"), default=str
)  # made once: json.dumps makes one for every call
NO_WORDS: Final[Mapping[str, str]] = {}
SILENCE: Final = trace.NoOpTracerProvider()


@cache
def library_version() -> str:
    """Return the version of agentmem that is installed."""
    try:
        return version(NAME)
    except PackageNotFoundError:  # run from a checkout that was never installed
        return "unknown"


def as_json(value: object) -> str:
    """Return the JSON of a value for an attribute, in a stable order."""
    return JSON.encode(value)


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
        timed: Each phase that ended with its seconds; measured with the operation, because one
            loop over them costs half of what the same calls cost in between.
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
        self.timed: list[tuple[Phase, float]] = [] if parent is None else parent.timed
        self._tracing = tracing

    @property
    def is_recording(self) -> bool:
        """Whether anybody will see what is said here."""
        return self.span.is_recording()

    @property
    def ids(self) -> tuple[str | None, str | None]:
        """Trace and span id in hexadecimal digits, or None each where none is recorded."""
        told = self.span.get_span_context()
        if not (told.is_valid and self.is_recording):
            return None, None
        return trace.format_trace_id(told.trace_id), trace.format_span_id(told.span_id)

    def set(self, attributes: Attributes) -> None:
        """Put attributes on the span; those that are None are left out."""
        if not self.is_recording:
            return
        try:
            told = {name: _sound(v) for name, v in attributes.items() if v is not None}
            self.span.set_attributes(told)
        except Exception as error:  # noqa: BLE001 - whatever an SDK raises, the call goes on
            passed_over("a span could not take its attributes", error)

    def describe(self, describing: Callable[[], Attributes]) -> None:
        """Put on the span what a function says, if anybody will see it.

        Whatever it raises is logged, by its class alone, and passed over.
        """
        if not self.is_recording:
            return
        try:
            self.set(describing())
        except Exception as error:  # noqa: BLE001 - a description must never fail what it describes
            passed_over("a span could not be described", error)

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
                with self._tracing.opened(
                    f"{name} {model}" if model else name,
                    spec,
                    attributes={"agentmem.phase": phase},
                ) as span:
                    yield Current(
                        span, operation=self.operation, tracing=self._tracing, parent=self
                    )
            else:
                yield self
        finally:
            spent = time.perf_counter() - started
            self.milliseconds[phase] = self.milliseconds.get(phase, 0.0) + spent * 1e3
            self.timed.append((phase, spent))


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
            provider=SILENCE,
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
                if scope is None or scope == Scope():
                    current.describe(scope_from_baggage)
                else:
                    current.set(scope_attributes(scope))
                current.set(attributes)
            error_type: str | None = None
            try:
                yield current
            except BaseException as error:
                error_type = type(error).__name__
                raise
            finally:  # inside the span, so that exemplars find it
                spent = time.perf_counter() - started
                self.metrics.operation(operation, seconds=spent, error_type=error_type)
                for phase, seconds in current.timed:
                    self.metrics.phase(operation, phase, seconds=seconds)

    @contextmanager
    def opened(
        self, name: str, spec: SpanSpec, *, attributes: Mapping[str, str] = NO_WORDS
    ) -> Iterator[Span]:
        """Open a span of some kind as the current one.

        An SDK that cannot start or end it, because a sampler or processor of the application
        raised, leaves no span and fails nothing.
        """
        span = self._started(name, {**_of_kind(spec), **attributes})
        token = context.attach(trace.set_span_in_context(span))
        try:
            yield span
        except BaseException as error:
            _failed(span, type(error).__name__)
            raise
        finally:
            context.detach(token)
            _ended(span)

    def _started(self, name: str, attributes: Mapping[str, str]) -> Span:
        try:
            name = _in_unicode(name)
            return self._tracer().start_span(name, kind=SpanKind.INTERNAL, attributes=attributes)
        except Exception as error:  # noqa: BLE001 - whatever an SDK raises, the call goes on
            passed_over("a span could not be started", error)
            return NonRecordingSpan(trace.get_current_span().get_span_context())

    def _tracer(self) -> Tracer:
        """Return the tracer of the provider in force: an application may set one at any time."""
        try:
            provider = self._provider or trace.get_tracer_provider()
        except Exception:
            self._provider = SILENCE  # one that cannot be loaded would be looked for every time
            raise
        known, tracer = self._known
        if known is not provider or tracer is None:
            tracer = provider.get_tracer(NAME, library_version())
            self._known = provider, tracer
        return tracer


def _sound(value: Attribute) -> Attribute:
    """Return a value that an exporter can encode: one that it cannot loses it a whole batch."""
    if isinstance(value, str):
        return _in_unicode(value)
    return value if isinstance(value, (bool, int, float)) else [_in_unicode(one) for one in value]


def _in_unicode(text: str) -> str:
    """Return a text without half characters, such as the names of files may hold."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


@cache
def _of_kind(spec: SpanSpec) -> Mapping[str, str]:
    """Return what every span of a kind says from its start, so that a sampler may go by it."""
    kind = {"openinference.span.kind": spec.kind, "gen_ai.span.kind": spec.kind}
    return kind | ({"gen_ai.operation.name": spec.gen_ai} if spec.gen_ai else {})


def _failed(span: Span, error_type: str) -> None:
    try:
        span.set_attribute("error.type", error_type)
        span.set_status(Status(StatusCode.ERROR))
    except Exception as error:  # noqa: BLE001 - as in `Tracing.opened`
        passed_over("a span could not take its status", error)


def _ended(span: Span) -> None:
    try:
        span.end()
    except Exception as error:  # noqa: BLE001 - as in `Tracing.opened`
        passed_over("a span could not be ended", error)
