"""A selection in the making: from ranked tools to those handed out, or an abstention.

Keeps the promises that ranking alone does not: tools named in the query stay among the k, names
are handed out once, the budget holds, and a refusal says why.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from agentmem.checks import shown
from agentmem.ranking.tools.confidence import probabilities
from agentmem.ranking.tools.config import Routing
from agentmem.ranking.tools.coverage import smallest_covering
from agentmem.ranking.tools.score import Ranked
from agentmem.routing.budget import Budget
from agentmem.routing.evidence import evidence
from agentmem.routing.question import Question
from agentmem.routing.sight import Sight
from agentmem.routing.thresholds import InForce
from agentmem.types import ToolMatch

__all__ = ["AUTO", "Ask", "Depth", "Draft"]

Depth: TypeAlias = "int | Literal['auto']"
Floats: TypeAlias = NDArray[np.float32]

AUTO: Final = "auto"
AUTO_DEPTH: Final = 20  # tools among which `k="auto"` chooses: more confuse the model


@dataclass(frozen=True, slots=True)
class Ask:
    """What is to be handed out.

    Attributes:
        question: The query.
        k: How many tools at most, or "auto".
        max_tokens: Of their definitions together; None for no bound.
        explain: Whether each tool brings its evidence.
    """

    question: Question
    k: Depth
    max_tokens: int | None
    explain: bool


class Draft:
    """A selection in the making: what was ranked, and what to hand out of it."""

    def __init__(
        self, ask: Ask, *, sight: Sight, ranked: Ranked, rule: InForce, routing: Routing
    ) -> None:
        self._ask, self._sight, self._ranked = ask, sight, ranked
        self._rule, self._routing = rule, routing
        self._mentioned = self._mentions()
        self.confidence = rule.scale(ranked.confidence) if len(ranked.order) else 0.0
        self._order = self._guaranteed()
        size = self._size()
        self.best = self._order[:size]

    @property
    def needs_tool(self) -> dict[str, float]:
        """Terms of the log-odds of the confidence, as the calibration scales them."""
        scale = self._rule.scale
        terms = {name: scale.slope * value for name, value in self._ranked.needs_tool.items()}
        return terms | ({"calibration": scale.intercept} if scale.intercept else {})

    @property
    def unmatched(self) -> tuple[str, ...]:
        """Words of the query that no candidate knows, in their order."""
        words = self._ranked.words
        return tuple(
            dict.fromkeys(
                word
                for term, word in self._ask.question.terms.items()
                if not any(words[term][place] > 0 for place in self.best)
            )
        )

    def choose(self, budget: Budget) -> tuple[list[int], str | None, bool]:
        """Return the places to hand out, why they are fewer than asked for, and if it abstained."""
        if not self._sight.size:
            return [], "the catalogue is empty: register tools first", True
        if not self.best:
            return [], "no tool passes namespace, where and exclude", True
        if self.confidence < self._rule.calibration.threshold and not self._mentioned:
            return [], self._refusal(), True
        distinct, namesakes = self._distinct(self.best)
        fitting, left = budget.fit(self._sight, distinct, most=self._ask.max_tokens)
        reasons = []
        if namesakes:
            reasons.append(f"left out namesakes of better tools: {', '.join(namesakes)}")
        if left:
            names = ", ".join(self._sight.names[place] for place in left)
            reasons.append(f"left out for max_tokens={self._ask.max_tokens}: {names}")
        return fitting, "; ".join(reasons) or None, False

    def matches(self, places: Sequence[int]) -> list[ToolMatch]:
        """Return tools with their scores."""
        ranked, ask = self._ranked, self._ask
        chance = self._probabilities(self._order)
        at = {place: rank for rank, place in enumerate(self._order)}
        return [
            ToolMatch(
                tool=self._sight.tool(place),
                score=float(ranked.scores[place]),
                probability=float(chance[at[place]]),
                terms={name: float(row[place]) for name, row in ranked.terms.items() if row[place]},
                evidence=evidence(ask.question, self._sight, ranked=ranked, place=place)
                if ask.explain
                else None,
            )
            for place in places
        ]

    def _guaranteed(self) -> list[int]:
        """Return the candidates, best first, those mentioned by name within the first k.

        They take the last places of the k, so that better tools keep theirs.
        """
        order: list[int] = self._ranked.order[: max(AUTO_DEPTH, self._asked_for())].tolist()
        first, mentioned = order[: self._asked_for()], set(self._mentioned)
        free = [place for place in first if place not in mentioned]
        missing = sorted(mentioned - set(first), key=lambda place: -self._ranked.scores[place])
        moved = missing[: len(free)]
        gone = set(free[len(free) - len(moved) :])
        head = [*(place for place in first if place not in gone), *moved]
        seen = set(head)
        return [*head, *(place for place in order if place not in seen)]

    def _mentions(self) -> list[int]:
        """Return the candidates that the query mentions by name."""
        named = self._sight.shelf.index.mentioned_in(self._ask.question.text)
        allowed = set(self._ranked.order.tolist()) if named else set()
        return [place for place in named if place in allowed]

    def _asked_for(self) -> int:
        k = self._ask.k
        return AUTO_DEPTH if k == AUTO else int(k)

    def _size(self) -> int:
        if self._ask.k != AUTO:
            return self._asked_for()
        chance = self._probabilities(self._order[:AUTO_DEPTH])
        known = set(self._mentioned)
        last = max((at + 1 for at, place in enumerate(self._order) if place in known), default=0)
        return max(smallest_covering(chance, target=self._routing.coverage), min(last, AUTO_DEPTH))

    def _probabilities(self, places: Sequence[int]) -> Floats:
        scores = self._ranked.scores[list(places)]
        scores = np.minimum.accumulate(scores) if len(scores) else scores
        return probabilities(scores, confidence=self.confidence, temperature=self._rule.temperature)

    def _distinct(self, places: Sequence[int]) -> tuple[list[int], list[str]]:
        """Leave out tools whose name a better one has: a model could not tell them apart."""
        names, spaces = self._sight.names, self._sight.namespaces
        first: dict[str, int] = {}
        for place in places:
            first.setdefault(names[place], place)
        left = [f"{spaces[p]}/{names[p]}" for p in places if first[names[p]] != p]
        return list(first.values()), left

    def _refusal(self) -> str:
        rule, best = self._rule.calibration, self._sight.names[self.best[0]]
        kind = "calibrated" if rule.valid else "default"
        told = (
            f"nothing fits: the best candidate {shown(best)} has a confidence of "
            f"{self.confidence:.2f}, below the {kind} threshold {rule.threshold:.2f}"
        )
        if not self.unmatched:
            return told
        return f"{told}; no candidate knows {', '.join(map(shown, self.unmatched))}"
