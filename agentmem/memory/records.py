"""What a memory does besides remembering: listing, counting, deleting, files in and out."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final, TypeAlias, get_args

from agentmem.administration import Export
from agentmem.checks import location, shown, utc
from agentmem.errors import InvalidInput
from agentmem.filters import Filter, parse_filter
from agentmem.ingest import OnConflict
from agentmem.memory.home import Home
from agentmem.memory.parts import Parts
from agentmem.scopes import Bound
from agentmem.transfer import Written, import_records
from agentmem.types import AllScopes, Deletion, ImportReport, Scope, Session, StoreStats, Turn
from agentmem.types.guards import LeftOut

__all__ = ["Moment", "Records", "Where", "as_filter", "as_moment", "lifetime"]

Moment: TypeAlias = datetime | str | float
Where: TypeAlias = Filter | Mapping[str, Any]

LONGEST_LIFE: Final = timedelta(days=365 * 1_000)  # beyond, dates overflow
PAGE: Final = 100  # turns a person or a request reads at a time


class Records:
    """The part of `Memory` that treats turns as records."""

    def __init__(self, home: Home, bound: Bound) -> None:
        self._home = home
        self._bound = bound

    @property
    def _parts(self) -> Parts:
        """Of the generation that is in force now: to be asked once an operation."""
        return self._home.parts

    def import_turns(
        self,
        source: str | os.PathLike[str] | Iterable[object],
        *,
        user_id: str | None = None,
        agent_id: str | None = None,
        session_id: str | None = None,
        on_conflict: OnConflict = "error",
        batch_size: int = 512,
        progress: bool = True,
        rejects: str | Path | None = None,
        resume: bool = True,
    ) -> ImportReport:
        """Store a file or stream of messages of any size, in bounded memory.

        A line that cannot be stored is set aside with its number and the reason, and the rest
        is loaded; one that a `before_store` hook refused, without its text. Killed and called
        again, it goes on where it was.

        Args:
            source: A `.jsonl`, `.jsonl.gz` or `.parquet` file, `-` for standard input, or an
                iterable of messages.
            user_id: Whose memory this is; a record that names somebody else is set aside.
            agent_id: See `user_id`.
            session_id: See `user_id`.
            on_conflict: As in `add`; "error" sets the record aside.
            batch_size: Turns of one commit.
            progress: Whether to draw a progress bar on a terminal.
            rejects: A new file for records set aside; by default one beside the source.
            resume: Whether to go on where an import of this very file was stopped.

        Raises:
            InvalidInput: The source as a whole cannot be read, or an argument cannot be used.
            EmbeddingFailed: The model gave no usable vectors.
            StoreError: A batch could not be written; those before it are stored.
        """
        if on_conflict not in get_args(OnConflict):
            raise InvalidInput(f"on_conflict={shown(on_conflict)}: pass 'error' or 'replace'.")
        scope = self._bound.narrowed(Scope(user_id, agent_id, session_id))

        def write(batch: Sequence[object]) -> Written:
            added = self._home.add(batch, scope=scope, on_conflict=on_conflict)
            out = {n: one for n, one in enumerate(added.outcomes) if isinstance(one, LeftOut)}
            return Written(added.stored, added.unchanged, out)

        return import_records(
            source,
            write=write,
            scope=scope,
            batch_size=batch_size,
            progress=progress,
            rejects=rejects,
            resume=resume,
            checkpoints=self._parts.store.checkpoints,
            on_conflict=on_conflict,
        )

    def export(
        self,
        path: str | os.PathLike[str],
        *,
        user_id: str | None = None,
        agent_id: str | None = None,
        session_id: str | None = None,
        scope: Scope | AllScopes | None = None,
        vectors: bool = False,
        overwrite: bool = False,
        progress: bool = True,
    ) -> int:
        """Write turns to a `.jsonl`, `.jsonl.gz` or `.parquet` file that imports back identically.

        Args:
            path: The file.
            user_id: Whose turns; likewise `agent_id`, `session_id`.
            agent_id: See `user_id`.
            session_id: See `user_id`.
            scope: `ALL` to write everyone's.
            vectors: Whether to write the vectors of each turn's chunks as well.
            overwrite: Whether to replace a file of that name.
            progress: Whether to draw a progress bar on a terminal.

        Returns:
            How many turns were written.

        Raises:
            ScopeRequired: No scope was named.
            InvalidInput: The suffix is unknown, or the file exists.
            StoreError: The store could not be read, or the file not written.
        """
        reading = self._bound.reading(Scope(user_id, agent_id, session_id), scope)
        wanted = Export(
            Path(location(path, what="path")), scope=reading, vectors=vectors, overwrite=overwrite
        )
        return self._home.read(lambda parts: parts.administrator.export(wanted, progress=progress))

    def get(
        self,
        turn_id: str,
        *,
        user_id: str | None = None,
        agent_id: str | None = None,
        session_id: str | None = None,
        scope: Scope | AllScopes | None = None,
    ) -> Turn:
        """Return one turn.

        Raises:
            NotFound: There is none of that id in that scope.
            InvalidInput: Several agents or users have one of that id; name whose.
            ScopeRequired: No scope was named.
            StoreError: The store could not be read.
        """
        reading = self._bound.reading(Scope(user_id, agent_id, session_id), scope)
        return self._home.read(lambda parts: parts.administrator.get(turn_id, scope=reading))

    def turns(
        self,
        *,
        user_id: str | None = None,
        agent_id: str | None = None,
        session_id: str | None = None,
        scope: Scope | AllScopes | None = None,
        where: Where | None = None,
        offset: int = 0,
        limit: int = PAGE,
    ) -> list[Turn]:
        """Return one page of turns, in the order in which they were said.

        Raises:
            InvalidInput: `offset` or `limit` is no count.
            ScopeRequired: No scope was named.
            StoreError: The store could not be read.
        """
        reading = self._bound.reading(Scope(user_id, agent_id, session_id), scope)
        matching = as_filter(where)
        return self._home.read(
            lambda parts: parts.administrator.page(
                scope=reading, where=matching, offset=offset, limit=limit
            )
        )

    def sessions(
        self,
        *,
        user_id: str | None = None,
        agent_id: str | None = None,
        session_id: str | None = None,
        scope: Scope | AllScopes | None = None,
    ) -> list[Session]:
        """Return the conversations of a scope, the earliest first.

        Raises:
            ScopeRequired: No scope was named.
            StoreError: The store could not be read.
        """
        reading = self._bound.reading(Scope(user_id, agent_id, session_id), scope)
        return self._home.read(lambda parts: parts.administrator.sessions(scope=reading))

    def count(
        self,
        *,
        user_id: str | None = None,
        agent_id: str | None = None,
        session_id: str | None = None,
        scope: Scope | AllScopes | None = None,
        where: Where | None = None,
    ) -> int:
        """Return how many turns there are.

        Raises:
            ScopeRequired: No scope was named.
            StoreError: The store could not be read.
        """
        reading = self._bound.reading(Scope(user_id, agent_id, session_id), scope)
        matching = as_filter(where)
        return self._home.read(
            lambda parts: parts.administrator.count(scope=reading, where=matching)
        )

    def stats(self) -> StoreStats:
        """Return size and state of the whole store: counts, no content.

        Raises:
            InvalidInput: The handle is bound to a scope, which the whole store leaves.
            StoreError: The store could not be read.
        """
        self._bound.check_open("stats")
        return self._home.read(lambda parts: parts.administrator.stats())

    def delete(
        self,
        ids: str | Sequence[str] | None = None,
        *,
        user_id: str | None = None,
        agent_id: str | None = None,
        session_id: str | None = None,
        scope: Scope | AllScopes | None = None,
        where: Where | None = None,
        dry_run: bool = False,
    ) -> Deletion:
        """Delete turns by id, or all those of a scope.

        Args:
            ids: The turns, within the scope; None deletes every turn of the scope.
            user_id: Whose turns; likewise `agent_id`, `session_id`. At least one is needed.
            agent_id: See `user_id`.
            session_id: See `user_id`.
            scope: `ALL` to delete everyone's.
            where: Only turns that match a filter.
            dry_run: Say what would be deleted, and delete nothing.

        Returns:
            How many turns were (or would be) deleted, and which ids were not there.

        Raises:
            ScopeRequired: No scope was named.
            StoreError: The write failed; nothing was deleted.
        """
        reading = self._bound.reading(Scope(user_id, agent_id, session_id), scope)
        wanted = [ids] if isinstance(ids, str) else ids
        return self._home.delete(wanted, scope=reading, where=as_filter(where), dry_run=dry_run)


def as_moment(value: Moment | None, what: str) -> datetime | None:
    """Read a moment as a caller gives it; `what` names it in errors."""
    return None if value is None else utc(value, what=what)


def lifetime(ttl: object) -> timedelta | None:
    """Read how long something is kept as a caller gives it."""
    if ttl is None or (isinstance(ttl, timedelta) and timedelta(0) < ttl < LONGEST_LIFE):
        return ttl
    raise InvalidInput(f"ttl={shown(ttl)}: pass a timedelta above 0, such as timedelta(days=30).")


def as_filter(where: Where | None) -> Filter | None:
    """Read a filter as a caller gives it."""
    return None if where is None else parse_filter(where)
