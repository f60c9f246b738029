"""The table of instruments: every metric of agentmem, its unit, what it measures and by what.

Attributes have few values each, because a back end keeps a series for every combination: no
scope, id of a turn, or text is ever among them. docs/metrics.md prints the table, and a test
holds the two together.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

__all__ = ["DRIFT_GAUGES", "GAUGES", "INSTRUMENTS", "Instrument", "InstrumentKind"]

InstrumentKind: TypeAlias = Literal["histogram", "counter", "gauge"]

SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
COUNTS: Final = (0, 1, 2, 5, 10, 20, 50, 100, 500, 1_000, 10_000)
SCORES: Final = (-1, 0, 1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 20)  # sums of standard deviations
MARGINS: Final = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 3, 5, 10)  # the small ones are doubtful
TOKENS: Final = (0, 100, 250, 500, 1_000, 2_000, 4_000, 8_000, 16_000, 64_000, 256_000)


@dataclass(frozen=True, slots=True)
class Instrument:
    """One instrument.

    Attributes:
        name: Its name.
        kind: A gauge is read when a back end asks; the others are told.
        unit: As UCUM writes it; in braces, what is counted.
        means: What it measures.
        attributes: What a measurement may carry.
        boundaries: Upper edges of a histogram's buckets.
    """

    name: str
    kind: InstrumentKind
    unit: str
    means: str
    attributes: tuple[str, ...]
    boundaries: tuple[float, ...] = ()


STORE: Final = ("gen_ai.memory.store.id",)
TABLE: Final = (*STORE, "agentmem.table")
OPERATION: Final = ("agentmem.operation",)
DRIFT: Final = (*STORE, "agentmem.drift.subject", "agentmem.drift.kind")

_ALL: Final = (
    Instrument(
        "gen_ai.client.operation.duration",  # so named that dashboards for GenAI clients show it
        "histogram",
        "s",
        "how long an operation took",
        ("gen_ai.operation.name", "error.type"),
        SECONDS,
    ),
    Instrument(
        "agentmem.phase.duration",
        "histogram",
        "s",
        "how long a phase of an operation took",
        (*OPERATION, "agentmem.phase"),
        SECONDS,
    ),
    Instrument(
        "agentmem.results",
        "histogram",
        "{result}",
        "turns that a search found, tools that a selection chose",
        OPERATION,
        COUNTS,
    ),
    Instrument(
        "agentmem.top_score", "histogram", "1", "score of the best result", OPERATION, SCORES
    ),
    Instrument(
        "agentmem.margin",
        "histogram",
        "1",
        "score of the best result minus that of the second",
        OPERATION,
        MARGINS,
    ),
    Instrument(
        "agentmem.tokens",
        "histogram",
        "{token}",
        "tokens `packed` into a context, or `saved` by a selection",
        ("agentmem.tokens.kind",),
        TOKENS,
    ),
    Instrument(
        "agentmem.abstentions",
        "counter",
        "{selection}",
        "selections that chose nothing, by whether the threshold was calibrated",
        ("agentmem.router.calibrated",),
    ),
    Instrument(
        "agentmem.embeddings",
        "counter",
        "{text}",
        "texts that were embedded (`miss`), or remembered by the cache (`hit`)",
        ("agentmem.cache",),
    ),
    Instrument(
        "agentmem.guarded",
        "counter",
        "{message}",
        "messages that a guard left out (`refused`, `recalled`, `forgotten`) or `changed`",
        ("agentmem.guard.outcome",),
    ),
    Instrument("agentmem.store.size", "gauge", "By", "bytes of a local store's folder", STORE),
    Instrument("agentmem.store.rows", "gauge", "{row}", "rows of a table", TABLE),
    Instrument(
        "agentmem.store.fragments", "gauge", "{fragment}", "files that hold a table's rows", TABLE
    ),
    Instrument(
        "agentmem.store.unindexed_rows",
        "gauge",
        "{row}",
        "rows that no LanceDB index of the table covers; all where it has none",
        TABLE,
    ),
    Instrument(
        "agentmem.drift.state",
        "gauge",
        "{state}",
        "what the last check of this process found: 0 nothing, 1 a warning, 2 a critical drift",
        DRIFT,
    ),
    Instrument(
        "agentmem.drift.statistic",
        "gauge",
        "1",
        "what it measured, such as the minimum cosine of the canaries",
        DRIFT,
    ),
)

INSTRUMENTS: Final[Mapping[str, Instrument]] = {one.name: one for one in _ALL}
GAUGES: Final = tuple(one.name for one in _ALL if one.kind == "gauge")
DRIFT_GAUGES: Final = tuple(name for name in GAUGES if name.startswith("agentmem.drift."))
