"""The reads of a store: turns by row, by key and by scope, and what is counted over them.

A read sees the newest commit of any process, or one past version. A scope is always named, and
comes first.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path
from typing import Any, Final, TypeVar

import numpy as np
import pyarrow as pa
from cachetools import LRUCache
from lancedb.query import ColumnOrdering
from lancedb.table import Table
from numpy.typing import NDArray

from agentmem.errors import FilesMissing, VersionGone
from agentmem.filters import Filter
from agentmem.storage.arrow import integers, matrix, strings
from agentmem.storage.border import persisting
from agentmem.storage.census import count_distinct, folder_bytes, sessions_of
from agentmem.storage.handle import Handle, Past, count_fragments
from agentmem.storage.keyed import read_keyed
from agentmem.storage.opening import Opened
from agentmem.storage.schema import TURN_COLUMNS, turn_from_row, turns_from_table
from agentmem.storage.sql import HEADS, both, where_sql
from agentmem.types import AllScopes, Passport, Scope, Session, StoreStats, Turn

__all__ = ["Reads"]

CONVERSATION: Final = ("event_time", "ingested_at", "id")
PAST_VERSIONS: Final = 4  # the newest, and those of searches that began a moment ago
LOOKED_AT: Final = 200  # versions, to see whether a turn was deleted in between; about a second

T = TypeVar("T")


class Reads:
    """What can be read from a store of turns: as it is now, or as it was at one version."""

    def __init__(self, handle: Handle | Past, opened: Opened) -> None:
        self._handle = handle
        self._opened = opened
        self._lock = threading.Lock()
        self._past: LRUCache[int, Reads] = LRUCache(PAST_VERSIONS)

    @property
    def name(self) -> str:
        """The folder or address, as it was given."""
        return self._opened.uri

    @property
    def folder(self) -> Path | None:
        """Where its files are; None where that is no local folder."""
        return self._opened.folder

    @property
    def passport(self) -> Passport:
        """Identity of the space its vectors lie in."""
        return self._opened.passport

    @property
    def generation(self) -> int:
        """Number of the generation it is of."""
        return self._opened.generation.number

    def at(self, version: int) -> Reads:
        """Return the store as it was at one version; reads of it see nothing newer.

        Raises:
            VersionGone: That version is no longer kept, or there is none of that number yet.
            StoreError: The store could not be read.
        """
        with self._lock:
            past = self._past.get(version)
        if past is None:
            past = Reads(self._handle.at(version), self._opened)
            with self._lock:
                self._past[version] = past
        return past

    def check_kept(self, version: int) -> None:
        """Refuse a version that is no longer kept, even where it was read a moment ago.

        Raises:
            VersionGone: It is no longer kept, or there is none of that number yet.
            StoreError: The store could not be read.
        """
        self._handle.at(version)

    @property
    def version(self) -> int:
        """Version of the newest commit, by whichever process."""
        return self._handle.version

    def pinned(self) -> AbstractContextManager[Table]:
        """Give the table of turns as it is now; it does not change while it is read."""
        return self._handle.pinned()

    def turns_by_row(self, row_ids: Iterable[int]) -> dict[int, Turn]:
        """Return the turns at the row ids of their first chunks, without those now deleted."""
        wanted = [int(row_id) for row_id in row_ids]
        if not wanted:
            return {}
        with self._handle.reading() as table:
            rows = table.take_row_ids(wanted).select([*TURN_COLUMNS, "_rowid"]).to_arrow()
            return {row["_rowid"]: turn_from_row(row) for row in rows.to_pylist()}

    def turns_by_key(self, keys: Sequence[str]) -> dict[str, Turn]:
        """Return the turns with these keys, without those that do not exist."""
        rows = read_keyed(self._handle, keys, columns=[*TURN_COLUMNS, "key"], where=HEADS)
        with self._handle.reading():  # a damaged cell shows when it is read
            return {row["key"]: turn_from_row(row) for row in rows.to_pylist()}

    def revisions(self, keys: Sequence[str]) -> dict[str, int]:
        """Return which write each of these keys is of, without those that do not exist."""
        rows = read_keyed(self._handle, keys, columns=["key", "rev"], where=HEADS)
        return dict(zip(strings(rows["key"]), integers(rows["rev"]).tolist(), strict=True))

    def returned(self, keys: Iterable[str], *, since: int) -> set[str]:
        """Return those of these keys that had no turn at some time after a version.

        All of them where more was deleted since than can be looked at: who asks wants to be sure.
        """
        wanted = set(keys)
        with self._handle.reading() as table:
            versions = _after_deletions(table.list_versions(), since=since)
        if len(versions) > LOOKED_AT:
            return wanted
        there = wanted
        try:
            for version in versions:
                past = self._handle.at(version)
                there = set(strings(read_keyed(past, there, columns=["key"], where=HEADS)["key"]))
        except (FilesMissing, VersionGone):  # pruned a moment ago
            return wanted
        return wanted - there

    def vectors_by_key(self, keys: Sequence[str]) -> dict[str, NDArray[np.float32]]:
        """Return the vectors of the chunks of each turn, in order, shape (chunks, D)."""
        rows = read_keyed(self._handle, keys, columns=["key", "chunk", "vector"]).sort_by("chunk")
        vectors = matrix(rows["vector"])
        places: dict[str, list[int]] = {}
        for place, key in enumerate(strings(rows["key"])):
            places.setdefault(key, []).append(place)
        return {key: vectors[at] for key, at in places.items()}

    def chunk_text(self, row_id: int) -> str | None:
        """Return the piece of text that a row's vector stands for; None if it was deleted."""
        with self._handle.reading() as table:
            rows = table.take_row_ids([int(row_id)]).select(["text", "content"]).to_arrow()
        row = (rows.to_pylist() or [{"text": None, "content": None}])[0]
        text: str | None = row["content"] if row["text"] is None else row["text"]
        return text

    def matching_row_ids(
        self,
        *,
        scope: Scope | AllScopes,
        where: Filter | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> NDArray[np.uint64]:
        """Return the row ids of the first chunks of the turns that match."""
        selected = both(where_sql(scope, since=since, until=until, matching=where), HEADS)
        rows = self._read(
            lambda table: table.search().where(selected).select(["_rowid"]).to_arrow()
        )
        return np.asarray(rows["_rowid"].to_numpy(), np.uint64)

    def count(
        self,
        *,
        scope: Scope | AllScopes,
        where: Filter | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> int:
        """Return how many turns match."""
        return self._count(where_sql(scope, since=since, until=until, matching=where))

    def page(
        self,
        *,
        scope: Scope | AllScopes,
        where: Filter | None = None,
        offset: int = 0,
        limit: int,
    ) -> list[Turn]:
        """Return some of the turns that match, in the order in which they were said."""
        selected = both(where_sql(scope, matching=where), HEADS)
        order = [ColumnOrdering(column_name=name) for name in CONVERSATION]

        def read(table: Table) -> list[Turn]:
            query = table.search().where(selected).select([*TURN_COLUMNS]).order_by(order)
            return turns_from_table(query.offset(offset).limit(limit).to_arrow())

        return self._read(read)

    def scan(
        self,
        columns: Sequence[str],
        *,
        scope: Scope | AllScopes,
        where: Filter | None = None,
        heads_only: bool = True,
        batch_rows: int,
    ) -> Iterator[pa.RecordBatch]:
        """Stream rows of one version of the table, in bounded memory and no particular order.

        Args:
            columns: Which, by name; see `schema.turns_schema`.
            scope: Whose turns.
            where: Only turns that match.
            heads_only: One row a turn instead of one row a chunk; needed to filter on `content`.
            batch_rows: Most rows of a batch.
        """
        selected = where_sql(scope, matching=where)
        if heads_only:
            selected = both(selected, HEADS)
        with self._handle.pinned() as table:
            query = table.search().where(selected).select(list(columns))
            yield from query.to_batches(batch_rows)

    def scan_turns(
        self, *, scope: Scope | AllScopes, where: Filter | None = None, batch_turns: int
    ) -> Iterator[list[Turn]]:
        """Stream turns of one version of the table, in bounded memory and no particular order."""
        for batch in self.scan(TURN_COLUMNS, scope=scope, where=where, batch_rows=batch_turns):
            with self._handle.reading():
                found = turns_from_table(pa.Table.from_batches([batch]))
            yield found

    def sessions(self, *, scope: Scope | AllScopes, where: Filter | None = None) -> list[Session]:
        """Return the sessions of the turns that match, the earliest first."""
        columns = ["user_id", "agent_id", "session_id", "event_time"]
        selected = both(where_sql(scope, matching=where), HEADS)
        with self._handle.reading() as table:
            return sessions_of(table.search().where(selected).select(columns).to_arrow())

    def stats(self) -> StoreStats:
        """Return size and state of the store."""
        with self._handle.pinned() as table:
            scopes = table.search().where(HEADS).select(["user_id", "agent_id", "session_id"])
            rows = scopes.to_arrow()
            return StoreStats(
                turns=rows.num_rows,
                chunks=table.count_rows(),
                sessions=count_distinct(rows, ["user_id", "agent_id", "session_id"]),
                users=count_distinct(rows.filter(rows["user_id"].is_valid()), ["user_id"]),
                bytes=folder_bytes(self._opened.folder),
                fragments=count_fragments(table, kind="num_fragments"),
                table_version=table.version,
                schema_version=self._opened.schema_version,
                passport=self._opened.passport,
            )

    def _count(self, selected: str) -> int:
        return self._read(lambda table: int(table.count_rows(both(selected, HEADS))))

    def _keys(self, selected: str) -> list[str]:
        rows = self._read(lambda table: table.search().where(selected).select(["key"]).to_arrow())
        return strings(rows["key"])

    def _read(self, read: Callable[[Table], T]) -> T:
        """Read in one go, and again where what is read is dropped meanwhile."""

        def once() -> T:
            with self._handle.reading() as table:
                return read(table)

        return persisting(once)


def _after_deletions(versions: Iterable[Mapping[str, Any]], *, since: int) -> list[int]:
    """Return the versions that may be of a deletion: fewer rows, or a number that is not known."""
    rows: dict[int, int | None] = {
        one["version"]: int(told) if (told := one["metadata"].get("total_rows")) else None
        for one in versions
    }
    found, before = [], rows.get(since)
    for version in sorted(version for version in rows if version > since):
        count = rows[version]
        if before is None or count is None or count < before:
            found.append(version)
        before = count
    return found
