"""Recorded spans as Parquet files of one folder, which several processes may write.

A file is written under a name that no reader looks at and then renamed, so half a file is never
seen; it is never changed afterwards. What tidies (merging, bounds, pruning) holds the folder's
lock. Only files of this module's own names are ever touched.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Final
from uuid import uuid4

from agentmem.errors import StoreError
from agentmem.telemetry.span_rows import schema

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["SpanFile", "SpanFiles"]

NAME: Final = re.compile(r"spans-\d{8}T\d{6}\.\d{6}Z-\d+-[0-9a-f]{8}\.parquet")
MOMENT: Final = "%Y%m%dT%H%M%S.%fZ"
UNFINISHED: Final = re.compile(r"\.spans-.*\.tmp")  # DuckDB's *.parquet does not match it
MANY: Final = 16  # small files of one day that are made one: every 16 s under steady traffic
SMALL: Final = 256_000  # bytes; a larger file is worth its own
MERGED: Final = 1_000_000  # bytes; keeps a merge under about 50 MB of memory, and ageing fine
ABANDONED: Final = 3_600.0  # seconds; no write takes so long, its process was killed
PATIENCE: Final = 10.0  # seconds to wait for the lock; a merge holds it for less than one
LISTINGS: Final = 10  # of a folder, until two agree; a merge is rarer than a listing is long


@dataclass(frozen=True, slots=True)
class SpanFile:
    """One file of spans.

    Attributes:
        path: Where it is.
        bytes: Its size.
        written_at: When the newest of its spans were written (UTC).
    """

    path: Path
    bytes: int
    written_at: datetime


@dataclass(frozen=True, slots=True)
class SpanFiles:
    """The files of spans in one folder.

    Attributes:
        folder: The folder; made by the first write.
    """

    folder: Path

    def oldest_first(self) -> list[SpanFile]:
        """Return the files, the oldest first.

        A listing that a merge ran into may hold neither the old files nor the new one: readdir(3)
        leaves open what it says of files that come and go. So one counts if nothing of the one
        before it has gone.
        """
        before, found = self._listed(), self._listed()
        for _ in range(LISTINGS):
            if before.keys() <= found.keys():
                break
            before, found = found, self._listed()
        return [SpanFile(self.folder / name, found[name], _moment(name)) for name in sorted(found)]

    def _listed(self) -> dict[str, int]:
        """Return the size of each file, by its name."""
        found: dict[str, int] = {}
        with os.scandir(self.folder) as entries:
            for entry in entries:
                if _is_ours(entry.name):
                    with suppress(FileNotFoundError):  # merged or pruned meanwhile
                        found[entry.name] = entry.stat().st_size
        return found

    def write(self, table: pa.Table, *, at: datetime) -> Path:
        """Write a file of spans, whole or not at all.

        Args:
            table: In the columns of `span_rows.schema`.
            at: The file's age counts from then.
        """
        import pyarrow.parquet as pq

        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)  # spans may hold what was said
        name = f"spans-{at.astimezone(timezone.utc):{MOMENT}}-{os.getpid()}-{uuid4().hex[:8]}"
        unfinished, path = self.folder / f".{name}.tmp", self.folder / f"{name}.parquet"
        try:
            pq.write_table(table, unfinished, compression="zstd")
            unfinished.replace(path)
        except BaseException:
            with suppress(OSError):
                unfinished.unlink()
            raise
        return path

    def read(self, path: Path, columns: Sequence[str] | None = None) -> pa.Table:
        """Read a file of spans, or some columns of it.

        Raises:
            FileNotFoundError: It is not there any more.
            OSError: It cannot be read, or holds something else.
            ValueError: Likewise.
        """
        import pyarrow.parquet as pq

        wanted = schema() if columns is None else _part(schema(), columns)
        with pq.ParquetFile(path) as file:  # one thread: a forked process has no others
            table = file.read(columns=wanted.names, use_threads=False)
        return table.select(wanted.names).cast(wanted)

    @contextmanager
    def locked(self, *, patience: float = PATIENCE) -> Iterator[None]:
        """Hold the folder's lock, which the system takes back from a process that dies.

        Raises:
            StoreError: Another process held it for longer than `patience`, in seconds.
        """
        from filelock import FileLock, Timeout

        try:
            with FileLock(self.folder / ".lock", timeout=patience):
                yield
        except Timeout as error:
            raise StoreError(
                f"another process is tidying {self.folder}, so it was left as it is. "
                "Repair: try again."
            ) from error

    def tidy(self, *, max_bytes: int, max_age: timedelta, now: datetime) -> None:
        """Delete the oldest files beyond the bounds, and merge small ones of one day.

        Does nothing while another process does it.
        """
        try:
            with self.locked(patience=0):
                self._forget_unfinished()
                self._bound(max_bytes=max_bytes, oldest=now - max_age)
                self._merge(at_most=min(MERGED, max_bytes // 8))
        except StoreError:
            return

    def replace(self, files: Sequence[SpanFile], table: pa.Table) -> None:
        """Put one file in the place of several; a reader may for a moment see both."""
        if table.num_rows:
            self.write(table, at=max(file.written_at for file in files))
        for file in files:
            file.path.unlink(missing_ok=True)

    def _bound(self, *, max_bytes: int, oldest: datetime) -> None:
        files = self.oldest_first()
        total = sum(file.bytes for file in files)
        for file in files:
            if total <= max_bytes and file.written_at >= oldest:
                return
            file.path.unlink(missing_ok=True)
            total -= file.bytes

    def _merge(self, *, at_most: int) -> None:
        """Merge files of one day, so that none keeps a span for more than a day too long."""
        small = [file for file in self.oldest_first() if file.bytes < min(SMALL, at_most)]
        for _, day in groupby(small, key=lambda file: file.written_at.date()):
            files = list(_fitting(day, at_most=at_most))
            if len(files) >= MANY:
                self._join(files)

    def _join(self, files: Sequence[SpanFile]) -> None:
        import pyarrow as pa

        whole: list[SpanFile] = []
        tables: list[pa.Table] = []
        for file in files:
            with suppress(OSError, ValueError):  # a broken one stays, for a person to look at
                tables.append(self.read(file.path))
                whole.append(file)
        if len(whole) > 1:
            self.replace(whole, _each_once(pa.concat_tables(tables)))

    def _forget_unfinished(self) -> None:
        for path in self.folder.iterdir():
            if UNFINISHED.fullmatch(path.name):
                with suppress(FileNotFoundError):
                    if time.time() - path.stat().st_mtime > ABANDONED:
                        path.unlink()


def _is_ours(name: str) -> bool:
    """Whether a file is one of spans, by its name; a moment that never was is somebody else's."""
    if not NAME.fullmatch(name):
        return False
    try:
        _moment(name)
    except ValueError:
        return False
    return True


def _moment(name: str) -> datetime:
    """Return when a file was written, by its name."""
    return datetime.strptime(name.split("-")[1], MOMENT).replace(tzinfo=timezone.utc)


def _part(whole: pa.Schema, columns: Sequence[str]) -> pa.Schema:
    import pyarrow as pa

    return pa.schema([whole.field(name) for name in columns])


def _fitting(files: Iterable[SpanFile], *, at_most: int) -> Iterator[SpanFile]:
    """Give files for as long as all of them together are no larger than that."""
    total = 0
    for file in files:
        total += file.bytes
        if total > at_most:
            return
        yield file


def _each_once(table: pa.Table) -> pa.Table:
    """Leave out spans that are there twice: a merge was killed between writing and deleting."""
    first: dict[tuple[object, object], int] = {}
    ids = zip(table["trace_id"].to_pylist(), table["span_id"].to_pylist(), strict=True)
    for place, one in enumerate(ids):
        first.setdefault(one, place)
    return table if len(first) == table.num_rows else table.take(list(first.values()))
