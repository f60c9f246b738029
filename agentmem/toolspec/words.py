"""Identifiers to words: `getHTTPResponse2` is read as `get HTTP Response 2`.

Splits at separators, at humps of camel case, and where a word meets a number. Short mixtures of
letters and digits, which are words of their own (`mp3`, `s3`, `k8s`, `3d`), stay whole.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

__all__ = ["words_of"]

SEPARATORS: Final = re.compile(r"[\s_\-./:\\]+")  # marks beyond ASCII are letters to some scripts
BOUNDARIES: Final = re.compile(
    r"(?<=[a-z])(?=[A-Z])"  # getWeather
    r"|(?<=[0-9])(?=[A-Z][a-z])"  # page2Items
    r"|(?<=[A-Z])(?=[A-Z][a-z])"  # HTTPResponse
    r"|(?<=[a-z]{3})(?=[0-9]+[A-Z](?![a-z]))"  # get3DModel
    r"|(?<=[A-Za-z]{4})(?=[0-9])"  # Response2, and neither mp3 nor sha256
    r"|(?<=[0-9])(?=[a-z]{3})"  # text2image, and neither 3d nor 2fa
)


@lru_cache(maxsize=65_536)  # names of arguments repeat: a catalogue of 4,000 tools has some 3,000
def words_of(name: str) -> str:
    """Return an identifier split into its words, joined by spaces; case and script are kept."""
    parts = (part for part in SEPARATORS.split(name) if part)
    return " ".join(BOUNDARIES.sub(" ", part) for part in parts) or name
