"""What an evaluation of a router found: rankings, refusals, calibrations, and every answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from agentmem.evaluation.report import Estimate, Figures, Row, TableRow, lines
from agentmem.evaluation.router.learning import Teaching
from agentmem.evaluation.router.systems import is_product

__all__ = ["MACRO", "CalibrationResult", "HistoryGain", "ProbeResult", "RouterReport"]

MACRO: Final = "each tool alike"  # the heading of macro averages in a table
_SHORT: Final = 50  # failing queries a system in the short JSON; the whole has them all
_SHOWN: Final = 5  # tools retrieved that say what came instead


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """How one system told answerable queries from unanswerable ones.

    Attributes:
        probe: Name of the probe; `about` says how it was made.
        about: See `probe`.
        system: Name of the system.
        answerable: Queries that a tool in sight fits.
        unanswerable: Queries that none fits.
        auroc: Chance that the confidence of an answerable query is the higher one.
        coverage: Largest share of all queries that a threshold answers with at least 95 % of
            the answers right: the right tool first, and none where none fits.
        wrongly_refused: Share of the answerable queries at which the router abstained.
        rightly_refused: Share of the unanswerable ones.
        found: Share of the right tools among the first five, of the answerable queries; None
            where nobody knows the right tools.
        found_hidden: Share of the hidden tools among the first five, of the unanswerable queries,
            which has to be 0; None where nothing is hidden.
    """

    probe: str
    about: str
    system: str
    answerable: int
    unanswerable: int
    auroc: Estimate
    coverage: float
    wrongly_refused: Estimate
    rightly_refused: Estimate
    found: Estimate | None
    found_hidden: Estimate | None


@dataclass(frozen=True, slots=True)
class CalibrationResult:
    """What a calibration promised and what came of it, on other queries.

    Attributes:
        system: Name of the system; it learnt from half of the training queries, and was
            calibrated on the other half.
        alpha: Nominal rate of wrong refusals.
        threshold: Confidence below which it abstained.
        fitted_on: Queries it was calibrated on.
        upper_bound: Rate of wrong refusals that the calibration bounds with 95 % confidence.
        tested_on: Test queries.
        realised: Rate of wrong refusals among them.
        refused: Share refused of the same queries with their right tools taken out.
    """

    system: str
    alpha: float
    threshold: float
    fitted_on: int
    upper_bound: float
    tested_on: int
    realised: Estimate
    refused: Estimate


@dataclass(frozen=True, slots=True)
class HistoryGain:
    """What it is worth to know the conversation so far: paired differences, told minus not told.

    Attributes:
        told: Name of the system that was told what went before.
        untold: Name of the one that was asked the same queries without.
        conversations: How many there are; the intervals resample them whole.
        overall: The mean difference of each measure.
        categories: The same for each category of queries.
    """

    told: str
    untold: str
    conversations: int
    overall: Mapping[str, Estimate]
    categories: Mapping[str, Mapping[str, Estimate]]


@dataclass(frozen=True, slots=True, kw_only=True)
class RouterReport(Figures):
    """The result of one evaluation of a router.

    Attributes:
        tools: How many were in the catalogue.
        training: How many queries there were to learn from.
        label_noise: Chance with which an example was given to a wrong tool.
        seed: What random choices came from.
        teachings: What each system learnt, by its name. Two systems that are asked with and
            without history are one router, and stand under the name of the first.
        probes: Results of each probe by each system.
        calibrations: Results of calibrations; none without training queries.
        history_gains: What the history adds, untaught and learning; none without histories.
        seconds_registering: Wall time to register all tools, encoding included.
    """

    usual_depth: ClassVar[int] = 5

    tools: int
    training: int
    label_noise: float
    seed: int
    teachings: Mapping[str, Teaching]
    probes: Sequence[ProbeResult]
    calibrations: Sequence[CalibrationResult]
    history_gains: Sequence[HistoryGain]
    seconds_registering: float

    def to_dict(self, *, rows: bool = True) -> dict[str, Any]:
        """Return values ready for JSON; `rows=False` leaves all but the worst failures out."""
        values = Figures.to_dict(self, rows=rows)
        limit = None if rows else _SHORT
        values["failures"] = {
            system.name: {
                "count": len(self.failures(system=system.name)),
                "worst": [_failure(row) for row in self.failures(limit, system=system.name)],
            }
            for system in self.systems
            if is_product(system.name)
        }
        return values

    def table(self) -> list[TableRow]:
        """Return the means over queries, and after them the means over tools."""
        macro = {one.name: one.macro for one in self.systems}
        tools = len({name for row in self.systems[0].rows for name in row.gold})
        return [*Figures.table(self), *lines(MACRO, questions=tools, results=macro)]


def _failure(row: Row) -> dict[str, Any]:
    return {
        "query": row.question,
        "gold": list(row.gold),
        "ranks": [row.rank(name) for name in row.gold],
        "instead": list(row.retrieved[:_SHOWN]),
    }
