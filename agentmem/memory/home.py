"""`Home`: the store of a memory, in whichever generation is in force when it is asked.

Follows migrations made by this process or by others: each operation asks anew, and a write is
acknowledged once it is in the generation in force.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TypeVar

from agentmem.backup import Archive, Past
from agentmem.embedding.choice import Embedders
from agentmem.errors import StoreError
from agentmem.filters import Filter
from agentmem.forgetting import Forgetter
from agentmem.ingest import Added, OnConflict, StoppedClock, Superseded
from agentmem.maintenance import Background
from agentmem.memory.parts import Parts, Settings
from agentmem.memory.shadowing import Shadowing
from agentmem.migration import Migrations
from agentmem.migration.unasked import migrating, remaking
from agentmem.monitoring import Drift, DriftSettings
from agentmem.ranking import Ranking
from agentmem.retrieval import Request
from agentmem.storage.border import persisting
from agentmem.storage.description import Generation
from agentmem.storage.endings import Ending
from agentmem.storage.generations import Spaces
from agentmem.storage.turns import Store
from agentmem.types import AllScopes, Deletion, Recall, Replay, Scope, SearchRecord, Turn, Update

__all__ = ["Home", "following"]

T = TypeVar("T")


class Home:
    """The generations of one store of turns. Safe for several threads.

    Args:
        store: Of the generation in force when it was opened.
        spaces: What is held of each.
        migrations: What is asked of migrations from one to another.
        drift: What is noticed of drift.
        ranking: The weights of searches that bring none.
        forgetter: Erases turns.
        archive: What is kept of its past.
        elsewhen: Gives the home of the same store as it was.
    """

    def __init__(
        self,
        store: Store,
        *,
        spaces: Spaces[Parts],
        migrations: Migrations,
        drift: Drift,
        ranking: Ranking,
        forgetter: Forgetter,
        archive: Archive,
        elsewhen: Callable[[Past], Home],
    ) -> None:
        self.ranking = ranking
        self.archive = archive
        self._elsewhen = elsewhen
        self.forgetter = forgetter
        self._opened = store
        self._spaces = spaces
        self.migrations = migrations
        self.drift = drift
        self._shadowing = Shadowing(
            migrations.shadow, searcher=lambda number: spaces.at(number).quiet
        )

    @property
    def name(self) -> str:
        """The folder or address, as it was given."""
        return self._opened.name

    @property
    def closed(self) -> bool:
        """Whether it was closed, or opened before this process was forked."""
        return self._opened.closed

    @property
    def parts(self) -> Parts:
        """What is held of the generation in force.

        Raises:
            EmbedderMismatch: This process has no embedder of its space.
            StoreError: The store could not be read.
        """
        return self._spaces.current()

    def read(self, operation: Callable[[Parts], T]) -> T:
        """Read from the generation in force, whatever is dropped of the store meanwhile."""
        return persisting(lambda: operation(self.parts))

    def search(self, request: Request) -> Recall:
        """Search; and where a migration wants it, compare with the next generation afterwards."""

        def ask() -> tuple[Recall, int | None]:
            parts, shadow = self._spaces.shadowed()
            return parts.searcher.search(request), shadow

        recall, shadow = persisting(ask)
        if shadow is not None:
            self._shadowing.answered(request, recall, generation=shadow)
        return recall

    def add(
        self,
        messages: object,
        *,
        scope: Scope,
        on_conflict: OnConflict,
        ttl: timedelta | None = None,
        allow_forgotten: bool = False,
    ) -> Added:
        """Store messages; see `ingest.Writer.add`.

        What was erased while it was being written leaves the store again before this returns.
        """
        added: Added | None = None
        for parts in self._spaces.writing():
            given = messages if added is None else added
            self.drift.before_write(parts.watched)
            again = parts.writer.add(
                given,
                scope=scope,
                on_conflict=on_conflict,
                ttl=ttl,
                allow_forgotten=allow_forgotten,
            )
            if added is not None and (back := added.beyond(again)):
                self.forgetter.erase(back)
                added = again
            added = again if added is None else added
        return _made(added)

    def delete(
        self,
        ids: Sequence[str] | None,
        *,
        scope: Scope | AllScopes,
        where: Filter | None,
        dry_run: bool,
    ) -> Deletion:
        """Delete turns in every generation that is kept; see `administration.Administrator`."""
        if dry_run:
            return self.parts.administrator.delete(ids, scope=scope, where=where, dry_run=True)
        found: Deletion | None = None
        for parts in self._spaces.writing():
            again = parts.administrator.delete(ids, scope=scope, where=where, dry_run=False)
            found = again if found is None else found
            if ids is None and where is None:
                self.drift.forget(parts.watched, scope)
            for other in self._spaces.others(parts.store.generation):
                self._delete_in(other, parts, ids, scope=scope, where=where)
        return _made(found)

    def supersede(
        self, turn_id: str, new: object, *, scope: Scope | AllScopes, valid_until: datetime | None
    ) -> Turn:
        """Store the correction of a turn; see `ingest.Changer.supersede`."""
        done: Superseded | None = None
        for parts in self._spaces.writing():
            self.drift.before_write(parts.watched)
            again = parts.changer.supersede(
                turn_id if done is None else done, new, scope=scope, valid_until=valid_until
            )
            done = again if done is None else done
        return _made(done).new

    def update(
        self,
        ids: Sequence[str] | None,
        *,
        scope: Scope | AllScopes,
        where: Filter | None,
        ending: Ending,
        dry_run: bool,
    ) -> Update:
        """Change until when turns are true and found; see `ingest.Changer.update`."""
        found: Update | None = None
        for parts in self._spaces.writing():
            again = parts.changer.update(
                ids, scope=scope, where=where, ending=ending, dry_run=dry_run
            )
            found = again if found is None else found
        return _made(found)

    def _delete_in(
        self,
        other: Generation,
        parts: Parts,
        ids: Sequence[str] | None,
        *,
        scope: Scope | AllScopes,
        where: Filter | None,
    ) -> None:
        """Delete the same in another generation, unless that is dropped meanwhile."""
        try:
            elsewhere = self._opened.at_generation(other)
            parts.administrator.delete_in(elsewhere, ids, scope=scope, where=where)
            if ids is None and where is None:
                elsewhere.watching.questions.forget(scope)
        except StoreError:
            if self._spaces.keeps(other.number):
                raise

    def replay(
        self, record: SearchRecord, *, query: str | None, where: Filter | None, now: bool
    ) -> Replay:
        """Run a past search again in its own generation; see `replay.SearchReplayer`."""
        today = self.parts
        then = self._spaces.kept(record.generation) or today
        if then is today:
            return today.replayer.replay(record, query=query, where=where, now=now)
        past = then.replayer.replay(record, query=query, where=where, now=False)
        if not now:
            return past
        present = today.replayer.replay(record, query=query, where=where, now=True)
        return replace(past, now=present.now, changes=present.changes, answer=present.answer)

    def as_it_was(self, when: object) -> Home:
        """Return the home of the store as it was; see `backup.Archive.past`."""
        return self._elsewhen(self.archive.past(when))

    def close(self) -> None:
        """Let go of every generation."""
        self.drift.close()
        self._shadowing.close()
        for parts in reversed(self._spaces.held()):
            parts.store.close()
        self._opened.close()


def following(store: Store, *, embedders: Embedders, settings: Settings) -> Home:
    """Return the home of a store, which follows it from generation to generation."""

    def make(generation: Generation) -> Parts:
        same = generation.number == store.generation
        found = store if same else store.at_generation(generation)
        embedder = embedders.at(generation.number, generation.passport)
        return Parts.of(found, embedder=embedder, settings=settings, present=present, drift=drift)

    def present() -> Store:
        return spaces.current().store

    def upcoming(generation: Generation) -> None:
        embedders.warm(generation.passport)

    def elsewhen(past: Past) -> Home:
        clock = StoppedClock(past.moment)
        then = replace(settings, clock=clock, drift=DriftSettings(), maintain="off")
        return following(past.store, embedders=embedders, settings=then)

    whole = store.whole
    spaces = Spaces(whole.generations, make=make, upcoming=upcoming, erased=embedders.clear)
    forgetter = Forgetter(
        store,
        tombstones=store.tombstones,
        caches=lambda: spaces.forget(whole.generations.read().erasures),
        tracing=settings.tracing,
    )
    migrations = Migrations(
        whole, embedders=embedders, ranking=settings.ranking, tracing=settings.tracing
    )
    drift = Drift(
        lambda: spaces.current().watched,
        settings=replace(settings.drift, migrate=migrating(migrations), remake=remaking),
        tracing=settings.tracing,
    )
    if settings.maintain == "auto":
        Background(store, tracing=settings.tracing)  # until the store is closed
    return Home(
        store,
        spaces=spaces,
        migrations=migrations,
        drift=drift,
        ranking=settings.ranking,
        forgetter=forgetter,
        archive=Archive(whole),
        elsewhen=elsewhen,
    )


def _made(value: T | None) -> T:
    """Return what a write gave; one always writes somewhere."""
    if value is None:
        raise StoreError("nothing was written. Repair: open the store again.")
    return value
