"""Admission: the stages that the turns of a write pass, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from agentmem.types import Turn
from agentmem.types.guards import Admitted, LeftOut

__all__ = ["Admit", "Stage", "admission"]

Stage: TypeAlias = Callable[[Sequence[Turn]], Sequence[Turn | LeftOut]]
"""Gives for each turn in order the one to store, or why it is left out."""

Admit: TypeAlias = Callable[[Sequence[Turn]], Admitted]


def admission(*stages: Stage) -> Admit:
    """Return what lets turns through every stage in turn; a later one sees what is left.

    A turn that stands several times in one write passes once.
    """

    def admit(turns: Sequence[Turn]) -> Admitted:
        distinct = {id(turn): turn for turn in turns}
        found: dict[int, Turn | LeftOut] = dict(distinct)
        for stage in stages:
            passing = {key: one for key, one in found.items() if isinstance(one, Turn)}
            found |= zip(passing, stage(list(passing.values())), strict=True)
        became = tuple(found[id(turn)] for turn in turns)
        pairs = zip(turns, became, strict=True)
        changed = sum(isinstance(new, Turn) and new is not old for old, new in pairs)
        return Admitted(became, changed)

    return admit
