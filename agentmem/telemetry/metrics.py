"""What is measured of operations: durations, results, scores, abstentions, tokens, embeddings.

Measured inside the spans they belong to, so that an SDK can keep exemplars. A provider that the
application installs later is picked up by the next measurement. Whatever goes wrong is logged
once and passed over: telemetry never fails a call.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from functools import cache, lru_cache, partial
from typing import Final, TypeAlias

from opentelemetry import metrics
from opentelemetry.metrics import Meter, MeterProvider, NoOpMeterProvider

from agentmem.telemetry.conventions import OPERATIONS
from agentmem.telemetry.drifts import drift_observations
from agentmem.telemetry.instruments import DRIFT_GAUGES, INSTRUMENTS, Instrument
from agentmem.telemetry.passing import passed_over
from agentmem.telemetry.stores import ObservedStore, observations, observe

__all__ = ["Metrics"]

Told: TypeAlias = Mapping[str, str | bool]
Record: TypeAlias = Callable[[float, Told], None]

NAME: Final = "agentmem"
PROVIDERS: Final = 4  # an application has one, and there is the one for silence
SILENCE: Final = NoOpMeterProvider()

_MAKING: Final = threading.Lock()


class Metrics:
    """The measurements of one store. Safe for several threads.

    Args:
        provider: Whose instruments; OpenTelemetry's global provider if None.
    """

    def __init__(self, provider: MeterProvider | None = None) -> None:
        self._provider = provider

    @classmethod
    def silent(cls) -> Metrics:
        """Return one that measures nothing."""
        return cls(SILENCE)

    def observe(self, store: ObservedStore) -> None:
        """Let gauges read an open store, for as long as somebody else holds it."""
        if self._provider is SILENCE:
            return
        observe(store)
        try:
            self._recorders()
        except Exception as error:  # noqa: BLE001 - whatever a provider raises, the store opens
            passed_over("gauges could not be made", error)

    def operation(self, operation: str, *, seconds: float, error_type: str | None) -> None:
        """Measure an operation that ended, well or not."""
        told = {"gen_ai.operation.name": _conventional(operation)}
        if error_type is not None:
            told["error.type"] = error_type
        self._tell("gen_ai.client.operation.duration", seconds, told)

    def phase(self, operation: str, phase: str, *, seconds: float) -> None:
        """Measure a phase that ended."""
        told = {"agentmem.operation": operation, "agentmem.phase": phase}
        self._tell("agentmem.phase.duration", seconds, told)

    def found(self, operation: str, *, scores: tuple[float, ...], results: int) -> None:
        """Measure what a retrieval found.

        Args:
            operation: Which.
            scores: Of the best results, best first.
            results: How many there were.
        """
        told = {"agentmem.operation": operation}
        self._tell("agentmem.results", results, told)
        if scores:
            self._tell("agentmem.top_score", scores[0], told)
        if len(scores) > 1:
            self._tell("agentmem.margin", scores[0] - scores[1], told)

    def abstained(self, *, calibrated: bool) -> None:
        """Count a selection that chose nothing."""
        self._tell("agentmem.abstentions", 1, {"agentmem.router.calibrated": calibrated})

    def tokens(self, kind: str, *, tokens: int) -> None:
        """Measure tokens that were `packed` into a context, or `saved` by a selection."""
        self._tell("agentmem.tokens", tokens, {"agentmem.tokens.kind": kind})

    def guarded(self, outcomes: Mapping[str, int]) -> None:
        """Count messages by what guards made of them; of those let in as they came, nothing."""
        for outcome, messages in outcomes.items():
            if messages:
                self._tell("agentmem.guarded", messages, {"agentmem.guard.outcome": outcome})

    def embedded(self, *, computed: int, cached: int) -> None:
        """Count texts that were encoded, and texts that were remembered."""
        if computed:
            self._tell("agentmem.embeddings", computed, {"agentmem.cache": "miss"})
        if cached:
            self._tell("agentmem.embeddings", cached, {"agentmem.cache": "hit"})

    def _tell(self, instrument: str, value: float, told: Told) -> None:
        try:
            self._recorders()[instrument](value, told)
        except Exception as error:  # noqa: BLE001 - whatever a provider raises, the call goes on
            passed_over("a measurement could not be taken", error)

    def _recorders(self) -> Mapping[str, Record]:
        """Return the instruments of the provider in force, which may be set at any time."""
        if self._provider is not None:
            return _made(self._provider)
        try:
            return _made(metrics.get_meter_provider())
        except Exception:
            self._provider = SILENCE  # one that cannot be loaded would be looked for every time
            raise


@cache
def _conventional(operation: str) -> str:
    """Return what the conventions call an operation; its own name where they have no word."""
    known: dict[str, str | None] = {name: spec.gen_ai for name, spec in OPERATIONS.items()}
    return known.get(operation) or operation


def _made(provider: MeterProvider) -> Mapping[str, Record]:
    """Return the instruments of a provider; two makers at a time would make every gauge twice."""
    with _MAKING:
        return _made_once(provider)


@lru_cache(PROVIDERS)
def _made_once(provider: MeterProvider) -> Mapping[str, Record]:
    """Make the instruments of a provider: one that waits for an SDK keeps them all."""
    meter = provider.get_meter(NAME)
    made = {name: _one(meter, instrument) for name, instrument in INSTRUMENTS.items()}
    return {name: record for name, record in made.items() if record is not None}


def _one(meter: Meter, spec: Instrument) -> Record | None:
    name, unit, means = spec.name, spec.unit, spec.means
    if spec.kind == "gauge":
        reading = [partial(drift_observations if name in DRIFT_GAUGES else observations, name)]
        meter.create_observable_gauge(name, callbacks=reading, unit=unit, description=means)
        return None
    if spec.kind == "counter":
        return meter.create_counter(name, unit=unit, description=means).add
    return meter.create_histogram(
        name,
        unit=unit,
        description=means,
        explicit_bucket_boundaries_advisory=list(spec.boundaries),
    ).record
