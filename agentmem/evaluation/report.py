"""What an evaluation found: means with intervals by system and category, and every answer.

Plain values that turn into JSON, of memories and of tool routers alike. Apart from the times, the
same run gives the same report.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from agentmem.evaluation.metrics import bootstrap_ci, recall_at, relevance

__all__ = [
    "REPEATED",
    "Estimate",
    "Figures",
    "Report",
    "Row",
    "SystemResult",
    "TableRow",
    "lines",
    "macro_average",
    "repetition",
    "summarise",
    "system_result",
]

REPEATED: Final = "repeated mistakes"  # their heading in a table
_DIGITS: Final = 6  # of every number in JSON: more would be noise


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean over questions and its 95 % bootstrap interval."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Row:
    """One question as one system answered it.

    Attributes:
        group: Id of the conversation it is about; of a tool query, its tools.
        question: The question.
        category: The kind of question.
        gold: Ids that should be found, sorted.
        retrieved: Ids that were found, best first.
        metrics: Each measure of this answer.
    """

    group: str
    question: str
    category: str
    gold: tuple[str, ...]
    retrieved: tuple[str, ...]
    metrics: Mapping[str, float]

    def rank(self, key: str) -> int | None:
        """Return the place of an id among the retrieved, from 1, or None."""
        return self.retrieved.index(key) + 1 if key in self.retrieved else None


@dataclass(frozen=True, slots=True)
class SystemResult:
    """One system's figures.

    Attributes:
        name: Name of the system.
        about: One line on what it does.
        config_id: Hash of its ranking configuration, where there is a single one.
        overall: Each measure over all questions.
        categories: The same for each category of questions.
        milliseconds: Median wall time of each phase of a search and of the `total`; of a router
            the mean a query of its batches. Questions are encoded once and cached, so the system
            asked first alone shows what that costs.
        rows: Every question with its answer, in the order of the data set.
        macro: Of a router, each measure as the mean over tools of the mean over their queries.
        repeated: Over past mistakes, the share of the wrong ids that are found again; none where
            the data set has no mistakes.
    """

    name: str
    about: str
    config_id: str | None
    overall: Mapping[str, Estimate]
    categories: Mapping[str, Mapping[str, Estimate]]
    milliseconds: Mapping[str, float]
    rows: Sequence[Row]
    macro: Mapping[str, Estimate] = field(default_factory=dict)
    repeated: Mapping[str, Estimate] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TableRow:
    """One line of a printed report; `category` is None for all questions together."""

    category: str | None
    questions: int
    metric: str
    values: Mapping[str, Estimate]


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What every report holds, whatever was evaluated.

    Attributes:
        dataset: Name of the data set's format.
        questions: How many questions were asked in each category.
        notes: What the loader dropped or guessed, counted by reason.
        ks: The depths measured.
        mistakes: How many past mistakes were asked for; see `SystemResult.repeated`.
        systems: Results, the product first.
        passport: The embedding space.
        versions: Of the packages that decide the result.
    """

    usual_depth: ClassVar[int] = 10
    """Failures are judged at the usual k of a search, if it was measured."""

    dataset: str
    questions: Mapping[str, int]
    notes: Mapping[str, int]
    ks: Sequence[int]
    systems: Sequence[SystemResult]
    passport: Mapping[str, Any]
    versions: Mapping[str, str]
    mistakes: int = 0

    def to_dict(self, *, rows: bool = True) -> dict[str, Any]:
        """Return values ready for JSON; `rows=False` leaves the single questions out."""
        values: dict[str, Any] = _plain(asdict(self))
        if not rows:
            for system in values["systems"]:
                del system["rows"]
        return values

    def table(self) -> list[TableRow]:
        """Return each measure with every system side by side: by category, then overall."""
        total = sum(self.questions.values())
        rows: list[TableRow] = []
        if len(self.questions) > 1:
            for category, count in self.questions.items():
                results = {one.name: one.categories[category] for one in self.systems}
                rows += lines(category, questions=count, results=results)
        overall = {one.name: one.overall for one in self.systems}
        return rows + lines(None, questions=total, results=overall)

    def repetitions(self) -> list[TableRow]:
        """Return how often past mistakes come back, with every system side by side."""
        results = {one.name: one.repeated for one in self.systems if one.repeated}
        return lines(REPEATED, questions=self.mistakes, results=results) if results else []

    def failures(self, limit: int | None = None, *, system: str | None = None) -> list[Row]:
        """Return the questions answered worst: lowest recall, then lowest reciprocal rank.

        Args:
            limit: At most so many; all of them if None.
            system: Whose answers; default the first system's.
        """
        chosen = next(one for one in self.systems if system in (None, one.name))
        depth = self.usual_depth if self.usual_depth in self.ks else max(self.ks)
        missed = [row for row in chosen.rows if row.metrics[f"recall@{depth}"] < 1]
        missed.sort(key=lambda row: (row.metrics[f"recall@{depth}"], row.metrics["mrr"]))
        return missed[:limit]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report(Figures):
    """The result of one evaluation of a memory.

    Attributes:
        conversations: How many were searched, each on its own.
        turns: How many turns they have.
        seconds_adding: Wall time to add all turns; 0 where they were already in the store.
    """

    conversations: int
    turns: int
    seconds_adding: float


def system_result(
    rows: Sequence[Row],
    *,
    name: str,
    about: str,
    config_id: str | None = None,
    milliseconds: Mapping[str, float],
) -> SystemResult:
    """Average one system's answers, overall and by category."""
    categories = sorted({row.category for row in rows})
    return SystemResult(
        name=name,
        about=about,
        config_id=config_id,
        overall=summarise(rows),
        categories={
            category: summarise([row for row in rows if row.category == category])
            for category in categories
        },
        milliseconds=milliseconds,
        rows=rows,
    )


def summarise(rows: Sequence[Row]) -> dict[str, Estimate]:
    """Average each measure over questions, with intervals that resample the questions."""
    if not rows:
        return {}
    names = list(rows[0].metrics)
    values = np.array([[row.metrics[name] for name in names] for row in rows])
    return _estimates(names, values=values)


def macro_average(rows: Sequence[Row]) -> dict[str, Estimate]:
    """Average each measure over gold ids, whatever their share of the questions.

    The mean of an id is over the questions that it is gold of; intervals resample the ids.
    """
    if not rows:
        return {}
    names = list(rows[0].metrics)
    by_gold: defaultdict[str, list[list[float]]] = defaultdict(list)
    for row in rows:
        for key in row.gold:
            by_gold[key].append([row.metrics[name] for name in names])
    return _estimates(names, values=np.array([np.mean(one, axis=0) for one in by_gold.values()]))


def repetition(
    answers: Sequence[tuple[frozenset[str], Sequence[str]]], *, ks: Sequence[int]
) -> dict[str, Estimate]:
    """Average over past mistakes what share of each one's wrong ids is among the first k again.

    Args:
        answers: The wrong ids of each, and what was found this time, best first.
        ks: Depths.

    Returns:
        `repeated@k` at every depth; nothing without mistakes. Lower is better.
    """
    if not answers:
        return {}
    values = [
        [recall_at(relevance(found, wrong), gold=len(wrong), k=k) for k in ks]
        for wrong, found in answers
    ]
    return _estimates([f"repeated@{k}" for k in ks], values=np.array(values))


def lines(
    category: str | None, *, questions: int, results: Mapping[str, Mapping[str, Estimate]]
) -> list[TableRow]:
    """Return one line a measure, with every system's estimate of it."""
    metrics = next(iter(results.values()))
    return [
        TableRow(category, questions, metric, {name: one[metric] for name, one in results.items()})
        for metric in metrics
    ]


def _estimates(names: Sequence[str], *, values: NDArray[np.float64]) -> dict[str, Estimate]:
    low, high = bootstrap_ci(values)
    columns = zip(names, values.mean(axis=0), low, high, strict=True)
    return {name: Estimate(float(m), float(lo), float(hi)) for name, m, lo, hi in columns}


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    return round(value, _DIGITS) if isinstance(value, float) else value
