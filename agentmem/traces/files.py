"""Spans saved as JSON, in the forms in which people get hold of them.

What `agentmem traces show --json` prints, `ReadableSpan.to_json()` and the SDK's console exporter,
OTLP as JSON, and Phoenix's spans API. Which it is, is told by its shape.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from agentmem.checks import location
from agentmem.errors import InvalidInput, NotFound, StoreError
from agentmem.traces.shapes import row_from, spans_in
from agentmem.traces.spans import SpanRow

__all__ = ["read_span_file", "read_spans"]

MOST_BYTES: Final = 200_000_000  # of a file: a whole day of traces, and still fits into memory
DECODER: Final = json.JSONDecoder()
FORMS: Final = (
    "Pass what `agentmem traces show SPAN --json` prints, ReadableSpan.to_json(), OTLP as JSON, "
    "or the answer of Phoenix's spans API."
)


def read_span_file(path: str | os.PathLike[str]) -> tuple[SpanRow, ...]:
    """Return the spans of a JSON file, in its order.

    Args:
        path: The file: one span, several in an array or one after another, or the whole answer of
            an API.

    Raises:
        NotFound: There is no such file.
        InvalidInput: It holds no JSON, or no spans.
        StoreError: It cannot be read.
    """
    file = Path(location(path, what="path"))
    try:
        if file.stat().st_size > MOST_BYTES:
            raise InvalidInput(f"{file} has more than {MOST_BYTES:,} bytes. Save fewer spans.")
        text = file.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise NotFound(f"there is no file {file}.") from error
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{file} is no JSON: it is not in UTF-8.") from error
    except OSError as error:
        raise StoreError(f"{file} cannot be read: {error.strerror}.") from error
    return read_spans(text, where=str(file))


def read_spans(text: str, *, where: str = "the text") -> tuple[SpanRow, ...]:
    """Return the spans of a JSON text, in its order.

    Args:
        text: As in a file of `read_span_file`.
        where: What to call it in errors.

    Raises:
        InvalidInput: It is no JSON, or holds no spans.
    """
    try:
        found = tuple(row_from(one) for value in _values(text) for one in spans_in(value))
    except RecursionError as error:
        raise InvalidInput(f"{where} is nested too deeply to be spans.") from error
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        raise InvalidInput(f"{where} cannot be read as spans: {error}. {FORMS}") from error
    if not found:
        raise InvalidInput(f"{where} holds no spans. {FORMS}")
    return found


def _values(text: str) -> Iterator[Any]:
    """Give the JSON values that stand one after another."""
    at = 0
    while at < len(text):
        if text[at].isspace():
            at += 1
            continue
        value, at = DECODER.raw_decode(text, at)
        yield value
