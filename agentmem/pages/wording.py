"""How a report writes numbers, moments and texts."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

__all__ = ["as_brief", "as_moment", "as_time", "signed"]

SECOND: Final = 1_000.0  # milliseconds
WHOLE: Final = 100.0  # milliseconds from which a tenth of one says nothing

MOMENTS: Final[
    Sequence[tuple[timedelta, str, int | None]]
] = (  # up to which period, how a moment is written, and how much of that
    (timedelta(minutes=1), "%H:%M:%S.%f", -5),
    (timedelta(hours=1), "%H:%M:%S", None),
    (timedelta(days=1), "%H:%M", None),
    (timedelta(days=180), "%d %b", None),
)
LONG_AGO: Final[tuple[str, int | None]] = "%b %Y", None


def as_time(milliseconds: float) -> str:
    """Write a time, in milliseconds or seconds."""
    if milliseconds >= SECOND:
        return f"{milliseconds / SECOND:.2f} s"
    if milliseconds >= WHOLE:
        return f"{milliseconds:.0f} ms"
    return f"{milliseconds:.1f} ms" if milliseconds >= 1 else f"{milliseconds:.2f} ms"


def as_moment(moment: datetime) -> str:
    """Write a moment to the second."""
    return f"{moment:%Y-%m-%d %H:%M:%S}"


def as_brief(moments: Sequence[datetime]) -> list[str]:
    """Write moments as briefly as their period allows: the time within a day, else the date."""
    period = max(moments) - min(moments)
    style, cut = next(((how, cut) for limit, how, cut in MOMENTS if period < limit), LONG_AGO)
    return [format(moment, style)[:cut] for moment in moments]


def signed(value: float) -> str:
    """Write what a term adds to a score, or takes from it."""
    return f"{value:+.2f}".replace("-", "−")
