"""How a report writes numbers, moments and texts."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

__all__ = ["as_brief", "as_moment", "as_time", "signed", "visible"]

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

_CONTROLS: Final[dict[int, int]] = {  # shown as pictures: a browser hides them, or gives up
    **{code: 0x2400 + code for code in range(0x20) if chr(code) not in "\n\t"},
    0x7F: 0x2421,
    **dict.fromkeys((*range(0x80, 0xA0), *range(0xD800, 0xE000)), 0xFFFD),
}


def visible(value: object) -> object:
    """Return a text whose control characters are symbols; anything else as it is.

    Marks that turn a line around stay: the page isolates each text.
    """
    return value.translate(_CONTROLS) if type(value) is str else value


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
