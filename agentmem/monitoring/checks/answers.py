"""The check of answers: whether the same questions still find the same, and as well as exactly.

Approximate search is compared with exact search, and the neighbours of a few kept questions with
what they were at the baseline.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from agentmem.monitoring.checks.catalogue import compared_tools
from agentmem.monitoring.checks.probes import (
    NEIGHBOURS,
    Compared,
    Probed,
    ToolProbes,
    TurnProbes,
    ask,
    compare,
)
from agentmem.monitoring.checks.verdicts import accepting, insufficient, percent, stable, told
from agentmem.monitoring.given import Given
from agentmem.storage.probing import IndexRecall, index_recall
from agentmem.storage.rows import revision
from agentmem.types import DriftFinding, DriftKind, Severity

__all__ = ["AnswersCheck"]

KEPT: Final = "probes"  # what they are kept as
FEWEST: Final = 8  # probes: below, one with an odd neighbour is more than a tenth of all
LEAST_RECALL: Final = 0.9  # LanceDB's indexes give .94 to .99 where they fit the data
LEAST_OVERLAP: Final = 0.9  # among unchanged texts: all but ties, unless vectors changed
BROKEN: Final = 0.5  # of the neighbours: half of what should be found is not
MOST_DROP: Final = 0.05  # of a cosine between unchanged texts, which stays within .001 otherwise
MOST_UNINDEXED: Final = 0.2  # of the rows: every search scans them
SCANNED: Final = 1_000  # rows that are scanned as fast as an index is asked


class AnswersCheck:
    """Compares approximate search with exact, and what kept questions find with the baseline."""

    kind: DriftKind = "answers"

    def __call__(self, given: Given) -> DriftFinding:
        """Return what was found.

        Raises:
            EmbeddingFailed: The questions could not be embedded.
            StoreError: The store could not be read.
        """
        index = None
        if given.store is not None:
            index = index_recall(given.store, k=NEIGHBOURS, rng=given.rng)
        kept: Mapping[str, Any] | None = given.baseline.kept(KEPT)
        written_by = revision(given.now) if kept is None else int(kept["written_by"])
        source = _source(given, written_by=written_by)
        if kept is None and source is not None:
            _keep(given, source, written_by=written_by)
        compared = None
        if kept is not None and source is not None:
            compared = compare(source, kept["probes"], embedder=given.embedder)
        return _judged(given, index, compared)


def _source(given: Given, *, written_by: int) -> Probed | None:
    if given.store is not None:
        return TurnProbes(given.store, written_by)
    state = None if given.tools is None else given.tools.catalogue.read(None)
    if given.tools is None or state is None:
        return None
    return ToolProbes(state, compared_tools(given.tools, baseline=given.baseline).unchanged)


def _keep(given: Given, source: Probed, *, written_by: int) -> None:
    """Keep what probes find, once there are enough of them."""
    probes = source.draw(given.rng)
    if len(probes) >= FEWEST:
        found = ask(source, probes, embedder=given.embedder)
        given.baseline.keep(KEPT, {"written_by": written_by, "probes": found})


def _judged(given: Given, index: IndexRecall | None, compared: Compared | None) -> DriftFinding:
    known = compared is not None and len(compared.overlap) >= FEWEST
    overlap = float(compared.overlap.mean()) if compared is not None and known else None
    recall = None if index is None or not index.queries else index.recall
    causes = [*_of_index(index), *(_of_probes(compared) if compared is not None and known else [])]
    samples = (0, 0) if compared is None else (compared.then, len(compared.overlap))
    measured = [one for one in (overlap, recall) if one is not None]
    detail = {
        **_index_detail(given, index),
        **({} if compared is None or not known else _probe_detail(compared)),
    }
    if not measured:
        return insufficient("answers", _lacking(compared), samples=samples, detail=detail)
    common: dict[str, Any] = {
        "samples": samples,
        "statistic": min(measured),
        "effect": 1 - min(measured),
        "detail": detail,
        "evidence": {} if compared is None or not known else _evidence(compared),
    }
    if not causes:
        return stable("answers", _calm(overlap, recall), **common)
    severity: Severity = "critical" if overlap is not None and overlap < BROKEN else "warning"
    names = [name for name, _ in causes]
    return told(
        "answers",
        " ".join(words for _, words in causes),
        given=given,
        cause=" and ".join(names),
        severity=severity,
        **_repair(given, names),
        **common,
    )


def _of_index(index: IndexRecall | None) -> list[tuple[str, str]]:
    """Return what is wrong with approximate search, each with its sentence."""
    if index is None:
        return []
    found = []
    if index.queries and index.recall < LEAST_RECALL:
        words = (
            f"The vector index finds {percent(index.recall)} of what exact search finds, over "
            f"{index.queries} stored vectors."
        )
        found.append(("index recall", words))
    if index.unindexed > max(MOST_UNINDEXED * index.rows, SCANNED):
        words = (
            f"{index.unindexed:,} of {index.rows:,} rows are not in the vector index, so that "
            "every search through it scans them."
        )
        found.append(("unindexed rows", words))
    return found


def _of_probes(compared: Compared) -> list[tuple[str, str]]:
    """Return what is wrong with the neighbours of probes, each with its sentence."""
    found = []
    if compared.overlap.mean() < LEAST_OVERLAP:
        words = (
            f"The same questions find {percent(float(compared.overlap.mean()))} of the neighbours "
            "they had at the baseline, though those are still there, unchanged."
        )
        found.append(("neighbours", words))
    drop = _mean(compared.top_then - compared.top_now)
    if abs(drop) > MOST_DROP:
        words = (
            f"The best hits of the same questions are {abs(drop):.2f} "
            f"{'less' if drop > 0 else 'more'} similar to them than at the baseline."
        )
        found.append(("similarity", words))
    return found


def _repair(given: Given, names: Sequence[str]) -> dict[str, Any]:
    if not {"neighbours", "similarity"} & set(names):
        return {
            "recommendation": "rebuild_index",
            "advice": "Build the vector index anew, or let LanceDB fold new rows into it "
            "(`optimize()`). agentmem's own searches are exact and do not use it.",
        }
    model = f"Check the model first (`{given.subject}.drift.check(['model'])`): questions or texts "
    model += "get other vectors than they did. "
    if given.subject == "router":
        return {
            "recommendation": "recalibrate",
            "advice": f"{model}If that is meant, calibrate again (`agentmem tools calibrate`), "
            f"then {accepting(given)}.",
        }
    return {
        "recommendation": "evaluate",
        "advice": f"{model}If that is meant, evaluate retrieval (`agentmem eval`), then "
        f"{accepting(given)}.",
    }


def _calm(overlap: float | None, recall: float | None) -> str:
    found = []
    if overlap is not None:
        found.append(f"The same questions find {percent(overlap)} of the neighbours they had.")
    if recall is None:
        found.append("There is no vector index: every search is exact.")
    else:
        found.append(f"The vector index finds {percent(recall)} of what exact search finds.")
    return " ".join(found)


def _lacking(compared: Compared | None) -> str:
    if compared is None:
        return (
            f"No questions are kept of the baseline yet. They are taken at the first check of a "
            f"store with {FEWEST} or more of them, so this one, or a later one, took them."
        )
    return (
        f"Of {compared.then} questions kept of the baseline {len(compared.overlap)} are still "
        f"there with their neighbours, unchanged, and a comparison takes {FEWEST}."
    )


def _index_detail(given: Given, index: IndexRecall | None) -> dict[str, Any]:
    if index is None:
        return {} if given.store is None else {"recall": 1.0, "index": None}
    return {
        "recall": index.recall if index.queries else None,
        "index": index.kind,
        "queries": index.queries,
        "rows": index.rows,
        "unindexed_rows": index.unindexed,
    }


def _probe_detail(compared: Compared) -> dict[str, float]:
    return {
        "overlap": float(compared.overlap.mean()),
        "lowest_overlap": float(compared.overlap.min()),
        "top_then": _mean(compared.top_then),
        "top_now": _mean(compared.top_now),
        "margin_then": _mean(compared.margin_then),
        "margin_now": _mean(compared.margin_now),
    }


def _evidence(compared: Compared) -> dict[str, Any]:
    return {
        "overlap": compared.overlap,
        "top_score_then": compared.top_then,
        "top_score_now": compared.top_now,
        "margin_then": compared.margin_then,
        "margin_now": compared.margin_now,
    }


def _mean(values: NDArray[np.float64]) -> float:
    """Return the mean; 0 of none."""
    return float(values.mean()) if len(values) else 0.0
