"""What a router's confidence and refusals are worth: probes, and calibrations put to the test."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from agentmem.evaluation.confidence import auroc_interval, coverage_at_precision
from agentmem.evaluation.metrics import bootstrap_ci
from agentmem.evaluation.report import Estimate
from agentmem.evaluation.router.asking import Answer
from agentmem.evaluation.router.report import CalibrationResult, ProbeResult
from agentmem.evaluation.router.tasks import Probe, RoutingQuery
from agentmem.ranking.tools.conformal import auroc

if TYPE_CHECKING:
    from agentmem.types import Calibration

__all__ = ["FOUND_AT", "calibration_result", "labels_of", "probe_result", "share"]

FOUND_AT: Final = 5  # tools in a request: the router's default k


def probe_result(probe: Probe, answers: Sequence[Answer], *, system: str) -> ProbeResult:
    """Measure how well confidence tells a probe's answerable queries from the others.

    Args:
        probe: Some queries of each kind.
        answers: One a query.
        system: Name of the system in the report.
    """
    answerable = np.array([query.answerable for query in probe.queries])
    confidence = np.array([answer.confidence for answer in answers])
    refused = np.array([answer.abstained for answer in answers])
    right = [_right(*pair) for pair in zip(probe.queries, answers, strict=True)]
    groups = [f"{query.text}\n{query.history!r}" for query in probe.queries]
    low, high = auroc_interval(confidence, answerable, groups=groups)
    return ProbeResult(
        probe=probe.name,
        about=probe.about,
        system=system,
        answerable=int(answerable.sum()),
        unanswerable=int((~answerable).sum()),
        auroc=Estimate(auroc(confidence[answerable], confidence[~answerable]), low, high),
        coverage=coverage_at_precision(confidence, right),
        wrongly_refused=share(refused[answerable]),
        rightly_refused=share(refused[~answerable]),
        found=_found([query.gold for query in probe.queries], answers),
        found_hidden=_found(
            [frozenset() if query.answerable else query.hidden for query in probe.queries], answers
        ),
    )


def _found(wanted: Sequence[frozenset[str]], answers: Sequence[Answer]) -> Estimate | None:
    """Return the share of wanted tools among the first five, over the queries that want any."""
    shares = [
        len(names & set(answer.names[:FOUND_AT])) / len(names)
        for names, answer in zip(wanted, answers, strict=True)
        if names
    ]
    return share(shares) if shares else None


def _right(query: RoutingQuery, answer: Answer) -> bool:
    """Whether answering is right: with the right tool first, as far as that is known."""
    if not query.gold:
        return query.answerable
    return bool(answer.names) and answer.names[0] in query.gold


def calibration_result(
    calibration: Calibration,
    *,
    system: str,
    answerable: Sequence[Answer],
    unanswerable: Sequence[Answer],
) -> CalibrationResult:
    """Put the refusals that a calibration promised beside those that came of it.

    Args:
        calibration: Fitted on other queries than those below.
        system: Name of the system in the report.
        answerable: Answers to queries that a tool fits.
        unanswerable: Answers to queries that none fits.
    """
    return CalibrationResult(
        system=system,
        alpha=calibration.alpha,
        threshold=calibration.threshold,
        fitted_on=calibration.queries,
        upper_bound=calibration.upper_bound,
        tested_on=len(answerable),
        realised=share([answer.abstained for answer in answerable]),
        refused=share([answer.abstained for answer in unanswerable]),
    )


def labels_of(queries: Sequence[RoutingQuery]) -> list[list[str] | None]:
    """Return the labels of queries as `ToolRouter.calibrate` takes them."""
    return [sorted(query.gold) or None for query in queries]


def share(marks: Sequence[float] | np.ndarray[tuple[int, ...], np.dtype[np.bool_]]) -> Estimate:
    """Return the mean of marks from 0 to 1 with its interval."""
    values = np.asarray(marks, np.float64)
    low, high = bootstrap_ci(values)
    return Estimate(float(values.mean()), float(low), float(high))
