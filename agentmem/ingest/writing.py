"""The write path: messages to turns, pieces, vectors and terms, and one commit.

What `add` returned is durable, and findable by meaning and by word. Everything is checked and
embedded before anything is written, so a bad message or a failing model leaves the store as it was.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any, Literal, TypeAlias

import pyarrow as pa
import uuid_utils

from agentmem.embedding.tracing import embedding_phase
from agentmem.errors import InvalidInput
from agentmem.ingest.clock import Clock
from agentmem.ingest.rows import pieces_of, rows_of
from agentmem.messages import gathered, is_undated, to_turns
from agentmem.protocols import Embedder
from agentmem.storage.rows import Stamps
from agentmem.storage.schema import LIFE, turn_key
from agentmem.storage.turns import Store
from agentmem.telemetry import Attributes, Current, Tracing
from agentmem.telemetry.describing import of_turns
from agentmem.types import Scope, Turn

__all__ = ["Added", "OnConflict", "Writer"]

OnConflict: TypeAlias = Literal["error", "replace"]


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

    def add(
        self,
        messages: object,
        *,
        scope: Scope,
        on_conflict: OnConflict = "error",
        ttl: timedelta | None = None,
    ) -> Added:
        """Store messages in one commit.

        Args:
            messages: Anything `messages.to_turns` reads, or what an earlier call returned, to
                write the same in another generation.
            scope: Whose they are.
            on_conflict: What to do with an id that is taken by another content.
            ttl: How long turns are kept that do not say until when; for ever if None.

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
                turns, made = self._read(messages, scope, ttl=ttl)
                current.set(_given(turns))
                fresh, taken = self._sorted(turns, made, on_conflict=on_conflict)
            stored = self._write(fresh, taken, made, on_conflict=on_conflict, current=current)
            current.set({"gen_ai.memory.record.count": stored})
            current.describe(lambda: of_turns([*fresh.values(), *taken.values()], current.content))
        return Added(turns, stored=stored)

    def read_one(self, message: object, *, like: Turn) -> Turn:
        """Return one message as the turn that corrects another, in its session unless it says so.

        Raises:
            InvalidInput: It is no single message, or cannot be stored.
        """
        turns, _ = self._read([message], Scope(like.user_id, like.agent_id))
        only = turns[0]
        return only if only.session_id else replace(only, session_id=like.session_id)

    def rows_if_new(self, turn: Turn, *, current: Current) -> pa.Table:
        """Return the rows of a turn; none where the very same is stored already.

        Raises:
            InvalidInput: Its id is taken by another content.
            EmbeddingFailed: The model gave no usable vectors.
        """
        fresh, taken = self._sorted([turn], set(), on_conflict="error")
        rows = self._rows([turn], current)
        return rows if fresh or taken else rows.slice(0, 0)

    def _read(
        self, messages: object, scope: Scope, *, ttl: timedelta | None = None
    ) -> tuple[list[Turn], set[str]]:
        """Return the turns, and which ids were made here and so cannot be taken."""
        if isinstance(messages, Added):
            return messages.turns, set()
        messages = gathered(messages)
        made: set[str] = set()

        def new_id() -> str:
            made.add(identity := str(uuid_utils.uuid7()))
            return identity

        now = self._clock.reserve(len(messages) if isinstance(messages, list) else 1)
        turns = to_turns(messages, scope=scope, now=now, new_id=new_id)
        return [_ending(turn, ttl) for turn in turns], made

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
        now = self._clock.present()
        expired = {key: known[key] for key, turn in stored.items() if turn.is_expired(now)}
        stored = {key: turn for key, turn in stored.items() if key not in expired}
        fresh = {k: turn for k, turn in by_key.items() if k not in stored and k not in expired}
        changed = {key: known[key] for key in stored if not _same(known[key], stored[key])}
        moved = next(
            (key for key in changed if stored[key].session_id != known[key].session_id), None
        )
        if moved is not None:
            raise _elsewhere(known[moved], rest=rest)
        if changed and on_conflict == "error":
            raise _taken(next(iter(changed.values())), len(changed), rest=rest)
        instead = {key: _instead(turn, stored[key]) for key, turn in changed.items()}
        return fresh, expired | instead

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


def _ending(turn: Turn, ttl: timedelta | None) -> Turn:
    if ttl is None or turn.expires_at is not None:
        return turn
    return replace(turn, expires_at=turn.ingested_at + ttl)


def _given(turns: list[Turn]) -> Attributes:
    """What is known of turns before any of them is stored."""
    only = turns[0].id if len(turns) == 1 else None
    return {"agentmem.memory.given": len(turns), "gen_ai.memory.record.id": only}


def _same(given: Turn, stored: Turn) -> bool:
    """Whether a turn that comes again says what is stored.

    The session is part of it; the time of ingestion is not, nor the time of an undated message,
    which is the time of ingestion, nor how long it is to be found, which others may have changed.
    """
    return replace(_instead(given, stored), **_life(stored)) == stored


def _instead(given: Turn, stored: Turn) -> Turn:
    """The turn that takes a stored one's place, and with it its time of ingestion.

    An undated message was said when it was stored, so it takes that time from it as well; and
    where it says nothing of how long it is to be found, that of the stored one stays.
    """
    said_at = stored.event_time if is_undated(given) else given.event_time
    life = _life(stored) | {name: one for name, one in _life(given).items() if one}
    return replace(given, event_time=said_at, ingested_at=stored.ingested_at, **life)


def _life(turn: Turn) -> dict[str, Any]:
    return {name: getattr(turn, name) for name in LIFE}


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
