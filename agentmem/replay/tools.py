"""What replays compare of selections: candidates with their scores, and which were handed out.

A tool is called `namespace/name`. One that is not in the catalogue today is named by that alone,
whatever an old version of the table still holds of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from agentmem.replay.comparing import (
    TOLERANCE,
    Fate,
    answer_of,
    counted,
    is_same,
)
from agentmem.routing.sight import Sight
from agentmem.storage.arrow import strings
from agentmem.telemetry.describing import MAX_DOCUMENTS
from agentmem.types import Replayed, Scored, Selection, SelectionRecord, State, ToolMatch

__all__ = ["Chosen", "fates_of", "grown", "replayed", "scored"]

STATES: Final[Mapping[Fate, State]] = {"changed": "changed", "removed": "gone"}


@dataclass(frozen=True, slots=True)
class Chosen:
    """What came out of a selection.

    Attributes:
        answer: The candidates, best first, with their scores.
        handed: Those that were handed out, best first.
        names: Of these.
        abstained: Whether nothing was found to fit.
        confidence: That a tool fits.
        threshold: Below which it abstains.
        catalogue: Tools in sight.
        reason: Why fewer were handed out than asked for; None where that is not known.
    """

    answer: Mapping[str, float]
    handed: tuple[str, ...]
    names: tuple[str, ...]
    abstained: bool
    confidence: float
    threshold: float
    catalogue: int
    reason: str | None = None

    @classmethod
    def of_record(cls, record: SelectionRecord) -> Chosen:
        """Return what was recorded."""
        ids = [one.id for one in record.candidates]
        return cls(
            answer_of(record.candidates),
            tuple(_candidate(name, ids) for name in record.chosen),
            record.chosen,
            record.abstained,
            record.confidence,
            record.rule["threshold"],
            record.catalogue,
        )

    @classmethod
    def of(cls, selection: Selection) -> Chosen:
        """Return what came out."""
        return cls(
            answer_of(scored(match) for match in selection.candidates),
            tuple(_id(match) for match in selection),
            tuple(selection.names),
            selection.abstained,
            selection.confidence,
            selection.threshold,
            selection.catalogue,
            selection.reason,
        )

    @property
    def is_cut(self) -> bool:
        """Whether there may have been more candidates than were recorded."""
        return len(self.answer) >= MAX_DOCUMENTS

    def shown(self, of: Chosen) -> dict[str, float]:
        """Return the candidates of another, no deeper than these were recorded."""
        return dict(list(of.answer.items())[: len(self.answer)]) if self.is_cut else dict(of.answer)

    def is_same(self, again: Chosen) -> bool:
        """Whether a replay gave what was recorded, but for rounding."""
        shown = self.shown(again)
        names = again.names[: len(self.names)] if self.is_cut else again.names
        return (
            is_same(self.answer, shown, found=len(self.answer))
            and sorted(names) == sorted(self.names)
            and (again.abstained, again.catalogue) == (self.abstained, self.catalogue)
            and abs(again.confidence - self.confidence) <= TOLERANCE
        )

    @property
    def odds(self) -> str:
        """What the abstention is decided by, in words."""
        return f"the confidence is {self.confidence:.2f}, and the threshold {self.threshold:.2f}"

    @property
    def odds_then(self) -> str:
        """The same of something past."""
        return f"it was {self.confidence:.2f}, and the threshold {self.threshold:.2f}"

    def told(self, then: Chosen, key: str) -> str:
        """Say why a tool is handed out here and was not in another, or the reverse."""
        if key in self.handed:
            why = f": {self.odds}; {then.odds_then}" if then.abstained else ""
            return f"handed out now{why}"
        if self.abstained:
            return f"no longer handed out: {self.odds}; {then.odds_then}"
        return f"no longer handed out{f': {self.reason}' if self.reason else ''}"


def scored(match: ToolMatch) -> Scored:
    """Return a match as a record has it."""
    return Scored(_id(match), match.score, dict(match.terms))


def fates_of(then: Sight, today: Sight) -> dict[str, Fate]:
    """Return what became of each tool that is not the same in two catalogues, by its id."""
    old, new = _contents(then), _contents(today)
    fates: dict[str, Fate] = {}
    for one in old.keys() | new.keys():
        if one not in old:
            fates[one] = "added"
        elif one not in new:
            fates[one] = "removed"
        elif old[one] != new[one]:
            fates[one] = "changed"
    return fates


def grown(fates: Mapping[str, Fate]) -> str:
    """Say how a catalogue changed."""
    counts = {fate: list(fates.values()).count(fate) for fate in ("added", "changed", "removed")}
    return ", ".join(f"{counted(many, 'tool')} {how}" for how, many in counts.items() if many)


def replayed(selection: Selection, fates: Mapping[str, Fate]) -> tuple[Replayed, ...]:
    """Return the candidates of a selection, with what is left of each today.

    Args:
        selection: What came out.
        fates: What became since of the tools that are not the same any more.
    """
    return tuple(_replayed(match, fates.get(_id(match), "same")) for match in selection.candidates)


def _replayed(match: ToolMatch, fate: Fate) -> Replayed:
    state = STATES.get(fate, "unchanged")
    one = scored(match)
    item = None if state == "gone" else match.tool
    return Replayed(one.id, one.score, one.terms, state, item)


def _candidate(name: str, ids: Sequence[str]) -> str:
    """Return the id of a tool that was handed out: of namesakes the best one is."""
    return next((one for one in ids if one.endswith(f"/{name}")), name)


def _contents(sight: Sight) -> dict[str, str]:
    """Return the content hash of each tool, by its id."""
    hashes = strings(sight.shelf.state.heads["content_hash"])
    ids = (f"{of}/{name}" for of, name in zip(sight.namespaces, sight.names, strict=True))
    return dict(zip(ids, hashes, strict=True))


def _id(match: ToolMatch) -> str:
    return f"{match.tool.namespace}/{match.name}"
