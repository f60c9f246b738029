"""What maintenance does to the tables of a store: compacted, pruned, and rid of what was left.

Each call does one thing to one table, and may be stopped anywhere and made again.
"""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Final, TypeVar

from lancedb.table import Table
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from agentmem.errors import StoreError
from agentmem.storage import handle
from agentmem.storage.border import commit, store_errors
from agentmem.storage.census import below, folder_bytes
from agentmem.storage.description import Description
from agentmem.storage.expiry import Expiry
from agentmem.storage.generations import Whole
from agentmem.storage.manifests import named_files
from agentmem.storage.retention import kept_for

__all__ = [
    "SAFE_AGE",
    "Left",
    "Tended",
    "dropped_tables",
    "forsaken",
    "left_files",
    "look_at",
    "remove",
    "table_names",
    "tend",
]

T = TypeVar("T")

READS: Final = 5  # each lost one is another process's pruning, which is over in milliseconds
FIRST_WAIT: Final = 0.02  # seconds
LONGEST_WAIT: Final = 0.5  # seconds
MOST_TABLES: Final = 1_000  # LanceDB lists ten unless told otherwise
ACTION: Final = "maintain"
OF_A_GENERATION: Final = re.compile(r"(.+)_g(\d+)")
SAFE_AGE: Final = timedelta(days=1)  # no write or copy under way lasts as long
CHECKPOINT_AGE: Final = timedelta(days=30)  # an import that was killed may be gone on with
NEVER: Final = timedelta(days=36_500)  # compacts, and prunes nothing


@dataclass(frozen=True, slots=True)
class Tended:
    """What was done to a table.

    Attributes:
        before: Bytes of its files; None where it is in no local folder.
        after: Likewise, afterwards.
        fragments: Files of rows, before and after.
        versions: That are kept, before and after.
        unindexed: Rows that no index covered, before and after; None where it has no index.
    """

    before: int | None
    after: int | None
    fragments: tuple[int, int]
    versions: tuple[int, int]
    unindexed: tuple[int, int] | None


@dataclass(frozen=True, slots=True)
class Left:
    """A file or folder that nothing refers to any more.

    Attributes:
        path: Where it is.
        why: What it was.
        bytes: Its size.
        seconds: Its age, by the clock of the disk it is on.
        safe: Seconds from which on it is certain that nobody needs it.
    """

    path: Path
    why: str
    bytes: int
    seconds: float
    safe: float

    @property
    def is_safe(self) -> bool:
        """Whether it is old enough to be removed."""
        return self.seconds >= self.safe


def table_names(whole: Whole) -> list[str]:
    """Return the names of all tables of a store, of whichever generation.

    Raises:
        StoreError: The store could not be read.
    """
    whole.guard.check()
    with store_errors(whole.opened.uri, "list its tables"):
        return sorted(whole.opened.db.list_tables(limit=MOST_TABLES).tables)


def tend(whole: Whole, name: str) -> Tended:
    """Compact a table, fold new rows into its indexes, and drop the versions that are due.

    A conflict with another writer is tried again, which LanceDB leaves to its callers.

    Raises:
        ConcurrentWrite: Others came first at every attempt.
        StoreError: The table could not be read or written.
    """
    whole.guard.check_writable(ACTION)
    uri = whole.opened.uri
    folder = None if whole.opened.folder is None else whole.opened.folder / f"{name}.lance"
    with store_errors(uri, ACTION):
        table = whole.opened.db.open_table(name)
    before = _steadily(lambda: _state(table), uri=uri)
    size = folder_bytes(folder)
    commit(lambda: table.optimize(cleanup_older_than=NEVER), uri=uri, action=ACTION)
    age = _prunable(whole, table)
    commit(lambda: table.optimize(cleanup_older_than=age), uri=uri, action=ACTION)
    after = _steadily(lambda: _state(table), uri=uri)
    indexed = None if before[2] is None or after[2] is None else (before[2], after[2])
    return Tended(size, folder_bytes(folder), (before[0], after[0]), (before[1], after[1]), indexed)


def look_at(whole: Whole, name: str) -> tuple[int | None, int, int]:
    """Return bytes, fragments and versions of a table; bytes are None where it is in no folder.

    Raises:
        StoreError: The table could not be read.
    """
    whole.guard.check()
    folder = None if whole.opened.folder is None else whole.opened.folder / f"{name}.lance"
    with store_errors(whole.opened.uri, f"look at the table {name}"):
        table = whole.opened.db.open_table(name)
    fragments, versions, _ = _steadily(lambda: _state(table), uri=whole.opened.uri)
    return folder_bytes(folder), fragments, versions


def _prunable(whole: Whole, table: Table) -> timedelta:
    """Return the age from which on versions may go; see `handle.Handle`."""
    now, window = datetime.now(timezone.utc), kept_for(whole.opened)
    since = _steadily(lambda: Expiry().since(table, window=window, now=now), uri=whole.opened.uri)
    return now - since + handle.MARGIN


def _steadily(read: Callable[[], T], *, uri: str) -> T:
    """Read, and again where a version was pruned by another process while they were listed."""
    retrying = Retrying(
        retry=retry_if_exception_type(StoreError),
        stop=stop_after_attempt(READS),
        wait=wait_random_exponential(multiplier=FIRST_WAIT, max=LONGEST_WAIT),
        reraise=True,
    )

    def attempt() -> T:
        with store_errors(uri, ACTION):
            return read()

    found: T = retrying(attempt)
    return found


def _state(table: Table) -> tuple[int, int, int | None]:
    """Return fragments, versions, and rows that no index covers."""
    stats = [table.index_stats(index.name) for index in table.list_indices()]
    waiting = [one.num_unindexed_rows for one in stats if one is not None]
    fragments = handle.count_fragments(table, kind="num_fragments")
    return fragments, len(table.list_versions()), max(waiting) if waiting else None


def dropped_tables(whole: Whole, described: Description) -> list[str]:
    """Return the tables of generations that are not, or not any more, on the list.

    A migration killed while it made the tables of the next one leaves such, and so does one
    killed while it dropped the last. The newest number may be one that is being made right now.
    """
    found = []
    for name in table_names(whole):
        match = OF_A_GENERATION.fullmatch(name)
        if match and int(match[2]) not in described.generations:
            found.append(name)
    return found


def forsaken(whole: Whole, names: Iterable[str], *, writes: bool = False) -> Iterator[Left]:
    """Give the folders of dropped tables, with how long nobody has written to them.

    Args:
        whole: The store.
        names: Of the tables.
        writes: Whether a file may be made to learn the time of the disk.
    """
    folder = whole.opened.folder
    if folder is None:
        return
    now = _clock(folder, writes=writes)
    for name in names:
        place = folder / f"{name}.lance"
        newest = max((_changed(path) for path in below(place)), default=_changed(place))
        size = folder_bytes(place) or 0
        yield Left(place, "table of no generation", size, now - newest, SAFE_AGE.total_seconds())


def left_files(whole: Whole, *, safe: timedelta = SAFE_AGE, writes: bool = False) -> Iterator[Left]:
    """Give the files of a local store that nothing refers to, whatever their age.

    Args:
        whole: The store.
        safe: From which age on no write under way can need a data file or a part.
        writes: Whether a file may be made to learn the time of the disk.
    """
    folder = whole.opened.folder
    if folder is None:
        return
    now = _clock(folder, writes=writes)
    seconds = safe.total_seconds()
    for table in sorted(folder.glob("*.lance")):
        listed = [*table.glob("data/*.lance"), *table.glob("_transactions/*.txn")]
        ages = {path: now - _changed(path) for path in listed}  # before the manifests are read
        named = named_files(table)
        for path in listed:
            if path.name not in named:
                yield Left(path, "file of no version", _size(path), ages[path], seconds)
    for path in _parts(folder):
        yield Left(path, "part of a copy", folder_bytes_of(path), now - _changed(path), seconds)
    for path in sorted(folder.glob(".imports/*.json")):
        late = CHECKPOINT_AGE.total_seconds()
        yield Left(path, "checkpoint of an import", _size(path), now - _changed(path), late)


def remove(whole: Whole, left: Iterable[Left]) -> tuple[int, int]:
    """Remove what is old enough; return how many files and bytes went.

    Raises:
        StoreError: The store is read-only, or a file could not be removed.
    """
    whole.guard.check_writable(ACTION)
    count = size = 0
    named: dict[Path, set[str]] = {}
    for one in left:
        table = one.path.parent.parent
        if table.suffix == ".lance" and table not in named:
            named[table] = named_files(table)  # again: a slow writer may have committed it since
        if not one.is_safe or one.path.name in named.get(table, ()):
            continue
        with store_errors(whole.opened.uri, f"remove {one.path.name}"):
            if one.path.is_dir():
                shutil.rmtree(one.path)
            else:
                one.path.unlink(missing_ok=True)
        count, size = count + 1, size + one.bytes
    return count, size


def folder_bytes_of(path: Path) -> int:
    """Return the size of a file, or of all files below a folder."""
    return _size(path) if path.is_file() else folder_bytes(path) or 0


def _parts(folder: Path) -> list[Path]:
    """Return what copies and exports that were killed left in the folder, and one room below."""
    found: set[Path] = set()
    for pattern in ("*.part", ".*.part", ".*/*.part", ".*/.*.part"):
        found.update(folder.glob(pattern))
    return sorted(found)


def _clock(folder: Path, *, writes: bool) -> float:
    """Return the present by the clock of the disk, to which the ages of its files refer.

    That of this machine, which may be another one, will do where files are only looked at.
    """
    if not writes:
        return time.time()
    probe = folder / f".clock.{os.getpid()}.part"
    with store_errors(str(folder), "learn the time of the disk"):
        probe.touch()
        now = _changed(probe)
        probe.unlink(missing_ok=True)
    return now


def _changed(path: Path) -> float:
    return _told(path, lambda stat: stat.st_mtime)


def _size(path: Path) -> int:
    return int(_told(path, lambda stat: stat.st_size))


def _told(path: Path, read: Callable[[Any], float]) -> float:
    try:
        return read(path.stat())
    except OSError:  # removed since it was listed, by another process's compaction
        return 0.0
