"""Which files a table of a local folder is made of, as its manifests tell.

LanceDB names the missing file of a table at best, and a damaged one never. Its manifests are
protocol buffers (lance's `table.proto`), of which the few fields needed are read here. Whatever
else a file holds, a name that occurs in no manifest is referred to by no version.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

from agentmem.errors import StoreError

__all__ = ["FileOf", "Manifest", "manifest_paths", "named_files", "newest_manifest"]

VERSIONS: Final = "_versions"
MAGIC: Final = b"LANC"
TAIL: Final = 16  # bytes: the place of the manifest, two versions, and the magic
LENGTH: Final = 4
NEWEST_FIRST: Final = 2**64 - 1  # names count down from there, so that the newest is listed first
FRAGMENTS, VERSION = 2, 3  # of a Manifest
FRAGMENT_ID, FRAGMENT_FILES = 1, 2  # of a DataFragment
FILE_PATH: Final = 1  # of a DataFile
NAME: Final = re.compile(rb"[0-9A-Za-z-]{16,}\.(?:lance|txn)")  # as lance makes them

_Value: TypeAlias = int | bytes


@dataclass(frozen=True, slots=True)
class FileOf:
    """A data file of a table.

    Attributes:
        fragment: Number of the fragment it belongs to; the upper half of its rows' addresses.
        path: Where it is.
    """

    fragment: int
    path: Path


@dataclass(frozen=True, slots=True)
class Manifest:
    """One version of a table."""

    version: int
    files: tuple[FileOf, ...]


def manifest_paths(table: Path) -> list[Path]:
    """Return the manifests of a table's folder, the newest first."""
    found = table.joinpath(VERSIONS).glob("*.manifest")
    numbered = {path: int(path.stem) for path in found if path.stem.isdigit()}
    return sorted(numbered, key=lambda path: _version_of(numbered[path]), reverse=True)


def newest_manifest(table: Path) -> Manifest | None:
    """Return the newest version of a table; None where its folder has none.

    Raises:
        StoreError: Its manifest cannot be read.
    """
    for path in manifest_paths(table):
        try:
            return _read(path.read_bytes(), table=table)
        except FileNotFoundError:  # pruned since it was listed
            continue
        except (OSError, ValueError, IndexError, KeyError, TypeError) as error:
            raise _unreadable(path) from error
    return None


def named_files(table: Path) -> set[str]:
    """Return the names of data files and transactions that occur in any manifest of a table.

    More than what its versions refer to, never less. What a transaction alone names was never
    committed, or is no longer kept.
    """
    found: set[str] = set()
    for path in manifest_paths(table):
        try:
            found.update(one.decode("ascii") for one in NAME.findall(path.read_bytes()))
        except FileNotFoundError:  # pruned since it was listed
            continue
    return found | {name[1:] for name in found}  # the length before a name may look like its part


def _unreadable(path: Path) -> StoreError:
    return StoreError(
        f"the manifest {path} cannot be read: it is damaged, or of a newer LanceDB. Repair: "
        "restore the folder from a backup."
    )


def _version_of(number: int) -> int:
    return NEWEST_FIRST - number if number > NEWEST_FIRST // 2 else number


def _read(data: bytes, *, table: Path) -> Manifest:
    if data[-len(MAGIC) :] != MAGIC or len(data) < TAIL:
        raise _unreadable(table / VERSIONS)
    at = int.from_bytes(data[-TAIL : -TAIL + 8], "little")
    size = int.from_bytes(data[at : at + LENGTH], "little")
    version, files = 0, []
    for number, value in _fields(data[at + LENGTH : at + LENGTH + size]):
        if number == VERSION and isinstance(value, int):
            version = value
        elif number == FRAGMENTS and isinstance(value, bytes):
            files += _files(value, table=table)
    return Manifest(version, tuple(files))


def _files(fragment: bytes, *, table: Path) -> list[FileOf]:
    number, names = 0, []
    for tag, value in _fields(fragment):
        if tag == FRAGMENT_ID and isinstance(value, int):
            number = value
        elif tag == FRAGMENT_FILES and isinstance(value, bytes):
            told = dict(_fields(value))
            names.append(bytes(told[FILE_PATH]).decode("utf-8"))
    return [FileOf(number, table / "data" / name) for name in names]


def _fields(message: bytes) -> Iterator[tuple[int, _Value]]:
    """Give the fields of a protocol buffer: numbers as they are, everything else as bytes."""
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        kind = tag & 7
        value: _Value
        if kind == 0:
            value, at = _varint(message, at)
        else:
            size, at = (8, at) if kind == 1 else (4, at) if kind == 5 else _varint(message, at)  # noqa: PLR2004 - wire types
            value, at = message[at : at + size], at + size
        yield tag >> 3, value


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:  # noqa: PLR2004 - the top bit says that more follows
            return value, at
