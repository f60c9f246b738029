"""Calibration: from real queries with their right tools to a threshold that bounds wrong refusals.

A query is asked as a new one would be: a usage example that is the same query does not count.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

import numpy as np
from numpy.typing import NDArray

from agentmem.checks import shown
from agentmem.ranking.tools.conformal import (
    auroc,
    lower_bound,
    refusal_bound,
    refusal_threshold,
)
from agentmem.ranking.tools.scaling import IDENTITY, fit_scale, fit_temperature
from agentmem.ranking.tools.score import Ranked
from agentmem.routing.holdings import Holdings
from agentmem.routing.labels import check_alpha, places_of, read_labelled
from agentmem.routing.lessons import LessonLog, concerns
from agentmem.routing.selector import Selector
from agentmem.routing.sight import Sight
from agentmem.routing.thresholds import Fit, Thresholds
from agentmem.storage.tool_store import ToolStore
from agentmem.telemetry import Tracing
from agentmem.types import Calibration

__all__ = ["Calibrator"]

FEWEST_TO_SCALE: Final = 20  # of each kind: two numbers from fewer would be noise
DEPTH: Final = 10  # ranks whose probabilities matter: nobody hands a model many more tools
AT_ONCE: Final = 64  # queries whose whole rankings are in memory: 15 MB for 4,000 tools
FOLDS: Final = 5  # queries that are examples are left out a fifth at a time: each costs a refit


@dataclass(frozen=True, slots=True)
class _Answer:
    """What is kept of a ranking: how sure it is, its best tools, and if it may be refused."""

    confidence: float
    best: NDArray[np.int64]
    scores: NDArray[np.float32]
    is_spared: bool

    @classmethod
    def of(cls, ranked: Ranked, *, text: str, sight: Sight) -> _Answer:
        best = ranked.order[:DEPTH]
        mentioned = np.isin(sight.shelf.index.mentioned_in(text), ranked.order)
        return cls(ranked.confidence, best, ranked.scores[best], bool(mentioned.any()))


class Calibrator:
    """Fits and reports the calibrations of one store.

    Args:
        store: The store.
        holdings: The tools as they are.
        selector: Asks them.
        thresholds: Where calibrations are kept.
        log: What was reported of selections since.
        now: The present (UTC).
        tracing: Opens spans.
    """

    def __init__(
        self,
        store: ToolStore,
        *,
        holdings: Holdings,
        selector: Selector,
        thresholds: Thresholds,
        log: LessonLog,
        now: Callable[[], datetime],
        tracing: Tracing,
    ) -> None:
        self._store = store
        self._tracing = tracing
        self._holdings = holdings
        self._selector = selector
        self._thresholds = thresholds
        self._log = log
        self._now = now

    def calibrate(
        self, queries: object, labels: object, *, alpha: float, namespace: str | None
    ) -> Calibration:
        """Fit the threshold of a namespace, or of everywhere, and put it in force.

        Raises:
            InvalidInput: The queries or labels cannot be used, or are too few for alpha.
            EmbeddingFailed: The model gave no usable vectors.
            StoreError: The store is read-only, or could not be written.
        """
        attributes = {
            "gen_ai.data_source.id": self._store.name,
            "agentmem.router.namespace": namespace,
        }
        detail = {} if namespace is None else {"namespace": namespace}
        with (
            self._tracing.operation("agentmem.router.calibrate", attributes) as current,
            self._store.audit.entry("calibrate", detail=detail) as entry,
        ):
            texts, golds = read_labelled(queries, labels)
            check_alpha(alpha, answerable=sum(map(bool, golds)))
            sight = self._holdings.current()
            places = _places(golds, sight=sight, namespace=namespace)
            with current.phase("fit"):
                answers = self._ask(texts, sight=sight, namespace=namespace)
                fit = _fitted(answers, places, alpha=alpha)
            with current.phase("commit"):
                self._thresholds.put(
                    fit, namespace=namespace, fingerprint=sight.fingerprint, at=self._now()
                )
            entry.tell(count=len(texts))
            current.set(
                {
                    "agentmem.router.queries": len(texts),
                    "agentmem.router.threshold": fit.threshold,
                }
            )
        return self.calibration(namespace)

    def calibration(self, namespace: str | None) -> Calibration:
        """Return the calibration in force, with what feedback says of it since.

        Raises:
            StoreError: The store could not be read.
        """
        fingerprint = self._holdings.current().fingerprint
        found = self._thresholds.current(namespace, fingerprint=fingerprint).calibration
        return self._monitored(found, namespace=namespace)

    def _monitored(self, found: Calibration, *, namespace: str | None) -> Calibration:
        """Put the refusals that feedback showed to be wrong beside those that were promised."""
        refused = [
            bool(lesson["detail"]["abstained"])
            for lesson in self._log.current()
            if lesson["kind"] == "feedback"
            and concerns(lesson, namespace)
            and (found.at is None or lesson["at"] >= found.at)
            and _is_answerable(lesson["detail"])
        ]
        if not refused:
            return found
        wrong, count = sum(refused), len(refused)
        reason = found.reason
        if found.valid and lower_bound(wrong, count) > found.alpha:
            reason += (
                f". Yet {wrong:,} of {count:,} reported queries were refused wrongly, more than "
                "chance explains: queries have changed. Call calibrate() again with recent ones."
            )
        return replace(found, realised=wrong / count, observed=count, reason=reason)

    def _ask(self, texts: Sequence[str], *, sight: Sight, namespace: str | None) -> list[_Answer]:
        """Rank the tools for each query, as if no usage example were the same query."""
        candidates = None
        if namespace is not None:
            candidates = np.array([of == namespace for of in sight.namespaces], np.bool_)
        taught = set(sight.observations.queries) & set(texts)
        answers: dict[str, _Answer] = {}
        for group in _groups(texts, taught=taught):
            left_out = taught & set(group)
            seen = self._holdings.without(left_out, sight=sight) if left_out else sight
            for start in range(0, len(group), AT_ONCE):
                part = group[start : start + AT_ONCE]
                ranked = self._selector.rank(part, sight=seen, candidates=candidates)
                for text, one in zip(part, ranked, strict=True):
                    answers[text] = _Answer.of(one, text=text, sight=seen)
        return [answers[text] for text in texts]


def _is_answerable(detail: object) -> bool:
    """Whether feedback is on a selection, and on a query that a tool did fit."""
    return isinstance(detail, dict) and "abstained" in detail and bool(detail.get("used"))


def _groups(texts: Iterable[str], *, taught: Collection[str]) -> list[list[str]]:
    """Return the queries that are no usage examples, and those that are, in folds."""
    distinct = dict.fromkeys(texts)
    known = [text for text in distinct if text in taught]
    groups = [[text for text in distinct if text not in taught]]
    groups += [known[fold::FOLDS] for fold in range(FOLDS)]
    return [group for group in groups if group]


def _fitted(answers: Sequence[_Answer], golds: Sequence[Collection[int]], *, alpha: float) -> Fit:
    """Fit scale, temperature and threshold on what was answered to each query."""
    raw = np.array([one.confidence for one in answers])
    fits = np.array([bool(gold) for gold in golds])
    enough = min(int(fits.sum()), int((~fits).sum())) >= FEWEST_TO_SCALE
    scale = fit_scale(raw[fits], raw[~fits]) if enough else IDENTITY
    confidence = np.array([scale(float(value)) for value in raw])
    high, low = confidence[fits], confidence[~fits]
    # A query that mentions a tool is never refused: it counts as one of which all is certain.
    asked = np.where([one.is_spared for one in answers], 1.0, confidence)
    threshold = refusal_threshold(asked[fits], alpha=alpha)
    return Fit(
        alpha=alpha,
        threshold=threshold,
        queries=len(high),
        unanswerable=len(low),
        upper_bound=refusal_bound(len(high), alpha=alpha),
        refused=float((asked[~fits] < threshold).mean()) if len(low) else None,
        auroc=auroc(high, low) if len(low) else None,
        slope=scale.slope,
        intercept=scale.intercept,
        temperature=_temperature(answers, golds, confidence=confidence),
    )


def _temperature(
    answers: Sequence[_Answer], golds: Sequence[Collection[int]], *, confidence: NDArray[np.float64]
) -> float | None:
    """Fit the temperature on the best tools of each query."""
    best = np.stack([one.best for one in answers])
    scores = np.stack([one.scores for one in answers])
    right = np.array(
        [[int(place) in gold for place in row] for row, gold in zip(best, golds, strict=True)]
    )
    return fit_temperature(confidence, scores[:, :1] - scores, needed=right)


def _places(
    golds: Sequence[Sequence[str]], *, sight: Sight, namespace: str | None
) -> list[frozenset[int]]:
    """Return the places of the right tools of each query, or refuse a name that is not there."""
    tools: dict[str, frozenset[int]] = {}
    for place, (name, of) in enumerate(zip(sight.names, sight.namespaces, strict=True)):
        if namespace in (None, of):
            tools[name] = tools.get(name, frozenset()) | {place}
    where = "the catalogue" if namespace is None else f"namespace {shown(namespace)}"
    return places_of(golds, tools=tools, where=where)
