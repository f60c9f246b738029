"""Copies of definitions in JSON's own types, which read back equal from JSON text.

The rules are those of `checks.json_value`, with more room: schemas nest deeper than metadata, and
name bounds beyond 64 bits.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from agentmem.checks import clean_text, json_value, shown
from agentmem.errors import InvalidInput

__all__ = ["MAX_DEPTH", "json_copy"]

MAX_DEPTH: Final = 100  # some 30 objects within each other; Python's recursion ends at 1,000 calls
SHOWN_PATH: Final = 120  # the beginning of a path shows where a cycle starts
MAX_INTEGER_BITS: Final = 1_024  # what a double can reach, which is how most readers take a number


def json_copy(value: object, *, what: str, depth: int = 0) -> Any:
    """Return a copy of a value made of JSON's own types only.

    Args:
        value: None, bool, int, float, str, and lists, tuples and mappings of these.
        what: The path of the value, such as `parameters`; empty for the whole definition.
        depth: How deep the value already lies.

    Raises:
        InvalidInput: JSON cannot hold the value as it is; names its path.
    """
    if depth > MAX_DEPTH:
        raise InvalidInput(
            f"{what[:SHOWN_PATH]} lies more than {MAX_DEPTH} levels deep, or contains itself. Name "
            "the repeated part under $defs and refer to it by $ref."
        )
    if isinstance(value, Mapping):
        return {
            _key(key, what=what): json_copy(part, what=_inside(what, key), depth=depth + 1)
            for key, part in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [
            json_copy(part, what=f"{what}[{place}]", depth=depth + 1)
            for place, part in enumerate(value)
        ]
    if isinstance(value, int) and not isinstance(value, bool):
        return _integer(int(value), what=what)
    return json_value(value, what=what)


def _inside(what: str, key: object) -> str:
    return f"{what}.{key}" if what else str(key)


def _key(key: object, *, what: str) -> str:
    whole = what or "the definition"
    if not isinstance(key, str):
        raise InvalidInput(
            f"{whole} has the key {shown(key)}, and JSON keys are text. Pass str(...) of it."
        )
    return clean_text(str.__str__(key), what=f"a key of {whole}")


def _integer(value: int, *, what: str) -> int:
    if value.bit_length() > MAX_INTEGER_BITS:
        raise InvalidInput(
            f"{what} is an integer of {value.bit_length():,} bits, which readers of JSON cannot "
            "hold. Write it as text."
        )
    return value
