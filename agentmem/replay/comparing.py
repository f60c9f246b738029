"""Two answers to one question compared: whether they are the same, what moved, and what moved it.

An answer is a mapping from keys to scores, best first. Keys are whatever tells results apart;
what a person calls them is looked up in `names`. Shared by searches and selections.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, Literal, TypeAlias

from agentmem.types import Cause, Change, Scored

__all__ = [
    "TOLERANCE",
    "Answer",
    "Data",
    "Explain",
    "Fate",
    "Move",
    "Step",
    "answer_of",
    "changes",
    "counted",
    "differences",
    "is_same",
    "largest_drift",
]

Answer: TypeAlias = Mapping[str, float]
Fate: TypeAlias = Literal["same", "added", "changed", "removed"]

TOLERANCE: Final = 1e-4  # of a score; float32 sums in another order differ by about 1e-6
NAMED: Final = 5  # results that one reason names; more than a person wants to look up


@dataclass(frozen=True, slots=True)
class Move:
    """Where a result was in one answer, and where it is in the next; ranks from 1."""

    key: str
    before: int | None
    after: int | None
    score_before: float | None
    score_after: float | None

    @property
    def is_none(self) -> bool:
        """Whether it is where it was."""
        return self.before == self.after

    @property
    def is_worse(self) -> bool:
        """Whether it ranks worse than it did, or not at all any more."""
        return self.after is None or (self.before is not None and self.after > self.before)

    @property
    def words(self) -> str:
        """The same in words."""
        if self.before is None:
            return f"came in at {self.after}"
        if self.after is None:
            return f"dropped out from {self.before}"
        if self.before == self.after:
            return f"stayed at {self.before}"
        return (
            f"{'rose' if self.after < self.before else 'fell'} from {self.before} to {self.after}"
        )


Explain: TypeAlias = Callable[[Move], tuple[Cause, str]]


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that was changed, and the answer that came of it.

    Attributes:
        what: What was changed, for a person.
        answer: What came out.
        explain: Gives for a result that moved the cause, and the sentence that says why.
    """

    what: str
    answer: Answer
    explain: Explain


@dataclass(frozen=True, slots=True, kw_only=True)
class Data:
    """Explains what moved when nothing but the data was changed.

    Attributes:
        before: The answer over the old data.
        after: The answer over the new.
        fates: What became of each result of either; those that are left out are the same.
        names: What a person calls them.
        noun: What one of them is, such as "turn".
        measured: What changed for those that did not change themselves, in a sentence.
    """

    before: Answer
    after: Answer
    fates: Mapping[str, Fate]
    names: Mapping[str, str]
    noun: str
    measured: str

    def explain(self, move: Move) -> tuple[Cause, str]:
        """Return the cause of a move, and why."""
        own = self.fates.get(move.key, "same")
        if own == "added":
            return "added", f"this {self.noun} is new"
        if own == "removed":
            return "removed", f"this {self.noun} was deleted"
        if own == "changed":
            return "changed", f"what this {self.noun} says was replaced"
        return self._displaced(move)

    def _displaced(self, move: Move) -> tuple[Cause, str]:
        """Explain the move of a result that is the same itself, by those above it."""
        above, below = _above(self.before, move.key), _above(self.after, move.key)
        if move.is_worse:
            come = below - above
            if new := self._fated(come, "added"):
                return "added", self._told(new, "newer", verbs=("ranks", "rank"))
            if edited := self._fated(come, "changed"):
                return "data", self._told(edited, "edited", verbs=("ranks", "rank"))
        else:
            left = above - below
            if gone := self._fated(left, "removed"):
                return "removed", self._told(gone, "deleted", verbs=("ranked", "ranked"))
            if edited := self._fated(left, "changed"):
                verbs = ("no longer ranks", "no longer rank")
                return "data", self._told(edited, "edited", verbs=verbs)
        return "data", self.measured

    def _fated(self, keys: AbstractSet[str], fate: Fate) -> list[str]:
        """Those that met a fate, best first."""
        ordered = dict.fromkeys((*self.after, *self.before))
        return [key for key in ordered if key in keys and self.fates.get(key) == fate]

    def _told(self, keys: Sequence[str], kind: str, *, verbs: tuple[str, str]) -> str:
        names = ", ".join(self.names.get(key, key) for key in keys[:NAMED])
        more = f" and {len(keys) - NAMED} more" if len(keys) > NAMED else ""
        verb = verbs[0] if len(keys) == 1 else verbs[1]
        return f"{counted(len(keys), f'{kind} {self.noun}')} {verb} above it ({names}{more})"


def counted(count: int, noun: str) -> str:
    """Return a count with its noun: "1 turn", "1,200 turns"."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def answer_of(scored: Iterable[Scored]) -> dict[str, float]:
    """Return results as an answer; an id that comes again is told apart by its number."""
    seen: Counter[str] = Counter()
    answer: dict[str, float] = {}
    for one in scored:
        seen[one.id] += 1
        answer[one.id if seen[one.id] == 1 else f"{one.id} ({seen[one.id]})"] = one.score
    return answer


def largest_drift(recorded: Answer, replayed: Answer) -> float:
    """Return the largest difference between two scores of the same result; 0 without any."""
    shared = (key for key in recorded if key in replayed)
    return max((abs(recorded[key] - replayed[key]) for key in shared), default=0.0)


def is_same(recorded: Answer, replayed: Answer, *, found: int) -> bool:
    """Whether a replay gave what was recorded, but for rounding.

    That is: as many results, each with its score within `TOLERANCE`, in the same order; only
    results whose scores are that close may have changed places.

    Args:
        recorded: The best of what was found then.
        replayed: Everything that is found now.
        found: How many were found then.
    """
    if len(replayed) != found or not all(
        key in replayed and abs(replayed[key] - score) <= TOLERANCE
        for key, score in recorded.items()
    ):
        return False
    return all(
        key == other or abs(replayed[other] - score) <= TOLERANCE
        for (key, score), other in zip(recorded.items(), replayed, strict=False)
    )


def differences(
    recorded: Answer, replayed: Answer, *, explain: Explain, names: Mapping[str, str]
) -> tuple[Change, ...]:
    """Return what a replay gave otherwise than it was recorded.

    Args:
        recorded: The best of what was found then.
        replayed: What is found now, no deeper than what was recorded.
        explain: Gives for each result the cause, and the sentence that says why.
        names: What a person calls the results.
    """
    found = []
    for move in _moves(recorded, replayed):
        drift = abs((move.score_after or 0.0) - (move.score_before or 0.0))
        if move.is_none and drift <= TOLERANCE:
            continue
        cause, why = explain(move)
        scored = f", its score differs by {drift:.2g}" if move.is_none else ""
        found.append(_change(move, cause, f"{move.words}{scored}: {why}", names=names))
    return tuple(found)


def changes(
    start: Answer, steps: Sequence[Step], *, names: Mapping[str, str]
) -> tuple[Change, ...]:
    """Return what moved on the way from one answer to another, each with its cause.

    One thing is changed at a time. A result is put down to the step that moved it furthest in
    the direction in which it moved on the whole.

    Args:
        start: The answer at the start.
        steps: What was changed, in order; the last one gave the answer at the end.
        names: What a person calls the results.
    """
    answers = [start, *(step.answer for step in steps)]
    found = []
    for move in _moves(start, answers[-1]):
        if move.is_none:
            continue
        parts = [_move(move.key, old, new) for old, new in pairwise(answers)]
        blamed = _blamed(move, parts, size=max(map(len, answers)))
        cause, why = steps[blamed].explain(parts[blamed])
        others = [
            step.what
            for place, (step, part) in enumerate(zip(steps, parts, strict=True))
            if place != blamed and not part.is_none
        ]
        also = f"; {' and '.join(others)} moved it as well" if others else ""
        found.append(_change(move, cause, f"{move.words}: {why}{also}", names=names))
    return tuple(found)


def _blamed(move: Move, parts: Sequence[Move], *, size: int) -> int:
    """Index of the step that moved a result furthest in its direction, the first of several."""
    outside = size + 1
    steps = [(part.after or outside) - (part.before or outside) for part in parts]
    sign = 1 if move.is_worse else -1
    return max(range(len(steps)), key=lambda place: sign * steps[place])


def _moves(before: Answer, after: Answer) -> Iterator[Move]:
    """Every result of two answers, in the order of the second, then those that are gone."""
    for key in dict.fromkeys((*after, *before)):
        yield _move(key, before, after)


def _move(key: str, before: Answer, after: Answer) -> Move:
    return Move(key, _rank(before, key), _rank(after, key), before.get(key), after.get(key))


def _rank(answer: Answer, key: str) -> int | None:
    return list(answer).index(key) + 1 if key in answer else None


def _above(answer: Answer, key: str) -> set[str]:
    """Those that rank above a result; all where it is not among them."""
    keys = list(answer)
    return set(keys[: keys.index(key)] if key in answer else keys)


def _change(move: Move, cause: Cause, reason: str, *, names: Mapping[str, str]) -> Change:
    return Change(
        names.get(move.key, move.key),
        move.before,
        move.after,
        move.score_before,
        move.score_after,
        cause,
        reason,
    )
