"""`Catalogue`: the tools of one store, as rows of LanceDB, a tool at a time whole.

Each write is one commit: no reader, of whichever process, sees a tool missing, twice, or half
old and half new. The table is made by the first write.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from lancedb.table import Table
from numpy.typing import NDArray

from agentmem.storage.arrow import matrix, strings
from agentmem.storage.guard import Guard
from agentmem.storage.keyed import insert_absent, read_keyed, replace_keyed
from agentmem.storage.late import LateTable, PastTable
from agentmem.storage.opening import Opened
from agentmem.storage.quoting import EVERYTHING, both, literal
from agentmem.storage.sql import keys_sql
from agentmem.storage.tool_schema import HEAD, HEAD_COLUMNS, tools_schema
from agentmem.types import FIRST_GENERATION

__all__ = ["ARGUMENTS", "DESCRIPTION", "NAME", "TOOLS", "Catalogue", "CatalogueState"]

TOOLS: Final = "tools"
REGISTER: Final = "register tools"
REPLACE: Final = "replace tools"
REMOVE: Final = "remove tools"
DESCRIPTION: Final = 0
ARGUMENTS: Final = 1
NAME: Final = 2
KINDS: Final = ("description", "arguments", "name")  # in the order of their numbers
ORDER: Final[list[tuple[str, Literal["ascending", "descending"]]]] = [
    ("registered_at", "ascending"),
    ("key", "ascending"),
]
NOWHERE: Final = -1  # the owner of a row whose head is not there


@dataclass(frozen=True, slots=True)
class CatalogueState:
    """Every tool of one version of a catalogue: T tools with V pieces of their views.

    Attributes:
        version: Of the table; 0 while there is none.
        heads: One row a tool, in order of registration, with `tool_schema.HEAD_COLUMNS`.
        owners: For each piece the place of its tool in `heads`, ascending, int32, shape (V,).
        kinds: For each piece `DESCRIPTION`, `ARGUMENTS` or `NAME`, int8, shape (V,).
        texts: What was embedded.
        vectors: Float32 unit rows, C-contiguous, shape (V, D).
        generation: Number of the store's generation it is of.
        passport_id: Of the space the vectors lie in.
    """

    version: int
    heads: pa.Table
    owners: NDArray[np.int32]
    kinds: NDArray[np.int8]
    texts: list[str]
    vectors: NDArray[np.float32]
    generation: int = FIRST_GENERATION
    passport_id: str = ""


class Catalogue:
    """The tools of a store. Safe for several threads; any number of processes may write."""

    def __init__(self, opened: Opened, *, guard: Guard) -> None:
        self._guard = guard
        self._generation = opened.generation
        schema = tools_schema(opened.passport.dimension)
        self._table = LateTable(
            opened, table=opened.table(TOOLS), holding="tools", schema=schema, guard=guard
        )

    @property
    def version(self) -> int:
        """Version of the newest commit, by whichever process; 0 while nothing was stored."""
        return self._table.version

    def hashes(self, namespace: str | None) -> dict[str, str]:
        """Return the content hash of each tool, by key; of every namespace for None."""
        return self._by_key("content_hash", namespace=namespace)

    def names(self, namespace: str | None) -> dict[str, str]:
        """Return the name of each tool, by key; of every namespace for None."""
        return self._by_key("name", namespace=namespace)

    def definitions(self, keys: Sequence[str]) -> dict[str, str]:
        """Return the definition of each of these tools that is there, by key.

        They are JSON texts, for `tool_schema.tool_from_definition`.
        """
        handle = self._table.found()
        if handle is None:
            return {}
        rows = read_keyed(handle, keys, columns=["key", "definition"], where=HEAD)
        return _paired(rows, "definition")

    def insert_absent(self, rows: pa.Table) -> list[str]:
        """Store the rows of tools whose keys are not taken yet, also by a writer of this moment.

        Args:
            rows: From `tool_schema.tool_rows`.

        Returns:
            The keys that are taken by a tool of another content, and so were not stored. If it
            was removed at the same moment, such a key is free again.

        Raises:
            ConcurrentWrite: Others came first at every attempt.
            StoreError: The write failed; nothing was stored.
        """
        self._guard.check_writable(REGISTER)
        if not rows.num_rows:
            return []
        handle = self._table.made(REGISTER)
        return insert_absent(handle, rows, row_key="view_key", heads=HEAD, action=REGISTER)

    def rewrite(self, remove: Sequence[str], rows: pa.Table | None) -> int:
        """Put tools in the place of those of the same keys, and remove others, in one commit.

        Args:
            remove: Keys of tools to remove. A tool that has rows as well is replaced.
            rows: From `tool_schema.tool_rows`; they need not exist yet. None for none.

        Returns:
            The version that holds them.

        Raises:
            ConcurrentWrite: Others came first at every attempt.
            StoreError: The write failed; nothing was changed.
        """
        if rows is None or not rows.num_rows:
            return self._remove(remove)
        keys = dict.fromkeys([*remove, *strings(rows["key"])])
        return replace_keyed(
            self._table.made(REPLACE), keys, rows=rows, row_key="view_key", action=REPLACE
        )

    def read(self, since: int | None) -> CatalogueState | None:
        """Return every tool, all at one version of the table.

        Args:
            since: A version; None is returned if it is still the newest.
        """
        return self._of(_read(self._table, since=since))

    def read_at(self, version: int) -> CatalogueState:
        """Return every tool as it was at one version of the table; 0 is before there was any.

        Raises:
            VersionGone: That version is no longer kept, or there is none of that number yet.
            StoreError: The store could not be read.
        """
        found = _read(self._table.at(version), since=None)
        return self._of(found) or _state(self._table.schema.empty_table(), version=0)

    def check_kept(self, version: int) -> None:
        """Refuse a version that is no longer kept, even where it was read a moment ago.

        Raises:
            VersionGone: It is no longer kept, or there is none of that number yet.
            StoreError: The store could not be read.
        """
        self._table.at(version)

    def compact(self) -> None:
        """Merge what many small writes left behind; a no-op while others write."""
        self._table.compact()

    def tidy(self) -> None:
        """Compact before leaving, if that is worth it."""
        self._table.tidy()

    def _of(self, state: CatalogueState | None) -> CatalogueState | None:
        """Say which generation a state is of."""
        if state is None:
            return None
        now = self._generation
        return replace(state, generation=now.number, passport_id=now.passport.id)

    def _remove(self, keys: Sequence[str]) -> int:
        self._guard.check_writable(REMOVE)
        handle = self._table.found()
        if handle is None or not keys:
            return self.version

        def delete(table: Table) -> int:
            return int(table.delete(keys_sql(keys)).version)

        return handle.commit(delete, action=REMOVE)

    def _by_key(self, column: str, *, namespace: str | None) -> dict[str, str]:
        handle = self._table.found()
        if handle is None:
            return {}
        within = EVERYTHING if namespace is None else f"namespace = {literal(namespace)}"
        with handle.reading() as table:
            rows = table.search().where(both(within, HEAD)).select(["key", column]).to_arrow()
        return _paired(rows, column)


def _read(there: LateTable | PastTable, *, since: int | None) -> CatalogueState | None:
    """Return every tool of a table; None if its version is still the one that is known."""
    handle = there.found()
    if handle is None:
        return None if since == 0 else _state(there.schema.empty_table(), version=0)
    if since is not None and since == handle.version:
        return None
    with handle.pinned() as table:
        rows = table.search().select([*HEAD_COLUMNS, "piece", "kind", "text", "vector"])
        return _state(rows.to_arrow(), version=int(table.version))


def _paired(rows: pa.Table, column: str) -> dict[str, str]:
    return dict(zip(strings(rows["key"]), strings(rows[column]), strict=True))


def _state(rows: pa.Table, *, version: int) -> CatalogueState:
    """Sort rows into tools and pieces, without those that belong to no head's content.

    Such rows are what a writer that lost a race for a name has yet to delete.
    """
    piece = rows["piece"].to_numpy()
    heads = rows.select(list(HEAD_COLUMNS)).filter(pa.array(piece == 0)).sort_by(ORDER)
    heads = heads.combine_chunks()
    owner = _owners(rows, heads)
    order = np.lexsort((piece, owner))[np.count_nonzero(owner == NOWHERE) :]
    others = rows.select(["kind", "text"]).take(order)
    kinds: Any = pc.index_in(others["kind"], value_set=pa.array(KINDS))
    return CatalogueState(
        version=version,
        heads=heads,
        owners=owner[order],
        kinds=kinds.to_numpy().astype(np.int8),
        texts=strings(others["text"]),
        vectors=matrix(rows["vector"])[order],
    )


def _owners(rows: pa.Table, heads: pa.Table) -> NDArray[np.int32]:
    """Return the place of the head that each row belongs to, shape (N,)."""
    place: Any = pc.index_in(rows["key"], value_set=heads["key"])
    same = pc.equal(rows["content_hash"], heads["content_hash"].take(place))
    belonging: Any = pc.if_else(same, place, pa.scalar(None, pa.int32()))
    owners: NDArray[np.int32] = belonging.fill_null(NOWHERE).to_numpy().astype(np.int32)
    return owners
