"""What the doctor reads of a table: its schema, every row that can be read, and what cannot be.

A damaged file fails every scan of its table. Addresses of rows come from the manifest alone, so
the fragments can be listed nevertheless, and each read by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Final, TypeVar

import numpy as np
import pyarrow as pa
from lancedb.table import Table
from numpy.typing import NDArray

from agentmem.errors import StoreError
from agentmem.storage import canaries, fits, journal, questions
from agentmem.storage.arrow import strings
from agentmem.storage.border import store_errors
from agentmem.storage.copying import SCHEMAS
from agentmem.storage.generations import Whole
from agentmem.storage.lesson_schema import lessons_schema
from agentmem.storage.lessons import LESSONS
from agentmem.storage.manifests import newest_manifest
from agentmem.storage.meta import META_SCHEMA
from agentmem.storage.opening import Opened
from agentmem.storage.upkeep import OF_A_GENERATION

__all__ = ["Damaged", "TableSeen", "expected_schema"]

T = TypeVar("T")

BATCH: Final = 8_192  # rows: 15 MB with vectors of 384
NAMED: Final = 20  # turns of a damaged file that are told by name
LOOKED_AT: Final = 20  # past versions, for what a damaged file held
KEY_FIELD: Final = b"lance-schema:unenforced-primary-key"
PANIC: Final = "PanicException"  # what Rust's raises; its class cannot be imported


@dataclass(frozen=True, slots=True)
class Damaged:
    """A fragment that cannot be read.

    Attributes:
        files: Where its rows are.
        rows: How many it has.
        error: What LanceDB says.
        known: Ids of turns it held, as far as other columns or past versions tell.
    """

    files: tuple[Path, ...]
    rows: int
    error: str
    known: tuple[str, ...]


class TableSeen:
    """One table, as it is when it is opened; nothing is written to it.

    Args:
        whole: The store.
        name: Of the table.

    Raises:
        StoreError: It cannot be opened.
    """

    def __init__(self, whole: Whole, name: str) -> None:
        self._opened: Opened = whole.opened
        self.name = name
        whole.guard.check()
        with store_errors(self._opened.uri, f"open the table {name}"):
            self._table: Table = self._opened.db.open_table(name)
            self.version = int(self._table.version)
            self._table.checkout(self.version)
            self.schema: pa.Schema = self._table.schema

    @cached_property
    def rows(self) -> int:
        """How many rows it has."""
        with store_errors(self._opened.uri, f"count {self.name}"):
            return self._count()

    def schema_faults(self, expected: pa.Schema) -> list[str]:
        """Return in what the table is not as it was made."""
        faults = []
        for field in expected:
            if field.name not in self.schema.names:
                faults.append(f"{self.name} lacks the column {field.name!r}")
                continue
            found = self.schema.field(field.name)
            if not _same_type(found.type, field.type):
                faults.append(f"{self.name}.{field.name} is {found.type}, not {field.type}")
        return faults

    def lacks_key(self, expected: pa.Schema) -> str | None:
        """Return the column that should be its primary key, and is not marked as one."""
        for field in expected:
            if KEY_FIELD in (field.metadata or {}) and field.name in self.schema.names:
                found = self.schema.field(field.name)
                return None if KEY_FIELD in (found.metadata or {}) else field.name
        return None

    @cached_property
    def damaged(self) -> tuple[Damaged, ...]:
        """The fragments that cannot be read, after reading everything once."""
        whole = _tried(self._scan)
        if whole is None:
            return ()
        try:
            fragments = self._fragments()
        except StoreError:  # a file that says which rows were deleted: without it, none is certain
            return (Damaged(self._deletions(), self._count(), whole, ()),)
        found = []
        for fragment, offsets in fragments.items():
            error = _tried(partial(self._take, offsets, self.schema.names))
            if error is not None:
                found.append(self._damaged(fragment, offsets, error))
        return tuple(found)

    def batches(self, columns: Sequence[str]) -> Iterator[pa.Table]:
        """Give the rows that can be read."""
        wanted = [name for name in columns if name in self.schema.names]
        if not self.damaged:
            with store_errors(self._opened.uri, f"read {self.name}"):
                for batch in self._table.search().select(wanted).to_batches(BATCH):
                    yield pa.Table.from_batches([batch])
            return
        for offsets in self._fragments().values():
            for start in range(0, len(offsets), BATCH):
                with suppress(OSError, RuntimeError, ValueError):
                    yield self._take(offsets[start : start + BATCH], wanted)

    def unindexed(self) -> dict[str, tuple[int, int]]:
        """Return for each index how many rows it covers, and how many it does not."""
        with store_errors(self._opened.uri, f"read the indexes of {self.name}"):
            names = [one.name for one in self._table.list_indices()]
            stats: dict[str, Any] = {name: self._table.index_stats(name) for name in names}
        return {
            name: (int(one.num_indexed_rows), int(one.num_unindexed_rows))
            for name, one in stats.items()
            if one is not None
        }

    def nearest(self, vector: NDArray[np.float32], k: int, *, exact: bool) -> list[int]:
        """Return the ids of the rows nearest to a vector, by the index or past it."""
        with store_errors(self._opened.uri, f"search {self.name}"):
            query: Any = self._table.search(vector, vector_column_name="vector")
            query = query.distance_type("cosine")
            query = query.bypass_vector_index() if exact else query
            rows = query.select(["_rowid", "_distance"]).limit(k).to_arrow()
        return [int(one) for one in rows["_rowid"].to_pylist()]

    def _scan(self) -> None:
        for _ in self._table.search().to_batches(BATCH):
            pass

    def _count(self) -> int:
        return int(self._table.count_rows())

    def _fragments(self) -> dict[int, list[int]]:
        """Return the places of the rows of each fragment, from the manifest alone."""
        with store_errors(self._opened.uri, f"read {self.name}"):
            rows = self._table.search().select(["_rowaddr"]).to_arrow()
        fragments = np.asarray(rows["_rowaddr"].to_numpy()).astype(np.uint64) >> np.uint64(32)
        found: dict[int, list[int]] = {}
        for offset, fragment in enumerate(fragments.tolist()):
            found.setdefault(int(fragment), []).append(offset)
        return found

    def _take(self, offsets: Sequence[int], columns: Sequence[str]) -> pa.Table:
        return self._table.take_offsets(list(offsets)).select(list(columns)).to_arrow()

    def _damaged(self, fragment: int, offsets: list[int], error: str) -> Damaged:
        files: tuple[Path, ...] = ()
        with suppress(StoreError):
            folder = self._opened.folder
            manifest = None if folder is None else newest_manifest(folder / f"{self.name}.lance")
            listed = () if manifest is None else manifest.files
            files = tuple(one.path for one in listed if one.fragment == fragment)
        return Damaged(files, len(offsets), error, tuple(self._known(fragment, offsets)))

    def _known(self, fragment: int, offsets: list[int]) -> list[str]:
        """Return ids that a damaged fragment held, where anything still tells them."""
        if "id" not in self.schema.names:
            return []
        some = offsets[:NAMED]
        with suppress(OSError, RuntimeError, ValueError):
            return strings(self._take(some, ["id"])["id"])
        with suppress(OSError, RuntimeError, ValueError):
            rows = self._table.search().select(["_rowid", "_rowaddr"]).to_arrow()
            owner = rows["_rowaddr"].to_numpy().astype(np.uint64) >> np.uint64(32)
            wanted = rows["_rowid"].to_numpy()[owner == fragment][:NAMED].tolist()
            return self._in_the_past([int(one) for one in wanted])
        return []

    def _in_the_past(self, row_ids: list[int]) -> list[str]:
        """Look rows up in past versions, whose files may be others."""
        past = self._opened.db.open_table(self.name)
        versions = sorted((int(one["version"]) for one in past.list_versions()), reverse=True)
        for version in versions[1 : LOOKED_AT + 1]:
            with suppress(OSError, RuntimeError, ValueError):
                past.checkout(version)
                found = past.take_row_ids(row_ids).select(["id"]).to_arrow()
                if found.num_rows:
                    return strings(found["id"])
        return []

    def _deletions(self) -> tuple[Path, ...]:
        folder = self._opened.folder
        if folder is None:
            return ()
        listed = sorted(folder.joinpath(f"{self.name}.lance", "_deletions").glob("*"))
        broken = [path for path in listed if path.suffix == ".arrow" and _tried(_opened(path))]
        return tuple(broken or listed)


def _opened(path: Path) -> Callable[[], object]:
    """Return what opens an Arrow file."""
    return lambda: pa.ipc.open_file(path.read_bytes())


def expected_schema(name: str, *, dimensions: Mapping[int, int]) -> pa.Schema | None:
    """Return the schema that a table of that name is made with; None for one that is not ours.

    Args:
        name: Of the table.
        dimensions: Of the vectors of each generation.
    """
    match = OF_A_GENERATION.fullmatch(name)
    if match is None:
        return _FIXED[name]() if name in _FIXED else None
    dimension = dimensions.get(int(match[2]))
    make = _MADE.get(match[1])
    return None if dimension is None or make is None else make(dimension)


_MADE: Final[Mapping[str, Callable[[int], pa.Schema]]] = {
    **SCHEMAS,
    canaries.CANARIES: lambda _: canaries.SCHEMA,
    questions.QUESTIONS: questions.questions_schema,
}
_FIXED: Final[Mapping[str, Callable[[], pa.Schema]]] = {
    "meta": lambda: META_SCHEMA,
    LESSONS: lessons_schema,
    fits.FITS: lambda: pa.schema(fits.COLUMNS),
    journal.EVENTS: lambda: pa.schema(journal.EVENT_COLUMNS),
    journal.CHECKS: lambda: pa.schema(journal.CHECK_COLUMNS),
}


def _same_type(found: pa.DataType, expected: pa.DataType) -> bool:
    """Compare types by what they hold: LanceDB names the items of lists in its own way."""
    lists = (pa.types.is_fixed_size_list, pa.types.is_list)
    if any(one(found) and one(expected) for one in lists):
        sizes = getattr(found, "list_size", 0), getattr(expected, "list_size", 0)
        values: Any = (found, expected)
        return bool(sizes[0] == sizes[1] and values[0].value_type == values[1].value_type)
    if expected == pa.json_() and pa.types.is_large_binary(found):  # how LanceDB keeps it
        return True
    return bool(found == expected)


def _tried(read: Callable[[], T]) -> str | None:
    """Read, and return what prevented it; None where nothing did."""
    try:
        read()
    except (OSError, RuntimeError, ValueError) as error:
        return str(error).partition("\n")[0][:200] or type(error).__name__
    except BaseException as error:
        if type(error).__name__ != PANIC:
            raise
        return f"LanceDB panicked: {str(error)[:100]}"
    return None
