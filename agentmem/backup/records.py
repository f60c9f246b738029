"""What a backup says of itself: every file of the store with its size and hash, in one manifest.

A manifest carries the hash of its own content, so that a damaged one is noticed.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final

from agentmem.errors import StoreError

__all__ = [
    "BACKUPS",
    "FILES",
    "FORMAT",
    "MARKER",
    "Content",
    "Manifest",
    "hash_of",
    "marker",
    "stored_at",
]

FORMAT: Final = 1
MARKER: Final = "agentmem-backup.json"
"""The file that says that a place holds backups."""
BACKUPS: Final = "backups"
"""Where the manifests lie, one a backup, named by its id."""
FILES: Final = "files"
"""Where the files lie, named by their SHA-256, shared by all backups that need them."""
ID: Final = re.compile(r"\d{8}T\d{6}\.\d{6}Z", re.ASCII)
SHA256: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)
PATH: Final = re.compile(r"\w[\w-]*\.lance(/\w[\w.-]*)+", re.ASCII)  # no "..", nothing absolute


@dataclass(frozen=True, slots=True)
class Content:
    """What a file holds."""

    size: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """One backup.

    Attributes:
        id: Its name: the moment at which it was made, in UTC.
        made_at: The same as ISO text.
        agentmem: Version that made it; likewise `lancedb`.
        lancedb: See `agentmem`.
        description: What the store said of itself: generations, passports, schema.
        versions: Version of each table.
        rows: Rows of each table.
        files: What the store consists of, by path within it.
    """

    id: str
    made_at: str
    agentmem: str
    lancedb: str
    description: Mapping[str, Any]
    versions: Mapping[str, int]
    rows: Mapping[str, int]
    files: Mapping[str, Content]

    @property
    def moment(self) -> datetime:
        """When it was made (UTC)."""
        return datetime.fromisoformat(self.made_at)

    @property
    def contents(self) -> dict[str, Content]:
        """What the files hold, each once, by hash."""
        return {one.sha256: one for one in self.files.values()}

    @property
    def size(self) -> int:
        """Size of its files."""
        return sum(one.size for one in self.files.values())

    def written(self) -> bytes:
        """Return it as a file."""
        told = _text(asdict(self))
        return json.dumps(
            {"format": FORMAT, "sha256": hash_of([told.encode()]), "backup": json.loads(told)},
            indent=1,
            sort_keys=True,
        ).encode()

    @classmethod
    def read(cls, data: bytes, *, name: str) -> Manifest:
        """Return what `written` gave.

        Args:
            data: The file.
            name: What it is called, for messages.

        Raises:
            StoreError: It is damaged, or of a newer agentmem.
        """
        try:
            found = json.loads(data)
            newer = found["format"] > FORMAT
            told = found["backup"]
            whole = hash_of([_text(told).encode()]) == found["sha256"]
            files = {path: Content(**one) for path, one in told["files"].items()}
            manifest = cls(**{**told, "files": files})
            sane = ID.fullmatch(manifest.id) and all(
                PATH.fullmatch(path) and SHA256.fullmatch(one.sha256) and one.size >= 0
                for path, one in files.items()
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise _damaged(name) from error
        if newer:
            raise StoreError(
                f"{name} was written by a newer agentmem. Repair:  pip install --upgrade agentmem"
            )
        if not (whole and sane):
            raise _damaged(name)
        return manifest


def marker() -> bytes:
    """Return the file that says that a place holds backups."""
    return json.dumps({"format": FORMAT, "holds": "backups of an agentmem store"}).encode()


def hash_of(pieces: Iterable[bytes]) -> str:
    """Return the SHA-256 of what comes in pieces."""
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece)
    return digest.hexdigest()


def stored_at(sha256: str) -> str:
    """Return the path of a file among those of all backups."""
    return f"{FILES}/{sha256[:2]}/{sha256}"


def _damaged(name: str) -> StoreError:
    return StoreError(
        f"the manifest {name} of a backup is damaged. Nothing was changed. Repair: take another "
        "backup of the same place, or another copy of it."
    )


def _text(value: object) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))
