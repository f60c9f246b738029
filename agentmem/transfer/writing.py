"""Writing turns to a file: whole or not at all, in bounded memory.

The file appears under its name only when it is complete; what breaks off leaves nothing behind.
"""

from __future__ import annotations

import gzip
import json
import os
import secrets
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from agentmem.errors import InvalidInput, StoreError
from agentmem.transfer.records import VECTORS, Format, format_of, turn_record
from agentmem.types import Turn

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["VectorsOf", "write_turns"]

VectorsOf: TypeAlias = Callable[[Sequence[Turn]], Sequence[NDArray[np.float32]]]
"""Gives, for each turn, the vectors of its chunks: shape (chunks, dimension)."""

TIMES: Final = (  # text in JSON, and timestamps in Parquet
    *("created_at", "ingested_at", "valid_until", "superseded_at", "expires_at"),
)

_Write: TypeAlias = Callable[[list[dict[str, Any]]], None]


def write_turns(
    path: str | os.PathLike[str],
    batches: Iterable[Sequence[Turn]],
    *,
    vectors: VectorsOf | None = None,
    overwrite: bool = False,
) -> int:
    """Write turns to a JSON lines or Parquet file.

    Args:
        path: The file; its suffix (.jsonl, .ndjson, also .gz, .parquet) tells the format.
        batches: The turns, in batches that fit in memory.
        vectors: Looks up the vectors of a batch, to write them too.
        overwrite: Whether a file of that name is replaced.

    Returns:
        How many turns were written.

    Raises:
        InvalidInput: The suffix is unknown, or the file exists and `overwrite` is False.
        StoreError: The file could not be written; nothing of it is left.
    """
    target = Path(path)
    kind = format_of(target)
    _check_free(target, overwrite=overwrite)
    written = 0
    with _replacing(target, overwrite=overwrite) as file, _writer(file, kind) as write:
        for batch in batches:
            write(_records(batch, vectors))
            written += len(batch)
    return written


def _check_free(target: Path, *, overwrite: bool) -> None:
    if target.exists() and not (overwrite and target.is_file()):
        raise InvalidInput(
            f"{str(target)!r} exists already, and is kept. Choose another name, or pass "
            "overwrite=True to replace a file."
        )


def _records(batch: Sequence[Turn], vectors: VectorsOf | None) -> list[dict[str, Any]]:
    records = [turn_record(turn) for turn in batch]
    if vectors is not None:
        for record, chunks in zip(records, vectors(batch), strict=True):
            record[VECTORS] = chunks.tolist()
    return records


@contextmanager
def _replacing(target: Path, *, overwrite: bool) -> Iterator[IO[bytes]]:
    """Give a file beside the target that becomes the target when the block ends well."""
    part = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
    try:
        with part.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        _check_free(target, overwrite=overwrite)
        part.replace(target)
    except BaseException as error:
        part.unlink(missing_ok=True)
        if isinstance(error, OSError) and not isinstance(error, StoreError):
            raise StoreError(
                f"{str(target)!r} could not be written: {error}. Nothing of it is left. Check "
                "that its folder exists, may be written, and has room."
            ) from error
        raise


@contextmanager
def _writer(file: IO[bytes], kind: Format) -> Iterator[_Write]:
    if kind == "parquet":
        with _parquet_writer(file) as write:
            yield write
    elif kind == "jsonl":
        yield lambda records: _write_lines(file, records)
    else:
        with gzip.GzipFile(fileobj=file, mode="wb") as packed:
            yield lambda records: _write_lines(packed, records)


def _write_lines(file: IO[bytes] | gzip.GzipFile, records: list[dict[str, Any]]) -> None:
    for record in records:
        line = json.dumps(record, ensure_ascii=False, allow_nan=False)
        file.write(line.encode() + b"\n")


@contextmanager
def _parquet_writer(file: IO[bytes]) -> Iterator[_Write]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = _schema()
    with pq.ParquetWriter(file, schema, compression="zstd") as writer:
        yield lambda records: writer.write_batch(
            pa.RecordBatch.from_pylist([_row(record) for record in records], schema=schema)
        )


def _row(record: dict[str, Any]) -> dict[str, Any]:
    """Return a record as Parquet holds it: real times, and metadata as JSON text."""
    times: dict[str, Any] = {
        key: datetime.fromisoformat(record[key]) for key in TIMES if key in record
    }
    metadata = record.get("metadata")
    text = None if metadata is None else json.dumps(metadata, ensure_ascii=False, allow_nan=False)
    return {**record, **times, "metadata": text}


def _schema() -> pa.Schema:
    import pyarrow as pa

    attachment = pa.struct([pa.field(name, pa.string()) for name in ("type", "url", "caption")])
    texts = (
        *("id", "role", "content", "name", "user_id", "agent_id", "session_id", "metadata"),
        "superseded_by",
    )
    columns: dict[str, pa.DataType] = {
        **dict.fromkeys(texts, pa.string()),
        **dict.fromkeys(TIMES, pa.timestamp("us", tz="UTC")),
        "importance": pa.float64(),
        "pinned": pa.bool_(),
        "attachments": pa.list_(attachment),
        VECTORS: pa.list_(pa.list_(pa.float32())),
    }
    return pa.schema(columns)
