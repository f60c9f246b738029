"""Traces without a backend: spans kept as Parquet files in a folder, for `agentmem traces`.

The SDK and pyarrow load when `record` is called, not before.
"""

from __future__ import annotations

import atexit
import os
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import trace
from typing_extensions import Self

from agentmem.checks import location, shown
from agentmem.errors import InvalidInput
from agentmem.telemetry.providers import identity, install_tracer, owner_of_tracer
from agentmem.telemetry.span_files import SpanFiles

if TYPE_CHECKING:
    from types import TracebackType

    from opentelemetry.sdk.trace import SpanProcessor, TracerProvider

    from agentmem.telemetry.span_exporter import Tap

__all__ = ["MAX_AGE", "MAX_BYTES", "Recording", "record"]

MAX_BYTES: Final = 256_000_000  # about 200,000 retrievals with their phases and no content
MAX_AGE: Final = timedelta(days=30)
LEAST_BYTES: Final = 1_000_000  # less would hold no batch of retrievals with their content
DELAY: Final = 1_000  # milliseconds between writes: what a killed process loses at most
DELAY_VARIABLE: Final = "OTEL_BSP_SCHEDULE_DELAY"  # the SDK's own, which wins


class Recording:
    """Spans being kept in a folder, until `stop`; also a context manager.

    Attributes:
        path: The folder.
    """

    def __init__(self, path: Path, *, tap: Tap, processor: SpanProcessor) -> None:
        self.path = path
        self._tap = tap
        self._processor = processor
        atexit.register(self.stop)

    def flush(self) -> None:
        """Write what has ended so far; returns when it is in the folder."""
        self._processor.force_flush()

    def stop(self) -> None:
        """Write what is left and keep no more. A second call does nothing."""
        self._tap.close(self._processor)
        self._processor.shutdown()
        atexit.unregister(self.stop)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()


def record(
    path: str | os.PathLike[str],
    *,
    max_bytes: int = MAX_BYTES,
    max_age: timedelta = MAX_AGE,
    everything: bool = False,
) -> Recording:
    """Keep the spans of agentmem in a folder from now on.

    An application that has set up no OpenTelemetry gets its SDK; one that has keeps what it has,
    and its spans go here as well. Several processes may record into one folder. Spans are written
    every second by a thread of their own: a process that is killed loses those of the last second
    at most. A folder that cannot be written is logged once, and nothing else fails.

    Args:
        path: The folder; it is made where it is missing.
        max_bytes: Of all recorded spans together; the oldest go first.
        max_age: How long spans are kept, to the day.
        everything: Whether spans of other libraries are kept too.

    Raises:
        InvalidInput: A bound is too small, or the application's tracer provider is not the SDK's
            and takes no processor.
    """
    folder = Path(location(path, what="path")).absolute()
    _check_bounds(max_bytes=max_bytes, max_age=max_age)
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    from agentmem.telemetry.span_exporter import FolderSpanExporter, tap_of

    tap = tap_of(_provider())
    exporter = FolderSpanExporter(SpanFiles(folder), max_bytes=max_bytes, max_age=max_age)
    delay = None if DELAY_VARIABLE in os.environ else DELAY
    processor = BatchSpanProcessor(exporter, schedule_delay_millis=delay)
    tap.open(processor, everything=everything)
    return Recording(folder, tap=tap, processor=processor)


def _check_bounds(*, max_bytes: object, max_age: object) -> None:
    if not (isinstance(max_bytes, int) and max_bytes >= LEAST_BYTES):
        raise InvalidInput(
            f"max_bytes={shown(max_bytes)} is too little for traces: a batch may be larger. "
            f"Pass a whole number of at least {LEAST_BYTES:,}."
        )
    if not (isinstance(max_age, timedelta) and max_age > timedelta(0)):
        raise InvalidInput(
            f"max_age={shown(max_age)} keeps nothing. Pass a duration such as timedelta(days=7)."
        )


def _provider() -> TracerProvider:
    """Return the SDK's provider that is in force, after putting one there if there is none."""
    from opentelemetry.sdk.trace import TracerProvider

    if owner_of_tracer() == "nobody":
        install_tracer(TracerProvider(resource=identity()))  # which `configure` adds to
    provider: Any = trace.get_tracer_provider()
    if not isinstance(provider, TracerProvider):
        raise InvalidInput(
            f"the application's tracer provider is a {type(provider).__name__}, which takes no "
            "processor, so spans cannot be recorded. Install opentelemetry.sdk.trace."
            "TracerProvider, or none at all."
        )
    return provider
