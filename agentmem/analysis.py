"""Text to search terms: folding, identifiers, stop words, stems, and n-grams where no spaces are.

The same analysis runs when a turn is stored and when a question is asked; the result is stored
with the turn, so both sides and every index agree on it. `ANALYSIS` names this version of it.
"""

from __future__ import annotations

import re
import threading
import unicodedata
from functools import lru_cache
from typing import Final

import Stemmer

__all__ = ["ANALYSIS", "ASKS", "analyze", "sources", "stored_terms", "words"]

ANALYSIS: Final = "english-snowball-v1"
ASKING: Final = ("?", "\uff1f", "\u061f")  # Latin, full-width and Arabic question marks
ASKS: Final = "?"  # the term that marks a text ending in a question mark; no query ever holds it

# Words that carry grammar rather than content: articles, pronouns, prepositions, conjunctions,
# auxiliaries and question words. Names, numbers, negations' verbs and months are not among them.
_GRAMMAR = """
    a about all also am an and any are as at be been but by can could did do does for from had has
    have he her him his how i if in into is it its just me my no not of on or our she should so
    than that the their them then there these they this those to us was we were what when where
    which who whom whose why will with would you your
"""
STOP_WORDS: Final = frozenset(_GRAMMAR.split())
LONGEST_TERM: Final = 255  # Lucene's limit: longer is a blob nobody types, and would fill the cache

_UNSPACED = "\u0e00-\u0eff\u3005-\u3007\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff"
"""Thai, Lao, CJK, Hangul: no spaces between words, or words that grow particles."""
_INDIC = "\u0900-\u0963\u0966-\u0dff"  # their vowel signs are no letters to `re`, yet part of words
_WORD = rf"(?:(?![{_UNSPACED}])[\w{_INDIC}])+"
_JOINTS = "'._@/:-"  # what holds a compound together
_TOKEN = re.compile(rf"[{_UNSPACED}]+|{_WORD}(?:[{_JOINTS}]{_WORD})*")
_UNSPACED_RUN = re.compile(rf"[{_UNSPACED}]")
_PIECE = re.compile(rf"(?:[^\W_]|[{_INDIC}])+")
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_CLITIC = re.compile(  # contracted negations go whole ("won't" is not "won"), others lose their end
    r"\b(?:(?:ai|are|could|did|does|do|had|has|have|is|might|must|need|ought|sha|should|was|were"
    r"|wo|would)n't|let's)\b|'(?:d|ll|m|re|s|t|ve)\b",
    re.IGNORECASE,
)
_BARE = {  # Latin letters without their accents, and one apostrophe for all
    code: unicodedata.normalize("NFD", chr(code))[0]
    for block in (range(0xC0, 0x250), range(0x1E00, 0x1F00))
    for code in block
} | dict.fromkeys((0x2018, 0x2019, 0x02BC), "'")
_POINTS = re.compile(  # loose accents, Hebrew and Arabic vowel points: written or left out at will
    "[\u0300-\u036f\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7\u064b-\u065f\u0670]"
)
_stemmer_lock = threading.Lock()  # a Snowball stemmer keeps state while it works
_stemmer = Stemmer.Stemmer("english")


@lru_cache(maxsize=65_536)  # about 10 MB: the vocabulary of a long life of chats
def _stem(word: str) -> str:
    with _stemmer_lock:
        stem: str = _stemmer.stemWord(word)
    return stem


def _fold(text: str) -> str:
    """Take accents off Latin letters and points off others; one form of each character."""
    if text.isascii():
        return text
    return _POINTS.sub("", unicodedata.normalize("NFKC", text).translate(_BARE))


def _token_terms(token: str) -> list[str]:
    """Terms of one token: its pieces, and itself if it is an identifier."""
    if _UNSPACED_RUN.match(token):
        return [token[i : i + 2] for i in range(max(len(token) - 1, 1))]
    if "'" in token:
        token = _CLITIC.sub("", token).strip(_JOINTS)
    pieces = _PIECE.findall(token)
    terms = [term for piece in pieces for term in _piece_terms(piece)]
    if len(pieces) > 1 and _is_identifier(token):
        terms.append(token.lower()[:LONGEST_TERM])
    return terms


def _piece_terms(piece: str) -> list[str]:
    """The stem of a word; of its parts as well where capitals join several (`camelCase`)."""
    parts = _CAMEL.split(piece)
    found = [*parts, piece] if len(parts) > 1 else parts
    return [_stem(word[:LONGEST_TERM]) for word in map(str.lower, found) if word not in STOP_WORDS]


def _is_identifier(token: str) -> bool:
    """Whether a compound is a name of its own (`snake_case`, `a.b`, `x1-2`), not `well-known`."""
    return any(mark in token for mark in "_.@") or any(map(str.isdigit, token)) or "-" not in token


def analyze(text: str) -> list[str]:
    """Search terms of a text, in order, repeated as they occur."""
    return [term for token in _TOKEN.findall(_fold(text)) for term in _token_terms(token)]


def sources(text: str) -> dict[str, str]:
    """Search terms of a text, each once, with the word that it first came from."""
    found: dict[str, str] = {}
    for token in _TOKEN.findall(_fold(text)):
        for term in _token_terms(token):
            found.setdefault(term, token)
    return found


def stored_terms(text: str) -> str:
    """The terms of a text joined by spaces, as a store keeps them, with `ASKS` if it asks."""
    terms = analyze(text)
    if text.rstrip().endswith(ASKING):
        terms.append(ASKS)
    return " ".join(terms)


def words(text: str) -> list[str]:
    """Whole words of a text in lower case, accents folded, for recognising names."""
    return _PIECE.findall(_fold(text).lower())
