"""The check of lengths: whether texts grew against the baseline, and against the model's window.

A turn longer than the window is split, and each piece is found by what it says alone. So more
split turns mean more answers that rest on a part of what was said.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from agentmem.embedding.cache import CachedEmbedder
from agentmem.monitoring.checks.sampled import Sampled, sampled
from agentmem.monitoring.checks.stretches import Stretches
from agentmem.monitoring.checks.twice import Numbers, of_numbers, strongest
from agentmem.monitoring.checks.verdicts import (
    UNUSABLE,
    accepting,
    insufficient,
    is_drift,
    percent,
    stable,
    told,
)
from agentmem.monitoring.given import Given
from agentmem.storage.arrow import integers, strings
from agentmem.types import DriftFinding, DriftKind

__all__ = ["LengthCheck"]

TOKENS: Final = "tokens"
SPLIT: Final = "split"
CHARACTERS_A_TOKEN: Final = 4  # of English text, where the embedder counts no tokens
MOST_CHARACTERS: Final = 20_000  # of a text that is counted; more are taken to be alike
SPLIT_RISE: Final = 0.05  # of the share of turns that are split: one in twenty is worth a word
GROWTH: Final = 0.25  # of the window: longer texts that still fit well are no loss

Floats = NDArray[np.float64]


class LengthCheck:
    """Compares the lengths of newer turns with those of the baseline."""

    kind: DriftKind = "length"

    def __call__(self, given: Given) -> DriftFinding:
        """Return what was found.

        Raises:
            EmbeddingFailed: The tokenizer could not be loaded.
            StoreError: The store could not be read.
        """
        if given.store is None:
            return insufficient(
                self.kind, "Lengths are compared of turns, not of tools.", samples=(0, 0)
            )
        found = sampled(given, given.store, columns=["content", "chunks"])
        if isinstance(found, Stretches):
            return insufficient(self.kind, found.lacking, samples=found.sizes, detail=found.detail)
        texts = strings(found.rows["content"])
        quantities = {
            TOKENS: _tokens(given.embedder, texts),
            SPLIT: (integers(found.rows["chunks"]) > 1).astype(np.float64),
        }
        numbers = {
            name: of_numbers(values, found.codes, windows=found.windows, rng=given.rng, harmful=1)
            for name, values in quantities.items()
        }
        if not all(one.is_known for one in numbers.values()):
            return insufficient(self.kind, UNUSABLE, samples=found.chosen.sizes)
        return _judged(given, found, numbers=numbers, tokens=quantities[TOKENS])


def _tokens(embedder: CachedEmbedder, texts: Sequence[str]) -> Floats:
    """Count the tokens of each text, or estimate them where the embedder cannot."""
    counts = []
    for text in texts:
        head = text[:MOST_CHARACTERS]
        count = embedder.tokens([head])
        known = len(head) / CHARACTERS_A_TOKEN if count is None else count
        counts.append(known * len(text) / max(len(head), 1))
    return np.array(counts, np.float64)


def _judged(
    given: Given, found: Sampled, *, numbers: Mapping[str, Numbers], tokens: Floats
) -> DriftFinding:
    window = given.embedder.passport.window
    split, length = numbers[SPLIT], numbers[TOKENS]
    changed = {
        SPLIT: split.rise >= SPLIT_RISE,
        TOKENS: window is not None and length.latest.current >= GROWTH * window,
    }
    p_values = [numbers[name].p_value for name, matters in changed.items() if matters]
    p_value = strongest([one.p_value for one in numbers.values()])
    then = np.isin(found.codes, found.windows.reference)
    common: dict[str, Any] = {
        "samples": found.chosen.sizes,
        "statistic": length.latest.current,
        "p_value": p_value,
        "effect": length.latest.delta,
        "detail": {
            **found.chosen.detail,
            **{name: one.detail for name, one in numbers.items()},
            "window": window,
        },
        "evidence": {"tokens_then": tokens[then], "tokens_now": tokens[~then]},
    }
    lengths = (
        f"Turns of the newest sessions have {length.latest.current:,.0f} tokens in the mean, "
        f"against {length.latest.reference:,.0f} at the baseline; "
        f"{percent(split.latest.current)} are split, against {percent(split.latest.reference)}"
    )
    if not any(one <= given.bounds.level for one in p_values) or not is_drift(
        given, p_value=p_value, effect=abs(length.latest.delta)
    ):
        return stable("length", f"{lengths}.", **common)
    reads = "" if window is None else f" The model reads {window:,} tokens at a time."
    return told(
        "length",
        f"{lengths}, in both of the newest windows.{reads} Of what is longer each piece is found "
        "by what it says alone.",
        given=given,
        cause="length",
        recommendation="evaluate",
        advice="Evaluate retrieval on questions about long turns (`agentmem eval`). If it is "
        "worse, store shorter turns or migrate to a model with a longer window (`agentmem "
        f"migrate`); if it holds, {accepting(given)}.",
        **common,
    )
