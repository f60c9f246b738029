"""The write path: messages to turns, pieces, vectors and terms, and one commit.

What `add` returned is durable, and findable by meaning and by word. Everything is checked and
embedded before anything is written, so a bad message or a failing model leaves the store as it was.
What several threads write at the same time is embedded and committed together, see `grouping`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import NamedTuple, TypeAlias, get_args

import pyarrow as pa
import uuid_utils

from agentmem.checks import shown
from agentmem.embedding.tracing import embedding_phase
from agentmem.errors import InvalidInput
from agentmem.ingest.clock import Clock
from agentmem.ingest.conflicts import OnConflict, check_changed, instead, same
from agentmem.ingest.grouping import Grouping
from agentmem.ingest.rows import pieces_of, rows_of
from agentmem.messages import gathered, to_turns
from agentmem.protocols import Embedder
from agentmem.storage.rows import Stamps
from agentmem.storage.schema import key_of
from agentmem.storage.turns import Store
from agentmem.telemetry import Attributes, Current, Tracing
from agentmem.telemetry.describing import of_turns
from agentmem.types import Scope, Turn
from agentmem.types.guards import AddedIds, Admitted, LeftOut, LeftOutReason

__all__ = ["Added", "Admit", "OnConflict", "Writer", "admit_all"]

Admit: TypeAlias = Callable[[Sequence[Turn]], Admitted]


def admit_all(turns: Sequence[Turn]) -> Admitted:
    """Let every turn in as it came."""
    return Admitted(tuple(turns))


class Added:
    """What one write did: what became of each message, in order, and how many turns were new.

    Attributes:
        outcomes: For each message its turn, or why there is none.
        turns: The turns that were let in.
        stored: How many of them were new.
        unchanged: How many were there already.
    """

    __slots__ = ("outcomes", "stored", "turns", "unchanged")

    def __init__(self, outcomes: Sequence[Turn | LeftOut], *, stored: int) -> None:
        self.outcomes = tuple(outcomes)
        self.turns = [one for one in outcomes if isinstance(one, Turn)]
        self.stored = stored
        self.unchanged = len(self.turns) - stored

    @property
    def ids(self) -> AddedIds:
        """The ids of all messages, and which were left out."""
        out = tuple(one for one in self.outcomes if isinstance(one, LeftOut))
        return AddedIds([one.id for one in self.outcomes], left_out=out)

    def beyond(self, other: Added) -> list[Turn]:
        """Return the turns that were let in here, and not when the same was written once more."""
        both = zip(self.outcomes, other.outcomes, strict=True)
        return [one for one, later in both if isinstance(one, Turn) and isinstance(later, LeftOut)]


class _Sorted(NamedTuple):
    """What of some turns has to be written.

    Attributes:
        fresh: By key those that are new.
        taken: By key those that replace a stored one, as they were given.
        instead: The same, with what stays of the stored one.
        seen: Which write of each stored one they replace.
    """

    fresh: dict[str, Turn]
    taken: dict[str, Turn]
    instead: dict[str, Turn]
    seen: dict[str, int]

    @property
    def written(self) -> list[Turn]:
        """The turns as they are written."""
        return [*self.fresh.values(), *self.instead.values()]


class Writer:
    """Writes turns into one store.

    Args:
        store: Where to.
        embedder: Of the space the store is written in.
        clock: Gives ingestion times.
        tracing: Opens spans.
        admit: Says of the turns of a write which are stored, and as what.
    """

    def __init__(
        self,
        store: Store,
        *,
        embedder: Embedder,
        clock: Clock,
        tracing: Tracing,
        admit: Admit = admit_all,
    ) -> None:
        self._store = store
        self._embedder = embedder
        self._clock = clock
        self._tracing = tracing
        self._admit = admit
        self._tombstones = store.tombstones
        self._grouping = Grouping(store, embedder=embedder)

    def add(
        self,
        messages: object,
        *,
        scope: Scope,
        on_conflict: OnConflict = "error",
        ttl: timedelta | None = None,
        allow_forgotten: bool = False,
    ) -> Added:
        """Store messages in one commit.

        Args:
            messages: Anything `messages.to_turns` reads, or what an earlier call returned, to
                write the same in another generation: that was let in already.
            scope: Whose they are.
            on_conflict: What to do with an id that is taken by another content.
            ttl: How long turns are kept that do not say until when; for ever if None.
            allow_forgotten: Whether to store what was erased before.

        Raises:
            InvalidInput: A message cannot be stored, or an id is taken by another content.
            GuardFailed: What decides about messages failed; nothing was stored.
            EmbeddingFailed: The model gave no usable vectors.
            StoreError: The commit failed.
        """
        if on_conflict not in ("error", "replace"):
            raise InvalidInput(f"on_conflict={shown(on_conflict)}: pass 'error' or 'replace'.")
        replaces = on_conflict == "replace"
        with (
            self._tracing.operation(
                "upsert_memory" if replaces else "create_memory",
                {"gen_ai.memory.store.id": self._store.name},
                scope=scope,
            ) as current,
            self._store.audit.entry("add", scope=scope) as entry,
        ):
            with current.phase("read"):
                outcomes, made = self._let_in(
                    messages, scope, ttl=ttl, allow_forgotten=allow_forgotten, current=current
                )
                turns = [one for one in outcomes if isinstance(one, Turn)]
                current.set(_given(outcomes))
                given = self._sorted(turns, made, on_conflict=on_conflict)
            stored = self._write(given, made, on_conflict=on_conflict, current=current)
            current.set({"gen_ai.memory.record.count": stored})
            entry.tell(ids=[one.id for one in given.written], count=stored)
            current.describe(lambda: of_turns(given.written, current.content))
        return Added(outcomes, stored=stored)

    def read_one(self, message: object, *, like: Turn, current: Current) -> Turn:
        """Return one message as the turn that corrects another, in its session unless it says so.

        Raises:
            InvalidInput: It is no single message, cannot be stored, or is not let in.
            GuardFailed: What decides about messages failed.
        """
        turns, _ = self._read([message], Scope(like.user_id, like.agent_id))
        only = turns[0]
        whole = only if only.session_id else replace(only, session_id=like.session_id)
        (admitted,) = self._admitted([whole], current).turns
        if isinstance(admitted, LeftOut):
            raise InvalidInput(
                f"the correction was left out: {admitted.detail}. Nothing was changed. Say it in "
                f"other words, or open the store without what left it out ({admitted.by})."
            )
        return admitted

    def rows_if_new(self, turn: Turn, *, current: Current) -> pa.Table:
        """Return the rows of a turn; none where the very same is stored already.

        Raises:
            InvalidInput: Its id is taken by another content.
            EmbeddingFailed: The model gave no usable vectors.
        """
        given = self._sorted([turn], set(), on_conflict="error")
        rows = self._rows([turn], current)
        return rows if given.written else rows.slice(0, 0)

    def _let_in(
        self,
        messages: object,
        scope: Scope,
        *,
        ttl: timedelta | None,
        allow_forgotten: bool,
        current: Current,
    ) -> tuple[Sequence[Turn | LeftOut], set[str]]:
        """Return what became of each message, and which ids were made here and so are free."""
        if isinstance(messages, Added):
            return self._unforgotten(messages.outcomes, current), set()
        turns, made = self._read(messages, scope, ttl=ttl)
        admitted = self._admitted(turns, current)
        if allow_forgotten:
            self._tombstones.lift(admitted.kept)
        return self._unforgotten(admitted.turns, current), made

    def _unforgotten(
        self, outcomes: Sequence[Turn | LeftOut], current: Current
    ) -> Sequence[Turn | LeftOut]:
        """Leave out what was erased, by its id or by its words."""
        turns = [one for one in outcomes if isinstance(one, Turn)]
        erased = self._tombstones.find(turns)
        if not any(erased):
            return outcomes
        current.set({"agentmem.guard.forgotten": sum(erased)})
        current.metrics.guarded({"forgotten": sum(erased)})
        flags = iter(erased)
        return [
            _forgotten(one) if isinstance(one, Turn) and next(flags) else one for one in outcomes
        ]

    def _admitted(self, turns: Sequence[Turn], current: Current) -> Admitted:
        """Ask which turns are let in, and count what was changed and left out."""
        admitted = self._admit(turns)
        out = admitted.left_out
        counts: dict[str, int] = {
            reason: sum(one.reason == reason for one in out) for reason in get_args(LeftOutReason)
        } | {"changed": admitted.changed}
        current.set({f"agentmem.guard.{name}": n or None for name, n in counts.items()})
        current.metrics.guarded(counts)
        return admitted

    def _read(
        self, messages: object, scope: Scope, *, ttl: timedelta | None = None
    ) -> tuple[list[Turn], set[str]]:
        """Return the turns, and which ids were made here and so cannot be taken."""
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
    ) -> _Sorted:
        """Say which turns are new, and which replace a stored one."""
        by_key = {key_of(turn): turn for turn in turns}
        known = {key: turn for key, turn in by_key.items() if turn.id not in made}
        stored = self._store.turns_by_key(list(known)) if known else {}
        now = self._clock.present()
        expired = {key for key, turn in stored.items() if turn.is_expired(now)}
        living = {key: turn for key, turn in stored.items() if key not in expired}
        changed = [key for key, turn in living.items() if not same(known[key], turn)]
        check_changed(changed, known=known, stored=living, on_conflict=on_conflict, rest=rest)
        fresh = {key: turn for key, turn in by_key.items() if key not in stored}
        taken = {key: known[key] for key in (*expired, *changed)}
        return _Sorted(fresh, taken, *self._instead_of(taken, expired))

    def _instead_of(
        self, taken: dict[str, Turn], expired: set[str]
    ) -> tuple[dict[str, Turn], dict[str, int]]:
        """Return the turns that take the place of others, and which write of those they replace.

        Those are read once more after their revisions: a change since then is noticed.
        """
        if not taken:
            return {}, {}
        seen = self._store.revisions(list(taken))
        stored = self._store.turns_by_key(list(taken))
        written = {
            key: turn if key in expired or key not in stored else instead(turn, stored[key])
            for key, turn in taken.items()
        }
        return written, seen

    def _write(
        self, given: _Sorted, made: set[str], *, on_conflict: OnConflict, current: Current
    ) -> int:
        """Store turns in one commit, and return how many were."""
        if not given.written:
            return 0
        rows = self._rows(given.written, current)
        with current.phase("commit"):
            if given.taken:
                late = self._store.replace(given.seen, rows)
            else:
                fresh = all(turn.id in made for turn in given.fresh.values())
                late = self._grouping.store(rows, fresh=fresh)
        lost = [{**given.fresh, **given.taken}[key] for key in late]
        settled = self._settle(lost, on_conflict=on_conflict, current=current) if late else 0
        return len(given.written) - len(late) + settled

    def _settle(self, late: list[Turn], *, on_conflict: OnConflict, current: Current) -> int:
        """Decide anew about turns that another writer took or changed since they were looked up."""
        rest = "whatever else the call held is stored"
        given = self._sorted(late, set(), on_conflict=on_conflict, rest=rest)
        return self._write(given, set(), on_conflict=on_conflict, current=current)

    def _rows(self, turns: list[Turn], current: Current) -> pa.Table:
        pieces, embedded = pieces_of(turns, embedder=self._embedder)
        current.set({"agentmem.memory.chunks": len(embedded)})
        with embedding_phase(current, embedder=self._embedder, texts=embedded):
            vectors = self._grouping.embed(embedded)
        stamps = Stamps.new(
            len(turns), passport_id=self._store.passport.id, at=self._clock.reserve(1)
        )
        return rows_of(turns, pieces=pieces, vectors=vectors, stamps=stamps)


def _ending(turn: Turn, ttl: timedelta | None) -> Turn:
    if ttl is None or turn.expires_at is not None:
        return turn
    return replace(turn, expires_at=turn.ingested_at + ttl)


def _forgotten(turn: Turn) -> LeftOut:
    told = "it was erased, and is not to return unless add is called with allow_forgotten=True"
    return LeftOut(turn.id, "forgotten", by="tombstones", detail=told)


def _given(outcomes: Sequence[Turn | LeftOut]) -> Attributes:
    """What is known of messages before any of them is stored."""
    only = outcomes[0].id if len(outcomes) == 1 else None
    return {"agentmem.memory.given": len(outcomes), "gen_ai.memory.record.id": only}
