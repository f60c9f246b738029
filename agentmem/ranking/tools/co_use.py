"""Which tools are used together, and which after which: counts from feedback, and what they say.

Rates are shrunk: of a pair seen once nothing follows yet.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

__all__ = ["LEADERS", "CoUse"]

TOGETHER_PRIOR = 3.0  # uses of a tool that were seen with no other
AFTER_PRIOR = 5.0  # uses after a tool that followed the usual rates
RARE = 0.005  # rate below which a tool is as good as never used
LEADERS = 3  # best tools whose companions are brought

Floats = NDArray[np.float32]


@dataclass(slots=True)
class CoUse:
    """Counts over the tools of a catalogue, by place."""

    occasions: int = 0
    used: Counter[int] = field(default_factory=Counter)
    together: dict[int, Counter[int]] = field(default_factory=dict)
    before: Counter[int] = field(default_factory=Counter)
    after: dict[int, Counter[int]] = field(default_factory=dict)

    def observe(self, used: Iterable[int], *, called: Iterable[int]) -> None:
        """Count one occasion: tools used for one query, and those called before it."""
        now = sorted(set(used))
        self.occasions += 1
        self.used.update(now)
        for one in now:
            self.together.setdefault(one, Counter()).update(t for t in now if t != one)
        for earlier in set(called):
            self.before[earlier] += 1
            self.after.setdefault(earlier, Counter()).update(now)

    def companions(self, scores: Floats, leaders: Sequence[int]) -> Floats:
        """Rate at which each tool is used together with the best ones, shape (N,), in [0, 1].

        Args:
            scores: Of every tool, shape (N,).
            leaders: Places of the best tools, best first.
        """
        rates = np.zeros(len(scores), np.float32)
        first = list(leaders)[:LEADERS]
        if not first:
            return rates
        shares = np.exp(scores[first] - scores[first[0]])
        for share, leader in zip(shares / shares.sum(), first, strict=True):
            seen = self.used[leader] + TOGETHER_PRIOR
            for other, count in self.together.get(leader, {}).items():
                rates[other] += share * count / seen
        return rates

    def transitions(self, called: Iterable[int], *, size: int) -> Floats:
        """Mean logarithm of how much likelier each tool is after those called, shape (size,)."""
        known = [tool for tool in dict.fromkeys(called) if self.before[tool]]
        lift: Floats = np.zeros(size, np.float32)
        if not known:
            return lift
        usual = _dense(self.used, size) / max(self.occasions, 1)
        for tool in known:
            followed = _dense(self.after[tool], size) + AFTER_PRIOR * usual
            rate = followed / (self.before[tool] + AFTER_PRIOR)
            lift += np.log((rate + RARE) / (usual + RARE)).astype(np.float32)
        mean: Floats = lift / np.float32(len(known))
        return mean


def _dense(counts: Counter[int], size: int) -> NDArray[np.float64]:
    row = np.zeros(size)
    for place, count in counts.items():
        row[place] = count
    return row
