"""A catalogue of tools now and at the baseline: which of them are still what they were.

Of a large catalogue a fixed sample is kept: the tools whose keys, which are hashes, are lowest.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from agentmem.monitoring.given import Baseline
from agentmem.storage.tool_store import ToolStore

__all__ = ["Tools", "compared_tools", "key_digits"]

CATALOGUE: Final = "catalogue"  # what it is kept as
SAMPLE: Final = 2_000  # tools; 60 kB of JSON, and shares are known to one percent
KEY_DIGITS: Final = 16  # 64 bits: no two of a million tools share them
HASH_DIGITS: Final = 8  # 32 bits: of a thousand changed tools none is missed


@dataclass(frozen=True, slots=True)
class Tools:
    """The tools of a sample, by the first digits of their keys.

    Attributes:
        then: How many there were at the baseline.
        now: How many there are.
        unchanged: Those that are what they were.
        changed: How many have another definition.
        removed: How many are gone.
        added: How many are new.
        is_new: Whether nothing was kept of the baseline before.
    """

    then: int
    now: int
    unchanged: frozenset[str]
    changed: int
    removed: int
    added: int
    is_new: bool

    @property
    def share(self) -> float:
        """Share of all tools, then and now, that are not what they were; 0 where there are none."""
        other = self.changed + self.removed + self.added
        return other / max(other + len(self.unchanged), 1)


def compared_tools(store: ToolStore, *, baseline: Baseline) -> Tools:
    """Compare today's tools with those at the baseline, which are kept if none are.

    Raises:
        StoreError: The store could not be read.
    """
    hashes = store.catalogue.hashes(None)
    today = {key_digits(key): hashes[key][:HASH_DIGITS] for key in sorted(hashes)}
    is_new = baseline.kept(CATALOGUE) is None
    then: dict[str, str] = baseline.keep(CATALOGUE, dict(list(today.items())[:SAMPLE]))
    if len(then) >= SAMPLE:
        today = {key: value for key, value in today.items() if key <= max(then)}
    both = then.keys() & today.keys()
    unchanged = frozenset(key for key in both if then[key] == today[key])
    return Tools(
        then=len(then),
        now=len(today),
        unchanged=unchanged,
        changed=len(both) - len(unchanged),
        removed=len(then.keys() - both),
        added=len(today.keys() - both),
        is_new=is_new,
    )


def key_digits(key: str) -> str:
    """Return what is kept of a tool's key."""
    return key[:KEY_DIGITS]
