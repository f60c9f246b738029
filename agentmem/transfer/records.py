"""The record of a turn: what one line or row of a file holds, and which file formats there are.

A record is a message, as `Memory.add` takes it, with its scope ids and `ingested_at` beside it.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import astuple
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

from agentmem.checks import shown
from agentmem.errors import InvalidInput
from agentmem.types import Scope, Turn

__all__ = ["VECTORS", "Format", "derived_id", "format_of", "turn_record"]

Format: TypeAlias = Literal["jsonl", "jsonl.gz", "parquet"]

SUFFIXES: Final[dict[str, Format]] = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".jsonl.gz": "jsonl.gz",
    ".ndjson.gz": "jsonl.gz",
    ".parquet": "parquet",
}
VECTORS: Final = "vectors"  # beside the message in an export; an import makes its own
IDENTITY_BYTES: Final = 16  # as many as a UUID has: no two records of the world collide


def format_of(path: Path) -> Format:
    """Return the format that a file's name asks for.

    Raises:
        InvalidInput: There is none of that suffix.
    """
    for suffix, kind in SUFFIXES.items():
        if path.name.lower().endswith(suffix):
            return kind
    raise InvalidInput(
        f"the format of {shown(path.name)} is unknown. Name the file with one of "
        f"{', '.join(SUFFIXES)}."
    )


def turn_record(turn: Turn) -> dict[str, Any]:
    """Return a turn as JSON values; fields that are missing or empty are left out."""
    record = {
        "id": turn.id,
        "role": turn.role,
        "content": turn.content,
        "name": turn.name,
        "user_id": turn.user_id,
        "agent_id": turn.agent_id,
        "session_id": turn.session_id,
        "created_at": turn.event_time.isoformat(),
        "ingested_at": turn.ingested_at.isoformat(),
        "importance": turn.importance,
        "valid_until": _iso(turn.valid_until),
        "superseded_by": turn.superseded_by,
        "superseded_at": _iso(turn.superseded_at),
        "expires_at": _iso(turn.expires_at),
        "pinned": turn.pinned or None,
        "metadata": dict(turn.metadata) or None,
        "attachments": [
            {"type": one.type, "url": one.url, "caption": one.caption} for one in turn.attachments
        ]
        or None,
    }
    return {key: value for key, value in record.items() if value is not None}


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()


def derived_id(source: str, *, position: int, scope: Scope) -> str:
    """Return the id for a record that has none: the same whenever that file is read again.

    Args:
        source: Digest of the whole file, so that no other file's records share its ids.
        position: The record's line or row.
        scope: Where it is stored, so that one file can be imported into several sessions.
    """
    identity = json.dumps([source, position, *astuple(scope)]).encode()
    return f"import-{hashlib.blake2b(identity, digest_size=IDENTITY_BYTES).hexdigest()}"
