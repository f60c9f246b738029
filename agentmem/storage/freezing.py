"""Freezing: which files a store consists of at this moment, table by table, while others write.

Lance never changes a file that it has written: a commit adds files, and a manifest that names
all those of its version. So the newest manifest of a table and the files it names are that
version, whatever is written next; a file that no longer is there was pruned, and the next manifest
is taken. Tables are frozen one after another, in an order in which the later one may be ahead.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from lancedb.db import DBConnection

from agentmem.errors import StoreError
from agentmem.storage.border import store_errors
from agentmem.storage.places import Place

__all__ = [
    "Frozen",
    "FrozenTable",
    "check_readable",
    "freeze_table",
    "options_of",
    "rows_of",
    "tables_in",
]

SUFFIX: Final = ".lance"
MANIFEST: Final = ".manifest"
VERSIONS: Final = "_versions"
NEWEST_FIRST: Final = 2**64 - 1  # the names of manifests count down from there
TAIL: Final = 16  # bytes: where the message of a manifest starts, two versions, and the magic
MAGIC: Final = b"LANC"
# The description comes first: a generation that is in force then is complete, and is kept while
# its tables are frozen. Lessons come before their observations, which are stored first and count
# only with their lesson. Tombstones come last: of what was erased before, none is missing.
FIRST: Final = ("meta", "tool_lessons")
LAST: Final = ("tombstones",)


@dataclass(frozen=True, slots=True)
class FrozenTable:
    """One version of a table.

    Attributes:
        name: Of the table.
        version: Which.
        paths: The files that it consists of, within the store.
    """

    name: str
    version: int
    paths: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Frozen:
    """A store at one moment: one version of each table, and how many rows it has."""

    tables: tuple[FrozenTable, ...]
    rows: Mapping[str, int]

    @property
    def versions(self) -> dict[str, int]:
        """The version of each table."""
        return {table.name: table.version for table in self.tables}


def tables_in(place: Place) -> list[str]:
    """Return the tables of a store in the order in which they are to be frozen."""
    names = [name.removesuffix(SUFFIX) for name in place.names() if name.endswith(SUFFIX)]

    def rank(name: str) -> tuple[int, str]:
        return (FIRST.index(name) if name in FIRST else 10 + (name in LAST)), name

    return sorted(names, key=rank)


def freeze_table(place: Place, name: str) -> FrozenTable | None:
    """Return the newest version of a table; None where there is none, as of one half made.

    Raises:
        FileNotFoundError: A file vanished meanwhile.
    """
    folder = f"{name}{SUFFIX}"
    manifests = [one for one in place.names(f"{folder}/{VERSIONS}") if _is_manifest(one)]
    if not manifests:
        return None
    newest = min(manifests)
    path = f"{folder}/{VERSIONS}/{newest}"
    told = place.read(path)
    paths = [path, *_named(place, folder, told)]
    return FrozenTable(name, NEWEST_FIRST - int(newest.removesuffix(MANIFEST)), tuple(paths))


def check_readable(db: DBConnection, table: FrozenTable, *, uri: str) -> int:
    """Read a column of a frozen copy of a table from all of its files, and return its rows.

    Raises:
        StoreError: The copy is not that version, or a file of it is missing or damaged.
    """
    with store_errors(uri, f"read the copy of the table {table.name}"):
        opened = db.open_table(table.name)
        names = opened.schema.names
        column = "rev" if "rev" in names else names[0]
        rows = opened.search().select([column]).to_arrow().num_rows
        counted, version = int(opened.count_rows()), int(opened.version)
    if (rows, version) != (counted, table.version):
        raise StoreError(
            f"the copy of the table {table.name} in {uri} has {rows} rows in version {version}, "
            f"and {counted} in version {table.version} were expected. It was not kept. Repair: "
            "try again; if this comes back, run `agentmem doctor`."
        )
    return rows


def rows_of(db: DBConnection, table: FrozenTable, *, uri: str) -> int:
    """Return how many rows a frozen table has.

    Raises:
        StoreError: The store could not be read.
    """
    with store_errors(uri, f"count the rows of the table {table.name}"):
        opened = db.open_table(table.name)
        opened.checkout(table.version)
        return int(opened.count_rows())


def _is_manifest(name: str) -> bool:
    return name.endswith(MANIFEST) and len(name) == len(f"{NEWEST_FIRST}{MANIFEST}")


def _named(place: Place, folder: str, manifest: bytes) -> Iterator[str]:
    """Give the files of a table that a manifest names.

    It names data files by their names, deletions by the number at the end of theirs, and indexes
    by the bytes of theirs. One that it names and does not need does no harm.
    """
    data = place.names(f"{folder}/data")
    fragments = _message(manifest)
    named = _occurring(fragments, lengths={len(name) for name in data})
    yield from (f"{folder}/data/{name}" for name in data if name.encode() in named)
    for name in place.names(f"{folder}/_deletions"):
        number = name.partition(".")[0].rpartition("-")[2]
        if not number.isdigit() or _varint(int(number)) in fragments:
            yield f"{folder}/_deletions/{name}"
    for name in place.names(f"{folder}/_indices"):
        plain = name.replace("-", "")
        if len(plain) != 32 or bytes.fromhex(plain) in manifest:  # noqa: PLR2004 - of a UUID
            yield from (entry.path for entry in place.files(f"{folder}/_indices/{name}"))


def _message(manifest: bytes) -> bytes:
    """Return the part that lists fragments: behind the commit that led to it, which lists more."""
    start = int.from_bytes(manifest[-TAIL : -TAIL + 8], "little")
    return manifest[start:] if manifest.endswith(MAGIC) and start < len(manifest) else manifest


def _occurring(manifest: bytes, *, lengths: set[int]) -> set[bytes]:
    """Return what stands in a manifest, of these lengths, and ends like a data file."""
    ending = SUFFIX.encode()
    found: set[bytes] = set()
    at = manifest.find(ending)
    while at >= 0:
        end = at + len(ending)
        found.update(manifest[end - length : end] for length in lengths if length <= end)
        at = manifest.find(ending, end)
    return found


def _varint(number: int) -> bytes:
    """Return a number as protocol buffers write it."""
    written = bytearray()
    while number > 0x7F:  # noqa: PLR2004 - seven bits a byte
        written.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*written, number])


def options_of(db: DBConnection) -> dict[str, str]:
    """Return the storage options that a store was opened with."""
    found: Any = getattr(db, "storage_options", None)
    return dict(found or {})
