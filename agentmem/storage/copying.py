"""Two generations of one holding: what the next one lacks of the one in force, and how it gets it.

The table of the next generation is its own checkpoint: what is to be done follows from comparing
keys and revisions of both, so that a copy that was killed goes on wherever it was.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from agentmem.storage.arrow import matrix, strings
from agentmem.storage.catalogue import TOOLS
from agentmem.storage.description import Generation
from agentmem.storage.erasure import Rewriter
from agentmem.storage.guard import Guard
from agentmem.storage.handle import Handle
from agentmem.storage.keyed import read_keyed, replace_keyed
from agentmem.storage.lesson_schema import observations_schema
from agentmem.storage.lessons import EXAMPLES
from agentmem.storage.opening import TURNS, Opened, has_table, open_or_make
from agentmem.storage.quoting import EVERYTHING, literal
from agentmem.storage.schema import turns_schema
from agentmem.storage.sql import HEADS, keys_sql
from agentmem.storage.tool_schema import HEAD, tools_schema
from agentmem.types import Held

__all__ = [
    "SCHEMAS",
    "Copy",
    "Outstanding",
    "copies",
    "drop_tables",
    "holdings",
    "make_tables",
]

CARRY: Final = "carry rows to the next generation"
VECTORS_A_READ: Final = 20_000  # 30 MB at 384 dimensions
SEEN: Final = ["key", "rev"]
NEW: Final = pa.scalar(value=False)  # what comparing with nothing gives


@dataclass(frozen=True, slots=True)
class _Shape:
    """How the rows of a holding are told apart."""

    row_key: str
    heads: str


SHAPES: Final[dict[Held, _Shape]] = {
    "turns": _Shape("chunk_key", HEADS),
    "tools": _Shape("view_key", HEAD),
    "tool_examples": _Shape("key", EVERYTHING),
}
SCHEMAS: Final = {TURNS: turns_schema, TOOLS: tools_schema, EXAMPLES: observations_schema}


@dataclass(frozen=True, slots=True)
class Outstanding:
    """What the next generation lacks.

    Attributes:
        keys: To be copied: they are missing, or of an earlier write.
        gone: To be removed: they are no longer in the generation in force.
        total: Keys of the generation in force.
    """

    keys: list[str]
    gone: list[str]
    total: int

    def __len__(self) -> int:
        return len(self.keys) + len(self.gone)


class Copy:
    """A holding in two generations. One process at a time may write to the second.

    Attributes:
        held: Which holding.
    """

    def __init__(
        self, opened: Opened, *, held: Held, source: Generation, target: Generation, guard: Guard
    ) -> None:
        self.held = held
        self._shape = SHAPES[held]
        self._dimension = target.passport.dimension
        self._source, self._target = (
            Handle(opened, table=one.table(held), holding=held, guard=guard, compacts=False)
            for one in (source, target)
        )
        self._rewriter = Rewriter(opened, target.table(held), guard)

    def outstanding(self) -> Outstanding:
        """Compare keys and revisions of both, each at one version."""
        there, here = self._seen(self._source), self._seen(self._target)
        joined = there.join(here, "key", join_type="left outer", right_suffix="_here")
        same: Any = pc.equal(joined["rev"], joined["rev_here"])
        gone = here.join(there, "key", join_type="left anti")
        return Outstanding(
            keys=strings(joined.filter(pc.invert(pc.coalesce(same, NEW)))["key"]),
            gone=strings(gone["key"]),
            total=there.num_rows,
        )

    def read(self, keys: Sequence[str]) -> pa.Table:
        """Return the newest heads of these keys, without their vectors and those that are gone."""
        with self._source.reading() as table:
            columns = [name for name in table.schema.names if name != "vector"]
        return read_keyed(self._source, keys, columns=columns, where=self._shape.heads)

    def put(self, rows: pa.Table) -> None:
        """Put rows in the place of those of their keys, in one commit."""
        if rows.num_rows:
            keys = dict.fromkeys(strings(rows["key"]))
            replace_keyed(self._target, keys, rows=rows, row_key=self._shape.row_key, action=CARRY)

    def remove(self, keys: Sequence[str]) -> None:
        """Remove keys from the next generation."""
        if keys:
            self._target.commit(lambda table: table.delete(keys_sql(keys)), action=CARRY)

    def take_back(self, rows: pa.Table) -> None:
        """Erase those of some rows whose key is no longer in the generation in force.

        For when something was erased while they were carried: their bytes leave the files.
        """
        keys = list(dict.fromkeys(strings(rows["key"])))
        there = set(strings(read_keyed(self._source, keys, columns=["key"])["key"]))
        gone = [key for key in keys if key not in there]
        if gone:
            self._rewriter.remove(keys_sql(gone))
            self._rewriter.drop_past()

    def release(self) -> int:
        """Remove the rows whose text could not be embedded, so that they are outstanding again."""
        with self._target.reading() as table:
            found = table.search().where("passport = ''").select(["key"]).to_arrow()
        keys = list(dict.fromkeys(strings(found["key"])))
        self.remove(keys)
        return len(keys)

    def strangers(self, passport_id: str) -> tuple[int, int]:
        """Count the heads of the next generation that lie in another space, and in none."""
        heads = self._shape.heads
        with self._target.reading() as table:
            blank = int(table.count_rows(f"({heads}) AND passport = ''"))
            other = f"({heads}) AND passport <> '' AND passport <> {literal(passport_id)}"
            return int(table.count_rows(other)), blank

    def vectors(self) -> Iterator[NDArray[np.float32]]:
        """Stream all vectors of the next generation, at one version, shape (N, D) a batch."""
        with self._target.pinned() as table:
            query = table.search().select(["vector"])
            for batch in query.to_batches(VECTORS_A_READ):
                yield matrix(pa.Table.from_batches([batch])["vector"])

    def some(self, count: int, *, rng: np.random.Generator) -> list[str]:
        """Return some keys of the next generation whose rows have vectors of it."""
        with self._target.reading() as table:
            query = table.search().where(f"({self._shape.heads}) AND passport <> ''")
            keys = strings(query.select(["key"]).to_arrow()["key"])
        chosen = rng.choice(len(keys), size=min(count, len(keys)), replace=False)
        return [keys[place] for place in chosen.tolist()]

    def rows_of(self, keys: Sequence[str]) -> dict[str, NDArray[np.float32]]:
        """Return the vectors of the next generation by the key of their row."""
        name = self._shape.row_key
        rows = read_keyed(self._target, keys, columns=[name, "vector"])
        return dict(zip(strings(rows[name]), matrix(rows["vector"]), strict=True))

    def by_row(self, rows: pa.Table) -> dict[str, NDArray[np.float32]]:
        """Return the vectors of rows made anew by the key of their row."""
        keys = strings(rows[self._shape.row_key])
        return dict(zip(keys, matrix(rows["vector"]), strict=True))

    def _seen(self, handle: Handle) -> pa.Table:
        with handle.pinned() as table:
            return table.search().where(self._shape.heads).select(SEEN).to_arrow().select(SEEN)


def holdings(opened: Opened, generation: Generation) -> list[Held]:
    """Return what a generation has tables of."""
    at = opened.at(generation)
    return [held for held in SHAPES if has_table(at, generation.table(held))]


def copies(opened: Opened, *, source: Generation, target: Generation, guard: Guard) -> list[Copy]:
    """Return what has to be carried from one generation to another."""
    make_tables(opened, target, held=holdings(opened, source))
    return [
        Copy(opened, held=held, source=source, target=target, guard=guard)
        for held in holdings(opened, source)
    ]


def make_tables(opened: Opened, generation: Generation, *, held: Sequence[Held]) -> None:
    """Make the tables of a generation that are not there."""
    for one in held:
        schema = SCHEMAS[one](generation.passport.dimension)
        open_or_make(opened.db, generation.table(one), schema=schema)


def drop_tables(opened: Opened, generation: Generation) -> None:
    """Drop the tables of a generation, those that are there."""
    for name in (*SHAPES, "canaries", "questions"):
        table = generation.table(name)
        if has_table(opened, table):
            opened.db.drop_table(table)
