"""How any text may be shown: characters that steer, hide or reorder it become symbols.

The one place that says which these are, for terminals, pages and log lines. Markup is for each of
these to escape; JSON and the API give every text as it is.
"""

from __future__ import annotations

from typing import Final

__all__ = ["visible", "visible_in_page"]

_PICTURES: Final = {**{code: 0x2400 + code for code in range(0x20)}, 0x7F: 0x2421}  # Unicode's own
_STEERING: Final = (
    range(0x80, 0xA0),  # C1 controls, among them a one-character ESC [
    (0x2028, 0x2029),  # line feeds to some programs
    (*range(0x202A, 0x202F), *range(0x2066, 0x206A)),  # turn the line around, or end an isolation
    range(0xD800, 0xE000),  # half characters, which no stream can encode
    range(0xE0000, 0xE0080),  # tags: text that no screen shows
)
_HIDING: Final = (  # have their use in a text; a terminal sets it among others, without isolation
    (0x061C, 0x200B, 0x200E, 0x200F, 0xFEFF),
    (*range(0x2060, 0x2066), *range(0x206A, 0x2070), *range(0xFFF9, 0xFFFC)),
)


def _symbols(*groups: tuple[int, ...] | range) -> dict[int, int | str]:
    return {**_PICTURES, **{code: f"<U+{code:04X}>" for codes in groups for code in codes}}


def _with_lines(symbols: dict[int, int | str]) -> dict[int, int | str]:
    return {code: symbol for code, symbol in symbols.items() if chr(code) not in "\n\t"}


_SYMBOLS: Final = _symbols(*_STEERING, *_HIDING)
_SYMBOLS_IN_LINES: Final = _with_lines(_SYMBOLS)
_SYMBOLS_IN_PAGES: Final = _with_lines(_symbols(*_STEERING))


def visible(text: str, *, lines: bool = False) -> str:
    """Return a text whose control characters are symbols.

    Args:
        text: Any text.
        lines: Whether line feeds and tabs keep their meaning.
    """
    return text.translate(_SYMBOLS_IN_LINES if lines else _SYMBOLS)


def visible_in_page(value: object) -> object:
    """Return a text for a page, which isolates each text; anything else as it is.

    Line feeds and marks of direction keep their meaning; what would end the isolation does not.
    """
    return value.translate(_SYMBOLS_IN_PAGES) if type(value) is str else value
