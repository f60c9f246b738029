"""`KeptCanaries`: the canaries' vectors as the model of a generation gave them when it was made.

One row a set of canaries, put once: of processes that race, the first one's stays. Whoever comes
later compares with what it is given back.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, Final
from weakref import WeakKeyDictionary

import numpy as np
import pyarrow as pa
from lancedb.table import Table
from numpy.typing import NDArray

from agentmem.embedding.cache import CachedEmbedder
from agentmem.embedding.canaries import CANARY_SET, Canaries, embed_canaries
from agentmem.errors import StoreError
from agentmem.protocols import Embedder
from agentmem.storage.border import store_errors
from agentmem.storage.guard import Guard
from agentmem.storage.late import LateTable
from agentmem.storage.opening import TURNS, Opened, has_table
from agentmem.storage.quoting import literal
from agentmem.storage.rows import PRIMARY_KEY, TIMES

__all__ = ["Kept", "KeptCanaries", "ensure_canaries"]

CANARIES: Final = "canaries"
KEEP: Final = "keep the canaries"
HOLDINGS: Final = (TURNS, "tools", "tool_examples")
COLUMNS: Final[list[pa.Field[Any]]] = [
    pa.field("id", pa.string(), nullable=False, metadata=PRIMARY_KEY),
    pa.field("made_at", TIMES, nullable=False),
    pa.field("is_late", pa.bool_(), nullable=False),
    pa.field("dimension", pa.int32(), nullable=False),
    pa.field("documents", pa.large_binary(), nullable=False),
    pa.field("queries", pa.large_binary(), nullable=False),
]
SCHEMA: Final = pa.schema(COLUMNS)

_MADE: Final[WeakKeyDictionary[Embedder, Canaries]] = WeakKeyDictionary()
_MAKING: Final = threading.Lock()


@dataclass(frozen=True, slots=True, eq=False)
class Kept:
    """Canaries as they are kept.

    Attributes:
        canaries: Their vectors.
        made_at: When they were embedded (UTC).
        is_late: Whether the generation held rows by then, which may be of another model.
    """

    canaries: Canaries
    made_at: datetime
    is_late: bool


class KeptCanaries:
    """The canaries of one generation. Safe for several threads and processes.

    Args:
        opened: The store, in that generation.
        guard: What may be done with it.
    """

    def __init__(self, opened: Opened, *, guard: Guard) -> None:
        self._opened = opened
        self._guard = guard
        self._table = LateTable(
            opened,
            table=opened.table(CANARIES),
            holding="canaries",
            schema=SCHEMA,
            guard=guard,
        )

    @property
    def read_only(self) -> bool:
        """Whether none can be put."""
        return self._guard.read_only

    def check_writable(self) -> None:
        """Refuse where nothing can be written.

        Raises:
            StoreError: The store is closed or read-only.
        """
        self._guard.check_writable("look after drift")

    def get(self) -> Kept | None:
        """Return those of today's set of texts; None where there are none.

        Raises:
            StoreError: The store could not be read.
        """
        handle = self._table.found()
        if handle is None:
            return None
        with handle.reading() as table:
            found = table.search().where(f"id = {literal(CANARY_SET)}").to_arrow().to_pylist()
        return _kept(found[0]) if found else None

    def put_if_absent(self, canaries: Canaries, *, is_late: bool = False) -> bool:
        """Keep canaries unless there are some of their set; return whether this call did.

        Args:
            canaries: From `embed_canaries`.
            is_late: Whether the generation holds rows already.

        Raises:
            StoreError: The store is read-only, or could not be written.
        """
        self._guard.check_writable(KEEP)
        row = pa.Table.from_pylist([_row(canaries, is_late=is_late)], schema=SCHEMA)

        def insert(table: Table) -> bool:
            merge = table.merge_insert("id").when_not_matched_insert_all()
            return bool(merge.execute(row).num_inserted_rows)

        return self._table.made(KEEP).commit(insert, action=KEEP)

    def has_rows(self) -> bool:
        """Whether the generation holds turns, tools or examples."""
        tables = [self._opened.table(name) for name in HOLDINGS]
        with store_errors(self._opened.uri, "look for rows"):
            there = [name for name in tables if has_table(self._opened, name)]
            return any(self._opened.db.open_table(name).count_rows() for name in there)


def ensure_canaries(kept: KeptCanaries, embedder: Embedder) -> Kept:
    """Return the canaries of a generation, made by this embedder where there are none yet.

    A model whose weights are known runs in this process, where it cannot be exchanged: it makes
    them once for all the stores of a process, which takes seconds. A service makes them anew.

    Raises:
        EmbeddingFailed: They had to be made, and could not be.
        StoreError: They could not be read or kept.
    """
    found = kept.get()
    if found is None:
        is_late = kept.has_rows()  # before: what comes meanwhile is of the same embedder
        kept.put_if_absent(_made_by(embedder), is_late=is_late)
        found = kept.get()
        if found is None:  # dropped with its generation a moment ago
            raise StoreError(
                "the canaries of a generation vanished as they were made: it was dropped by a "
                "migration. Nothing else was changed. Repair: call again."
            )
    return found


def _made_by(embedder: Embedder) -> Canaries:
    """Embed the canaries, unless this very model did."""
    while isinstance(embedder, CachedEmbedder):
        embedder = embedder.inner
    if embedder.passport.weights is None:
        return embed_canaries(embedder)
    with _MAKING:
        try:
            found = _MADE.get(embedder)
            if found is None:
                found = _MADE[embedder] = embed_canaries(embedder)
        except TypeError:  # not hashable, or not to be held weakly
            found = embed_canaries(embedder)
    return found


def _row(canaries: Canaries, *, is_late: bool) -> dict[str, Any]:
    return {
        "id": canaries.name,
        "made_at": datetime.now(timezone.utc),
        "is_late": is_late,
        "dimension": canaries.documents.shape[1],
        "documents": _bytes(canaries.documents),
        "queries": _bytes(canaries.queries),
    }


def _kept(row: dict[str, Any]) -> Kept:
    width = row["dimension"]
    vectors = Canaries(row["id"], _matrix(row["documents"], width), _matrix(row["queries"], width))
    return Kept(vectors, row["made_at"].astimezone(timezone.utc), row["is_late"])


def _bytes(rows: NDArray[np.float32]) -> bytes:
    return np.ascontiguousarray(rows, np.float32).tobytes()


def _matrix(stored: bytes, width: int) -> NDArray[np.float32]:
    return np.frombuffer(stored, np.float32).reshape(-1, width)
