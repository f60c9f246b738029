"""The checksums of a store's data files, so that a flipped bit is found, and its file named.

LanceDB keeps none: it returns most damaged values as if they were right. Its files never change
once they are written, so maintenance takes the checksum of each new one, and the doctor compares.
What is damaged before the first maintenance saw it does not show.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from agentmem.storage.border import store_errors

__all__ = ["Sums", "data_files", "read_sums", "record_sums", "wrong_files"]

FILE: Final = ".checksums.json"
BLOCK: Final = 2**20
DIGEST: Final = 16  # bytes
KINDS: Final = ("data/*.lance", "_deletions/*", "_versions/*.manifest")

Sums = Mapping[str, tuple[int, str]]
"""Size and digest of each file, by its path within the store."""


def data_files(folder: Path) -> list[Path]:
    """Return every file of the tables that never changes once it is written."""
    tables = sorted(folder.glob("*.lance"))
    return [path for table in tables for kind in KINDS for path in sorted(table.glob(kind))]


def read_sums(folder: Path) -> Sums:
    """Return the checksums that were taken; none where the list is missing or unreadable."""
    try:
        found: dict[str, Any] = json.loads(folder.joinpath(FILE).read_bytes())
        return {name: (int(size), str(digest)) for name, (size, digest) in found.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def record_sums(folder: Path, *, pause: Callable[[int], None] = lambda _: None) -> int:
    """Take the checksums of files that have none; return how many. Forgets those that are gone.

    Args:
        folder: Of the store.
        pause: Told how many bytes were read of each file, to leave the disk to others.

    Raises:
        StoreError: A file could not be read, or the list not be written.
    """
    known, taken = read_sums(folder), 0
    sums: dict[str, tuple[int, str]] = {}
    for path in data_files(folder):
        name = path.relative_to(folder).as_posix()
        if name in known:
            sums[name] = known[name]
        elif (told := _sum(path, uri=str(folder))) is not None:
            sums[name], taken = told, taken + 1
            pause(told[0])
    part = folder / f"{FILE}.{os.getpid()}.part"
    with store_errors(str(folder), "write the checksums"):
        part.write_text(json.dumps(sums), "ascii")
        part.replace(folder / FILE)
    return taken


def wrong_files(folder: Path) -> Iterator[Path]:
    """Give the files that are not what they were when their checksum was taken.

    Those that are gone are for LanceDB to miss: most were pruned.

    Raises:
        StoreError: A file could not be read.
    """
    for name, expected in read_sums(folder).items():
        path = folder / name
        found = _sum(path, uri=str(folder))
        if found is not None and found != expected:
            yield path


def _sum(path: Path, *, uri: str) -> tuple[int, str] | None:
    """Return size and digest of a file; None if it is gone."""
    digest, size = hashlib.blake2b(digest_size=DIGEST), 0
    with store_errors(uri, f"read {path.name}"):
        try:
            with path.open("rb") as file:
                while block := file.read(BLOCK):
                    digest.update(block)
                    size += len(block)
        except FileNotFoundError:
            return None
    return size, digest.hexdigest()
