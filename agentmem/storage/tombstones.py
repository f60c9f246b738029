"""Tombstones: keyed hashes of what was erased, so that a replayed transcript is recognised.

They hold no content. A turn is recognised by its id within its user and agent, and by what was
said, unless that is so short that anybody says it. The key is the store's own.
"""

from __future__ import annotations

import hashlib
import secrets
import threading
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Final

import pyarrow as pa
from lancedb.table import Table

from agentmem.storage.arrow import strings
from agentmem.storage.guard import Guard
from agentmem.storage.late import LateTable
from agentmem.storage.opening import Opened, open_meta
from agentmem.storage.quoting import any_of
from agentmem.storage.rows import PRIMARY_KEY, TIMES
from agentmem.storage.schema import normalised
from agentmem.types import Turn

__all__ = ["TOMBSTONES", "Tombstones"]

TOMBSTONES: Final = "tombstones"
KEY: Final = "tombstone_key"
WRITE: Final = "keep tombstones"
HASH_BYTES: Final = 16  # 128 bits: no two of 10^12 texts share one
LEAST_SAID: Final = 16  # characters; "yes, thank you" is said again by somebody who was forgotten
COLUMNS: Final[list[pa.Field[Any]]] = [
    pa.field("hash", pa.string(), nullable=False, metadata=PRIMARY_KEY),
    pa.field("receipt_id", pa.string(), nullable=False),
    pa.field("at", TIMES, nullable=False),
]


class Tombstones:
    """The tombstones of one store. Safe for several threads and processes."""

    def __init__(self, opened: Opened, *, guard: Guard) -> None:
        self._table = LateTable(
            opened, table=TOMBSTONES, holding=TOMBSTONES, schema=pa.schema(COLUMNS), guard=guard
        )
        self._meta = open_meta(opened, guard=guard)
        self._lock = threading.Lock()
        self._secret: bytes | None = None
        self._looked_at = 0  # version of the store's values that had no key
        self._version = 0
        self._known: frozenset[str] = frozenset()

    def put(self, turns: Iterable[Turn], *, receipt_id: str, at: datetime) -> int:
        """Keep the tombstones of turns that are about to be erased; return how many there are.

        Raises:
            ConcurrentWrite: Others came first at every attempt.
            StoreError: The write failed; none was kept.
        """
        hashes = sorted({one for turn in turns for one in self._hashes(turn)})
        if not hashes:
            return 0
        rows = pa.Table.from_pylist(
            [{"hash": one, "receipt_id": receipt_id, "at": at} for one in hashes],
            pa.schema(COLUMNS),
        )

        def insert(table: Table) -> None:
            table.merge_insert("hash").when_not_matched_insert_all().execute(rows)

        self._table.made(WRITE).commit(insert, action=WRITE)
        return len(hashes)

    def find(self, turns: Sequence[Turn]) -> list[bool]:
        """Return of each turn whether it was erased.

        Raises:
            StoreError: The store could not be read.
        """
        known = frozenset() if self._is_empty() else self._read()
        if not known:
            return [False] * len(turns)
        return [any(one in known for one in self._hashes(turn)) for turn in turns]

    def lift(self, turns: Iterable[Turn]) -> None:
        """Take the tombstones of turns away: somebody wants them back.

        Raises:
            ConcurrentWrite: Others came first at every attempt.
            StoreError: The write failed.
        """
        if self._is_empty():
            return
        hashes = {one for turn in turns for one in self._hashes(turn)} & self._read()
        if hashes:
            where = any_of("hash", sorted(hashes))
            self._table.made(WRITE).commit(lambda table: table.delete(where), action=WRITE)

    def _is_empty(self) -> bool:
        """Whether nothing was ever erased, which costs a tenth of a millisecond to know."""
        if self._secret is not None:
            return False
        version = self._meta.version
        if version != self._looked_at and self._meta.get(KEY) is not None:
            return False
        self._looked_at = version
        return True

    def _hashes(self, turn: Turn) -> tuple[str, ...]:
        whose = (turn.user_id, turn.agent_id)
        said = normalised(turn.content)
        by_id = self._hash("id", *whose, turn.id)
        if len(said) < LEAST_SAID:
            return (by_id,)
        return by_id, self._hash("said", *whose, turn.role, said)

    def _hash(self, *parts: str | None) -> str:
        keyed = hashlib.blake2b(digest_size=HASH_BYTES, key=self._key())
        for part in parts:
            encoded = b"" if part is None else part.encode("utf-8", "surrogatepass")
            size = -1 if part is None else len(encoded)
            keyed.update(b"%d:%b" % (size, encoded))
        return keyed.hexdigest()

    def _key(self) -> bytes:
        if self._secret is None:
            found = self._meta.get(KEY)
            if found is None:
                self._meta.put_if_absent(KEY, secrets.token_hex(32))
                found = self._meta.get(KEY)
            self._secret = bytes.fromhex(found.value) if found is not None else b""
        return self._secret

    def _read(self) -> frozenset[str]:
        """Return the hashes, read again whenever they changed."""
        handle = self._table.found()
        if handle is None:
            return frozenset()
        version = handle.version
        with self._lock:
            if version != self._version:
                with handle.pinned() as table:
                    self._known = frozenset(
                        strings(table.search().select(["hash"]).to_arrow()["hash"])
                    )
                    self._version = int(table.version)
            return self._known
