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

__all__ = ["ANALYSIS", "ASKS", "analyze", "stored_terms", "words"]

ANALYSIS: Final = "english-snowball-v1"
ASKS: Final = "?"  # the term that marks a text ending in a question mark; no query ever holds it

# Words that carry grammar rather than content: articles, pronouns, prepositions, conjunctions,
# auxiliaries and question words. Names, numbers, negations' verbs and months are not among them.
STOP_WORDS: Final = frozenset(
    "a about all also am an and any are as at be been but by can could did do does for from had has "
    "have he her him his how i if in into is it its just me my no not of on or our she should so than "
    "that the their them then there these they this those to us was we were what when where which who "
    "whom whose why will with would you your".split()
)
CONTRACTED: Final = frozenset(
    "ain aren can couldn didn doesn don hadn hasn haven i isn it let mightn mustn needn she shouldn that "
    "there they wasn we weren what where who won wouldn you he".split()
)

_UNSPACED = (
    "\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff"  # Thai, Lao, CJK, Hangul
)
_TOKEN = re.compile(
    rf"[{_UNSPACED}]+|(?:(?![{_UNSPACED}])\w)+(?:['’._@/:-](?:(?![{_UNSPACED}])\w)+)*"
)
_UNSPACED_RUN = re.compile(rf"[{_UNSPACED}]")
_PART = re.compile(r"[^\W_]+")
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_stemmer_lock = threading.Lock()  # a Snowball stemmer keeps state while it works
_stemmer = Stemmer.Stemmer("english")


@lru_cache(maxsize=65_536)  # about 10 MB: the vocabulary of a long life of chats
def _stem(word: str) -> str:
    with _stemmer_lock:
        stem: str = _stemmer.stemWord(word)
    return stem


def _fold(text: str) -> str:
    """Take accents off Latin letters; leave other scripts composed as they are."""
    if text.isascii():
        return text
    text = unicodedata.normalize("NFKC", text)
    return "".join(
        unicodedata.normalize("NFD", character)[0]
        if "\u00c0" <= character <= "\u024f"
        else character
        for character in text
    )


def _token_terms(token: str) -> list[str]:
    """Terms of one token: itself if it is an identifier, and its parts."""
    if _UNSPACED_RUN.match(token):
        return [token[i : i + 2] for i in range(max(len(token) - 1, 1))]
    head, *contraction = re.split("['’]", token, maxsplit=1)
    if contraction and head.lower() in CONTRACTED:
        return []
    token = head if contraction and len(contraction[0]) <= 2 else token
    parts = [part.lower() for piece in _PART.findall(token) for part in _CAMEL.split(piece)]
    terms = [_stem(part) for part in parts if part not in STOP_WORDS]
    if len(parts) > 1 and _is_identifier(token):
        terms.append(token.lower())
    return terms


def _is_identifier(token: str) -> bool:
    """Whether a compound is a name of its own (`snake_case`, `a.b`, `x1-2`, `camelCase`)."""
    return any(mark in token for mark in "_.@") or any(map(str.isdigit, token)) or "-" not in token


def analyze(text: str) -> list[str]:
    """Search terms of a text, in order, repeated as they occur."""
    return [term for token in _TOKEN.findall(_fold(text)) for term in _token_terms(token)]


def stored_terms(text: str) -> str:
    """The terms of a text joined by spaces, as a store keeps them, with `ASKS` if it asks."""
    terms = analyze(text)
    if text.rstrip().endswith(("?", "？", "؟")):
        terms.append(ASKS)
    return " ".join(terms)


def words(text: str) -> list[str]:
    """Whole words of a text in lower case, accents folded, for recognising names."""
    return _PART.findall(_fold(text).lower())
