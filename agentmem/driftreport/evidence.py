"""What a finding brought along to be drawn, read by name: the one place that knows the names.

| kinds | names | what |
|---|---|---|
| model | `documents`, `queries` | cosines of the canaries |
| | `long_documents`, `lines` | which texts are long; cosines that mean the same, and another one |
| content, questions | `null_previous`, `null_latest` | the statistic under permuted sessions |
| | `statistic_previous`, `statistic_latest` | the statistic itself, in each window |
| | `reference`, `current` | places on a plane, shape (n, 2) and (m, 2) |
| | `reference_sessions`, `current_sessions` | their sessions, as codes |
| | `session_names`, `explained` | ids of the current codes; share of variance along each axis |
| any | `then` and `now`, `x_then` and `x_now` | a quantity at the baseline and today |
| texts | `sources`, `churn` | where texts come from; share of each that was replaced lately |
| | `age_days`, `stale` | their mean age; how many are to be embedded anew |

What is missing, or is not of that shape, is not drawn.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from agentmem.types import DriftFinding

__all__ = [
    "Cosines",
    "Null",
    "Plane",
    "Shift",
    "Source",
    "cosines_of",
    "nulls_of",
    "plane_of",
    "shifts_of",
    "sources_of",
]

Floats = NDArray[np.float64]

FEWEST: Final = 2  # values of a side; one alone is no distribution
THEN: Final = "then"
NOW: Final = "now"
LINES: Final = (0.9995, 0.99)  # of `embedding.canaries`, where a finding does not bring its own
MATRIX: Final = 2  # dimensions, and columns of one that lies on a plane


@dataclass(frozen=True, slots=True, eq=False)
class Cosines:
    """Cosines of the canaries with what they were.

    Attributes:
        groups: By what they are of: short texts, long ones, which alone see the window, and
            those embedded as questions; or documents, where it is not known which are long.
        same: From which cosine the space is the same.
        other: Below which it is another one.
    """

    groups: Mapping[str, Floats]
    same: float
    other: float

    @property
    def all(self) -> Floats:
        """Those of every group."""
        return np.concatenate([*self.groups.values()])


@dataclass(frozen=True, slots=True, eq=False)
class Null:
    """What a statistic would be by chance, and what it was.

    Attributes:
        window: "previous" or "latest".
        values: Under permuted sessions.
        statistic: It.
    """

    window: str
    values: Floats
    statistic: float


@dataclass(frozen=True, slots=True, eq=False)
class Plane:
    """Both sides on one plane.

    Attributes:
        reference: Places of the baseline, shape (n, 2).
        current: Places of today, shape (m, 2).
        sessions: Session of each of today's, shape (m,).
        names: Of those sessions, by their code; empty where they are not known.
        explained: Share of the baseline's variance along both axes; None if not known.
    """

    reference: Floats
    current: Floats
    sessions: NDArray[np.int64]
    names: Mapping[int, str]
    explained: float | None


@dataclass(frozen=True, slots=True, eq=False)
class Shift:
    """A quantity at the baseline and today.

    Attributes:
        name: Such as "top_score"; empty for the quantity that the kind is about.
        then: Values at the baseline.
        now: Values of today.
    """

    name: str
    then: Floats
    now: Floats


@dataclass(frozen=True, slots=True)
class Source:
    """Where texts come from, and how fast they change.

    Attributes:
        name: An agent, or a namespace with its source.
        churn: Share of its texts that was replaced lately.
        age_days: Mean time since they were written; None if not known.
        stale: How many are to be embedded anew; None if not known.
    """

    name: str
    churn: float
    age_days: float | None
    stale: int | None


def cosines_of(finding: DriftFinding) -> Cosines | None:
    """Return the cosines of the canaries, where all of them are there."""
    told = finding.evidence
    documents, queries = _numbers(told.get("documents")), _numbers(told.get("queries"))
    if documents is None or queries is None or not documents.size:
        return None
    is_long, lines = _numbers(told.get("long_documents")), _numbers(told.get("lines"))
    groups = {"documents": documents}
    if is_long is not None and is_long.shape == documents.shape:
        groups = {"short": documents[is_long == 0], "long": documents[is_long != 0]}
    known = {**groups, "as questions": queries}
    same, other = LINES if lines is None or len(lines) != len(LINES) else map(float, lines)
    return Cosines({name: one for name, one in known.items() if one.size}, same, other)


def nulls_of(finding: DriftFinding) -> list[Null]:
    """Return the null distributions of the windows that were tested, the earlier first."""
    found = []
    for window in ("previous", "latest"):
        values = _numbers(finding.evidence.get(f"null_{window}"))
        statistic = _numbers([finding.evidence.get(f"statistic_{window}")])
        if values is not None and len(values) >= FEWEST and statistic is not None:
            found.append(Null(window, values, float(statistic[0])))
    return found


def plane_of(finding: DriftFinding) -> Plane | None:
    """Return both sides on their plane."""
    told = finding.evidence
    reference, current = _places(told.get("reference")), _places(told.get("current"))
    if reference is None or current is None:
        return None
    codes = _numbers(told.get("current_sessions"))
    if codes is None or len(codes) != len(current):
        codes = np.zeros(len(current))
    explained = _numbers(told.get("explained"))
    return Plane(
        reference,
        current,
        codes.astype(np.int64),
        _names(told.get("session_names")),
        None if explained is None else float(explained.sum()),
    )


def shifts_of(finding: DriftFinding) -> list[Shift]:
    """Return every quantity of which both sides are there, in the order of their names."""
    found = []
    for key in sorted(map(str, finding.evidence)):
        name = key.removesuffix(THEN).removesuffix("_")
        if key != THEN and not key.endswith(f"_{THEN}"):
            continue
        then = _numbers(finding.evidence[key])
        now = _numbers(finding.evidence.get(f"{name}_{NOW}" if name else NOW))
        if then is not None and now is not None and min(len(then), len(now)) >= FEWEST:
            found.append(Shift(name, then, now))
    return found


def sources_of(finding: DriftFinding) -> list[Source]:
    """Return where texts come from, those that change fastest first."""
    told = finding.evidence
    names, churn = told.get("sources"), _numbers(told.get("churn"))
    if names is None or churn is None or len(names) != churn.size:
        return []
    ages, stale = (_column(told.get(key), size=churn.size) for key in ("age_days", "stale"))
    found = [
        Source(str(name), float(share), age, None if rows is None else int(rows))
        for name, share, age, rows in zip(names, churn, ages, stale, strict=True)
    ]
    return sorted(found, key=lambda one: (-one.churn, one.name))


def _numbers(value: Any) -> Floats | None:
    """Return finite numbers in one dimension; None of anything else."""
    try:
        found = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        return None
    return found if found.ndim == 1 and np.isfinite(found).all() else None


def _places(value: Any) -> Floats | None:
    try:
        found = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        return None
    is_plane = found.ndim == MATRIX and found.shape[1] == MATRIX and len(found) > 0
    return found if is_plane and np.isfinite(found).all() else None


def _column(value: Any, *, size: int) -> list[float | None]:
    """Return a number for each source; None each where they are not known."""
    found = _numbers(value)
    return [None] * size if found is None or found.size != size else [*map(float, found)]


def _names(value: Any) -> dict[int, str]:
    if isinstance(value, Mapping):
        return {int(code): str(name) for code, name in value.items() if str(code).isdigit()}
    return {} if value is None else {code: str(name) for code, name in enumerate(value)}
