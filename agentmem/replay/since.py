"""What moved a selection since: catalogue, lessons, time, weights and calibration, one by one.

Each is put in the place of its past self in that order, and the selection is run again. A tool
that moved is put down to the one that moved it furthest.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from agentmem.ranking.tools import Routing
from agentmem.ranking.tools.scaling import IDENTITY
from agentmem.replay.choosing import Asked, Chooser, Conditions, moment_of
from agentmem.replay.comparing import Data, Explain, Move, Step, changes
from agentmem.replay.reasons import changed_weights
from agentmem.replay.tools import Chosen, fates_of, grown
from agentmem.routing import LessonLog, Thresholds
from agentmem.routing.known import DAY
from agentmem.routing.lessons import Row, active, counted
from agentmem.routing.sight import Moment, Sight
from agentmem.routing.thresholds import InForce
from agentmem.types import Cause, Change, Selection

__all__ = ["Present", "Today"]


@dataclass(frozen=True, slots=True)
class Today:
    """Today's answer to a past question.

    Attributes:
        selection: It.
        changes: What moved on the way to it.
    """

    selection: Selection
    changes: tuple[Change, ...]


@dataclass(frozen=True, slots=True)
class _Turn:
    """One thing that is as it is today, with all before it: what it is, and what it explains."""

    what: str
    cause: Cause
    explain: Explain
    under: Conditions


class Present:
    """Asks past questions of a store as it is, and tells what moved. Safe for several threads.

    Args:
        chooser: Runs selections.
        log: Every lesson.
        thresholds: What is abstained by today.
        routing: The weights of today.
    """

    def __init__(
        self, chooser: Chooser, *, log: LessonLog, thresholds: Thresholds, routing: Routing
    ) -> None:
        self._chooser = chooser
        self._log = log
        self._thresholds = thresholds
        self._routing = routing

    def answer(self, asked: Asked, sight: Sight) -> Selection:
        """Select as of today, which is what is in sight."""
        return self._chooser.choose(asked, self._conditions(asked, sight))

    def since(self, asked: Asked, *, then: Conditions, past: Selection, sight: Sight) -> Today:
        """Select again and again, with one thing after the other as it is today.

        Args:
            asked: What was asked.
            then: The conditions of then.
            past: What came out under these.
            sight: Of today.
        """
        path, steps, turns, selection = [Chosen.of(past)], [], [], past
        for turn in self._turned(asked, then, today=self._conditions(asked, sight)):
            selection = self._chooser.choose(asked, turn.under)
            path.append(Chosen.of(selection))
            turns.append(turn)
            explain = turn.explain
            if turn.cause == "data":
                explain = _of_catalogue(path[-2], path[-1], then=then.sight, today=sight)
            steps.append(Step(turn.what, path[-1].answer, explain))
        moved = changes(path[0].answer, steps, names={})
        return Today(selection, _with_handing(moved, path, turns))

    def _conditions(self, asked: Asked, sight: Sight) -> Conditions:
        namespace = asked.record.namespace
        rule = self._thresholds.current(namespace, fingerprint=sight.fingerprint)
        return Conditions(sight, self._routing, rule)

    def _turned(self, asked: Asked, then: Conditions, *, today: Conditions) -> Iterator[_Turn]:
        """Give the conditions of then turned into those of today, one thing after the other."""
        record, sight, routing = asked.record, today.sight, then.routing
        state, moment = then.sight, moment_of(record)
        if fates_of(then.sight, sight) or then.sight.keys != sight.keys:
            moment = replace(moment, catalogue_version=sight.catalogue_version)
            state = self._state(moment, routing, today=today)
            yield _constant("the catalogue", "data", "", replace(then, sight=state))
        was = active(self._log.at(record.examples_version))
        now = active(self._log.at(sight.examples_version))
        if was != now:
            at = sight.examples_version
            moment = replace(moment, examples_version=at, fits_version=None)
            if sight.learnt_at - moment.learnt_at < DAY:  # what counted counts as much as it did
                moment = replace(moment, learnt_at=sight.learnt_at)
            state = self._state(moment, routing, today=today)
            explain = _of_lessons(was, now)
            yield _Turn("the lessons", "lessons", explain, replace(then, sight=state))
        if moment.learnt_at != sight.learnt_at and len(state.observations):
            days = (sight.learnt_at - moment.learnt_at) / DAY
            moment = replace(moment, learnt_at=sight.learnt_at)
            state = self._state(moment, routing, today=today)
            why = f"what was learnt is {days:.1f} days older, and usage counts less with age"
            yield _constant("time", "time", why, replace(then, sight=state))
        rule = then.rule
        if routing != today.routing:
            rule = then.rule if record.calibrated else _default(today.routing)
            why = changed_weights(routing, today.routing)
            yield _constant("the weights", "ranking", why, replace(today, rule=rule))
        why = f"the threshold was {_rule_text(rule)}, and is {_rule_text(today.rule)}"
        yield _constant("the calibration", "calibration", why, today)

    def _state(self, moment: Moment, routing: Routing, *, today: Conditions) -> Sight:
        """Return a state, which may be today's."""
        sight = today.sight
        versions = moment.catalogue_version, moment.examples_version, moment.learnt_at
        present = sight.catalogue_version, sight.examples_version, sight.learnt_at
        if versions == present and routing == today.routing:
            return sight
        return self._chooser.sight(moment, routing=routing)


def _constant(what: str, cause: Cause, why: str, under: Conditions) -> _Turn:
    """One thing that explains all that it moved in the same words."""
    return _Turn(what, cause, lambda _: (cause, why), under)


def _of_catalogue(before: Chosen, after: Chosen, *, then: Sight, today: Sight) -> Explain:
    """Return what explains moves by the tools that were added, changed and removed."""
    fates = fates_of(then, today)
    measured = f"the catalogue it is measured against changed: {grown(fates)}"
    return Data(
        before=before.answer,
        after=after.answer,
        fates=fates,
        names={},
        noun="tool",
        measured=measured if fates else "the tools were registered in another order",
    ).explain


def _of_lessons(was: Sequence[Row], now: Sequence[Row]) -> Explain:
    """Return what explains moves by the lessons that have effect, or have none any more."""
    before, after = ({one["id"] for one in lessons} for lessons in (was, now))
    come = [one for one in now if one["id"] not in before and one["kind"] != "revert"]
    gone = [one for one in was if one["id"] not in after and one["kind"] != "revert"]
    told = [_brought(come, "counts", "count")] if come else []
    told += [_brought(gone, "counts no more", "count no more")] if gone else []
    why = " and ".join(told) or "a revert came in between"

    def explain(move: Move) -> tuple[Cause, str]:
        own = [one for one in (*come, *gone) if _concerns(one, move.key)]
        return "lessons", f"{why}; {counted(len(own), 'lesson')} of these on this tool"

    return explain


def _brought(lessons: Sequence[Row], one: str, many: str) -> str:
    observations = counted(sum(lesson["observations"] for lesson in lessons), "observation")
    verb = one if len(lessons) == 1 else many
    return f"{counted(len(lessons), 'lesson')} with {observations} {verb}"


def _concerns(lesson: Row, key: str) -> bool:
    return any(key.endswith(f"/{name}") for name in lesson["tools"])


def _default(routing: Routing) -> InForce:
    """Return what is abstained by without a calibration."""
    numbers = (routing.threshold, IDENTITY.slope, IDENTITY.intercept, routing.temperature)
    names = ("threshold", "slope", "intercept", "temperature")
    return InForce.of_rule(dict(zip(names, numbers, strict=True)), calibrated=False)


def _rule_text(rule: InForce) -> str:
    kind = "calibrated" if rule.calibration.valid else "the default"
    return f"{rule.calibration.threshold:.2f} ({kind})"


def _with_handing(
    moved: Sequence[Change], path: Sequence[Chosen], turns: Sequence[_Turn]
) -> tuple[Change, ...]:
    """Add which tools are handed out and were not, or the reverse: an abstention moves no rank.

    Args:
        moved: What changed its rank.
        path: What was chosen at first, and after each turn.
        turns: What was changed.
    """
    first, last = path[0], path[-1]
    known = {change.id: change for change in moved}
    for key in (*first.answer, *last.answer):
        if (key in first.handed) == (key in last.handed):
            continue
        told = last.told(first, key)
        change = known.get(key)
        if change is None:
            known[key] = _status(key, told, path, turns)
        elif change.before and change.after and told not in change.reason:
            known[key] = replace(change, reason=f"{change.reason}; {told}")
    return tuple(known.values())


def _status(key: str, told: str, path: Sequence[Chosen], turns: Sequence[_Turn]) -> Change:
    """Put down to its cause that a tool of the same rank is handed out, or is not any more."""
    flips = [(key in old.handed) != (key in new.handed) for old, new in pairwise(path)]
    blamed = turns[max(place for place, flipped in enumerate(flips) if flipped)]
    first, last = path[0].answer, path[-1].answer
    rank, after = list(first).index(key) + 1, list(last).index(key) + 1
    move = Move(key, rank, after, first[key], last[key])
    cause, why = blamed.explain(move)
    reason = f"{move.words}, {told}; that is {blamed.what}{': ' if why else ''}{why}"
    return Change(key, rank, after, first[key], last[key], cause, reason)
