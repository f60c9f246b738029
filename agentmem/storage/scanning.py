"""Byte scans: which files of a folder hold any of many byte strings.

Reads every file from end to end, in pieces that overlap by the longest string, so that none is
missed between two. Knows nothing of what the bytes mean.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeAlias

from ahocorasick_rs import BytesAhoCorasick, MatchKind

from agentmem.storage.census import below

__all__ = ["Scanned", "matcher", "scan"]

Sought: TypeAlias = bytes  # within `Scanned`, `bytes` is a count
PIECE: Final = 16 << 20  # bytes read at once
Tell: TypeAlias = Callable[[int, int], object]


@dataclass(slots=True)
class Scanned:
    """What a scan found.

    Attributes:
        files: How many were read.
        bytes: Their size.
        found: The strings found in each file, by its path within the folder.
    """

    files: int = 0
    bytes: int = 0
    found: dict[str, set[Sought]] = field(default_factory=dict)


def scan(folder: Path, sought: Mapping[bytes, str], *, tell: Tell) -> Scanned:
    """Read every file below a folder, and look for byte strings.

    Args:
        folder: Where to look; links are not followed, they are read as the files they are.
        sought: The strings, none empty, each with what it is.
        tell: Called with bytes and files read so far.

    Raises:
        OSError: A file could not be read. One that vanishes meanwhile is passed over.
    """
    told = Scanned()
    if not sought:
        return told
    find = matcher(sought)
    overlap = max(map(len, sought)) - 1
    for path in sorted(below(folder)):
        if path.is_symlink() or not path.is_file():
            continue
        with suppress(FileNotFoundError):
            found: set[bytes] = set()
            size = 0
            for piece, fresh in _pieces(path, overlap=overlap):
                size += fresh
                found |= find(piece)
            told.files += 1
            told.bytes += size
            if found:
                told.found[path.relative_to(folder).as_posix()] = found
            tell(told.bytes, told.files)
    return told


def matcher(sought: Iterable[bytes]) -> Callable[[bytes], set[bytes]]:
    """Return a function that tells which of some byte strings are in others."""
    patterns = list(sought)
    automaton = BytesAhoCorasick(patterns, matchkind=MatchKind.Standard)

    def find(within: bytes) -> set[bytes]:
        matches = automaton.find_matches_as_indexes(within, overlapping=True)
        return {patterns[index] for index, _, _ in matches}

    return find


def _pieces(path: Path, *, overlap: int) -> Iterator[tuple[bytes, int]]:
    """Give a file piece by piece, each beginning with the end of the one before."""
    before = b""
    with path.open("rb") as file:
        while fresh := file.read(PIECE):
            yield before + fresh, len(fresh)
            before = (before + fresh)[-overlap:] if overlap else b""
