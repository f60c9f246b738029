"""Recorded traces of turns that are erased: every span that names one or quotes it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Final

from agentmem.traces.pruning import prune
from agentmem.types import Turn

__all__ = ["erase"]

QUOTED: Final = 40  # characters of the beginning of a text that tell it
TURNS: Final = 2_000  # looked for at once


def erase(folder: Path, turns: Sequence[Turn]) -> int:
    """Take spans that name or quote turns out of a folder, and return how many.

    Args:
        folder: Of recorded traces.
        turns: The turns. Ids are looked for in spans of their user alone.

    Raises:
        StoreNotFound: There are no traces at that path.
        StoreError: A file could not be read or written, or another process held the lock.
    """
    count = 0
    by_user = sorted(turns, key=lambda one: one.user_id or "")
    for user_id, group in groupby(by_user, key=lambda one: one.user_id):
        theirs = list(group)
        for start in range(0, len(theirs), TURNS):
            some = theirs[start : start + TURNS]
            ids = {one.id for one in some}
            quoted = {one.content[:QUOTED] for one in some if len(one.content) >= QUOTED // 2}
            count += prune(folder, user_id=user_id, naming=ids | quoted).spans
    return count
