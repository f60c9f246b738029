"""`LateTable`: a table that a store may lack, made when something is first written to it.

A store that never holds tools, or is only read, stays as it was. Any number of processes may
make the table at once: they end up with one. `PastTable` is the same as it was at one version.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass

import pyarrow as pa

from agentmem.errors import VersionGone
from agentmem.storage.border import store_errors
from agentmem.storage.guard import Guard
from agentmem.storage.handle import Handle, Past
from agentmem.storage.opening import Opened, has_table, open_or_make

__all__ = ["LateTable", "PastTable"]


@dataclass(frozen=True, slots=True)
class PastTable:
    """A table as it was at one version, 0 while there was none; read like a `LateTable`."""

    schema: pa.Schema
    version: int
    _past: Past | None

    def found(self) -> Past | None:
        """Return the table as it was, or None if there was none."""
        return self._past


class LateTable:
    """A table that is there, or will be. Safe for several threads.

    Args:
        opened: The store.
        table: Name of the table.
        holding: What its rows are, for messages, such as "tools".
        schema: Of the table, should it have to be made.
        guard: What may be done with the store.
    """

    def __init__(
        self, opened: Opened, *, table: str, holding: str, schema: pa.Schema, guard: Guard
    ) -> None:
        self.schema = schema
        self._opened = opened
        self._name = table
        self._holding = holding
        self._guard = guard
        self._lock = threading.Lock()
        self._handle: Handle | None = None

    @property
    def version(self) -> int:
        """Version of the newest commit, by whichever process; 0 while there is no table."""
        handle = self.found()
        return 0 if handle is None else handle.version

    def at(self, version: int) -> PastTable:
        """Return the table as it was at one version; 0 is before it was made.

        Raises:
            VersionGone: That version is no longer kept, or there is none of that number yet.
            StoreError: The store could not be read.
        """
        if version == 0:
            return PastTable(self.schema, 0, None)
        handle = self.found()
        if handle is None:
            raise VersionGone(
                f"there is no table of {self._holding} in {self._opened.uri}, so nothing can be "
                f"read of its version {version}. Repair: check that this is the right store.",
                version=version,
            )
        return PastTable(self.schema, version, handle.at(version))

    def found(self) -> Handle | None:
        """Return a handle on the table, or None while there is none."""
        self._guard.check()
        if self._handle is None:
            with store_errors(self._opened.uri, f"look for the table of {self._holding}"):
                there = has_table(self._opened, self._name)
            return self._opened_once() if there else None
        return self._handle

    def made(self, action: str) -> Handle:
        """Return a handle on the table, which is made where there is none.

        Args:
            action: What it is wanted for, to follow "could not".

        Raises:
            StoreError: The store is read-only or closed, or the table could not be made.
        """
        self._guard.check_writable(action)
        handle = self.found()
        if handle is not None:
            return handle
        with store_errors(self._opened.uri, action):
            open_or_make(self._opened.db, self._name, schema=self.schema)
        return self._opened_once()

    def compact(self) -> None:
        """Merge what many small writes left behind; a no-op while others write."""
        handle = self.found()
        if handle is not None:
            handle.compact()

    def tidy(self) -> None:
        """Compact before leaving, if that is worth it."""
        if self._handle is not None and self._guard.is_usable:
            self._handle.tidy()

    def _opened_once(self) -> Handle:
        with self._lock:  # its commits are counted, so there must be one
            if self._handle is None:
                self._handle = Handle(
                    self._opened, table=self._name, holding=self._holding, guard=self._guard
                )
            return self._handle
