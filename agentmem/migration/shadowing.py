"""`Shadow`: how much the answers of two generations agree on live questions, counted in the store.

Processes compare after they answered, and add what they found; the migration reads the sum.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Final

from agentmem.storage.meta import Meta

__all__ = ["Compared", "Shadow", "overlap"]

NAME: Final = "migration:shadow"
SWAPS: Final = 20


@dataclass(frozen=True, slots=True)
class Compared:
    """What was compared so far.

    Attributes:
        migration: Id of the migration it is for.
        asked: Questions.
        overlap: Sum of the shares of results that both generations gave.
        same_first: Questions whose first result was the same.
    """

    migration: str
    asked: int = 0
    overlap: float = 0.0
    same_first: int = 0


class Shadow:
    """The comparisons of one store.

    Args:
        meta: Its named values.
    """

    def __init__(self, meta: Meta) -> None:
        self._meta = meta

    def reset(self, migration: str) -> None:
        """Begin anew, unless this migration has begun already."""
        if self.read(migration).asked == 0:
            self._meta.put(NAME, asdict(Compared(migration)))

    def read(self, migration: str) -> Compared:
        """Return what was compared for a migration."""
        found = self._meta.get(NAME)
        if found is None or found.value["migration"] != migration:
            return Compared(migration)
        return Compared(**found.value)

    def add(self, *, asked: int, overlap: float, same_first: int) -> None:
        """Add what a process compared; what cannot be added after some tries is left out."""
        for _ in range(SWAPS):
            found = self._meta.get(NAME)
            if found is None:
                return
            before = Compared(**found.value)
            after = Compared(
                before.migration,
                before.asked + asked,
                before.overlap + overlap,
                before.same_first + same_first,
            )
            if self._meta.compare_and_swap(NAME, asdict(after), rev=found.rev):
                return


def overlap(one: Sequence[str], other: Sequence[str]) -> float:
    """Return the share of the longer answer's results that both have, 1 for two empty ones."""
    size = max(len(one), len(other))
    return len(set(one) & set(other)) / size if size else 1.0
