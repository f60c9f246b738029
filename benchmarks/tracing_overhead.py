"""What tracing adds to a search: without an SDK, and with one that exports in batches.

    python benchmarks/tracing_overhead.py [--turns 2000] [--rounds 300] [--check] [--out results]

Every round searches for one question, which no cache knows, once in each way and in random order,
in one process on one machine, because absolute times of shared machines mean little. The figures
are ratios of medians to a search without any instrumentation at all, not even the times of its
phases, each with the 95 % interval of a bootstrap over rounds. Exporters take everything and send
nothing, so this is what the searching thread pays; sending is the work of another.
"""

from __future__ import annotations

import argparse
import json
import platform
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from memory_speed import filled, sentence
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import (
    MetricExporter,
    MetricExportResult,
    PeriodicExportingMetricReader,
)
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import INVALID_SPAN

from agentmem import CachedEmbedder, Memory, SentenceTransformerEmbedder
from agentmem.telemetry import Content, Current, Tracing
from agentmem.telemetry.metrics import Metrics

BARE = "no instrumentation"
TARGETS = {"no SDK": 1.02, "SDK": 1.08, "SDK, with content": 1.08}
RESAMPLES = 2_000
METRIC_INTERVAL = 1_000  # milliseconds; a minute is customary, and would hide the reader's share


class NullSpans(SpanExporter):
    """Takes spans and sends nothing."""

    def export(self, *_: Any) -> SpanExportResult:
        """Take them."""
        return SpanExportResult.SUCCESS


class NullMetrics(MetricExporter):
    """Takes metrics and sends nothing."""

    def export(self, *_: Any, **__: Any) -> MetricExportResult:
        """Take them."""
        return MetricExportResult.SUCCESS

    def force_flush(self, *_: Any, **__: Any) -> bool:
        """Have nothing left."""
        return True

    def shutdown(self, *_: Any, **__: Any) -> None:
        """Have nothing to end."""


class Bare(Tracing):
    """Does nothing at all: what a search costs by itself."""

    def __init__(self) -> None:
        super().__init__(content=Content(captured=False), metrics=Silence())

    @contextmanager
    def operation(self, operation: Any, *_: Any, **__: Any) -> Iterator[Current]:
        """Give what takes everything and does nothing."""
        yield Nothing(INVALID_SPAN, operation=operation, tracing=self)


class Nothing(Current):
    """Neither times a phase nor describes anything."""

    is_recording = False
    ids = None, None

    @contextmanager
    def phase(self, *_: Any, **__: Any) -> Iterator[Current]:
        """Do nothing."""
        yield self

    def describe(self, *_: Any) -> None:
        """Do nothing."""

    def set(self, *_: Any) -> None:
        """Do nothing."""


class Silence(Metrics):
    """Does not even ask for a provider."""

    def _tell(self, *_: Any) -> None:
        """Do nothing."""


def with_sdk(store: str, *, content: bool) -> Tracing:
    """Return a tracing of the SDK as an application sets it up."""
    spans = TracerProvider()
    spans.add_span_processor(BatchSpanProcessor(NullSpans()))
    reader = PeriodicExportingMetricReader(NullMetrics(), export_interval_millis=METRIC_INTERVAL)
    measures = MeterProvider(metric_readers=[reader])
    return Tracing(store, content=Content(content), provider=spans, metrics=Metrics(measures))


def measured(
    memory: Memory, ways: Mapping[str, Tracing], *, rounds: int, rng: random.Random
) -> dict[str, list[float]]:
    """Milliseconds of a search in each way, by rounds."""
    found: dict[str, list[float]] = {name: [] for name in ways}
    searcher: Any = memory._parts.searcher  # noqa: SLF001 - one searcher, one set of columns, every way
    for place in range(-5, rounds):  # the first rounds load the columns and warm the model
        question = f"What happened when {sentence(rng)[:-1]}?"
        for name in rng.sample(list(ways), len(ways)):
            searcher._tracing = ways[name]  # noqa: SLF001
            start = time.perf_counter()
            memory.search(question, user_id="ada", k=10)
            spent = (time.perf_counter() - start) * 1e3
            if place >= 0:
                found[name].append(spent)
    return found


def ratio(bare: Sequence[float], other: Sequence[float], *, seed: int = 0) -> dict[str, float]:
    """The ratio of medians, its 95 % interval, and the median of what a round took longer."""
    pair = np.array([bare, other])
    draws = np.random.default_rng(seed).integers(0, pair.shape[1], (RESAMPLES, pair.shape[1]))
    medians = np.median(pair[:, draws], axis=2)
    low, high = np.percentile(medians[1] / medians[0], [2.5, 97.5])
    return {
        "ratio": round(statistics.median(other) / statistics.median(bare), 4),
        "low": round(float(low), 4),
        "high": round(float(high), 4),
        "extra us": round(float(np.median(pair[1] - pair[0])) * 1e3, 1),
    }


def main() -> None:
    """Measure, print, and write results as JSON."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--turns", type=int, default=2_000)
    options.add_argument("--rounds", type=int, default=300)
    options.add_argument("--check", action="store_true", help="fail where a target is missed")
    options.add_argument("--out", type=Path, default=Path("results"))
    given = options.parse_args()
    rng = random.Random(0)  # noqa: S311 (texts, not secrets)
    embedder = CachedEmbedder(SentenceTransformerEmbedder(device="cpu"), max_bytes=0)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "bench.mem"
        filled(path, turns=given.turns, rng=rng).close()
        with Memory.open(path, embedder=embedder) as memory:
            store = str(path)
            ways = {
                BARE: Bare(),
                "no SDK": Tracing(store, content=Content(captured=False)),
                "SDK": with_sdk(store, content=False),
                "SDK, with content": with_sdk(store, content=True),
            }
            times = measured(memory, ways, rounds=given.rounds, rng=rng)
    figures = {name: ratio(times[BARE], times[name]) for name in TARGETS}
    packages = ("opentelemetry-api", "opentelemetry-sdk", "sentence-transformers", "torch")
    report = {
        "turns": given.turns,
        "rounds": given.rounds,
        "machine": platform.processor() or platform.machine(),
        "versions": {package: version(package) for package in packages},
        "bare ms": round(statistics.median(times[BARE]), 3),
        "figures": figures,
        "targets": TARGETS,
    }
    given.out.mkdir(parents=True, exist_ok=True)
    (given.out / "tracing_overhead.json").write_text(json.dumps(report, indent=2) + "\n")
    print(f"a search among {given.turns:,} turns without instrumentation: {report['bare ms']} ms\n")
    print("| | ratio | 95 % | microseconds more | target |\n|---|---|---|---|---|")
    for name, one in figures.items():
        interval = f"{one['low']:.3f} – {one['high']:.3f}"
        target = f"< {TARGETS[name]}"
        print(f"| {name} | {one['ratio']:.3f} | {interval} | {one['extra us']:.0f} | {target} |")
    missed = [name for name, one in figures.items() if one["ratio"] >= TARGETS[name]]
    if given.check and missed:
        sys.exit(f"missed: {', '.join(missed)}")


if __name__ == "__main__":
    main()
