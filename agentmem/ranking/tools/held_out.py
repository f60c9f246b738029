"""Whether learning makes selections worse: the same held-out queries, asked without it and with it.

Two parts are held out: queries taught earlier, and, of a large lesson, its own. Each is asked as
if it had not been taught, so a share of wrong labels costs both sides of the comparison alike.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from agentmem.ranking.tools.config import Routing
from agentmem.ranking.tools.guard import leave_one_out, ndcg
from agentmem.ranking.tools.observations import Observations

__all__ = ["FEWEST", "Comparison", "Part", "compare"]

FEWEST = 20  # queries from which a mean says more than its noise; t is about normal from there on
DEPTH = 5  # tools that a selection shows by default
TOLERATED = 0.005  # of nDCG@5: only wrong labels by the hundreds cost more on MetaTool, up to 0.04
CRITICAL = 2.33  # one-sided t statistic exceeded by chance in one comparison of a hundred
AGREEMENT = 0.4  # of what earlier queries reach beyond chance: MetaTool's with 60 % wrong labels
RECENT = 5_000  # earlier observations among which to sample: what is asked for nowadays

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Part:
    """Mean nDCG@5 over one part of the held-out queries.

    Attributes:
        queries: How many were asked.
        size: How many they stand for.
        before: Without the lesson.
        after: With it.
        change_error: Standard error of the difference, query by query.
        after_error: Standard error of `after`.
    """

    queries: int
    size: int
    before: float
    after: float
    change_error: float
    after_error: float

    @classmethod
    def of(cls, before: Floats, after: Floats, *, size: int) -> Part:
        """Sum up two or more queries, shapes (S,)."""
        root = math.sqrt(len(after))
        return cls(
            queries=len(after),
            size=size,
            before=float(before.mean()),
            after=float(after.mean()),
            change_error=float((after - before).std(ddof=1)) / root,
            after_error=float(after.std(ddof=1)) / root,
        )

    @property
    def fell(self) -> bool:
        """Whether it fell by more than is tolerated, and by more than chance explains."""
        fall = self.before - self.after
        return fall > TOLERATED and fall > CRITICAL * self.change_error


@dataclass(frozen=True, slots=True)
class Comparison:
    """The parts that have `FEWEST` queries or more.

    Attributes:
        earlier: Queries that were taught before.
        own: Queries that the lesson brings.
        chance: nDCG@5 of an order by chance, which is high where there are few tools.
    """

    earlier: Part | None
    own: Part | None
    chance: float

    @property
    def parts(self) -> list[Part]:
        """Those there are."""
        return [part for part in (self.earlier, self.own) if part is not None]

    @property
    def means(self) -> tuple[float, float] | None:
        """Mean nDCG@5 over all queries, without and with the lesson; None without any."""
        total = sum(part.queries for part in self.parts)
        if not total:
            return None
        before = sum(part.before * part.queries for part in self.parts) / total
        after = sum(part.after * part.queries for part in self.parts) / total
        return before, after

    @property
    def fallen(self) -> Part | None:
        """The part that falls for nothing; None where neither does.

        What is new may cost earlier queries something if its own gain more, and were not far
        from being answered so already: new kinds of queries are, exchanged labels are not.
        """
        gain = sum(part.size * (part.after - part.before) for part in self.parts)
        if gain >= 0 and not self._surprises:
            return None
        return next((part for part in self.parts if part.fell), None)

    @property
    def _surprises(self) -> bool:
        if self.earlier is None or self.own is None:
            return False
        return self._disagrees(self.own.before, self.earlier.before)

    @property
    def contradicts(self) -> bool:
        """Whether the lesson's labels agree neither with what is known nor with each other.

        Such labels are mostly wrong. That they would do little harm, because one drowns the
        other, is no reason to believe them.
        """
        if self.earlier is None or self.own is None:
            return False
        at_most = self.own.after + CRITICAL * self.own.after_error
        return self._disagrees(at_most, self.earlier.after)

    def _disagrees(self, own: float, earlier: float) -> bool:
        return own - self.chance < AGREEMENT * (earlier - self.chance)


def compare(
    descriptions: Floats, observations: Observations, *, new: Mask, config: Routing, most: int
) -> Comparison:
    """Compare what is known without and with the new observations.

    Args:
        descriptions: Unit vectors of the N tools, shape (N, D).
        observations: All of them, earlier and new, oldest first.
        new: Which are new, shape (E,).
        config: The weights.
        most: Queries of a part at most.
    """
    right = observations.labels > 0
    earlier, own = np.flatnonzero(right & ~new)[-RECENT:], np.flatnonzero(right & new)
    chance = _by_chance(len(descriptions))
    samples = [_sample(pool, most) for pool in (earlier, own)]
    both = np.concatenate(samples)
    if not len(both):
        return Comparison(None, None, chance)
    weights = np.where(new, 0.0, observations.weights)
    before, after = (
        ndcg(leave_one_out(descriptions, known, sample=both, config=config)[0], k=DEPTH)
        for known in (replace(observations, weights=weights), observations)
    )
    first = len(samples[0])
    return Comparison(
        Part.of(before[:first], after[:first], size=len(earlier)) if first else None,
        Part.of(before[first:], after[first:], size=len(own)) if len(samples[1]) else None,
        chance,
    )


def _by_chance(tools: int) -> float:
    """Mean nDCG@5 of one right tool at any of so many ranks."""
    return float(ndcg(np.arange(1, tools + 1), k=DEPTH).mean()) if tools else 0.0


def _sample(places: Ints, most: int) -> Ints:
    """Return so many of the places at most, evenly taken, so that all tools come to speak.

    None at all where there are fewer than `FEWEST`.
    """
    if len(places) < FEWEST:
        return places[:0]
    if len(places) <= most:
        return places
    return places[np.linspace(0, len(places) - 1, most).astype(np.int64)]
