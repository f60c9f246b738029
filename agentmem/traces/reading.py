"""The files of a folder of spans as one table, and the rows of it that match as values.

The columns that people filter by are read once for each file; attributes are read for the spans
that leave only. Files may come and go meanwhile, because other processes record and tidy.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

import pyarrow as pa
import pyarrow.compute as pc

from agentmem.errors import StoreError, StoreNotFound
from agentmem.telemetry.span_files import SpanFile, SpanFiles
from agentmem.telemetry.span_rows import COLUMNS, schema
from agentmem.traces.spans import SpanRow, moment_of
from agentmem.visible import visible

__all__ = ["SpanReader", "no_traces"]

T = TypeVar("T")

HEAVY: Final = ("attributes", "events", "resource")
LIGHT: Final = tuple(name for name in COLUMNS if name not in HEAVY)
MOMENTS: Final = ("started_at", "ended_at")
TRIES: Final = 5  # readings without the lock; a merge takes its files away once

logger = logging.getLogger("agentmem")


class SpanReader:
    """Reads one folder.

    Args:
        folder: The folder.

    Attributes:
        skipped: Files that the last call could not read, each with the reason.
    """

    def __init__(self, folder: Path) -> None:
        self.skipped: Mapping[str, str] = {}
        self._folder = folder
        self._files = SpanFiles(folder)
        self._known: dict[str, pa.Table] = {}

    def rows(self, mask: pc.Expression, *, limit: int | None = None) -> tuple[SpanRow, ...]:
        """Return the spans that match, the newest first, each once."""
        return self._retried(lambda: self._rows(mask, limit=limit))

    def ids(self, prefix: str) -> dict[str, str]:
        """Return the trace of each span that begins with some digits, or whose trace does."""
        span, trace = (pc.starts_with(pc.field(one), prefix) for one in ("span_id", "trace_id"))
        found = self._retried(self._table).filter(span | trace).select(["span_id", "trace_id"])
        return {row["span_id"]: row["trace_id"] for row in found.to_pylist()}

    def _rows(self, mask: pc.Expression, *, limit: int | None) -> tuple[SpanRow, ...]:
        found = self._table().filter(mask).sort_by([("started_at", "descending")])
        found = found.take(_first_of_each(found, limit=limit))
        heavy = self._heavy(found["file"].to_pylist(), found["place"].to_pylist())
        for name in MOMENTS:  # as values of nanoseconds they would need pandas
            place = found.schema.get_field_index(name)
            found = found.set_column(place, name, found[name].cast(pa.int64()))
        light = found.drop_columns(["file", "place"]).to_pylist()
        return tuple(_span(one | more) for one, more in zip(light, heavy, strict=True))

    def _heavy(self, names: list[Any], places: list[Any]) -> list[dict[str, Any]]:
        """Read the attributes, events and resources that stand at some places of files."""
        rows: list[dict[str, Any]] = [{}] * len(names)
        of_file: dict[str, list[int]] = {}
        for at, name in enumerate(names):
            of_file.setdefault(name, []).append(at)
        for name, here in of_file.items():
            table = self._files.read(self._folder / name, HEAVY)
            found = table.take([places[at] for at in here]).to_pylist()
            for at, row in zip(here, found, strict=True):
                rows[at] = row
        return rows

    def _table(self) -> pa.Table:
        """Return the light columns of all spans, with the file and the place of each."""
        known: dict[str, pa.Table] = {}
        skipped: dict[str, str] = {}
        for file in self._present():
            name = file.path.name
            try:
                known[name] = self._known[name] if name in self._known else self._read(file)
            except FileNotFoundError:
                self._known = known | self._known  # another try reads only what is new
                raise
            except (OSError, ValueError, LookupError) as error:  # pyarrow's own are among these
                skipped[name] = f"{type(error).__name__}: {str(error)[:200]}"
        for name in skipped.keys() - self.skipped.keys():
            where = visible(str(self._folder / name))
            logger.warning("%s is left out: it is no readable file of spans", where)
        self._known, self.skipped = known, skipped
        return pa.concat_tables([_nothing(), *known.values()])

    def _read(self, file: SpanFile) -> pa.Table:
        return _placed(self._files.read(file.path, LIGHT), name=file.path.name)

    def _present(self) -> list[SpanFile]:
        try:
            return self._files.oldest_first()
        except FileNotFoundError as error:
            raise no_traces(self._folder, "there is no such folder") from error
        except OSError as error:
            raise StoreError(
                f"the traces in {self._folder} cannot be read: {error.strerror}. Repair: check the "
                "rights on that folder."
            ) from error

    def _retried(self, reading: Callable[[], T]) -> T:
        """Read again where a file went away meanwhile; in the end while none can be merged."""
        for _ in range(TRIES):
            try:
                return reading()
            except StoreNotFound:
                raise
            except FileNotFoundError:
                continue
        try:
            with self._files.locked():
                return reading()
        except StoreNotFound:
            raise
        except OSError as error:  # a folder that only others may write, for one
            raise StoreError(
                f"files in {self._folder} keep vanishing while they are read. Try again."
            ) from error


def no_traces(folder: Path, why: str) -> StoreNotFound:
    """Return the error of a folder that holds no traces."""
    return StoreNotFound(
        f"no traces in {folder}: {why}. Repair: name the folder that spans are recorded in, or "
        "record some with agentmem.telemetry.record(path)."
    )


def _placed(table: pa.Table, *, name: str) -> pa.Table:
    """Note for each row where its attributes are."""
    file = pa.repeat(pa.scalar(name, pa.string()), table.num_rows)
    place = pa.array(range(table.num_rows), pa.int64())
    return table.append_column("file", file).append_column("place", place)


def _nothing() -> pa.Table:
    empty = schema().empty_table().select(list(LIGHT))
    return _placed(empty, name="").replace_schema_metadata(None)


def _first_of_each(table: pa.Table, *, limit: int | None) -> pa.Int64Array:
    """Return the places of spans, each once: a merge leaves some in two files for a moment."""
    seen: set[tuple[Any, Any]] = set()
    places: list[int] = []
    ids = zip(table["trace_id"].to_pylist(), table["span_id"].to_pylist(), strict=True)
    for place, one in enumerate(ids):
        if limit is not None and len(places) >= limit:
            break
        if one not in seen:
            seen.add(one)
            places.append(place)
    return pa.array(places, pa.int64())


def _span(row: Mapping[str, Any]) -> SpanRow:
    told = {name: json.loads(row[name] or "null") for name in HEAVY}
    values: dict[str, Any] = {name: row[name] for name in LIGHT}
    values |= {name: moment_of(row[name] or 0) for name in MOMENTS}
    return SpanRow(
        **values,
        attributes=told["attributes"] or {},
        events=tuple(told["events"] or ()),
        resource=told["resource"] or {},
    )
