"""What the storage tests share: turns, their rows, and the words that break quoting."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from agentmem.storage.rows import Stamps
from agentmem.storage.schema import turn_key, turn_rows
from agentmem.storage.turns import Store
from agentmem.types import Passport, Scope, Turn

DIMENSION = 4
PASSPORT = Passport(provider="test", model="tiny", dimension=DIMENSION)
NOON = datetime(2024, 5, 1, 12, tzinfo=timezone.utc)
ADA = Scope(user_id="ada")

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
    vector = np.random.default_rng(seed).standard_normal(DIMENSION)
    return np.asarray(vector / np.linalg.norm(vector), np.float32)


def rows_of(turns: Sequence[Turn], *, pieces: Sequence[Sequence[str]] | None = None) -> pa.Table:
    """Return the rows of turns; each is one piece unless told otherwise."""
    pieces = pieces or [[one.content] for one in turns]
    flat = [piece for parts in pieces for piece in parts]
    vectors = np.stack([vector_of(piece) for piece in flat])
    return turn_rows(
        turns,
        pieces=pieces,
        lexemes=[p.lower() for p in flat],
        vectors=vectors,
        stamps=stamps_of(len(turns)),
    )


def stamps_of(count: int, *, at: datetime = NOON) -> Stamps:
    """Return the stamps of one write."""
    return Stamps.new(count, passport_id=PASSPORT.id, at=at)


def key_of(one: Turn) -> str:
    """Return the key that a turn is stored under."""
    return turn_key(one.id, user_id=one.user_id, agent_id=one.agent_id)


def open_store(folder: Path, **options: Any) -> Store:
    """Open a store of the test's own embedding space."""
    return Store.open(folder, **{"passport": PASSPORT, **options})


def start_python(code: str, *arguments: str | Path) -> subprocess.Popen[str]:
    """Start another process on a piece of code that may import this module."""
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", code, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run_python(code: str, *arguments: str | Path) -> str:
    """Return what another process printed; it must end well."""
    process = start_python(code, *arguments)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    return out


def turns_at(store: Store, row_ids: Iterable[int]) -> list[Turn]:
    """Return the turns at row ids, in that order, without those deleted."""
    wanted = [int(row_id) for row_id in row_ids]
    found = store.turns_by_row(wanted)
    return [found[row_id] for row_id in wanted if row_id in found]
