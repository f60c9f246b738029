"""The active lessons of a log, resolved against one catalogue: examples, outcomes, companions.

Observations of tools that are not in the catalogue are passed over, and count again once such a
tool is back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from agentmem.ranking.tools.co_use import CoUse
from agentmem.ranking.tools.config import Routing
from agentmem.ranking.tools.observations import Observations
from agentmem.ranking.tools.usage import checkpoint
from agentmem.routing.lessons import Row
from agentmem.routing.shelf import Shelf
from agentmem.storage.arrow import matrix, strings
from agentmem.storage.tool_schema import tool_key

__all__ = ["DAY", "Known"]

DAY: Final = 86_400_000_000  # microseconds

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of N tools.

    Attributes:
        observations: Of the active lessons, oldest first, shape (E,).
        keys: Of the observations.
        succeeded: Reported successes of each tool, by age, shape (N,).
        failed: Reported failures, likewise.
        co_use: Which tools go together, and which after which.
        due: Of how many of the observations, from the oldest, prototypes are to be fitted.
        fitted: The lessons that these are of; they do not change as tools come and go.
    """

    observations: Observations
    keys: list[str]
    succeeded: Floats
    failed: Floats
    co_use: CoUse
    due: int
    fitted: tuple[str, ...]

    @classmethod
    def of(
        cls, rows: pa.Table, lessons: Sequence[Row], *, shelf: Shelf, now: int, config: Routing
    ) -> Known:
        """Resolve observations.

        Args:
            rows: All that are stored, in order of their keys.
            lessons: The active ones.
            shelf: The catalogue.
            now: The present, in microseconds since 1970 UTC.
            config: Half-lives.
        """
        ids = pa.array([one["id"] for one in lessons], pa.string())
        counting = rows.filter(pc.is_in(rows["lesson_id"], value_set=ids))
        fitted = _fitted(strings(counting["lesson_id"]))
        chosen, owners = _resolved(counting, shelf=shelf)
        at = chosen["observed_at"].cast(pa.int64()).to_numpy()
        days = np.maximum(now - at, 0) / DAY
        observations = Observations(
            vectors=matrix(chosen["vector"]),
            terms=strings(chosen["lexemes"]),
            owners=owners,
            labels=chosen["label"].to_numpy().astype(np.int8),
            weights=_decay(days, config.half_life_days),
            queries=strings(chosen["query"]),
        )
        recent = _decay(days, config.outcome_days)
        outcome = chosen["succeeded"].to_pylist()
        good = np.array([one is True for one in outcome], bool)
        bad = np.array([one is False for one in outcome], bool)
        return cls(
            observations,
            strings(chosen["key"]),
            np.bincount(owners, recent * good, minlength=len(shelf)).astype(np.float32),
            np.bincount(owners, recent * bad, minlength=len(shelf)).astype(np.float32),
            _co_use(chosen, observations, lessons, shelf=shelf),
            sum(map(frozenset(fitted).__contains__, strings(chosen["lesson_id"]))),
            fitted,
        )


def _fitted(lesson_ids: Sequence[str]) -> tuple[str, ...]:
    """Return the lessons that prototypes are to be fitted of, given that of each observation."""
    sizes = {lesson: len(list(of)) for lesson, of in groupby(lesson_ids)}
    due, lessons = checkpoint(list(sizes.values())), []
    for lesson, size in sizes.items():
        due -= size
        if due < 0:
            break
        lessons.append(lesson)
    return tuple(lessons)


def _resolved(chosen: pa.Table, *, shelf: Shelf) -> tuple[pa.Table, NDArray[np.int64]]:
    """Return the observations of tools that are there, and the place of the tool of each."""
    pairs = list(zip(strings(chosen["namespace"]), strings(chosen["tool"]), strict=True))
    places = {pair: shelf.place.get(tool_key(pair[1], namespace=pair[0])) for pair in set(pairs)}
    owners = np.array([_or_nowhere(places[pair]) for pair in pairs], np.int64)
    there = owners >= 0
    return chosen.filter(pa.array(there)).combine_chunks(), owners[there]


def _or_nowhere(place: int | None) -> int:
    return -1 if place is None else place


def _decay(days: NDArray[np.float64], half_life: float) -> NDArray[np.float64]:
    weights: NDArray[np.float64] = np.exp2(-days / half_life) if half_life else np.ones(len(days))
    return weights


def _co_use(
    chosen: pa.Table, observations: Observations, lessons: Sequence[Row], *, shelf: Shelf
) -> CoUse:
    """Count the tools that were used for one query of one lesson, and those called before it."""
    called = {one["id"]: _called(one, shelf=shelf) for one in lessons}
    occasions: dict[tuple[str, str], list[int]] = {}
    of = zip(strings(chosen["lesson_id"]), observations.queries, strict=True)
    for (lesson, query), owner, label in zip(
        of, observations.owners.tolist(), observations.labels.tolist(), strict=True
    ):
        if label >= 0:
            occasions.setdefault((lesson, query), []).append(owner)
    counts = CoUse()
    for (lesson, _), used in occasions.items():
        counts.observe(used, called=called.get(lesson, ()))
    return counts


def _called(lesson: Row, *, shelf: Shelf) -> list[int]:
    names = (lesson["detail"] or {}).get("called") or ()
    return [place for name in names for place in shelf.index.written.get(name, ())]
