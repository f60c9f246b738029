"""Turns as records: looked up, listed, counted, deleted and written to files."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from agentmem.checks import identifier, shown
from agentmem.errors import InvalidInput, NotFound
from agentmem.filters import And, Filter, field
from agentmem.storage.border import persisting
from agentmem.storage.schema import key_of
from agentmem.storage.turns import Store
from agentmem.telemetry import Tracing
from agentmem.transfer import Tell, forget_imports, progress_bar, write_turns
from agentmem.types import AllScopes, Deletion, Scope, Session, StoreStats, Turn

__all__ = ["Administrator", "Export", "Wanted", "living"]

BATCH_TURNS: Final = 1_000  # of an export: 5 MB with vectors, and few reads
MOST_ROWS: Final = 2**31 - 1  # more than a table holds, and what 32-bit counters can
MOST_IDS: Final = 10_000  # what one filter may list; more is a scope or a filter of its own


@dataclass(frozen=True, slots=True)
class Export:
    """Where an export goes, and what is in it."""

    path: Path
    scope: Scope | AllScopes
    vectors: bool
    overwrite: bool


@dataclass(frozen=True, slots=True)
class Wanted:
    """Turns that a call names: by id, by a filter, or both.

    Attributes:
        ids: Those that were listed; None where everything that matches is meant.
        filter: What they all match; None where everything does.
    """

    ids: list[str] | None
    filter: Filter | None

    @classmethod
    def of(cls, ids: Sequence[str] | None, *, where: Filter | None) -> Wanted | None:
        """Return what a call names; None where it lists no ids at all.

        Raises:
            InvalidInput: These are no ids, or too many.
        """
        listed = None if ids is None else _distinct_ids(ids)
        if listed is None:
            return cls(None, where)
        return cls(listed, _all_of(where, field("id").in_(listed))) if listed else None

    @property
    def only(self) -> str | None:
        """The id, where there is one alone."""
        return self.ids[0] if self.ids and len(self.ids) == 1 else None


def living(at: datetime) -> Filter:
    """Return what is true of the turns that are not forgotten by their date, at a moment."""
    ends = field("expires_at")
    return (ends == None) | (field("pinned") == True) | (ends > at)  # noqa: E711, E712


def _present() -> datetime:
    return datetime.now(timezone.utc)


class Administrator:
    """Reads and deletes the turns of one store, without ranking them."""

    def __init__(
        self, store: Store, *, tracing: Tracing, present: Callable[[], datetime] = _present
    ) -> None:
        self._store = store
        self._tracing = tracing
        self._present = present

    @property
    def _living(self) -> Filter:
        return living(self._present())

    def get(self, turn_id: str, *, scope: Scope | AllScopes) -> Turn:
        """Return one turn.

        Raises:
            NotFound: There is none of that id in the scope.
            InvalidInput: There are several; ids are unique within a user and agent.
        """
        where = (field("id") == identifier(turn_id, what="id")) & self._living
        found = self._store.page(scope=scope, where=where, limit=2)
        if not found:
            raise NotFound(
                f"there is no turn {turn_id!r} in {_named(scope)}. Check the id, or look in a "
                "wider scope."
            )
        if len(found) > 1:
            raise InvalidInput(
                f"several users or agents have a turn {turn_id!r}, and {_named(scope)} does not "
                "tell which is meant. Name the user_id and the agent_id."
            )
        return found[0]

    def page(
        self, *, scope: Scope | AllScopes, where: Filter | None, offset: int, limit: int
    ) -> list[Turn]:
        """Return some turns in the order in which they were said."""
        return self._store.page(
            scope=scope,
            where=_all_of(where, self._living),
            offset=_rows(offset, what="offset", least=0),
            limit=_rows(limit, what="limit", least=1),
        )

    def sessions(self, *, scope: Scope | AllScopes) -> list[Session]:
        """Return the sessions of a scope, the earliest first."""
        return self._store.sessions(scope=scope, where=self._living)

    def count(self, *, scope: Scope | AllScopes, where: Filter | None) -> int:
        """Return how many turns match."""
        return self._store.count(scope=scope, where=_all_of(where, self._living))

    def stats(self) -> StoreStats:
        """Return size and state of the store."""
        return self._store.stats()

    def delete(
        self,
        ids: Sequence[str] | None,
        *,
        scope: Scope | AllScopes,
        where: Filter | None,
        dry_run: bool,
    ) -> Deletion:
        """Delete the turns of a scope, or those of them with these ids."""
        wanted = Wanted.of(ids, where=where)
        if wanted is None:
            return Deletion(0, (), dry_run=dry_run)
        if dry_run:
            return Deletion(*self.found(wanted, scope=scope), dry_run=True)
        missing = self._missing(wanted, scope=scope)
        attributes = {
            "gen_ai.memory.store.id": self._store.name,
            "gen_ai.memory.record.id": wanted.only,
        }
        with (
            self._tracing.operation("delete_memory", attributes, scope=scope) as current,
            self._store.audit.entry("delete", scope=scope, ids=wanted.ids or ()) as entry,
        ):
            forget_imports(self._store.checkpoints)  # before: a kill may come right after
            with current.phase("commit"):
                count = self._store.delete(scope=scope, where=wanted.filter)
            forget_imports(self._store.checkpoints)  # after: an import may have begun meanwhile
            entry.tell(count=count)
            current.set({"gen_ai.memory.record.count": count})
        return Deletion(count, missing, dry_run=False)

    def found(self, wanted: Wanted, *, scope: Scope | AllScopes) -> tuple[int, tuple[str, ...]]:
        """Return how many turns a call names, and which of its ids the scope has no turn of."""
        count = self._store.count(scope=scope, where=wanted.filter)
        return count, self._missing(wanted, scope=scope)

    @staticmethod
    def delete_in(
        store: Store,
        ids: Sequence[str] | None,
        *,
        scope: Scope | AllScopes,
        where: Filter | None,
    ) -> None:
        """Delete the same in another generation of the store, which nobody is answered from."""
        wanted = Wanted.of(ids, where=where)
        if wanted is not None:
            store.delete(scope=scope, where=wanted.filter)

    def _missing(self, wanted: Wanted, *, scope: Scope | AllScopes) -> tuple[str, ...]:
        """Return the ids of which the scope has no turn."""
        if wanted.ids is None:
            return ()
        there = persisting(lambda: self._ids(wanted, scope=scope))
        return tuple(one for one in wanted.ids if one not in there)

    def _ids(self, wanted: Wanted, *, scope: Scope | AllScopes) -> set[str]:
        batches = self._store.scan(["id"], scope=scope, where=wanted.filter, batch_rows=MOST_IDS)
        return {str(one) for batch in batches for one in batch["id"].to_pylist()}

    def export(self, export: Export, *, progress: bool) -> int:
        """Write turns to a file, and return how many."""
        living = self._living
        total = self._store.count(scope=export.scope, where=living)
        with (
            self._store.audit.entry("export", scope=export.scope) as entry,
            progress_bar(total, shown=progress, doing="exporting") as tell,
        ):
            entry.note(path=str(export.path))
            count = write_turns(
                export.path,
                self._batches(export, living, tell),
                vectors=self._vectors if export.vectors else None,
                overwrite=export.overwrite,
            )
            entry.tell(count=count)
        return count

    def _batches(self, export: Export, where: Filter, tell: Tell) -> Iterator[list[Turn]]:
        done = 0
        for batch in self._store.scan_turns(
            scope=export.scope, where=where, batch_turns=BATCH_TURNS
        ):
            yield batch
            done += len(batch)
            tell(done, done)

    def _vectors(self, turns: Sequence[Turn]) -> list[NDArray[np.float32]]:
        keys = [key_of(turn) for turn in turns]
        vectors = self._store.vectors_by_key(keys)
        nothing = np.zeros((0, self._store.passport.dimension), np.float32)
        return [vectors.get(key, nothing) for key in keys]


def _rows(value: object, *, what: str, least: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise InvalidInput(f"{what}={shown(value)}: pass a whole number, {least} or more.")
    return min(value, MOST_ROWS)


def _distinct_ids(ids: Iterable[str]) -> list[str]:
    if not isinstance(ids, Iterable):
        raise InvalidInput(f"ids={shown(ids)}: pass one id, or a list of them.")
    distinct = list(dict.fromkeys(identifier(one, what="id") for one in ids))
    if len(distinct) > MOST_IDS:
        raise InvalidInput(
            f"{len(distinct):,} ids are more than the {MOST_IDS:,} of one call. Delete them in "
            "parts, or by session or filter."
        )
    return distinct


def _all_of(*filters: Filter | None) -> Filter | None:
    given = tuple(one for one in filters if one is not None)
    return And(given) if len(given) > 1 else (given[0] if given else None)


def _named(scope: Scope | AllScopes) -> str:
    if isinstance(scope, AllScopes):
        return "the store"
    names = ("user_id", "agent_id", "session_id")
    given = [f"{name}={getattr(scope, name)!r}" for name in names if getattr(scope, name)]
    return ", ".join(given)
