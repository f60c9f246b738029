"""`Agreement`: what two generations of the turns answer to the same questions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

import numpy as np

from agentmem.ingest import Clock
from agentmem.migration.shadowing import overlap
from agentmem.protocols import Embedder
from agentmem.ranking import Ranking
from agentmem.retrieval import Request, Searcher
from agentmem.storage.resident import Residents
from agentmem.storage.turns import Store
from agentmem.telemetry import Tracing
from agentmem.types import ALL, AllScopes, Mode, Scope, Turn

__all__ = ["Agreement", "Labelled"]

QUESTIONS: Final = 50
LOOKED_AT: Final = 5_000  # turns among which questions are looked for
TURNS_A_READ: Final = 1_000
NEAREST: Final = 10
SHORTEST: Final = 12  # characters; "Really?" is no question to anybody's memory
LONGEST: Final = 400


@dataclass(frozen=True, slots=True)
class Labelled:
    """A question whose answers are known.

    Attributes:
        question: As it is asked.
        ids: Of the turns that answer it.
        scope: Whose turns it is asked of.
    """

    question: str
    ids: frozenset[str]
    scope: Scope | AllScopes


class Agreement:
    """Asks the turns of two generations.

    Args:
        before: The turns of the generation in force; None where there are no turns, or no
            embedder of its space.
        after: Those of the next one, likewise.
        embedders: Of both.
        ranking: The weights of every search.
    """

    def __init__(
        self,
        before: Store,
        after: Store,
        *,
        embedders: tuple[Embedder | None, Embedder],
        ranking: Ranking,
    ) -> None:
        self._before, self._after = before, after
        self._embedders = embedders
        self._ranking = ranking

    def measure(self, rng: np.random.Generator) -> tuple[float, float, int] | None:
        """Ask questions that are stored.

        Returns:
            Mean overlap of the ten nearest turns, and of the ten best of a whole search, and how
            many questions were asked; None where nothing can be asked.
        """
        pair = self._searchers()
        turns = list(islice(_questions(self._after), LOOKED_AT)) if pair else []
        if pair is None or not turns:
            return None
        chosen = rng.choice(len(turns), size=min(QUESTIONS, len(turns)), replace=False)
        asked = [turns[place] for place in chosen.tolist()]
        dense, hybrid = (
            [overlap(*(self._near(one, turn, mode) for one in pair)) for turn in asked]
            for mode in _MODES
        )
        return float(np.mean(dense)), float(np.mean(hybrid)), len(asked)

    def recall(self, labels: Sequence[Labelled]) -> tuple[float | None, float]:
        """Return the mean recall@10 of labelled questions before and after.

        None before where there is no embedder of the old space to ask with.
        """
        old, new = self._embedders
        before = None if old is None else self._recall(self._searcher(self._before, old), labels)
        return before, self._recall(self._searcher(self._after, new), labels)

    def _recall(self, searcher: Searcher, labels: Sequence[Labelled]) -> float:
        shares = []
        for label in labels:
            found = searcher.search(self._request(label.question, label.scope, k=NEAREST))
            shares.append(len({hit.turn.id for hit in found} & label.ids) / len(label.ids))
        return float(np.mean(shares))

    def _near(self, searcher: Searcher, turn: Turn, mode: Mode) -> list[str]:
        """Ask what a turn asked; it does not answer itself."""
        whose = Scope(turn.user_id, turn.agent_id)
        scope: Scope | AllScopes = ALL if whose.is_empty else whose
        found = searcher.search(self._request(turn.content, scope, k=NEAREST + 1, mode=mode))
        return [hit.turn.id for hit in found if hit.turn.id != turn.id][:NEAREST]

    def _request(
        self, query: str, scope: Scope | AllScopes, *, k: int, mode: Mode = "hybrid"
    ) -> Request:
        return Request(query=query, scope=scope, k=k, mode=mode, ranking=self._ranking)

    def _searchers(self) -> tuple[Searcher, Searcher] | None:
        old, new = self._embedders
        if old is None:
            return None
        return self._searcher(self._before, old), self._searcher(self._after, new)

    def _searcher(self, store: Store, embedder: Embedder) -> Searcher:
        return Searcher(
            store,
            Residents(store),
            embedder=embedder,
            reranker=None,
            now=Clock().now,
            tracing=Tracing.silent(),
        )


_MODES: Final[tuple[Mode, Mode]] = ("dense", "hybrid")


def _questions(store: Store) -> Iterator[Turn]:
    """Give turns that ask something, among the first that are read."""
    for turns in islice(store.scan_turns(scope=ALL, batch_turns=TURNS_A_READ), 50):
        for turn in turns:
            asks = turn.content.rstrip().endswith("?")
            if turn.role == "user" and asks and SHORTEST <= len(turn.content) <= LONGEST:
                yield turn
