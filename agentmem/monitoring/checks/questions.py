"""The check of questions: whether what is asked moved, and whether it is answered as well.

The kept sample of questions is compared by their vectors, and by what came of them: similarity
of the best hit, margin to the second, how many found nothing and how many were abstained from.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from agentmem.monitoring.checks.stretches import Stretches, stretches
from agentmem.monitoring.checks.twice import Moved, Numbers, of_numbers, of_vectors, strongest
from agentmem.monitoring.checks.verdicts import (
    accepting,
    insufficient,
    is_drift,
    stable,
    told,
)
from agentmem.monitoring.given import Given
from agentmem.storage.questions import Asked
from agentmem.types import DriftFinding, DriftKind, DriftSubject, Recommendation

__all__ = ["QuestionsCheck"]

MICROSECONDS_A_DAY: Final = 86_400_000_000
VECTORS: Final = "vectors"
HARMFUL: Final = {  # 1 where a rise of it is bad, -1 where a fall is
    "similarity": -1,
    "margin": -1,
    "nothing_found": 1,
    "abstained": 1,
}
WORDS: Final = {
    VECTORS: "what is asked moved",
    "similarity": "the best hit is less similar to the question",
    "margin": "the best hit stands out less from the second",
    "nothing_found": "more questions find nothing",
    "abstained": "more questions are abstained from",
}
RECOMMENDED: Final[Mapping[DriftSubject, Recommendation]] = {
    "memory": "evaluate",
    "router": "recalibrate",
}
ADVICE: Final[Mapping[DriftSubject, str]] = {
    "memory": "Label some of the new questions and evaluate retrieval on them (`agentmem eval`). "
    "If it holds, {accept}.",
    "router": "Label some of the new queries, teach them, and calibrate again "
    "(`router.calibrate`, `agentmem tools calibrate`). Then {accept}.",
}
KEEPING: Final[Mapping[DriftSubject, str]] = {
    "memory": "Open the memory with `keep_questions=True` to keep a bounded sample of vectors and "
    "scores, without the words.",
    "router": "Open the router with `keep_questions=True` to keep a bounded sample of vectors and "
    "scores, without the words.",
}

Codes = NDArray[np.int64]


class QuestionsCheck:
    """Compares what was asked lately with what was asked at the baseline."""

    kind: DriftKind = "questions"

    def __call__(self, given: Given) -> DriftFinding:
        """Return what was found.

        Raises:
            StoreError: The questions could not be read.
        """
        asked = given.questions.newest(given.subject)
        codes, last = _blocks(asked)
        chosen = stretches(last, baseline=given.baseline.at, now=given.now)
        if chosen.windows is None:
            return _too_few(given, asked, chosen=chosen)
        moved = of_vectors(asked.vectors, codes, windows=chosen.windows, rng=given.rng)
        numbers = {
            name: of_numbers(
                values, codes, windows=chosen.windows, rng=given.rng, harmful=HARMFUL[name]
            )
            for name, values in _quantities(asked).items()
        }
        common = {
            "samples": chosen.sizes,
            "statistic": moved.latest.statistic,
            "detail": {**chosen.detail, **_details(moved, numbers), "questions": len(asked)},
            "evidence": {**moved.evidence, **_then_and_now(asked, codes, chosen=chosen)},
        }
        return _judged(given, moved, numbers=numbers, common=common)


def _blocks(asked: Asked) -> tuple[Codes, Codes]:
    """Return the session of each question, numbered in order of time, and when each ended.

    What one person asked on one day is a session: most applications search for a user, and a
    user who comes back for months would be one session for ever.
    """
    pairs = list(zip(asked.blocks, (asked.at // MICROSECONDS_A_DAY).tolist(), strict=True))
    ends: dict[tuple[str, int], int] = {}
    for pair, at in zip(pairs, asked.at.tolist(), strict=True):
        ends[pair] = max(at, ends.get(pair, at))
    order = sorted(ends, key=lambda pair: (ends[pair], pair))
    place = {pair: number for number, pair in enumerate(order)}
    codes = np.array([place[pair] for pair in pairs], np.int64)
    return codes, np.array([ends[pair] for pair in order], np.int64)


def _quantities(asked: Asked) -> dict[str, NDArray[np.float64]]:
    return {
        "similarity": asked.similarity,
        "margin": asked.margin,
        "nothing_found": (asked.hits == 0).astype(np.float64),
        "abstained": asked.abstained.astype(np.float64),
    }


def _details(moved: Moved, numbers: Mapping[str, Numbers]) -> dict[str, Any]:
    return {**moved.detail, **{name: one.detail for name, one in numbers.items() if one.detail}}


def _then_and_now(asked: Asked, codes: Codes, *, chosen: Stretches) -> dict[str, Any]:
    """Return similarities and margins of the baseline and of both windows, for a plot."""
    windows = chosen.windows
    if windows is None:
        return {}
    then = np.isin(codes, windows.reference)
    now = np.isin(codes, [*windows.previous, *windows.latest])
    found: dict[str, Any] = {}
    for name, values in (("similarity", asked.similarity), ("margin", asked.margin)):
        known = np.isfinite(values)
        found |= {f"{name}_then": values[then & known], f"{name}_now": values[now & known]}
    return found


def _judged(
    given: Given, moved: Moved, *, numbers: Mapping[str, Numbers], common: Mapping[str, Any]
) -> DriftFinding:
    p_values = {VECTORS: moved.p_value, **{name: one.p_value for name, one in numbers.items()}}
    effects = {VECTORS: moved.latest.share_beyond}
    effects |= {name: abs(one.latest.delta) for name, one in numbers.items() if one.is_known}
    p_value = strongest(list(p_values.values()))
    changed = [name for name in WORDS if p_values[name] <= given.bounds.level]
    effect = max(effects[name] for name in changed or [VECTORS])
    reference, current = common["samples"]
    if not is_drift(given, p_value=p_value, effect=effect):
        calm = (
            f"What was asked in the newest {2 * current} sessions, and what was found, is as in "
            f"the {reference} of the baseline."
        )
        return stable("questions", calm, p_value=p_value, effect=effect, **common)
    return told(
        "questions",
        f"Against the baseline, in the newest {current} sessions of questions and again in those "
        f"just before: {'; '.join(WORDS[name] for name in changed)}.",
        given=given,
        cause="questions",
        p_value=p_value,
        effect=effect,
        recommendation=RECOMMENDED[given.subject],
        advice=ADVICE[given.subject].format(accept=accepting(given)),
        **common,
    )


def _too_few(given: Given, asked: Asked, *, chosen: Stretches) -> DriftFinding:
    if not len(asked):
        return insufficient(
            "questions",
            "No questions are kept.",
            samples=(0, 0),
            advice=KEEPING[given.subject],
        )
    return insufficient(
        "questions",
        "Of questions, one person's on one day are a session. " + chosen.lacking,
        samples=chosen.sizes,
        detail={**chosen.detail, "questions": len(asked)},
    )
