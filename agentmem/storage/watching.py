"""`DriftTables`: what a store keeps to notice drift by, of one generation of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from agentmem.storage.canaries import KeptCanaries
from agentmem.storage.guard import Guard
from agentmem.storage.journal import Journal
from agentmem.storage.meta import Meta
from agentmem.storage.opening import Opened, open_meta
from agentmem.storage.questions import Questions
from agentmem.storage.renewing import Renewal, renewals
from agentmem.types import Held

__all__ = ["DriftTables"]


@dataclass(frozen=True, slots=True)
class DriftTables:
    """What a store keeps to notice drift by.

    Attributes:
        canaries: Of the generation.
        questions: Of the generation.
        journal: Events and checks, of all generations.
        meta: Named values, such as baselines and leases.
        renewals: Gives its holdings that there are by now, looked at by how fresh they are.
    """

    canaries: KeptCanaries
    questions: Questions
    journal: Journal
    meta: Meta
    renewals: Callable[[], Mapping[Held, Renewal]]

    @classmethod
    def of(cls, opened: Opened, *, guard: Guard) -> DriftTables:
        """Return those of a store, in the generation it was opened in."""
        return cls(
            KeptCanaries(opened, guard=guard),
            Questions(opened, guard=guard),
            Journal(opened, guard=guard),
            open_meta(opened, guard=guard),
            partial(renewals, opened, guard=guard),
        )
