"""What the storage tests share: turns, their rows, and the words that break quoting."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from agentmem.storage.schema import turn_rows
from agentmem.types import Passport, Turn

DIMENSION = 4
PASSPORT = Passport(provider="test", model="tiny", dimension=DIMENSION)
NOON = datetime(2024, 5, 1, 12, tzinfo=timezone.utc)

HOSTILE = (
    *("", " ", "a", "A", "ab", "b", "' OR 1=1 --", "'", "''", '"', "\\", "\\'", '\\"', "a;b", "--"),
    *("%", "_", "a%", "/* x */", "é", "e\u0301", "\U0001f642", "\u2028", "\ufeff", "\x7f", "a\0b"),
    *("\0", "\x01", "\x02", "\n", "\t", "\r", "\b", "\f", "\x1f", "n", "u0000", "\\n", "\\u0000"),
    *("null", "true", "7", "7.0", "-7", "[7]", '"a"', "a,b", '","', "],[", "{}", "}", "$.a", "*"),
    *("NULL", "1e5", "nan", "inf", "(a|b)", "a.b", "^a$", "a b", "\u00df", "ss", "z" * 300),
)


def turn(turn_id: str = "t1", **changes: Any) -> Turn:
    """Return a turn with these fields changed."""
    fields: dict[str, Any] = {
        "id": turn_id,
        "role": "user",
        "content": f"said {turn_id}",
        "event_time": NOON,
        "ingested_at": NOON,
        "user_id": "ada",
    }
    return Turn(**{**fields, **changes})


def later(seconds: float) -> datetime:
    """Return a moment that many seconds after noon."""
    return NOON + timedelta(seconds=seconds)


def vector_of(text: str) -> NDArray[np.float32]:
    """Return a unit vector that belongs to a text."""
    seed = np.frombuffer(text.encode().ljust(8, b"\0")[:64], np.uint8)
    vector = np.random.default_rng(seed).standard_normal(DIMENSION).astype(np.float32)
    return vector / np.linalg.norm(vector)


def rows_of(turns: Sequence[Turn], *, pieces: Sequence[Sequence[str]] | None = None) -> pa.Table:
    """Return the rows of turns; each is one piece unless told otherwise."""
    pieces = pieces or [[one.content] for one in turns]
    flat = [piece for parts in pieces for piece in parts]
    vectors = np.stack([vector_of(piece) for piece in flat])
    return turn_rows(turns, pieces=pieces, lexemes=[p.lower() for p in flat], vectors=vectors)
