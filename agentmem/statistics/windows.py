"""Which sessions are compared with which: a reference, and two windows after it.

Sessions are numbered in the order of time, from 0 for the oldest. The reference stays where it
was accepted, so that a slow drift adds up instead of passing unseen, and the two windows are the
newest sessions. They share none, so that a single odd window is no alarm; see `corrections`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from agentmem.errors import InvalidInput

__all__ = ["CURRENT_SESSIONS", "MIN_SESSIONS", "REFERENCE_SESSIONS", "Windows", "latest_windows"]

MIN_SESSIONS: Final = 8  # of 8 and 8 there are 12,870 splits: p-values fine enough for every level
REFERENCE_SESSIONS: Final = 40  # more narrow the reference's own noise, which is half of theirs
CURRENT_SESSIONS: Final = 20  # 30 % foreign ones are 6, and a day or two of a busy store


@dataclass(frozen=True, slots=True)
class Windows:
    """Three stretches of sessions without overlap.

    Attributes:
        reference: What later sessions are compared with.
        previous: The window before the latest.
        latest: The newest sessions.
    """

    reference: range
    previous: range
    latest: range


def latest_windows(
    count: int,
    *,
    since: int = 0,
    reference: int = REFERENCE_SESSIONS,
    current: int = CURRENT_SESSIONS,
) -> Windows | None:
    """Choose the windows among sessions in the order of time.

    Where there are fewer sessions than that takes, half of them are the reference and a quarter
    is each window, none smaller than `MIN_SESSIONS`.

    Args:
        count: Sessions there are.
        since: The first session that may be a reference: those before were, say, written before
            a drift that was accepted.
        reference: Sessions of the reference, at least `MIN_SESSIONS`.
        current: Sessions of each window, at least `MIN_SESSIONS`.

    Returns:
        None where there are too few sessions to say anything.
    """
    if min(reference, current) < MIN_SESSIONS or since < 0:
        raise InvalidInput(
            f"reference={reference}, current={current}, since={since} make no windows. Repair: "
            f"at least {MIN_SESSIONS} sessions each, because fewer cannot differ enough to tell, "
            "and since from 0."
        )
    available = count - since
    size = min(current, max(available // 4, MIN_SESSIONS))
    first = min(reference, available - 2 * size)
    if first < MIN_SESSIONS:
        return None
    return Windows(
        reference=range(since, since + first),
        previous=range(count - 2 * size, count - size),
        latest=range(count - size, count),
    )
