"""Stale texts embedded anew where they are, those of the sources that change most first."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from typing import Final, Protocol, TypeAlias

import pyarrow as pa

from agentmem.storage.arrow import strings
from agentmem.storage.renewing import Renewal
from agentmem.transfer import progress_bar
from agentmem.types import Held, Poisoned, Reembedded, StaleText

__all__ = ["Remade", "Remake", "reembed"]

BATCH: Final = 256  # texts between two commits


class Remade(Protocol):
    """Rows ready to be stored, and what could not be embedded of them."""

    @property
    def rows(self) -> pa.Table:
        """All rows of each key, those that could not be embedded without a passport."""
        ...

    @property
    def poisoned(self) -> tuple[Poisoned, ...]:
        """What could not be embedded."""
        ...


Remake: TypeAlias = Callable[[Held, pa.Table], Remade]
"""Makes rows of heads, with the revisions that they have."""


def reembed(
    stale: Sequence[StaleText],
    holdings: Mapping[Held, Renewal],
    *,
    remake: Remake,
    dry_run: bool,
    progress: bool,
) -> Reembedded:
    """Embed stale texts anew.

    Args:
        stale: In the order in which it is to be done.
        holdings: Where they are.
        remake: Embeds them.
        dry_run: Whether to say what would be done, and do nothing.
        progress: Whether to draw a progress bar on a terminal.

    Raises:
        EmbeddingFailed: The model fails, whatever the text; what was done stays done.
        StoreError: The store could not be written; likewise.
    """
    if dry_run:
        return Reembedded(embedded=len(stale), skipped=0, poisoned=(), dry_run=True)
    embedded, done = 0, 0
    poisoned: list[Poisoned] = []
    with progress_bar(len(stale), shown=progress, doing="embedding anew") as tell:
        for held, texts in groupby(stale, key=lambda one: one.held):
            renewal, keys = holdings[held], [one.key for one in texts]
            for start in range(0, len(keys), BATCH):
                batch = keys[start : start + BATCH]
                fresh, bad = _renewed(renewal, batch, remake=remake)
                embedded += fresh
                poisoned += bad
                done += len(batch)
                tell(done, done)
    skipped = len(stale) - embedded - len(poisoned)
    return Reembedded(embedded=embedded, skipped=skipped, poisoned=tuple(poisoned), dry_run=False)


def _renewed(
    renewal: Renewal, keys: Sequence[str], *, remake: Remake
) -> tuple[int, Sequence[Poisoned]]:
    """Return how many of the keys have a fresh vector now, and what has none."""
    heads = renewal.read(keys)
    if not heads.num_rows:
        return 0, []
    made = remake(renewal.held, heads)
    lost = set(renewal.put(made.rows))
    passports = zip(strings(made.rows["key"]), strings(made.rows["passport"]), strict=True)
    fresh = {key for key, passport in passports if passport and key not in lost}
    return len(fresh), made.poisoned
