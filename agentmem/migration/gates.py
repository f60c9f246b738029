"""The gates of a migration: what has to hold of the next generation before readers move to it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from agentmem.embedding.cache import CachedEmbedder
from agentmem.embedding.canaries import SAME, compare, embed_canaries
from agentmem.migration.agreement import Agreement, Labelled
from agentmem.migration.making import RowMaker
from agentmem.migration.shadowing import Compared
from agentmem.protocols import Embedder
from agentmem.storage.canaries import KeptCanaries
from agentmem.storage.copying import Copy
from agentmem.types import Gate

__all__ = ["Bounds", "Gates"]

SPOTS: Final = 32  # rows of each holding that are embedded once more
LENGTH_TOLERANCE: Final = 1e-3  # as `embedding.contract` has it


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What the gates ask for.

    Attributes:
        outstanding: Share of rows that may be left for the flip.
        poisoned: Share of rows that the model may fail on.
        agreement: Least mean overlap of the ten nearest turns to stored questions in both
            spaces. Two good models share a third to two thirds of them, noise shares next to
            nothing.
        shadow: Least mean overlap of live answers, whose words are the same in both.
        recall: Most that recall@10 of labelled questions may lose.
    """

    outstanding: float = 0.01
    poisoned: float = 0.01
    agreement: float = 0.10
    shadow: float = 0.30
    recall: float = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Gates:
    """Looks at the next generation.

    Attributes:
        embedder: Of its space.
        canaries: Its kept canaries.
        agreement: Asks both generations; None for a rollback, which was in force before.
        labels: Questions whose answers are known.
        bounds: What is asked for.
        rng: Chooses what is looked at.
    """

    embedder: Embedder
    canaries: KeptCanaries
    agreement: Agreement | None
    labels: Sequence[Labelled] = ()
    bounds: Bounds = field(default_factory=Bounds)
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(0))

    def look(self, copies: Sequence[Copy], *, poisoned: int) -> tuple[Gate, ...]:
        """Return how each gate came out, the cheap ones first; all are looked at."""
        gates = [self._parity(copies), self._space(copies), self._poison(copies, poisoned)]
        gates += [self._vectors(copies)]
        if self.agreement is not None:
            gates += [self._canaries(), self._spots(copies), self._agrees(self.agreement)]
            if self.labels:
                gates.append(self._labelled(self.agreement))
        return tuple(gates)

    def of_shadow(self, found: Compared, *, wanted: int) -> Gate:
        """Return how the comparison on live questions came out."""
        mean = found.overlap / found.asked if found.asked else 0.0
        enough = found.asked >= wanted
        told = f"{found.asked} of {wanted} live questions were compared"
        if enough:
            told = (
                f"over {found.asked} live questions, {mean:.0%} of the results are in both "
                f"answers, and {found.same_first / found.asked:.0%} have the same first one"
            )
        return Gate("shadow", enough and mean >= self.bounds.shadow, mean, self.bounds.shadow, told)

    def _parity(self, copies: Sequence[Copy]) -> Gate:
        found = [copy.outstanding() for copy in copies]
        left, total = sum(map(len, found)), sum(one.total for one in found)
        share = left / total if total else 0.0
        few = share <= self.bounds.outstanding or left <= 100  # noqa: PLR2004 - as the flip takes
        told = f"{left:,} of {total:,} rows are still to be carried; at the flip none will be"
        return Gate("parity", few, share, self.bounds.outstanding, told)

    def _space(self, copies: Sequence[Copy]) -> Gate:
        passport_id = self.embedder.passport.id
        strange = sum(copy.strangers(passport_id)[0] for copy in copies)
        told = f"{strange:,} rows lie in another space than {passport_id}"
        return Gate("space", strange == 0, float(strange), 0.0, told)

    def _poison(self, copies: Sequence[Copy], poisoned: int) -> Gate:
        total = sum(copy.outstanding().total for copy in copies)
        blank = sum(copy.strangers("")[1] for copy in copies)
        share = blank / total if total else 0.0
        told = f"the model failed on {blank:,} of {total:,} rows ({poisoned:,} listed)"
        return Gate("poison", share <= self.bounds.poisoned, share, self.bounds.poisoned, told)

    def _vectors(self, copies: Sequence[Copy]) -> Gate:
        worst = _worst(_errors(copies))
        told = f"every vector is finite, and its length is within {worst:.1e} of 1"
        if not worst <= LENGTH_TOLERANCE:
            told = f"a vector is not finite, or its length is {worst:.3g} away from 1"
        return Gate("vectors", worst <= LENGTH_TOLERANCE, worst, LENGTH_TOLERANCE, told)

    def _canaries(self) -> Gate:
        kept = self.canaries.get()
        if kept is None:
            return Gate("canaries", passed=False, value=0.0, bound=SAME, detail="none are kept")
        inner = self.embedder.inner if isinstance(self.embedder, CachedEmbedder) else self.embedder
        check = compare(kept.canaries, embed_canaries(inner))
        return Gate("canaries", check.verdict == "same", check.minimum, SAME, check.reason)

    def _spots(self, copies: Sequence[Copy]) -> Gate:
        found = [one for copy in copies for one in self._spot(copy)]
        least = min(found, default=1.0)
        told = f"{len(found)} vectors made once more are as stored: least cosine {least:.5f}"
        if least < SAME:
            told = f"a vector made once more is not the stored one: cosine {least:.4f}"
        return Gate("spot_check", least >= SAME, least, SAME, told)

    def _spot(self, copy: Copy) -> list[float]:
        keys = copy.some(SPOTS, rng=self.rng)
        if not keys:
            return []
        uncached = self.embedder.inner if isinstance(self.embedder, CachedEmbedder) else None
        maker = RowMaker(uncached or self.embedder, texts=8)
        stored = copy.rows_of(keys)
        again = copy.by_row(maker.rows(copy.held, copy.read(keys)).rows)
        changed = set(copy.outstanding().keys)  # written since: another text by now
        return [
            float(stored[row] @ vector)
            for row, vector in again.items()
            if row in stored and row.partition("/")[0] not in changed and row not in changed
        ]

    def _agrees(self, agreement: Agreement) -> Gate:
        measured = agreement.measure(self.rng)
        if measured is None:
            told = "there is nothing to ask, or no model of the old space to ask it with"
            return Gate("agreement", passed=True, value=1.0, bound=0.0, detail=told)
        dense, hybrid, asked = measured
        told = (
            f"of the ten nearest turns to {asked} stored questions, {dense:.0%} are the same in "
            f"both spaces; of the answers {hybrid:.0%}"
        )
        return Gate("agreement", dense >= self.bounds.agreement, dense, self.bounds.agreement, told)

    def _labelled(self, agreement: Agreement) -> Gate:
        before, after = agreement.recall(self.labels)
        asked = f"recall@10 of {len(self.labels)} labelled questions"
        if before is None:
            told = f"{asked}: {after:.3f}; there is no model of the old space to compare with"
            return Gate("labels", passed=True, value=after, bound=0.0, detail=told)
        told = f"{asked}: {before:.3f} before, {after:.3f} after"
        bound = before - self.bounds.recall
        return Gate("labels", after >= bound, after, bound, told)


def _errors(copies: Iterable[Copy]) -> Iterable[float]:
    """How far the lengths of each batch of vectors are from 1, at most; infinite for NaN."""
    for copy in copies:
        for vectors in copy.vectors():
            lengths = np.sqrt(np.einsum("ij,ij->i", vectors, vectors))
            finite = bool(np.isfinite(lengths).all())
            yield float(np.abs(lengths - 1).max(initial=0.0)) if finite else float("inf")


def _worst(errors: Iterable[float]) -> float:
    return max(errors, default=0.0)
