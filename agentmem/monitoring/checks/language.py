"""The check of languages: whether texts came in that the model was not made for.

Of models that were made for many languages it says what there is, and never that it drifted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from agentmem.monitoring.checks.sampled import Sampled, sampled
from agentmem.monitoring.checks.stretches import Stretches
from agentmem.monitoring.checks.tongues import (
    Breadth,
    breadth_of,
    can_tell_languages,
    language_of,
    scripts_of,
)
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
from agentmem.storage.arrow import strings
from agentmem.types import DriftFinding, DriftKind

__all__ = ["LanguageCheck"]

USUAL: Final = 0.05  # share of the baseline from which a script or a language belongs to it
RISE: Final = 0.05  # of the share of others: one turn in twenty is worth a word
SCRIPTS: Final = "other_scripts"
LANGUAGES: Final = "other_languages"
KNOWN: Final[Mapping[Breadth, str]] = {
    "one language": "The model was made for one language, and places others badly.",
    "unknown": "Whether the model was made for them is not known.",
}

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class _Heard:
    """What N turns of sessions are in.

    Attributes:
        scripts: Share of letters of each turn in scripts that the baseline has not, shape (N,).
        languages: Whether each turn's session is in a language the baseline has not; shape (N,),
            NaN where that cannot be told.
        usual: Scripts and languages of the baseline.
        new: Those of the newest window beside them, the most frequent first.
    """

    scripts: Floats
    languages: Floats
    usual: tuple[str, ...]
    new: tuple[str, ...]


class LanguageCheck:
    """Compares the scripts and languages of newer sessions with those of the baseline."""

    kind: DriftKind = "language"

    def __call__(self, given: Given) -> DriftFinding:
        """Return what was found.

        Raises:
            StoreError: The store could not be read.
        """
        if given.store is None:
            return insufficient(
                self.kind, "Languages are compared of turns, not of tools.", samples=(0, 0)
            )
        found = sampled(given, given.store, columns=["content"])
        if isinstance(found, Stretches):
            return insufficient(self.kind, found.lacking, samples=found.sizes, detail=found.detail)
        heard = _heard(found)
        numbers = {
            name: of_numbers(values, found.codes, windows=found.windows, rng=given.rng, harmful=1)
            for name, values in ((SCRIPTS, heard.scripts), (LANGUAGES, heard.languages))
        }
        if not numbers[SCRIPTS].is_known:
            return insufficient(self.kind, UNUSABLE, samples=found.chosen.sizes)
        return _judged(given, found, heard=heard, numbers=numbers)


def _heard(found: Sampled) -> _Heard:
    texts = strings(found.rows["content"])
    by_turn = [scripts_of([text]) for text in texts]
    by_session = {
        place: language_of([texts[at] for at in np.flatnonzero(found.codes == place)])
        for place in found.chosen.places
    }
    reference, latest = found.windows.reference, found.windows.latest
    scripts = [_letters(by_turn, found.codes, window=window) for window in (reference, latest)]
    languages = [_counted(by_session, window=window) for window in (reference, latest)]
    usual_scripts, usual_languages = _usual(scripts[0]), _usual(languages[0])
    return _Heard(
        scripts=np.array([_outside(one, usual_scripts) for one in by_turn]),
        languages=np.array(
            [_is_other(by_session[place], usual_languages) for place in found.codes.tolist()]
        ),
        usual=(*sorted(usual_scripts), *sorted(usual_languages)),
        new=(*_others(scripts[1], usual_scripts), *_others(languages[1], usual_languages)),
    )


def _letters(
    by_turn: Sequence[Counter[str]], codes: NDArray[np.int64], *, window: range
) -> Counter[str]:
    """Count the letters of each script in the turns of a window."""
    found: Counter[str] = Counter()
    for turn in np.flatnonzero(np.isin(codes, window)).tolist():
        found.update(by_turn[turn])
    return found


def _counted(by_session: Mapping[int, str | None], *, window: range) -> Counter[str]:
    """Count the sessions of a window in each language."""
    spoken = (by_session[place] for place in window)
    return Counter(language for language in spoken if language is not None)


def _usual(counts: Counter[str]) -> frozenset[str]:
    """Return what has its share of a whole."""
    return frozenset(name for name, count in counts.items() if count >= USUAL * counts.total())


def _others(counts: Counter[str], usual: frozenset[str]) -> list[str]:
    return [name for name, _ in counts.most_common() if name not in usual]


def _outside(counts: Counter[str], usual: frozenset[str]) -> float:
    """Return the share of what is not usual; 0 of nothing."""
    others = sum(count for name, count in counts.items() if name not in usual)
    return others / max(counts.total(), 1)


def _is_other(language: str | None, usual: frozenset[str]) -> float:
    """Return 1 for a language that is not usual; NaN where there is none to compare."""
    return float("nan") if language is None or not usual else float(language not in usual)


def _judged(
    given: Given, found: Sampled, *, heard: _Heard, numbers: Mapping[str, Numbers]
) -> DriftFinding:
    breadth = breadth_of(given.embedder.passport.model)
    p_value = strongest([one.p_value for one in numbers.values()])
    rise = max(one.rise for one in numbers.values())
    common: dict[str, Any] = {
        "samples": found.chosen.sizes,
        "statistic": rise,
        "effect": rise,
        "detail": {
            **found.chosen.detail,
            **{name: one.detail for name, one in numbers.items() if one.detail},
            "model_is_for": breadth,
            "languages_told": can_tell_languages(),
            "usual": list(heard.usual),
            "new": list(heard.new),
        },
    }
    share = f"{percent(max(rise, 0.0))} more of what is said than at the baseline is in other "
    share += f"scripts or languages ({', '.join(heard.new) or 'none'})"
    if breadth == "many languages":
        calm = f"{share}, and the model was made for many."
        return stable("language", calm, **common)
    if rise < RISE or not is_drift(given, p_value=p_value, effect=rise):
        calm = "What is said is in the scripts and languages of the baseline."
        return stable("language", calm, p_value=p_value, **common)
    return told(
        "language",
        f"{share}, in both of the newest windows. {KNOWN[breadth]}",
        given=given,
        cause="languages",
        p_value=p_value,
        recommendation="evaluate",
        advice="Evaluate retrieval on questions in these languages (`agentmem eval`). If it is "
        "worse, migrate to a multilingual model (`memory.migrate(to=...)`, `agentmem migrate`); if "
        f"it holds, {accepting(given)}.",
        **common,
    )
