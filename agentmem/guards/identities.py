"""Where a text holds numbers with check digits: cards, accounts, national identities."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from agentmem.guards.needing import needed

__all__ = ["cards", "ibans", "national_ids"]

Span = tuple[int, int]
Find = Callable[[str], Iterable[Span]]

CARD: Final = re.compile(
    r"(?<![\w.-])(?:\d{4}([ -]?)\d{4}\1\d{4}\1\d{4}(?:\1\d{3})?|\d{4}([ -])\d{6}\2\d{4,5}"
    r"|\d{13,15})(?![\w-]|\.\d)",
    re.ASCII,
)
BRANDS: Final = re.compile(
    r"4\d{12}|4\d{15}|4\d{18}"  # Visa
    r"|(?:5[1-5]\d\d|222[1-9]|22[3-9]\d|2[3-6]\d\d|27[01]\d|2720)\d{12}"  # Mastercard
    r"|3[47]\d{13}|3(?:0[0-5]|[68]\d)\d{11}"  # American Express, Diners
    r"|6(?:011|5\d\d|4[4-9]\d)\d{12}|35(?:2[89]|[3-8]\d)\d{12}|62\d{14}"  # Discover, JCB, UnionPay
)
IBAN: Final = re.compile(r"(?<!\w)[A-Z]{2}\d{2}(?:[ -]?[A-Z0-9]){11,30}", re.ASCII | re.IGNORECASE)
SHORTEST_IBAN: Final = 15
NOT_DIGIT: Final = re.compile(r"\D")
WORD_CHARS: Final = 40  # before a number that may be the one named there


@dataclass(frozen=True, slots=True)
class _Identity:
    """One country's number.

    Attributes:
        module: Of python-stdnum, which checks it; none where there is no check digit.
        form: How it is written.
        named: What has to stand before it, where others are written so as well.
    """

    module: str | None
    form: str
    named: str | None = None


IDENTITIES: Final = (
    _Identity("us.ssn", r"\d{3}-\d{2}-\d{4}"),
    _Identity("us.itin", r"9\d{2}-\d{2}-\d{4}"),
    _Identity("us.ssn", r"\d{3} ?\d{2} ?\d{4}", r"\bssn\b|social security"),
    _Identity(
        None, r"(?!BG|GB|NK|KN|TN|NT|ZZ)[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z](?: ?\d\d){3} ?[A-D]"
    ),
    _Identity("gb.nhs", r"\d{3}[ -]?\d{3}[ -]?\d{4}", r"\bnhs\b"),
    _Identity("de.idnr", r"\d{2} ?\d{3} ?\d{3} ?\d{3}", r"steuer|\btax\b|\bidnr\b"),
    _Identity("fr.nir", r"[12] ?\d{2} ?\d{2} ?\d[\dAB] ?\d{3} ?\d{3} ?\d{2}"),
    _Identity("es.dni", r"\d{8}-?[A-Z]"),
    _Identity("es.nie", r"[XYZ]-?\d{7}-?[A-Z]"),
    _Identity("it.codicefiscale", r"[A-Z]{6}\d{2}[A-Z]\d{2}[A-Z]\d{3}[A-Z]"),
    _Identity("pl.pesel", r"\d{11}", r"\bpesel\b"),
    _Identity("br.cpf", r"\d{3}\.\d{3}\.\d{3}-\d{2}"),
    _Identity("br.cpf", r"\d{11}", r"\bcpf\b"),
    _Identity("in_.aadhaar", r"\d{4}[ -]?\d{4}[ -]?\d{4}", r"aadha+r"),
    _Identity("in_.pan", r"[A-Z]{5}\d{4}[A-Z]", r"\bpan\b"),
    _Identity("ca.sin", r"\d{3}[ -]?\d{3}[ -]?\d{3}", r"\bsin\b|social insurance"),
    _Identity("cn.ric", r"\d{17}[\dX]"),
    _Identity("nl.bsn", r"\d{9}|\d{4}\.\d{2}\.\d{3}", r"\bbsn\b|burgerservice"),
    _Identity("se.personnummer", r"(?:\d{2})?\d{6}[-+]\d{4}"),
    _Identity("ch.ssn", r"756\.?\d{4}\.?\d{4}\.?\d{2}"),
    _Identity("fi.hetu", r"\d{6}[-+A]\d{3}[0-9A-Y]"),
    _Identity("kr.rrn", r"\d{6}-\d{7}"),
    _Identity("be.nn", r"\d{2}\.\d{2}\.\d{2}-\d{3}\.\d{2}"),
    _Identity("au.tfn", r"\d{3} ?\d{3} ?\d{3}", r"\btfn\b|tax file"),
    _Identity("mx.curp", r"[A-Z]{4}\d{6}[HM][A-Z]{5}[A-Z0-9]\d"),
    _Identity("za.idnr", r"\d{13}", r"\bid\b|identity"),
)


def cards() -> Find:
    """Return what finds payment cards: a brand's digits, its grouping, and the Luhn digit.

    Raises:
        MissingDependency: python-stdnum is not installed.
    """
    luhn = needed("stdnum.luhn")

    def find(text: str) -> Iterator[Span]:
        for found in CARD.finditer(text):
            digits = NOT_DIGIT.sub("", found[0])
            if BRANDS.fullmatch(digits) and luhn.is_valid(digits):
                yield found.span()

    return find


def ibans() -> Find:
    """Return what finds bank accounts by country, length and check digits.

    Raises:
        MissingDependency: python-stdnum is not installed.
    """
    iban = needed("stdnum.iban")

    def find(text: str) -> Iterator[Span]:
        for found in IBAN.finditer(text):
            end = _iban_end(found[0], iban)
            if end:
                yield found.start(), found.start() + end

    return find


def _iban_end(text: str, iban: Any) -> int:
    """Where the account ends: the words behind it may look like more of it."""
    ends = [place + 1 for place, character in enumerate(text) if character.isalnum()]
    for end in reversed(ends[SHORTEST_IBAN - 1 :]):
        goes_on = end < len(text) and text[end].isalnum()
        if not goes_on and iban.is_valid(text[:end]):
            return end
    return 0


def national_ids() -> Find:
    """Return what finds national identities: by form and check digits, some only where named.

    Raises:
        MissingDependency: python-stdnum is not installed.
    """
    known = [_finder(one) for one in IDENTITIES]

    def find(text: str) -> Iterator[Span]:
        taken: set[int] = set()
        for finder in known:
            for start, stop in finder(text):
                if taken.isdisjoint(range(start, stop)):
                    taken.update(range(start, stop))
                    yield start, stop

    return find


def _finder(identity: _Identity) -> Find:
    form = re.compile(rf"(?<![\w.-])(?:{identity.form})(?![\w-]|\.\d)", re.ASCII)
    named = re.compile(identity.named, re.IGNORECASE) if identity.named else None
    check = needed(f"stdnum.{identity.module}").is_valid if identity.module else None

    def find(text: str) -> Iterator[Span]:
        for found in form.finditer(text):
            before = text[max(0, found.start() - WORD_CHARS) : found.start()]
            if (named is None or named.search(before)) and (check is None or check(found[0])):
                yield found.span()

    return find
