"""What a stored row is: one chunk of a turn, its key, and the ways from a turn to rows and back.

The first chunk of a turn carries the whole content, the others only their piece; scope, times
and metadata stand on every chunk, so that one condition reaches whole turns. Knows Arrow, not
LanceDB.
"""

from __future__ import annotations

import json
import operator
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime, timezone
from itertools import chain
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from agentmem.errors import InvalidInput
from agentmem.storage.rows import (
    PLAIN,
    PRIMARY_KEY,
    STAMPED,
    TIMES,
    Stamps,
    check_finite,
    digest,
    json_text,
    table_of,
    vector_type,
)
from agentmem.types import Attachment, Turn

__all__ = [
    "LIFE",
    "SCHEMA_VERSION",
    "TURN_COLUMNS",
    "content_hash",
    "key_of",
    "normalised",
    "turn_from_row",
    "turn_key",
    "turn_rows",
    "turns_from_table",
    "turns_schema",
]

SCHEMA_VERSION: Final = 3

LIFE: Final = ("valid_until", "superseded_by", "superseded_at", "expires_at", "pinned")
"""The columns that change after a turn was stored; on every chunk, as its scope is."""
TURN_COLUMNS: Final = (
    *("id", "role", "content", "event_time", "ingested_at", "name", "user_id", "agent_id"),
    *("session_id", "metadata", "attachments", "importance", *LIFE),
)
"""The columns that make a turn; read them from rows with `chunk = 0`."""


def turns_schema(dimension: int) -> pa.Schema:
    """Return the schema of a table of turns whose vectors have that many components."""
    fields: list[pa.Field[Any]] = [
        pa.field("chunk_key", pa.string(), nullable=False, metadata=PRIMARY_KEY | PLAIN),
        pa.field("key", pa.string(), nullable=False, metadata=PLAIN),
        pa.field("chunk", pa.int32(), nullable=False),
        pa.field("chunks", pa.int32(), nullable=False),
        pa.field("id", pa.string(), nullable=False, metadata=PLAIN),
        pa.field("user_id", pa.string()),
        pa.field("agent_id", pa.string()),
        pa.field("session_id", pa.string()),
        pa.field("role", pa.string(), nullable=False),
        pa.field("name", pa.string()),
        pa.field("content", pa.string(), metadata=PLAIN),
        pa.field("text", pa.string(), metadata=PLAIN),
        pa.field("lexemes", pa.string(), nullable=False, metadata=PLAIN),
        pa.field("metadata", pa.json_(), metadata=PLAIN),
        pa.field("attachments", pa.string(), metadata=PLAIN),
        pa.field("event_time", TIMES, nullable=False),
        pa.field("ingested_at", TIMES, nullable=False),
        pa.field("importance", pa.float64()),
        pa.field("valid_until", TIMES),
        pa.field("superseded_by", pa.string()),
        pa.field("superseded_at", TIMES),
        pa.field("expires_at", TIMES),
        pa.field("pinned", pa.bool_(), nullable=False),
        pa.field("content_hash", pa.string(), nullable=False),
        *STAMPED,
        pa.field("vector", vector_type(dimension), nullable=False),
    ]
    return pa.schema(fields)


def turn_key(turn_id: str, *, user_id: str | None, agent_id: str | None) -> str:
    """Return the key a turn is stored under: a hash of its user, agent and id.

    Ids are unique within a user and agent only; no two different triples share a key.
    """
    return digest(user_id, agent_id, turn_id)


def key_of(turn: Turn) -> str:
    """Return the key that a turn is stored under."""
    return turn_key(turn.id, user_id=turn.user_id, agent_id=turn.agent_id)


def content_hash(turn: Turn) -> str:
    """Return the hash that tells whether two turns say the same at the same time and place.

    Covers scope, role, event time and the content, in which Unicode forms of the same text
    (NFC), line endings and surrounding white space make no difference.
    """
    scope = (turn.user_id, turn.agent_id, turn.session_id)
    return digest(*scope, turn.role, normalised(turn.content), turn.event_time.isoformat())


def normalised(text: str) -> str:
    """Return a text without what makes no difference to what it says."""
    return unicodedata.normalize("NFC", text.replace("\r\n", "\n")).strip()


def turn_rows(
    turns: Sequence[Turn],
    *,
    pieces: Sequence[Sequence[str]],
    lexemes: Sequence[str],
    vectors: NDArray[np.float32],
    stamps: Stamps,
) -> pa.Table:
    """Return the rows of turns, chunk after chunk, ready to be stored.

    Args:
        turns: The turns; their ids must differ within a user and agent.
        pieces: For each turn the pieces that were embedded, without prefix; `[content]` where
            the turn was embedded whole.
        lexemes: For each piece, flat, its analysed terms joined by spaces.
        vectors: One float32 unit row a piece, shape (pieces, D).
        stamps: One a turn.

    Raises:
        EmbeddingFailed: A vector is not finite.
        InvalidInput: Texts or metadata cannot be stored as they are, or a piece has no vector.
    """
    counts = np.fromiter(map(len, pieces), np.int64, len(pieces))
    total = int(counts.sum())
    if len(pieces) != len(turns) or len(lexemes) != total or len(vectors) != total:
        raise InvalidInput(
            f"{len(turns)} turns came with {len(pieces)} lists of together {total} pieces, "
            f"{len(lexemes)} lists of terms and {len(vectors)} vectors. Pass one of each a piece."
        )
    check_finite(vectors, of="turn", repeat="add the turns")
    columns = _columns(turns, pieces=pieces, counts=counts)
    columns["lexemes"] = lexemes
    columns["rev"] = _spread(list(stamps.revs), counts)
    columns["passport"] = _spread(list(stamps.passports), counts)
    return table_of(columns, schema=turns_schema(vectors.shape[1]), vectors=vectors)


def _columns(
    turns: Sequence[Turn], *, pieces: Sequence[Sequence[str]], counts: NDArray[np.int64]
) -> dict[str, Sequence[Any]]:
    """Return the values of every column but the terms and vectors, one a chunk."""
    columns: dict[str, Sequence[Any]] = {
        name: _spread([read(turn) for turn in turns], counts) for name, read in _OF_TURN.items()
    }
    chunks = list(chain.from_iterable(map(range, counts.tolist())))
    columns["chunk"] = chunks
    columns["chunks"] = np.repeat(counts, counts).tolist()
    columns["chunk_key"] = [f"{key}/{n}" for key, n in zip(columns["key"], chunks, strict=True)]
    columns["content"] = [
        None if n else content for content, n in zip(columns["content"], chunks, strict=True)
    ]
    columns["text"] = [
        piece for parts in pieces for piece in (parts if len(parts) > 1 else [None] * len(parts))
    ]
    return columns


def _spread(values: list[Any], counts: NDArray[np.int64]) -> list[Any]:
    """Repeat each turn's value for each of its chunks."""
    if (counts == 1).all():
        return values
    return [
        value for value, count in zip(values, counts.tolist(), strict=True) for _ in range(count)
    ]


def _metadata(turn: Turn) -> str:
    return json_text(dict(turn.metadata), what="metadata") if turn.metadata else "{}"


def _attachments(turn: Turn) -> str | None:
    if not turn.attachments:
        return None
    return json_text([asdict(one) for one in turn.attachments], what="attachments")


_OF_TURN: Final[Mapping[str, Callable[[Turn], Any]]] = {
    "key": lambda turn: turn_key(turn.id, user_id=turn.user_id, agent_id=turn.agent_id),
    "id": lambda turn: turn.id,
    "user_id": lambda turn: turn.user_id,
    "agent_id": lambda turn: turn.agent_id,
    "session_id": lambda turn: turn.session_id,
    "role": lambda turn: turn.role,
    "name": lambda turn: turn.name,
    "content": lambda turn: turn.content,
    "metadata": _metadata,
    "attachments": _attachments,
    "event_time": lambda turn: turn.event_time,
    "ingested_at": lambda turn: turn.ingested_at,
    "importance": lambda turn: turn.importance,
    **{name: operator.attrgetter(name) for name in LIFE},
    "content_hash": content_hash,
}


def turn_from_row(row: Mapping[str, Any]) -> Turn:
    """Return the turn of a row with `chunk = 0`, given at least `TURN_COLUMNS`."""
    attachments = row["attachments"]
    metadata = row["metadata"]
    return Turn(
        id=row["id"],
        role=row["role"],
        content=row["content"],
        event_time=_utc(row["event_time"]),
        ingested_at=_utc(row["ingested_at"]),
        name=row["name"],
        user_id=row["user_id"],
        agent_id=row["agent_id"],
        session_id=row["session_id"],
        metadata=json.loads(metadata or "{}"),
        attachments=tuple(Attachment(**one) for one in json.loads(attachments or "[]")),
        importance=row["importance"],
        valid_until=_moment(row["valid_until"]),
        superseded_by=row["superseded_by"],
        superseded_at=_moment(row["superseded_at"]),
        expires_at=_moment(row["expires_at"]),
        pinned=row["pinned"],
    )


def turns_from_table(table: pa.Table) -> list[Turn]:
    """Return the turns of a table of rows with `chunk = 0` and at least `TURN_COLUMNS`."""
    return [turn_from_row(row) for row in table.to_pylist()]


def _moment(stored: datetime | None) -> datetime | None:
    return None if stored is None else _utc(stored)


def _utc(moment: datetime) -> datetime:
    return moment.astimezone(timezone.utc)  # Arrow names the zone by one of several libraries
