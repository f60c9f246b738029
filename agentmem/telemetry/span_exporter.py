"""What the SDK hands spans to: an exporter to a folder, and the tap that feeds it.

Imports the SDK, so only a call of `record` loads it. Whatever fails is logged once and passed
over: no retrieval waits for a disk.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from threading import Lock
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakKeyDictionary

import pyarrow as pa
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from agentmem.telemetry.span_files import SpanFiles
from agentmem.telemetry.span_rows import row_of, schema

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import Span

__all__ = ["FolderSpanExporter", "Tap", "tap_of"]

OURS: Final = "agentmem"  # the instrumentation scope of every span of this library

logger = logging.getLogger("agentmem")


class FolderSpanExporter(SpanExporter):
    """Writes each batch of spans as one Parquet file, and keeps the folder within its bounds.

    Args:
        files: The folder.
        max_bytes: Of all its files together.
        max_age: Of a file.
    """

    def __init__(self, files: SpanFiles, *, max_bytes: int, max_age: timedelta) -> None:
        self._files = files
        self._max_bytes = max_bytes
        self._max_age = max_age
        self._has_complained = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Write spans."""
        try:
            rows = [row for row in map(self._row, spans) if row is not None]
            if rows:
                self._write(rows)
        except Exception as error:  # noqa: BLE001 - telemetry never fails what it watches
            self._complain(error)
            return SpanExportResult.FAILURE
        return SpanExportResult.SUCCESS

    def _write(self, rows: list[dict[str, Any]]) -> None:
        now = datetime.now(timezone.utc)
        self._files.write(pa.Table.from_pylist(rows, schema=schema()), at=now)
        self._files.tidy(max_bytes=self._max_bytes, max_age=self._max_age, now=now)

    def _row(self, span: ReadableSpan) -> dict[str, Any] | None:
        try:
            return row_of(span)
        except Exception as error:  # noqa: BLE001 - the other spans of its batch are kept
            self._complain(error)
            return None

    def _complain(self, error: Exception) -> None:
        if not self._has_complained:
            self._has_complained = True
            reason = error.strerror if isinstance(error, OSError) else None
            logger.warning(
                "spans are not recorded in %s: %s %s. Everything else goes on; this is said once.",
                self._files.folder,
                type(error).__name__,
                reason or "",
            )


class Tap(SpanProcessor):
    """Hands ended spans to the recordings under way.

    The SDK takes no processor off a provider, so each provider gets one tap for good, and
    recordings come and go below it.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._below: tuple[tuple[SpanProcessor, bool], ...] = ()

    def open(self, processor: SpanProcessor, *, everything: bool) -> None:
        """Begin to hand spans to a processor, those of other libraries too if `everything`."""
        with self._lock:
            self._below = (*self._below, (processor, everything))

    def close(self, processor: SpanProcessor) -> None:
        """Hand it no more."""
        with self._lock:
            self._below = tuple(one for one in self._below if one[0] is not processor)

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Nothing: a row is made of a span that ended."""

    def on_end(self, span: ReadableSpan) -> None:
        """Hand on a span."""
        for processor, everything in self._below:
            if everything or _is_ours(span):
                processor.on_end(span)

    def shutdown(self) -> None:
        """Write what is left: the provider goes."""
        for processor, _ in self._below:
            processor.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Write what there is."""
        written = [one.force_flush(timeout_millis) for one, _ in self._below]  # each of them
        return all(written)


_taps: WeakKeyDictionary[TracerProvider, Tap] = WeakKeyDictionary()
_lock = Lock()


def tap_of(provider: TracerProvider) -> Tap:
    """Return the tap of a provider; it gets one if it has none."""
    with _lock:
        tap = _taps.get(provider)
        if tap is None:
            tap = _taps[provider] = Tap()
            provider.add_span_processor(tap)
        return tap


def _is_ours(span: ReadableSpan) -> bool:
    scope = span.instrumentation_scope
    return scope is not None and scope.name == OURS
