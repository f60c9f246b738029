"""`Ailing`: what is wrong with the rows of a table of turns, found while they stream by.

Holds a key and an id a row, never contents or vectors. Changes nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from agentmem.storage.arrow import matrix, strings
from agentmem.storage.schema import content_hash, turn_key
from agentmem.types import Turn

__all__ = ["COLUMNS", "Ailing", "Cases"]

COLUMNS: Final = (
    *("chunk_key", "key", "chunk", "chunks", "id", "user_id", "agent_id", "session_id", "role"),
    *("content", "event_time", "ingested_at", "content_hash", "superseded_by", "passport"),
    "vector",
)
EXAMPLES: Final = 5
UNIT: Final = 1e-3  # from a length of 1: float32 rows stay within 1e-6, bfloat16 within 4e-3 / 2
SKEW: Final = timedelta(minutes=5)  # clocks of two machines that are kept by NTP differ by less


@dataclass(slots=True)
class Cases:
    """Rows or turns with the same trouble: how many, and some of them."""

    count: int = 0
    examples: list[str] = field(default_factory=list)

    def add(self, example: str) -> None:
        """Count one more."""
        self.count += 1
        if len(self.examples) < EXAMPLES:
            self.examples.append(example)


class Ailing:
    """The troubles of one table of turns.

    Args:
        passport_id: Of the space that its vectors lie in.
        now: The present (UTC).
    """

    def __init__(self, *, passport_id: str, now: datetime) -> None:
        self._passport_id = passport_id
        self._now = now
        self.rows = 0
        self.keys = Cases()
        self.hashes = Cases()
        self.unreadable = Cases()
        self.lengths = Cases()
        self.strangers = Cases()
        self.blank = Cases()
        self.ahead = Cases()
        self._chunk_keys: Counter[str] = Counter()
        self._chunks: dict[str, tuple[str, int, int]] = {}
        self._heads: Counter[str] = Counter()
        self._successors: list[tuple[str, str]] = []

    def take(self, rows: pa.Table) -> None:
        """Look at some rows, with `COLUMNS`."""
        self.rows += rows.num_rows
        self._vectors(matrix(rows["vector"]), strings(rows["id"]))
        for row in rows.drop_columns(["vector"]).to_pylist():
            self._row(row)

    @property
    def duplicates(self) -> Mapping[str, int]:
        """Keys of chunks that several rows have, with how many."""
        return {key: count for key, count in self._chunk_keys.items() if count > 1}

    @property
    def incomplete(self) -> Cases:
        """Turns with a chunk missing, or one too many."""
        found = Cases()
        for key, (turn_id, said, there) in self._chunks.items():
            if said != there or not self._heads[key]:
                found.add(f"{turn_id!r}: {there} of {said} chunks")
        return found

    @property
    def lost_successors(self) -> Cases:
        """Turns that were corrected by one that is not there."""
        found = Cases()
        for turn_id, key in self._successors:
            if key not in self._chunks:
                found.add(repr(turn_id))
        return found

    def _vectors(self, vectors: NDArray[np.float32], ids: list[str]) -> None:
        with np.errstate(all="ignore"):
            lengths = np.linalg.norm(vectors.astype(np.float64), axis=1)
        finite = np.isfinite(lengths)
        for place in np.flatnonzero(~finite).tolist():
            self.unreadable.add(repr(ids[place]))
        for place in np.flatnonzero(finite & (np.abs(lengths - 1) > UNIT)).tolist():
            self.lengths.add(f"{ids[place]!r}: length {lengths[place]:.4f}")

    def _row(self, row: Mapping[str, Any]) -> None:
        key, turn_id = row["key"], row["id"]
        self._chunk_keys[row["chunk_key"]] += 1
        if self._chunk_keys[row["chunk_key"]] == 1:
            there = self._chunks.get(key, (turn_id, row["chunks"], 0))[2]
            self._chunks[key] = turn_id, row["chunks"], there + 1
        owner = {"user_id": row["user_id"], "agent_id": row["agent_id"]}
        expected = turn_key(turn_id, **owner)
        if key != expected or row["chunk_key"] != f"{key}/{row['chunk']}":
            self.keys.add(repr(turn_id))
        if row["passport"] == "":
            self.blank.add(repr(turn_id))
        elif row["passport"] != self._passport_id:
            self.strangers.add(f"{turn_id!r}: {row['passport']}")
        if row["ingested_at"] > self._now + SKEW:
            self.ahead.add(f"{turn_id!r}: {row['ingested_at'].isoformat()}")
        if row["chunk"] == 0:
            self._head(row, owner=owner)

    def _head(self, row: Mapping[str, Any], *, owner: Mapping[str, str | None]) -> None:
        self._heads[row["key"]] += 1
        if row["superseded_by"] is not None:
            self._successors.append((row["id"], turn_key(row["superseded_by"], **owner)))
        if row["content"] is None:
            self.hashes.add(f"{row['id']!r}: no content")
        elif content_hash(_turn(row)) != row["content_hash"]:
            self.hashes.add(f"{row['id']!r}: content_hash does not match")


def _turn(row: Mapping[str, Any]) -> Turn:
    names = ("id", "role", "content", "user_id", "agent_id", "session_id")
    times = {name: row[name].astimezone(timezone.utc) for name in ("event_time", "ingested_at")}
    return Turn(**{name: row[name] for name in names}, **times)
