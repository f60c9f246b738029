"""The instruments: durations, results, scores, abstentions, tokens, embeddings, sizes.

Measured inside the spans they belong to, so that an SDK can keep exemplars. No scope, id or text
is ever an attribute of a measurement: metrics are kept by the combination of their attributes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from opentelemetry import metrics
from opentelemetry.metrics import Histogram, Meter, MeterProvider, NoOpMeterProvider

from agentmem.telemetry.conventions import OPERATIONS

__all__ = ["Metrics"]

NAME: Final = "agentmem"
SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
COUNTS: Final = (0, 1, 2, 5, 10, 20, 50, 100, 500, 1_000, 10_000)
SCORES: Final = (-1, 0, 1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 20)  # sums of standard deviations
TOKENS: Final = (0, 100, 250, 500, 1_000, 2_000, 4_000, 8_000, 16_000, 64_000, 256_000)


class Metrics:
    """The measurements of one store. Safe for several threads.

    Args:
        provider: Whose instruments; OpenTelemetry's global provider if None.
    """

    def __init__(self, provider: MeterProvider | None = None) -> None:
        meter = metrics.get_meter(NAME, meter_provider=provider)
        self.meter = meter
        # named as the conventions name it, so that dashboards for GenAI clients show it
        self._operation = _seconds(meter, "gen_ai.client.operation.duration", "of an operation")
        self._phase = _seconds(meter, "agentmem.phase.duration", "of a phase of an operation")
        self._results = _histogram(meter, "agentmem.results", "{result}", "found", COUNTS)
        self._top = _histogram(meter, "agentmem.top_score", "1", "score of the best", SCORES)
        self._margin = _histogram(meter, "agentmem.margin", "1", "best minus second", SCORES)
        self._tokens = _histogram(meter, "agentmem.tokens", "{token}", "packed or saved", TOKENS)
        self._abstained = meter.create_counter(
            "agentmem.abstentions", unit="{selection}", description="selections that chose nothing"
        )
        self._embedded = meter.create_counter(
            "agentmem.embeddings", unit="{text}", description="texts embedded, or remembered"
        )

    @classmethod
    def silent(cls) -> Metrics:
        """Return one that measures nothing."""
        return cls(NoOpMeterProvider())

    def operation(self, operation: str, *, seconds: float, error_type: str | None) -> None:
        """Measure an operation that ended, well or not."""
        spec = OPERATIONS.get(operation)  # type: ignore[call-overload]
        known = spec.gen_ai if spec is not None and spec.gen_ai else operation
        told = {"gen_ai.operation.name": known}
        self._operation.record(seconds, told | ({"error.type": error_type} if error_type else {}))

    def phase(self, operation: str, phase: str, *, seconds: float) -> None:
        """Measure a phase that ended."""
        self._phase.record(seconds, {"agentmem.operation": operation, "agentmem.phase": phase})

    def found(self, operation: str, *, scores: tuple[float, ...], results: int) -> None:
        """Measure what a retrieval found.

        Args:
            operation: Which.
            scores: Of the best results, best first.
            results: How many there were.
        """
        told: Mapping[str, str] = {"agentmem.operation": operation}
        self._results.record(results, told)
        if scores:
            self._top.record(scores[0], told)
        if len(scores) > 1:
            self._margin.record(scores[0] - scores[1], told)

    def abstained(self, *, calibrated: bool) -> None:
        """Count a selection that chose nothing."""
        self._abstained.add(1, {"agentmem.router.calibrated": calibrated})

    def tokens(self, kind: str, *, tokens: int) -> None:
        """Measure tokens that were `packed` into a context, or `saved` by a selection."""
        self._tokens.record(tokens, {"agentmem.tokens.kind": kind})

    def embedded(self, *, computed: int, cached: int) -> None:
        """Count texts that were encoded, and texts that were remembered."""
        if computed:
            self._embedded.add(computed, {"agentmem.cache": "miss"})
        if cached:
            self._embedded.add(cached, {"agentmem.cache": "hit"})


def _seconds(meter: Meter, name: str, what: str) -> Histogram:
    return _histogram(meter, name, "s", f"duration {what}", SECONDS)


def _histogram(
    meter: Meter, name: str, unit: str, what: str, boundaries: tuple[float, ...]
) -> Histogram:
    return meter.create_histogram(
        name, unit=unit, description=what, explicit_bucket_boundaries_advisory=list(boundaries)
    )
