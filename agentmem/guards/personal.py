"""Where a text holds addresses: e-mail, IP, telephone numbers."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from agentmem.checks import shown
from agentmem.errors import InvalidInput
from agentmem.guards.needing import needed

__all__ = ["emails", "ip_addresses", "phones"]

Span = tuple[int, int]

EMAIL: Final = re.compile(
    r"(?<![\w.+%-])[\w.+%-]{1,64}@(?:[\w-]{1,63}\.){1,8}[^\W\d_]{2,24}(?![\w-]|:[\w/~])"
)  # not git@host:path
IPV4: Final = re.compile(r"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?!\w|\.\d)")
IPV6: Final = re.compile(
    r"(?<![\w:.])(?=[0-9A-Fa-f:]{0,39}\d)(?:[0-9A-Fa-f]{0,4}:){2,7}[0-9A-Fa-f]{0,4}(?![\w:])"
)
VERSION: Final = re.compile(
    r"(?:\bv|version|release|build|section|chapter|python)[ .:]*$", re.IGNORECASE
)
VERSION_CHARS: Final = 12  # before a number that may be a version's

PHONE: Final = re.compile(r"(?<![\w.+/:#-])(?:\+|\(|\d)[\d ()./\u00a0\u2011-]{6,26}(?!\w)")
DIGITS: Final = re.compile(r"\d{7,15}")  # without + or groups a number is anything
SAID: Final = re.compile(
    r"\b(?:phone|tel|telephone|telefon|call|mobile|cell|fax|whatsapp|sms|text|dial|ring|reach"
    r"|handy|hotline|contact)\b[^.!?\n]{0,30}$",
    re.IGNORECASE,
)
SAID_CHARS: Final = 48  # before a number that may be a telephone's


def emails(text: str) -> Iterator[Span]:
    """E-mail addresses."""
    return (found.span() for found in EMAIL.finditer(text))


def ip_addresses(text: str) -> Iterator[Span]:
    """IP addresses, but for this machine's own (127.0.0.1) and none (0.0.0.0)."""
    for found in IPV4.finditer(text):
        before = text[max(0, found.start() - VERSION_CHARS) : found.start()]
        if _is_address(found[0]) and not VERSION.search(before):
            yield found.span()
    for found in IPV6.finditer(text):
        if _is_address(found[0]):
            yield found.span()


def _is_address(text: str) -> bool:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    return not (address.is_loopback or address.is_unspecified)


def phones(regions: Sequence[str]) -> Callable[[str], Iterable[Span]]:
    """Return what finds telephone numbers: any with its country code, of regions also without.

    Raises:
        MissingDependency: phonenumbers is not installed.
        InvalidInput: A region is unknown.
    """
    library = needed("phonenumbers")
    wrong = [one for one in regions if one not in library.SUPPORTED_REGIONS]
    if wrong or isinstance(regions, str):
        raise InvalidInput(f"regions={shown(regions)}: pass country codes such as ('US', 'DE').")

    def find(text: str) -> Iterator[Span]:
        for found in PHONE.finditer(text):
            if found[0][0] == "+":
                yield from _numbers(found, None, library.Leniency.VALID)
            elif not DIGITS.fullmatch(found[0].strip()) or _is_said(text, found.start()):
                spans = (_numbers(found, one, library.Leniency.STRICT_GROUPING) for one in regions)
                yield from next(filter(None, spans), ())

    def _numbers(found: re.Match[str], region: str | None, leniency: int) -> list[Span]:
        matcher = library.PhoneNumberMatcher(found[0], region, leniency=leniency)
        at = found.start()
        return [(at + one.start, at + one.end) for one in matcher]

    return find


def _is_said(text: str, start: int) -> bool:
    """Whether the words before a number say that it is a telephone's."""
    return SAID.search(text[max(0, start - SAID_CHARS) : start]) is not None
