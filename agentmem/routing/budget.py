"""The tokens of tools' definitions: what a choice costs a request, and which tools fit into it."""

from __future__ import annotations

import json
from collections.abc import Sequence

from agentmem.protocols import TokenCounter
from agentmem.routing.sight import Sight

__all__ = ["Budget"]


class Budget:
    """Counts the OpenAI definitions of tools, those counted at registration without effort.

    Args:
        counter: For the others.
    """

    def __init__(self, counter: TokenCounter) -> None:
        self._counter = counter

    def sum(self, sight: Sight, places: Sequence[int]) -> int:
        """Return the tokens of several tools; those that cannot be counted weigh nothing."""
        known = sight.tokens[list(places)]
        return int(known[known > 0].sum())

    def fit(
        self, sight: Sight, places: Sequence[int], *, most: int | None
    ) -> tuple[list[int], list[int]]:
        """Return the tools that fit a budget, best first, and those that do not.

        A tool too large is passed over, and a smaller one after it may still fit.

        Raises:
            MissingDependency: Tokens were never counted, and the counter cannot.
        """
        if most is None:
            return list(places), []
        fitting: list[int] = []
        left: list[int] = []
        spent = 0
        for place in places:
            cost = self._cost(sight, place)
            (fitting if spent + cost <= most else left).append(place)
            spent += cost if spent + cost <= most else 0
        return fitting, left

    def _cost(self, sight: Sight, place: int) -> int:
        known = int(sight.tokens[place])
        if known >= 0:
            return known
        definition = sight.tool(place).schema("openai")
        return self._counter.count(
            json.dumps(definition, ensure_ascii=False, separators=(",", ":"))
        )
