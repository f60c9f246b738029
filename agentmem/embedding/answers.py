"""What an embedding service answered, read and checked: one vector a text, in the texts' order.

Takes the bytes of a body of the OpenAI form; refuses, with the reason, any that leaves open which
vector belongs to which text or holds numbers no similarity can be made of.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray
from typing_extensions import NotRequired, TypedDict

from agentmem.errors import EmbeddingFailed

if TYPE_CHECKING:
    from pydantic import TypeAdapter

__all__ = ["read_complaint", "read_vectors"]

LARGEST: Final = 1e15  # of a component: sums of its squares still fit 32 bits
SHOWN_CHARS: Final = 300  # of a service's complaint: the sentence that says it, not a page of HTML


class _Item(TypedDict):
    index: NotRequired[int]
    embedding: list[float]


class _Answer(TypedDict):
    data: list[_Item]


def read_vectors(body: bytes, *, texts: int, source: str) -> NDArray[np.float64]:
    """Read the vectors of a request.

    Args:
        body: The answer.
        texts: How many texts were sent.
        source: What to call the service in errors.

    Returns:
        Finite rows, not yet of unit length, in the order of the texts.

    Raises:
        EmbeddingFailed: It is no answer of the OpenAI form, or not one usable vector a text.
    """
    items = _items(body, source=source)
    if len(items) != texts:
        raise _unusable(source, f"{len(items)} vectors for {texts} texts")
    places = _places(items)
    if sorted(places) != list(range(texts)):
        raise _unusable(source, f"the indexes {places[:8]}… for {texts} texts, not each once")
    lengths = {len(item["embedding"]) for item in items}
    if len(lengths) != 1 or 0 in lengths:
        raise _unusable(source, f"vectors of {sorted(lengths)} components in one answer")
    rows = np.empty((texts, *lengths), dtype=np.float64)
    rows[places] = [item["embedding"] for item in items]
    _check_numbers(rows, source=source)
    return rows


def _items(body: bytes, *, source: str) -> list[_Item]:
    from pydantic import ValidationError

    try:
        answer = _reader().validate_json(body, strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"])) or "the body"
        raise _unusable(source, f"{place}: {first['msg']}") from None  # its text quotes the body
    return answer["data"]


@cache
def _reader() -> TypeAdapter[_Answer]:
    from pydantic import TypeAdapter

    return TypeAdapter(_Answer)


def _places(items: Sequence[_Item]) -> list[int]:
    """Return which text each vector is of.

    Services that write JSON from protocol buffers leave an index of 0 out (seen of Gemini:
    samfoy/pi-session-search#13), others leave out all and keep the order.
    """
    if not any("index" in item for item in items):
        return list(range(len(items)))
    return [item.get("index", 0) for item in items]


def _check_numbers(rows: NDArray[np.float64], *, source: str) -> None:
    wrong = np.flatnonzero(~(np.abs(rows) <= LARGEST).all(axis=1))  # so that NaN is wrong too
    if wrong.size:
        raise _unusable(
            source,
            f"NaN, infinite or huge numbers for {wrong.size} of {len(rows)} texts, the first at "
            f"position {wrong[0]} of the request (half precision overflows this way)",
        )


def _unusable(source: str, what: str) -> EmbeddingFailed:
    return EmbeddingFailed(
        f"{source} gave {what}. Vectors must belong to their texts beyond doubt, so the answer was "
        "not used, and nothing was stored. Repair: see the service's log, and check that its "
        "address is that of an embedding service of the OpenAI form."
    )


def read_complaint(body: bytes) -> str:
    """Return what a service says went wrong, from the forms in use, or the text itself."""
    try:
        told: Any = json.loads(body)
    except ValueError:
        told = body.decode("utf-8", "replace")
    for key in ("error", "message", "detail"):
        if isinstance(told, Mapping) and told.get(key):
            told = told[key]
    return " ".join(str(told).split()).rstrip(".")
