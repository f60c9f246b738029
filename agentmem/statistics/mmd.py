"""Did the content change? A kernel two-sample test on sessions of unit vectors.

The squared maximum mean discrepancy of Gretton et al., "A Kernel Two-Sample Test" (JMLR 2012),
without bias, with two choices that give it power on conversations:

- A session is one observation: the direction of the mean of its rows. Sessions weigh the same
  however long they are, and pairs within a session, which are alike on every day, do not enter.
- The kernel is the cosine of two directions, spectrally regularised (Hagrass, Sriperumbudur &
  Li, "Spectral regularized kernel two-sample tests", 2022): what all sessions of a store vary in
  anyway, and would otherwise drown a change, weighs less.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from agentmem.statistics.corrections import WINDOW_LEVEL
from agentmem.statistics.permuting import (
    PERMUTATIONS,
    Verdict,
    permuted_splits,
    upper_p_value,
    verdict,
)
from agentmem.statistics.ranks import superiority
from agentmem.statistics.sessions import ROWS_A_SESSION, session_directions, session_sample
from agentmem.statistics.windows import MIN_SESSIONS

__all__ = ["TwoSample", "mmd_squared", "regularised", "two_sample", "witness_scores"]

BEYOND: Final = 0.95  # quantile of the reference beyond which a session counts as unlike it
DAMPING: Final = 0.5  # of the largest eigenvalue: of 0.25, 0.5 and 1 the one whose weakest pair of
# data sets is noticed most often (0.51, 0.57, 0.49 of days with 30 % foreign sessions; none: 0.2)
NEGLIGIBLE: Final = 1e-12  # of a variance, where all sessions are the same

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]
NONE: Final[Floats] = np.zeros(0)
NOBODY: Final[Codes] = np.zeros(0, np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class TwoSample:
    """What a comparison of two stretches of sessions found.

    Without enough sessions there is no more than their numbers.

    Attributes:
        sessions: Of the reference and of the current side.
        rows: That were used of each.
        verdict: At the level that was asked for.
        statistic: Squared maximum mean discrepancy; about 0 where nothing changed.
        p_value: Chance of a statistic as large where sessions are exchangeable.
        effect: The statistic in standard deviations of its null distribution.
        auc: Chance that a current session lies more to the current side than a reference one
            does, each judged by the others: 0.5 or less where nothing changed, 1 apart.
        share_beyond: Share of current sessions that lie further to the current side than 95 % of
            the reference: 0.05 where nothing changed.
        null: The statistic under permuted sessions.
        shifted: Codes of the current sessions, the most shifted first.
        witness: How far each of them, in that order, lies to the current side.
    """

    sessions: tuple[int, int]
    rows: tuple[int, int]
    verdict: Verdict = "insufficient data"
    statistic: float = math.nan
    p_value: float = math.nan
    effect: float = math.nan
    auc: float = math.nan
    share_beyond: float = math.nan
    null: Floats = field(default_factory=NONE.copy)
    shifted: Codes = field(default_factory=NOBODY.copy)
    witness: Floats = field(default_factory=NONE.copy)


def two_sample(
    reference: NDArray[np.float32],
    current: NDArray[np.float32],
    *,
    reference_sessions: Codes,
    current_sessions: Codes,
    rng: np.random.Generator,
    level: float = WINDOW_LEVEL,
    rows: int = ROWS_A_SESSION,
    permutations: int = PERMUTATIONS,
) -> TwoSample:
    """Test whether two stretches of sessions are about the same things.

    Args:
        reference: Unit rows, shape (n, D).
        current: Unit rows, shape (m, D).
        reference_sessions: Session of each reference row, or whatever else comes and goes as a
            whole (see `permuting`), shape (n,).
        current_sessions: Session of each current row, shape (m,); numbered on its own, so that the
            same code on both sides is two sessions.
        rng: Draws the rows of long sessions, and the permutations.
        level: Below which p-value the verdict is `shifted`.
        rows: The most to use of a session.
        permutations: How many to draw.

    Returns:
        `insufficient data`, without numbers, below `MIN_SESSIONS` on a side.
    """
    before, _, before_rows = _side(reference, reference_sessions, rows=rows, rng=rng)
    after, codes, after_rows = _side(current, current_sessions, rows=rows, rng=rng)
    sessions, used = (len(before), len(after)), (before_rows, after_rows)
    if min(sessions) < MIN_SESSIONS:
        return TwoSample(sessions, used)
    gram = regularised(np.concatenate([before, after]))
    splits = permuted_splits(*sessions, permutations=permutations, rng=rng)
    values = mmd_squared(gram, splits)
    p_value = upper_p_value(values)
    witness = witness_scores(gram, splits[0])
    others, mine = witness[~splits[0]], witness[splits[0]]
    order = np.argsort(-mine, kind="stable")
    return TwoSample(
        sessions=sessions,
        rows=used,
        verdict=verdict(p_value, level=level),
        statistic=float(values[0]),
        p_value=p_value,
        effect=standardised(values),
        auc=superiority(mine, others),
        share_beyond=float((mine > np.quantile(others, BEYOND)).mean()),
        null=values[1:],
        shifted=codes[order],
        witness=mine[order],
    )


def regularised(directions: Floats) -> Floats:
    """Return the Gram matrix of centred rows, damped where all of them vary most, shape (S, S).

    An eigenvalue w becomes w / (w + c w_max) with c = `DAMPING`, so that the strongest direction
    does not outweigh all others, and the weakest are not blown up to noise. Both sides are centred
    and damped together, which no permutation changes.

    Args:
        directions: Unit rows, shape (S, D).
    """
    centred = directions - directions.mean(axis=0)
    values, vectors = np.linalg.eigh(centred @ centred.T)
    values = np.maximum(values, 0)
    damped = values / (values + DAMPING * max(float(values[-1]), NEGLIGIBLE))
    gram: Floats = (vectors * damped) @ vectors.T
    return gram


def mmd_squared(gram: Floats, splits: NDArray[np.bool_]) -> Floats:
    """Return the unbiased squared maximum mean discrepancy of each split, shape (B,).

    Equation 3 of Gretton et al. (2012) for sides of any two sizes from 2.

    Args:
        gram: Kernel of each pair, shape (S, S).
        splits: Which of them are current, shape (B, S), as many in each row.
    """
    pairs = gram - np.diag(np.diag(gram))
    current = splits.astype(np.float64)
    m = current[0].sum()
    n = len(gram) - m
    within = np.einsum("bs,bs->b", current @ pairs, current)
    across = current @ pairs.sum(axis=1) - within
    rest = pairs.sum() - within - 2 * across
    values: Floats = within / (m * (m - 1)) + rest / (n * (n - 1)) - 2 * across / (m * n)
    return values


def witness_scores(gram: Floats, is_current: NDArray[np.bool_]) -> Floats:
    """Return how much nearer each is to the current side than to the reference, shape (S,).

    The witness function of Gretton et al. (2012), section 2.3, estimated without the one it is
    asked about.

    Args:
        gram: Kernel of each pair, shape (S, S).
        is_current: Shape (S,), at least two of each.
    """
    pairs = gram - np.diag(np.diag(gram))
    current, rest = pairs @ is_current, pairs @ ~is_current
    m, n = is_current.sum(), (~is_current).sum()
    scores: Floats = current / (m - is_current) - rest / (n - ~is_current)
    return scores


def standardised(values: Floats) -> float:
    """Return how many standard deviations of the others the first lies above their mean."""
    spread = float(values[1:].std())
    return float(values[0] - values[1:].mean()) / spread if spread > NEGLIGIBLE else 0.0


def _side(
    vectors: NDArray[np.float32], sessions: Codes, *, rows: int, rng: np.random.Generator
) -> tuple[Floats, Codes, int]:
    """Return the directions of the sessions, their codes, and how many rows were used."""
    kept = session_sample(sessions, rows=rows, rng=rng)
    directions, codes = session_directions(vectors[kept], sessions[kept])
    return directions, codes, len(kept)
