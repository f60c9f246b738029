"""`Store`: the turns of one folder or bucket, as rows of LanceDB.

Each write is one commit: durable when it returns, seen whole or not at all, by every process.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path

import pyarrow as pa

from agentmem.errors import FilesMissing
from agentmem.filters import Filter
from agentmem.storage.arrow import strings
from agentmem.storage.description import Generation
from agentmem.storage.endings import Ending, change_rows, supersede_rows
from agentmem.storage.gauges import Gauges
from agentmem.storage.generations import Whole
from agentmem.storage.guard import Guard
from agentmem.storage.handle import Handle
from agentmem.storage.keyed import insert_absent, replace_seen
from agentmem.storage.opening import TURNS, Opened, PassportSource, open_store
from agentmem.storage.reads import Reads
from agentmem.storage.retention import keep_for
from agentmem.storage.snapshots import Snapshots
from agentmem.storage.sql import HEADS, both, keys_sql, where_sql
from agentmem.storage.tombstones import Tombstones
from agentmem.storage.watching import DriftTables
from agentmem.telemetry import Audit, AuditTo
from agentmem.types import AllScopes, Scope

__all__ = ["Store"]


class Store(Reads):
    """A store of turns. Safe for several threads; any number of processes may open the same.

    Attributes:
        gauges: What dashboards ask of it.
    """

    def __init__(self, opened: Opened, *, guard: Guard) -> None:
        self._guard = guard
        self._table = Handle(opened, table=opened.table(TURNS), holding="turns", guard=guard)
        self.gauges = Gauges(opened, guard=guard)
        super().__init__(self._table, opened)

    @classmethod
    def open(
        cls,
        uri: str | os.PathLike[str],
        *,
        passport: PassportSource,
        create: bool = True,
        read_only: bool = False,
        keep_versions: timedelta | None = None,
        storage_options: Mapping[str, str] | None = None,
        audit: AuditTo = None,
        strict: bool = True,
    ) -> Store:
        """Open a store, or create one in a new or empty place.

        Args:
            uri: A folder, or an address such as `s3://bucket/path`.
            passport: Of the embedder, or how to learn it; None takes the store's word for it,
                for callers that use no vectors.
            create: Whether to create a store where there is none.
            read_only: Refuse every write; implies `create=False`.
            keep_versions: How long past versions are kept from now on; None changes nothing.
            storage_options: Credentials and the like for an object store.
            audit: Where it is written down what is done; where the environment says if None.
            strict: Whether to refuse a store in another space than `passport`'s.

        Raises:
            StoreNotFound: Something else is there, or nothing and it may not be created.
            SchemaTooNew: It was written by a newer agentmem.
            EmbedderMismatch: It was written by another embedder.
            InvalidInput: `keep_versions` or `audit` cannot be used.
            StoreError: It cannot be read, or created.
        """
        told = Audit.to(audit, store=uri)
        opened = open_store(
            os.fspath(uri),
            passport=passport,
            create=create and not read_only,
            options=storage_options or {},
            strict=strict,
        )
        guard = Guard(opened.uri, read_only=read_only, audit=told)
        if keep_versions is not None:
            keep_for(opened, keep_versions, guard=guard)
        return cls(opened, guard=guard)

    @property
    def audit(self) -> Audit:
        """Where it is written down what is done."""
        return self._guard.audit

    @property
    def whole(self) -> Whole:
        """The store in all of its generations, for whoever follows or moves it."""
        return Whole.of(self._opened, guard=self._guard)

    @property
    def watching(self) -> DriftTables:
        """What it keeps to notice drift by, of its generation."""
        return DriftTables.of(self._opened, guard=self._guard)

    def at_generation(self, generation: Generation) -> Store:
        """Return the turns of another generation of the same store, which ends with this one."""
        return Store(self._opened.at(generation), guard=self._guard)

    def snapshots(self) -> list[Store]:
        """Return the stores that its snapshots are, which end with this one."""
        kept = Snapshots(self._opened, guard=self._guard)
        return [Store(kept.open(one), guard=self._guard) for one in kept.listed()]

    @property
    def tombstones(self) -> Tombstones:
        """What it keeps of what was erased from it."""
        return Tombstones(self._opened, guard=self._guard)

    @property
    def checkpoints(self) -> Path | None:
        """The folder for the checkpoints of imports; None where the store is no local folder."""
        folder = self._opened.folder
        return None if folder is None or self._guard.read_only else folder / ".imports"

    def append(self, rows: pa.Table) -> None:
        """Store rows whose keys are new.

        Args:
            rows: From `schema.turn_rows`. Nothing checks that their keys are new: use
                `insert_absent` for ids that a caller chose.

        Raises:
            ConcurrentWrite: Others came first at every attempt.
            StoreError: The write failed; nothing was stored.
        """
        try:
            self._table.commit(lambda table: table.add(rows), action="add turns", repeatable=False)
        except FilesMissing:  # whether it was made is not known, so only what lacks is added
            self.insert_absent(rows)

    def insert_absent(self, rows: pa.Table) -> list[str]:
        """Store the rows of turns whose keys are not taken yet, also by a writer of this moment.

        Returns:
            The keys that are taken by a turn of another content, and so were not stored.

        Raises:
            ConcurrentWrite: Others came first at every attempt.
            StoreError: The write failed; nothing was stored.
        """
        return insert_absent(
            self._table, rows, row_key="chunk_key", heads=HEADS, action="add turns"
        )

    def replace(self, seen: Mapping[str, int], rows: pa.Table) -> list[str]:
        """Put rows in the place of turns that are as they were seen; see `keyed.replace_seen`."""
        return replace_seen(
            self._table,
            seen,
            rows=rows,
            row_key="chunk_key",
            heads=HEADS,
            action="replace turns",
        )

    def supersede(self, key: str, *, ending: Ending, rev: int, rows: pa.Table) -> str | None:
        """End a turn and store its successor; see `endings.supersede_rows`."""
        return supersede_rows(
            self._table,
            key,
            ending=ending,
            rev=rev,
            rows=rows,
            dimension=self.passport.dimension,
        )

    def take_back(self, rows: pa.Table) -> None:
        """Delete rows as they were written, unless they were written anew since.

        Raises:
            ConcurrentWrite: Others came first at every attempt.
            StoreError: The write failed; nothing was deleted.
        """
        if rows.num_rows:
            rev = rows["rev"][0].as_py()
            doomed = both(keys_sql(strings(rows["key"])), f"rev = {rev:d}")
            self._table.commit(lambda table: table.delete(doomed), action="take back turns")

    def change(
        self, *, scope: Scope | AllScopes, where: Filter | None, ending: Ending, rev: int
    ) -> None:
        """Change until when turns are true and found, in one commit.

        Raises:
            ScopeRequired: The scope names nothing.
            ConcurrentWrite: Others came first at every attempt.
            StoreError: The write failed; nothing was changed.
        """
        selected = where_sql(scope, matching=where)
        reached = selected if where is None else self._whole(selected)
        change_rows(self._table, reached, ending=ending, rev=rev)

    def delete(
        self,
        *,
        scope: Scope | AllScopes,
        where: Filter | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> int:
        """Delete whole turns, in one commit.

        Returns:
            How many turns were deleted.

        Raises:
            ScopeRequired: The scope names nothing.
            ConcurrentWrite: Others came first at every attempt.
            StoreError: The write failed; nothing was deleted.
        """
        selected = where_sql(scope, since=since, until=until, matching=where)
        count = self._count(selected)
        if count:
            doomed = selected if where is None else self._whole(selected)
            self._table.commit(lambda table: table.delete(doomed), action="delete turns")
        return count

    def _whole(self, selected: str) -> str:
        """Extend a condition that may be wrong of later chunks, which lack the content."""
        split = self._keys(both(selected, HEADS, "chunks > 1"))
        return f"({both(selected, HEADS)}) OR ({keys_sql(split)})"

    def compact(self) -> None:
        """Merge what many small writes left behind; a no-op while others write."""
        self._table.compact()

    @property
    def closed(self) -> bool:
        """Whether it was closed, or opened before this process was forked."""
        return not self._guard.is_usable

    def close(self) -> None:
        """Let go of the store. What was written is durable without it."""
        if self._guard.is_usable:
            self._table.tidy()
        self._guard.close()
