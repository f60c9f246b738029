"""The write path: messages to turns, pieces, vectors and terms, and one commit.

What `add` returned is durable, and findable by meaning and by word. Everything is checked and
embedded before anything is written, so a bad message or a failing model leaves the store as it was.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Final, Literal, TypeAlias

import numpy as np
import pyarrow as pa
import uuid_utils
from numpy.typing import NDArray

from agentmem.analysis import stored_terms
from agentmem.checks import EPOCH
from agentmem.embedding.tracing import embedding_phase
from agentmem.errors import InvalidInput
from agentmem.messages import embedding_text, gathered, is_undated, to_turns
from agentmem.protocols import Embedder
from agentmem.storage.rows import Stamps
from agentmem.storage.schema import turn_key, turn_rows
from agentmem.storage.turns import Store
from agentmem.telemetry import Attributes, Current, Tracing
from agentmem.telemetry.describing import of_turns
from agentmem.types import Scope, Turn

__all__ = ["Added", "Clock", "OnConflict", "Writer", "pieces_of", "rows_of"]

OnConflict: TypeAlias = Literal["error", "replace"]
MICROSECOND: Final = timedelta(microseconds=1)


class Added:
    """What one write did: the turns in order of the messages, and how many were new."""

    __slots__ = ("stored", "turns", "unchanged")

    def __init__(self, turns: list[Turn], *, stored: int) -> None:
        self.turns = turns
        self.stored = stored
        self.unchanged = len(turns) - stored

    @property
    def ids(self) -> list[str]:
        """Their ids."""
        return [turn.id for turn in self.turns]


class Clock:
    """The present, never the same twice: ingestion times order what is written within a process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last = EPOCH

    def reserve(self, size: int) -> datetime:
        """Return a moment such that it and the `size` microseconds after it are the caller's."""
        with self._lock:
            start = max(datetime.now(timezone.utc), self._last + MICROSECOND)
            self._last = start + size * MICROSECOND
        return start

    @staticmethod
    def now() -> int:
        """Return the present in microseconds since 1970 UTC."""
        return (datetime.now(timezone.utc) - EPOCH) // MICROSECOND


class Writer:
    """Writes turns into one store.

    Args:
        store: Where to.
        embedder: Of the space the store is written in.
        clock: Gives ingestion times.
        tracing: Opens spans.
    """

    def __init__(self, store: Store, *, embedder: Embedder, clock: Clock, tracing: Tracing) -> None:
        self._store = store
        self._embedder = embedder
        self._clock = clock
        self._tracing = tracing

    def add(self, messages: object, *, scope: Scope, on_conflict: OnConflict = "error") -> Added:
        """Store messages in one commit.

        Args:
            messages: Anything `messages.to_turns` reads, or what an earlier call returned, to
                write the same in another generation.
            scope: Whose they are.
            on_conflict: What to do with an id that is taken by another content.

        Raises:
            InvalidInput: A message cannot be stored, or an id is taken by another content.
            EmbeddingFailed: The model gave no usable vectors.
            StoreError: The commit failed.
        """
        if on_conflict not in ("error", "replace"):
            raise InvalidInput(f"on_conflict={on_conflict!r}: pass 'error' or 'replace'.")
        replaces = on_conflict == "replace"
        with self._tracing.operation(
            "upsert_memory" if replaces else "create_memory",
            {"gen_ai.memory.store.id": self._store.name},
            scope=scope,
        ) as current:
            with current.phase("read"):
                turns, made = self._read(messages, scope)
                current.set(_given(turns))
                fresh, taken = self._sorted(turns, made, on_conflict=on_conflict)
            stored = self._write(fresh, taken, made, on_conflict=on_conflict, current=current)
            current.set({"gen_ai.memory.record.count": stored})
            current.describe(lambda: of_turns([*fresh.values(), *taken.values()], current.content))
        return Added(turns, stored=stored)

    def _read(self, messages: object, scope: Scope) -> tuple[list[Turn], set[str]]:
        """Return the turns, and which ids were made here and so cannot be taken."""
        if isinstance(messages, Added):
            return messages.turns, set()
        messages = gathered(messages)
        made: set[str] = set()

        def new_id() -> str:
            made.add(identity := str(uuid_utils.uuid7()))
            return identity

        now = self._clock.reserve(len(messages) if isinstance(messages, list) else 1)
        return to_turns(messages, scope=scope, now=now, new_id=new_id), made

    def _sorted(
        self,
        turns: list[Turn],
        made: set[str],
        *,
        on_conflict: OnConflict,
        rest: str = "nothing was stored",
    ) -> tuple[dict[str, Turn], dict[str, Turn]]:
        """Return by key the turns that are new, and those that replace a stored one."""
        by_key = {
            turn_key(turn.id, user_id=turn.user_id, agent_id=turn.agent_id): turn for turn in turns
        }
        known = {key: turn for key, turn in by_key.items() if turn.id not in made}
        stored = self._store.turns_by_key(list(known)) if known else {}
        fresh = {key: turn for key, turn in by_key.items() if key not in stored}
        changed = {key: known[key] for key in stored if not _same(known[key], stored[key])}
        moved = next(
            (key for key in changed if stored[key].session_id != known[key].session_id), None
        )
        if moved is not None:
            raise _elsewhere(known[moved], rest=rest)
        if changed and on_conflict == "error":
            raise _taken(next(iter(changed.values())), len(changed), rest=rest)
        return fresh, {key: _instead(turn, stored[key]) for key, turn in changed.items()}

    def _write(
        self,
        fresh: dict[str, Turn],
        taken: dict[str, Turn],
        made: set[str],
        *,
        on_conflict: OnConflict,
        current: Current,
    ) -> int:
        """Store turns in one commit, and return how many were."""
        if not (fresh or taken):
            return 0
        rows = self._rows([*fresh.values(), *taken.values()], current)
        late: list[str] = []
        with current.phase("commit"):
            if taken:
                self._store.replace(list(taken), rows)
            elif all(turn.id in made for turn in fresh.values()):
                self._store.append(rows)
            else:
                late = self._store.insert_absent(rows)
        lost = [fresh[key] for key in late]
        settled = self._settle(lost, on_conflict=on_conflict, current=current) if late else 0
        return len(fresh) + len(taken) - len(late) + settled

    def _settle(self, late: list[Turn], *, on_conflict: OnConflict, current: Current) -> int:
        """Decide anew about turns whose ids another writer took since they were looked up."""
        rest = "whatever else the call held is stored"
        fresh, taken = self._sorted(late, set(), on_conflict=on_conflict, rest=rest)
        return self._write(fresh, taken, set(), on_conflict=on_conflict, current=current)

    def _rows(self, turns: list[Turn], current: Current) -> pa.Table:
        pieces, embedded = pieces_of(turns, embedder=self._embedder)
        current.set({"agentmem.memory.chunks": len(embedded)})
        with embedding_phase(current, embedder=self._embedder, texts=embedded):
            vectors = self._embedder.embed(embedded, kind="document")
        stamps = Stamps.new(
            len(turns), passport_id=self._store.passport.id, at=self._clock.reserve(1)
        )
        return rows_of(turns, pieces=pieces, vectors=vectors, stamps=stamps)


def pieces_of(turns: Sequence[Turn], *, embedder: Embedder) -> tuple[list[list[str]], list[str]]:
    """Return the pieces of each turn without prefix, and flat what is embedded of them."""
    texts = [embedding_text(turn) for turn in turns]
    prefixes = [prefix for prefix, _ in texts]
    pieces = embedder.split([body for _, body in texts], prefixes=prefixes)
    whole = zip(prefixes, pieces, strict=True)
    return pieces, [prefix + piece for prefix, parts in whole for piece in parts]


def rows_of(
    turns: Sequence[Turn],
    *,
    pieces: Sequence[Sequence[str]],
    vectors: NDArray[np.float32],
    stamps: Stamps,
) -> pa.Table:
    """Return the rows of turns, with the terms of their pieces; see `schema.turn_rows`."""
    lexemes = [stored_terms(piece) for parts in pieces for piece in parts]
    return turn_rows(turns, pieces=pieces, lexemes=lexemes, vectors=vectors, stamps=stamps)


def _given(turns: list[Turn]) -> Attributes:
    """What is known of turns before any of them is stored."""
    only = turns[0].id if len(turns) == 1 else None
    return {"agentmem.memory.given": len(turns), "gen_ai.memory.record.id": only}


def _same(given: Turn, stored: Turn) -> bool:
    """Whether a turn that comes again says what is stored.

    The session is part of it; the time of ingestion is not, nor the time of an undated message,
    which is the time of ingestion.
    """
    return _instead(given, stored) == stored


def _instead(given: Turn, stored: Turn) -> Turn:
    """The turn that takes a stored one's place, and with it its time of ingestion.

    An undated message was said when it was stored, so it takes that time from it as well.
    """
    said_at = stored.event_time if is_undated(given) else given.event_time
    return replace(given, event_time=said_at, ingested_at=stored.ingested_at)


def _taken(turn: Turn, count: int, *, rest: str) -> InvalidInput:
    more = f" (and {count - 1} more)" if count > 1 else ""
    return InvalidInput(
        f"the id {turn.id!r} is taken by another message{more}, and {rest}. Give the new message "
        "its own id, or pass on_conflict='replace' to put it in the old one's place."
    )


def _elsewhere(turn: Turn, *, rest: str) -> InvalidInput:
    return InvalidInput(
        f"the id {turn.id!r} is taken by a message of another session, and {rest}. Ids are unique "
        "within a user and agent: give the new message its own. A message is moved to another "
        "session by deleting it there first."
    )
