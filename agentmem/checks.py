"""What may enter: the tests that dates, ids, texts and JSON values pass at every door.

Each takes a value and `what` it is called in the caller's words, and returns it normalised or
raises `InvalidInput` with what is wrong, why, and the repair. Nothing here knows of messages,
filters or stores.
"""

from __future__ import annotations

import difflib
import math
import os
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import datetime, timezone
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from agentmem.errors import InvalidInput
from agentmem.types import Scope

if TYPE_CHECKING:
    from pydantic import TypeAdapter

__all__ = [
    "EPOCH",
    "MAX_ID_CHARS",
    "MAX_INTEGER",
    "MAX_JSON_DEPTH",
    "check_key",
    "check_scope",
    "clean_text",
    "identifier",
    "json_value",
    "location",
    "nearest",
    "shown",
    "utc",
]

EPOCH: Final = datetime(1970, 1, 1, tzinfo=timezone.utc)  # what microseconds are counted from
LEAST_KEY: Final = 16  # bytes; a shorter key is guessed
MAX_ID_CHARS: Final = 512  # longer than any URL-like id in use; keys and filters stay small
MAX_JSON_DEPTH: Final = 32  # deeper is a reference cycle or a document, and overflows recursion
MAX_INTEGER: Final = 2**63 - 1  # beyond 64 bits the store's JSON turns integers into floats
SHOWN_CHARS: Final = 60  # enough of a value to recognise it in an error message
ISO_START: Final = re.compile(r"\d{4}-\d{2}-\d{2}")  # keeps pydantic from reading "12" as an epoch


def shown(value: object) -> str:
    """Return a value's repr, short enough for an error message."""
    try:
        text = repr(value)
    except RecursionError:
        text = f"{type(value).__name__} nested without end"
    return text if len(text) <= SHOWN_CHARS else text[: SHOWN_CHARS - 1] + "…"


def nearest(word: str, allowed: Iterable[str]) -> str:
    """Return " Did you mean 'x'?" for the allowed word most like this one, or nothing."""
    close = difflib.get_close_matches(word.lower(), list(allowed), n=1)
    return f" Did you mean {close[0]!r}?" if close else ""


def utc(value: object, *, what: str) -> datetime:
    """Return a moment in UTC.

    Args:
        value: An aware datetime, an ISO 8601 string with a zone, or seconds since 1970.
        what: What to call it in errors, such as `created_at`.

    Raises:
        InvalidInput: It has no time zone, is out of range, or is not a moment at all.
    """
    if isinstance(value, datetime):
        return _aware(value, what=what)
    if isinstance(value, str):
        return _aware(_from_iso(value, what=what), what=what)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return _from_epoch(value, what=what)
    raise InvalidInput(
        f"{what} {shown(value)} is a {type(value).__name__}, not a moment in time. Pass an aware "
        "datetime, an ISO 8601 string with a zone such as '2024-05-01T09:30:00Z', or seconds "
        "since 1970."
    )


def _aware(value: datetime, *, what: str) -> datetime:
    if value.utcoffset() is None:
        raise InvalidInput(
            f"{what} {value.isoformat()} has no time zone, so the moment it means is unknown. "
            "Pass value.replace(tzinfo=timezone.utc) if it is UTC, value.astimezone() if it is "
            "this machine's local time, or a string that ends in Z or an offset."
        )
    try:
        moment = value.astimezone(timezone.utc)
    except OverflowError as error:
        raise _out_of_range(value, what=what) from error
    if type(moment) is datetime:
        return moment
    return datetime.combine(moment.date(), moment.time(), tzinfo=timezone.utc)  # pandas.Timestamp


def _from_iso(value: str, *, what: str) -> datetime:
    if ISO_START.match(value):
        with suppress(ValueError):
            return _iso_parser().validate_python(value)
    raise InvalidInput(
        f"{what} {shown(value)} is not an ISO 8601 moment. "
        "Write it like '2024-05-01T09:30:00Z' or '2024-05-01T11:30:00+02:00'."
    )


@cache
def _iso_parser() -> TypeAdapter[datetime]:
    from pydantic import TypeAdapter  # reads Z and short fractions, which Python 3.10 does not

    return TypeAdapter(datetime)


def _from_epoch(value: float, *, what: str) -> datetime:
    try:
        return datetime.fromtimestamp(value, tz=timezone.utc)
    except (OverflowError, OSError, ValueError) as error:
        raise _out_of_range(value, what=what) from error


def _out_of_range(value: object, *, what: str) -> InvalidInput:
    return InvalidInput(
        f"{what} {shown(value)} lies outside the years 1 to 9999 in UTC. "
        "Numbers are read as seconds since 1970: divide milliseconds by 1000."
    )


def clean_text(value: str, *, what: str) -> str:
    """Return a text as it is, or refuse one that UTF-8 cannot hold."""
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise InvalidInput(
            f"{what} has a lone surrogate {value[error.start]!r} at character {error.start}, "
            "which is half a character and cannot be stored. Repair the decoding that made it, "
            "or replace it with  text.encode('utf-8', 'replace').decode()."
        ) from error
    return value


def identifier(value: object, *, what: str) -> str:
    """Return an id or a name: text of 1 to `MAX_ID_CHARS` characters, without NUL."""
    if not isinstance(value, str):
        raise InvalidInput(
            f"{what} {shown(value)} is a {type(value).__name__}, and ids are text. Pass str(...)."
        )
    if not value:
        raise InvalidInput(f"{what} is empty text, which names nothing. Pass None to leave it out.")
    if len(value) > MAX_ID_CHARS:
        raise InvalidInput(
            f"{what} has {len(value):,} characters, and at most {MAX_ID_CHARS} are allowed. "
            "Pass a hash of it."
        )
    if "\0" in value:
        raise InvalidInput(f"{what} {shown(value)} holds a NUL character. Remove it.")
    return clean_text(value, what=what)


def check_key(key: object, *, what: str) -> None:
    """Refuse a secret that is no bytes, or so short that it is guessed; None is none."""
    if key is not None and (not isinstance(key, bytes) or len(key) < LEAST_KEY):
        raise InvalidInput(
            f"{what} has to be {LEAST_KEY} bytes or more. Make one with secrets.token_bytes(32), "
            "and keep it apart from what it protects."
        )


def location(value: object, *, what: str) -> str:
    """Return a path or address as text: not empty, and without NUL."""
    place = os.fspath(value) if isinstance(value, (str, os.PathLike)) else None
    if not isinstance(place, str) or not place or "\0" in place:
        raise InvalidInput(
            f"{what}={shown(value)} names no place. Pass a path without NUL characters; a store "
            "may also lie at an address such as s3://bucket/path."
        )
    return place


def check_scope(scope: Scope) -> Scope:
    """Return a scope whose ids are all usable, or refuse it."""
    for what in ("user_id", "agent_id", "session_id"):
        value = getattr(scope, what)
        if value is not None:
            identifier(value, what=what)
    return scope


def json_value(value: object, *, what: str, depth: int = 0) -> Any:
    """Return a copy of a value made of JSON's own types only, which reads back identical.

    Args:
        value: None, bool, int, float, str, and lists, tuples and mappings of these.
        what: The path of the value, such as `metadata`.
        depth: How deep the value already lies.

    Raises:
        InvalidInput: JSON or the store would change the value; names its path.
    """
    if depth > MAX_JSON_DEPTH:
        raise InvalidInput(
            f"{what} lies more than {MAX_JSON_DEPTH} levels deep, or contains itself. Flatten it."
        )
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return clean_text(str.__str__(value), what=what)
    if isinstance(value, (int, float)):
        return _number(value, what=what)
    if isinstance(value, (list, tuple)):
        return [
            json_value(part, what=f"{what}[{place}]", depth=depth + 1)
            for place, part in enumerate(value)
        ]
    if isinstance(value, Mapping):
        return {
            _key(key, what=what): json_value(part, what=f"{what}.{key}", depth=depth + 1)
            for key, part in value.items()
        }
    raise InvalidInput(
        f"{what} is a {type(value).__name__}, which JSON cannot hold. "
        "Use text, numbers, booleans, None, lists and dictionaries; write dates as ISO strings."
    )


def _number(value: float, *, what: str) -> float:
    if isinstance(value, int):
        if not -MAX_INTEGER - 1 <= value <= MAX_INTEGER:
            raise InvalidInput(f"{what} is an integer beyond 64 bits. Store it as text.")
        return int(value)
    if not math.isfinite(value):
        raise InvalidInput(f"{what} is {value}, which JSON cannot hold. Use None instead.")
    return float(value)


def _key(key: object, *, what: str) -> str:
    if not isinstance(key, str):
        raise InvalidInput(
            f"{what} has the key {shown(key)}, and JSON keys are text. Pass str(...) of it."
        )
    return clean_text(str.__str__(key), what=f"a key of {what}")
