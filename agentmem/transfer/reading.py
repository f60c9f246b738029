"""Reading records: JSON lines, Parquet or any iterable, one at a time, none silently lost.

What is not a record (broken JSON, bad UTF-8, an endless line) is yielded too, with its position
and the reason, and reading goes on after it.
"""

from __future__ import annotations

import gzip
import json
import os
import reprlib
import sys
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final, NoReturn, TypeAlias

from agentmem.checks import shown
from agentmem.errors import InvalidInput
from agentmem.transfer.records import format_of

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["STDIN", "Record", "Source", "file_of", "read_records", "total_of", "unreadable"]

Source: TypeAlias = str | os.PathLike[str] | Iterable[Any]

STDIN: Final = "-"
MAX_LINE_BYTES: Final = 32 * 2**20  # the longest turn, with every character written as \uXXXX
ROWS: Final = 1_000  # of a Parquet file in memory at once
RAW_CHARS: Final = 1_000  # of an endless line that are shown for what it was
BOM: Final = b"\xef\xbb\xbf"
UNCONVERTIBLE: Final = (  # what Arrow raises for a cell that no Python value can hold
    *(LookupError, NotImplementedError, OverflowError, RecursionError, TypeError, ValueError),
)


@dataclass(frozen=True, slots=True)
class Record:
    """One record of a source, or what stood in its place.

    Attributes:
        position: Line of a text file or row of another source, from 1.
        value: The record; None where there is an error.
        error: Why this is no record.
        raw: The line as it was read; None where the source has no lines.
        done: How much of the source is read, in the unit of `total_of`.
    """

    position: int
    value: Any
    error: str | None = None
    raw: bytes | None = None
    done: int = 0

    @property
    def text(self) -> str:
        """The record as text, to be set aside and repaired by hand."""
        if self.raw is None:
            return _as_text(self.value)
        return self.raw.decode("utf-8", "backslashreplace").rstrip("\r\n")


def _as_text(value: object) -> str:
    """Return a value as JSON, or as Python shows it where JSON cannot hold it."""
    with suppress(RecursionError, TypeError, ValueError):
        return json.dumps(value, default=repr)
    with suppress(RecursionError):
        return repr(value)
    return reprlib.repr(value)


def file_of(source: Source) -> Path | None:
    """Return the file that a source names; None for standard input and for iterables.

    Raises:
        InvalidInput: It names no readable file, or is no source at all.
    """
    if isinstance(source, str) and source == STDIN:
        return None
    if isinstance(source, (str, os.PathLike)):
        path = Path(source)
        if (missing := _missing(path)) is not None:
            raise InvalidInput(f"the file {str(path)!r} is {missing}. Pass the path of a file.")
        format_of(path)
        return path
    if isinstance(source, Mapping) or not isinstance(source, Iterable):
        raise InvalidInput(
            f"{shown(source)} is neither a file nor an iterable of messages. Pass a path, or a "
            "list or generator of messages."
        )
    return None


def _missing(path: Path) -> str | None:
    """Return what there is instead of a file, where there is none."""
    try:
        return None if path.is_file() else "a folder" if path.is_dir() else "not there"
    except (OSError, ValueError):  # too long for a name, or no text that a name can have
        return "not there"


def total_of(source: Source) -> int | None:
    """Return the size of a source, in bytes or rows; None where it is not known."""
    path = file_of(source)
    if path is None:
        return None
    if format_of(path) == "parquet":
        with _parquet(path) as file:
            rows: int = file.metadata.num_rows
            return rows
    return path.stat().st_size


def read_records(source: Source, *, after: int = 0) -> Iterator[Record]:
    """Yield the records of a source, in order.

    Args:
        source: Path of a .jsonl, .ndjson (also .gz) or .parquet file, `-` for JSON lines on
            standard input, or an iterable of messages.
        after: Position after which to start.

    Raises:
        InvalidInput: The source as a whole cannot be read.
    """
    return (record for record in _every(source) if record.position > after)


def _every(source: Source) -> Iterator[Record]:
    path = file_of(source)
    if path is not None:
        return _rows(path) if format_of(path) == "parquet" else _lines_of(path)
    if isinstance(source, (str, os.PathLike)):
        return _lines(sys.stdin.buffer, at=sys.stdin.buffer)
    return _items(source)


def _items(values: Iterable[Any]) -> Iterator[Record]:
    for position, value in enumerate(values, start=1):
        yield Record(position, value, done=position)


def _lines_of(path: Path) -> Iterator[Record]:
    try:
        with path.open("rb") as file:
            if format_of(path) == "jsonl":
                yield from _lines(file, at=file)
            else:
                with gzip.open(file) as unpacked:
                    yield from _lines(unpacked, at=file)
    except (OSError, EOFError, zlib.error) as error:
        raise unreadable(path, error) from error


def unreadable(path: Path, error: Exception) -> InvalidInput:
    """Return the error for a file that cannot be read as a whole."""
    return InvalidInput(
        f"the file {str(path)!r} cannot be read: {error}. Check that it is complete, that its "
        "suffix tells its format, and that you may read it."
    )


def _lines(stream: BinaryIO | gzip.GzipFile, *, at: BinaryIO) -> Iterator[Record]:
    """Yield the records of lines; `at` is the file whose position tells how far we are."""
    position = 0
    while True:
        position += 1
        try:
            line = stream.readline(MAX_LINE_BYTES + 1)
            whole = len(line) <= MAX_LINE_BYTES or line.endswith(b"\n") or _skip_line(stream)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            if position == 1:
                raise
            yield Record(position, None, error=f"the compressed file breaks off: {error}", raw=b"")
            return
        if not line:
            return
        if position == 1:
            line = line.removeprefix(BOM)
        if line.strip():
            yield _record(position, line, whole=whole, done=_place(at))


def _place(file: BinaryIO) -> int:
    return file.tell() if file.seekable() else 0


def _skip_line(stream: BinaryIO | gzip.GzipFile) -> bool:
    """Read on to the end of a line that is too long, without keeping it."""
    while (piece := stream.readline(MAX_LINE_BYTES)) and not piece.endswith(b"\n"):
        pass
    return False


def _record(position: int, line: bytes, *, whole: bool, done: int) -> Record:
    if not whole:
        error = f"the line is longer than {MAX_LINE_BYTES:,} bytes, which no turn can fill"
        return Record(position, None, error=error, raw=line[:RAW_CHARS], done=done)
    value, problem = _parsed(line)
    return Record(position, value, error=problem, raw=line, done=done)


def _parsed(line: bytes) -> tuple[Any, str | None]:
    """Return the object that a line holds, or why it holds none."""
    try:
        value = json.loads(line.decode(), parse_constant=_no_constant)
    except UnicodeDecodeError as error:
        return None, f"not UTF-8: byte {error.start} is {line[error.start]:#04x}"
    except json.JSONDecodeError as error:
        return None, f"not JSON: {error.msg} at character {error.pos}"
    except RecursionError:
        return None, "not usable JSON: nested too deep"
    except ValueError as error:
        return None, f"not usable JSON: {error}"
    if not isinstance(value, dict):
        return None, f"a JSON {type(value).__name__}, and a record is an object"
    return value, None


def _no_constant(name: str) -> NoReturn:
    raise InvalidInput(f"{name} is not JSON. Use null instead")


@contextmanager
def _parquet(path: Path) -> Iterator[Any]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            yield file
    except (OSError, pa.ArrowException) as error:
        raise unreadable(path, error) from error


def _rows(path: Path) -> Iterator[Record]:
    position = 0
    with _parquet(path) as file:
        _check_columns(path, file.schema_arrow.names)
        for batch in file.iter_batches(batch_size=ROWS):
            for row, problem in _converted(_microseconds(batch)):
                position += 1
                yield _row_record(row, problem, position=position)


def _check_columns(path: Path, names: list[str]) -> None:
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise InvalidInput(
            f"the file {str(path)!r} has several columns {min(twice)!r}, and which is meant is "
            "unknown. Rename all but one."
        )


def _converted(batch: pa.RecordBatch) -> Iterator[tuple[dict[str, Any], str | None]]:
    """Yield each row, and why it is not whole; cell by cell only where the batch fails."""
    try:
        rows = batch.to_pylist()
    except UNCONVERTIBLE:
        yield from (_cells(batch, at=at) for at in range(batch.num_rows))
    else:
        yield from ((row, None) for row in rows)


def _cells(batch: pa.RecordBatch, *, at: int) -> tuple[dict[str, Any], str | None]:
    """Return the cells of a row that Python can hold, and why another is missing."""
    cells: dict[str, Any] = {}
    problem = None
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        try:
            cells[name] = column[at].as_py()
        except UNCONVERTIBLE as error:
            problem = f"the cell of column {name!r} cannot be read: {error}"
    return cells, problem


def _row_record(row: dict[str, Any], problem: str | None, *, position: int) -> Record:
    """Return the record of a row, its metadata read from JSON where it is text."""
    value = {key: cell for key, cell in row.items() if cell is not None}
    if problem is None and isinstance(value.get("metadata"), str):
        try:
            value["metadata"] = json.loads(value["metadata"])
        except (RecursionError, ValueError) as error:
            problem = f"the metadata is text and not usable JSON: {error}"
    if problem is not None:
        raw = _as_text(row).encode()
        return Record(position, None, error=problem, raw=raw, done=position)
    return Record(position, value, done=position)


def _microseconds(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Return a batch without nanoseconds, which Python's datetimes cannot hold.

    Coarser units stay: an unchecked cast would wrap their far dates around.
    """
    import pyarrow as pa

    columns = [
        column.cast(pa.timestamp("us", tz=column.type.tz), safe=False)
        if pa.types.is_timestamp(column.type) and column.type.unit == "ns"
        else column
        for column in batch.columns
    ]
    return pa.RecordBatch.from_arrays(columns, names=batch.schema.names)
