"""What was let into a memory, and what was left out and why."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from agentmem.types.memory import Turn

__all__ = ["AddedIds", "Admitted", "LeftOut", "LeftOutReason"]

LeftOutReason: TypeAlias = Literal["refused", "recalled", "forgotten"]


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A message that was not stored, on purpose.

    Attributes:
        id: The id it came with, or was given; nothing is stored under it.
        reason: A hook "refused" it; it was "recalled" from this memory and came back; or it was
            "forgotten", and is not to return.
        by: Who decided: the name of the hook or guard.
        detail: Why, in words that quote nothing of the message.
    """

    id: str
    reason: LeftOutReason
    by: str
    detail: str = ""


class AddedIds(list[str]):
    """The ids of the messages of one `add`, in their order.

    Attributes:
        left_out: Those of them that were not stored, in order of the messages.
    """

    def __init__(self, ids: Iterable[str], *, left_out: tuple[LeftOut, ...] = ()) -> None:
        super().__init__(ids)
        self.left_out = left_out

    def __reduce__(self) -> tuple[object, ...]:
        return _ids, (list(self), self.left_out)


def _ids(ids: list[str], left_out: tuple[LeftOut, ...]) -> AddedIds:
    return AddedIds(ids, left_out=left_out)


@dataclass(frozen=True, slots=True)
class Admitted:
    """What became of the turns of one write, before any of them is stored.

    Attributes:
        turns: For each turn in order the one to store, or why there is none.
        changed: How many of those to store are not as they came.
    """

    turns: tuple[Turn | LeftOut, ...]
    changed: int = 0

    @property
    def kept(self) -> list[Turn]:
        """The turns to store."""
        return [one for one in self.turns if isinstance(one, Turn)]

    @property
    def left_out(self) -> tuple[LeftOut, ...]:
        """Those left out."""
        return tuple(one for one in self.turns if isinstance(one, LeftOut))
