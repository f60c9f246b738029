"""What is counted over many rows: sessions, distinct values, bytes on disk."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from datetime import timezone
from pathlib import Path
from stat import S_ISREG

import pyarrow as pa

from agentmem.types import Session

__all__ = ["below", "count_distinct", "folder_bytes", "sessions_of"]


def sessions_of(rows: pa.Table) -> list[Session]:
    """Group rows of turns into sessions, the earliest first.

    Args:
        rows: One row a turn: user_id, agent_id, session_id, event_time.
    """
    grouped = rows.group_by(["session_id", "user_id", "agent_id"]).aggregate(
        [("event_time", "count"), ("event_time", "min"), ("event_time", "max")]
    )
    sessions = [
        Session(
            session_id=row["session_id"],
            user_id=row["user_id"],
            agent_id=row["agent_id"],
            turns=row["event_time_count"],
            first=row["event_time_min"].astimezone(timezone.utc),
            last=row["event_time_max"].astimezone(timezone.utc),
        )
        for row in grouped.to_pylist()
    ]
    return sorted(sessions, key=lambda one: (one.first, one.last, one.session_id or ""))


def count_distinct(rows: pa.Table, columns: Sequence[str]) -> int:
    """Return how many different combinations of values the columns hold."""
    return rows.group_by(list(columns)).aggregate([]).num_rows


def below(folder: Path) -> Iterator[Path]:
    """Give every file and folder below a folder, but none of one that vanishes meanwhile.

    `Path.rglob` fails where another process removes a folder that it is about to list.
    """
    for place, folders, files in os.walk(folder):
        for name in (*folders, *files):
            yield Path(place, name)


def folder_bytes(folder: Path | None) -> int | None:
    """Return the size of all files below a folder; None where there is no folder.

    A file that snapshots share with the store is counted once.
    """
    if folder is None:
        return None
    return sum(dict(_size(path) for path in below(folder)).values())


def _size(path: Path) -> tuple[object, int]:
    """Return what tells a file apart, whatever its names are, and its size."""
    try:
        told = path.lstat()
    except OSError:  # deleted by another process's compaction since it was listed
        return path, 0
    return (told.st_dev, told.st_ino), told.st_size if S_ISREG(told.st_mode) else 0
