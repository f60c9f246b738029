"""Drawings: SVG that stands inside a page and takes its colours from there, or a PNG of its own.

Numbers in, text or bytes out; the same numbers give the same. The colours of an SVG are written
as markers and become variables of the style sheet, so that one drawing serves light and dark. No
text of a user is ever drawn: legends are the page's.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from agentmem.errors import MissingDependency

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["LIGHT", "SLOTS", "STYLED", "Palette", "drawing", "figure_of", "png", "svg"]

SLOTS: Final = 10  # colours that a reader can tell apart; the first is grey
WIDTH: Final = 520  # units of the drawing; two stand side by side on a screen, one on a phone
HEIGHT: Final = 230
DPI: Final = 144  # of a PNG: sharp on a screen of twice the usual density
INCH: Final = 72  # units


@dataclass(frozen=True, slots=True)
class Palette:
    """The colours of a drawing.

    Attributes:
        slots: Of what is told apart; the first is grey.
        ink: Of text.
        muted: Of what stands back.
        grid: Of lines that lead the eye.
        paper: What it stands on; None where that is the page's.
    """

    slots: tuple[str, ...]
    ink: str
    muted: str
    grid: str
    paper: str | None = None


STYLED: Final = Palette(  # each stands for a variable of the style sheet
    tuple(f"#0a0b0{slot}" for slot in range(SLOTS)), "#0a0c00", "#0a0c01", "#0a0c02"
)
LIGHT: Final = Palette(  # those of the style sheet by day
    (
        *("#8b939d", "#2a78d6", "#e0712a", "#14936b", "#7a63d1"),
        *("#c08a00", "#d1508a", "#cf4540", "#6d8b1d", "#3b4a5c"),
    ),
    "#1b1f24",
    "#59626e",
    "#e4e6e9",
    "#ffffff",
)
_VARIABLES: Final[Mapping[str, str]] = {
    **{marker: f"s{slot}" for slot, marker in enumerate(STYLED.slots)},
    STYLED.ink: "ink",
    STYLED.muted: "muted",
    STYLED.grid: "grid",
}
_SETTINGS: Final[Mapping[str, Any]] = {
    "svg.fonttype": "none",  # text stays text: small, selectable, in the page's font
    "svg.hashsalt": "agentmem",  # ids are the same in every run
    "font.family": "sans-serif",
    "font.size": 11,
    "grid.linewidth": 0.8,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "xtick.major.pad": 7,  # clear of the 0 of the other axis
    "text.parse_math": False,
}
_METADATA: Final = {"Date": None, "Creator": None, "Format": None, "Type": None}
_INTO_A_PAGE: Final = (  # matplotlib writes a file of its own, with a style for everything
    (re.compile(r"<defs>\s*<style.*?</style>\s*</defs>", re.DOTALL), ""),
    (re.compile(r"<metadata>.*?</metadata>", re.DOTALL), ""),
    (re.compile(r' (?:width|height)="[0-9.]+pt"| xmlns(?::xlink)?="[^"]*"| version="1.1"'), ""),
    (re.compile(r" font-family: [^;\"]*;"), ""),
)


@contextmanager
def drawing(*, height: float = HEIGHT) -> Iterator[tuple[Figure, Axes]]:
    """Give an empty drawing for a page, in settings that hold for its lifetime.

    Raises:
        MissingDependency: matplotlib is not installed.
    """
    with figure_of(STYLED, width=WIDTH, height=height) as figure:
        yield figure, figure.subplots()


@contextmanager
def figure_of(palette: Palette, *, width: float, height: float) -> Iterator[Figure]:
    """Give a figure without axes, in the settings of a palette, which hold for its lifetime.

    Raises:
        MissingDependency: matplotlib is not installed.
    """
    try:
        import matplotlib as mpl
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingDependency("matplotlib", extra="report", purpose="a report") from error
    with mpl.rc_context(_settings(palette)):
        yield Figure(figsize=(width / INCH, height / INCH), layout="constrained")


def _settings(palette: Palette) -> Any:
    coloured = {
        "text.color": palette.ink,
        "axes.edgecolor": palette.grid,
        "axes.labelcolor": palette.muted,
        "axes.titlecolor": palette.ink,
        "xtick.color": palette.muted,
        "ytick.color": palette.muted,
        "grid.color": palette.grid,
    }
    return {**_SETTINGS, **coloured}


def svg(figure: Figure, *, name: str) -> str:
    """Return a drawing as an element for a page that holds several.

    Args:
        figure: It, in the colours of `STYLED`.
        name: Tells the drawings of one page apart.
    """
    written = io.StringIO()
    figure.savefig(written, format="svg", transparent=True, metadata=dict(_METADATA))
    text = written.getvalue()
    text = text[text.index("<svg") :]
    for pattern, replacement in _INTO_A_PAGE:
        text = pattern.sub(replacement, text)
    text = re.sub(r'(id="|href="#|url\(#)', rf"\g<1>{name}-", text)
    for marker, variable in _VARIABLES.items():
        text = text.replace(marker, f"var(--{variable})")
    return text


def png(figure: Figure, *, palette: Palette = LIGHT) -> bytes:
    """Return a figure as the bytes of a PNG file."""
    written = io.BytesIO()
    figure.savefig(
        written, format="png", dpi=DPI, facecolor=palette.paper, metadata={"Software": None}
    )
    return written.getvalue()
