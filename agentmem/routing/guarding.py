"""The guard of what is learnt: asks held-out queries, and says in words what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from agentmem.ranking.tools.config import Routing
from agentmem.ranking.tools.held_out import FEWEST, Comparison, compare
from agentmem.ranking.tools.observations import Observations
from agentmem.routing.holdings import Holdings
from agentmem.routing.lessons import Row, active, counted, ids, unchecked
from agentmem.routing.observing import Taught
from agentmem.routing.sight import Sight
from agentmem.storage.lesson_schema import Observation

__all__ = ["UNGUARDED", "Guard", "Verdict"]

EVERY: Final = 10  # observations of feedback between two looks, each of which costs 0.1 s
SETTLED: Final = 50  # observations judged together; slow harm shows in many, or not at all
MOST: Final = 1_000  # queries held out: a fall of 0.01 is then found two times of three, in 1 s
MOST_IN_PASSING: Final = 200  # for feedback, which comes all the time


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the guard says of a lesson.

    Attributes:
        reason: In a sentence.
        worse: Whether selections would get worse, so that it is not applied.
        looked: Whether held-out queries were looked for.
        accepted: Whether what is known with it counts as good from now on.
        before: nDCG@5 on held-out queries without what is new; None if none were at hand.
        after: The same with it.
        back_to: Where selections got worse, the lesson after which they were good; None for
            before all lessons.
        undone: The lessons since then, which are to be undone.
    """

    reason: str
    worse: bool = False
    looked: bool = False
    accepted: bool = False
    before: float | None = None
    after: float | None = None
    back_to: str | None = None
    undone: Sequence[Row] = ()


UNGUARDED: Final = Verdict("applied without the guard, as asked", accepted=True)
WAITING: Final = Verdict(f"applied; the guard looks at every {EVERY} observations together")
SEVERAL: Final = Verdict("applied unchecked: it concerns no tool, or several namespaces at once")
TOO_FEW: Final = Verdict(
    f"applied unchecked: fewer than {FEWEST} queries are there to hold out", looked=True
)


class Guard:
    """Judges what the router of one store is to learn.

    Args:
        holdings: What it knows.
        config: The weights of a selection.
    """

    def __init__(self, holdings: Holdings, *, config: Routing) -> None:
        self._holdings = holdings
        self._config = config

    def on_examples(
        self, taught: Taught, *, vectors: NDArray[np.float32], sight: Sight, log: Sequence[Row]
    ) -> Verdict:
        """Judge a batch of examples.

        Args:
            taught: What is to be learnt.
            vectors: Of the queries, shape (len(taught.observations), D).
            sight: What is known.
            log: Every lesson.
        """
        new = _columns(taught, vectors=vectors, sight=sight)
        return self._judge(active(log), [], new, sight=sight, namespace=taught.namespace, most=MOST)

    def on_feedback(
        self, taught: Taught, *, vectors: NDArray[np.float32], sight: Sight, log: Sequence[Row]
    ) -> Verdict:
        """Judge feedback together with all that is not settled yet; see `on_examples`."""
        namespace = taught.namespace
        if namespace not in sight.namespaces:
            return SEVERAL
        good, since = unchecked(log, namespace=namespace)
        count = len(taught.observations)
        if _brought(_unseen(since)) + count < EVERY:
            return WAITING
        new = _columns(taught, vectors=vectors, sight=sight)
        recent = ids(since)
        earlier = [one for one in active(log) if one["id"] not in recent]
        verdict = self._judge(
            earlier, since, new, sight=sight, namespace=namespace, most=MOST_IN_PASSING
        )
        if verdict.worse:
            return _with_all_since(verdict, since, good=good)
        return replace(verdict, accepted=verdict.accepted and _brought(since) + count >= SETTLED)

    def _judge(
        self,
        earlier: Sequence[Row],
        since: Sequence[Row],
        new: Observations,
        *,
        sight: Sight,
        namespace: str,
        most: int,
    ) -> Verdict:
        """Compare the selections of a namespace without and with some lessons and what is new."""
        known, recent = (
            self._holdings.observations_of(lessons, sight=sight) for lessons in (earlier, since)
        )
        everything = _joined([known, recent, new])
        is_new = np.arange(len(everything)) >= len(known)
        tools = np.array([one == namespace for one in sight.namespaces], bool)
        here = tools[everything.owners]
        within = everything.only(here)
        within = replace(within, owners=(np.cumsum(tools) - 1)[within.owners])
        descriptions = sight.shelf.raw[tools]
        found = compare(descriptions, within, new=is_new[here], config=self._config, most=most)
        return _verdict(found)


def _with_all_since(verdict: Verdict, since: Sequence[Row], *, good: str | None) -> Verdict:
    """Blame all that is not settled yet: which of it was wrong cannot be told."""
    if not since:
        return verdict
    count = counted(len(since), "lesson")
    reason = f"{verdict.reason}; judged with it and undone: {count} before it"
    return replace(verdict, reason=reason, back_to=good, undone=since)


def _unseen(since: Sequence[Row]) -> list[Row]:
    """Return the lessons after the last one at which the guard looked."""
    looked = [place for place, one in enumerate(since) if (one["detail"] or {}).get("looked")]
    return list(since[looked[-1] + 1 :] if looked else since)


def _brought(lessons: Sequence[Row]) -> int:
    return sum(one["observations"] for one in lessons)


def _columns(taught: Taught, *, vectors: NDArray[np.float32], sight: Sight) -> Observations:
    """Return observations that are not stored yet as columns."""
    seen = taught.observations
    return Observations(
        vectors=vectors,
        terms=[one.lexemes for one in seen],
        owners=np.array([_place(one, of=taught.namespace, sight=sight) for one in seen], np.int64),
        labels=np.array([one.label for one in seen], np.int8),
        weights=np.ones(len(seen)),
        queries=[one.query for one in seen],
    )


def _place(one: Observation, *, of: str, sight: Sight) -> int | None:
    return sight.index(one.tool, namespace=one.namespace or of)


def _joined(parts: Sequence[Observations]) -> Observations:
    return Observations(
        vectors=np.concatenate([part.vectors for part in parts]),
        terms=[terms for part in parts for terms in part.terms],
        owners=np.concatenate([part.owners for part in parts]),
        labels=np.concatenate([part.labels for part in parts]),
        weights=np.concatenate([part.weights for part in parts]),
        queries=[query for part in parts for query in part.queries],
    )


def _verdict(found: Comparison) -> Verdict:
    if found.means is None:
        return TOO_FEW
    before, after = found.means
    if found.fallen is not None:
        part = found.fallen
        whose = "that came with it" if part is found.own else "taught earlier"
        reason = (
            f"not applied: nDCG@5 on {part.queries:,} held-out queries {whose} would fall from "
            f"{part.before:.3f} to {part.after:.3f}"
        )
        return Verdict(reason, worse=True, looked=True, before=part.before, after=part.after)
    if found.contradicts and found.own is not None and found.earlier is not None:
        reason = (
            "not applied: its labels agree neither with what is known nor with each other: nDCG@5 "
            f"on {found.own.queries:,} of its own queries is {found.own.after:.3f}, where "
            f"{found.earlier.after:.3f} is usual; if they are right, pass guard=False"
        )
        return Verdict(reason, worse=True, looked=True, before=before, after=after)
    total = sum(part.queries for part in found.parts)
    reason = f"applied: nDCG@5 on {total:,} held-out queries is {after:.3f}, and was {before:.3f}"
    return Verdict(reason, looked=True, accepted=True, before=before, after=after)
