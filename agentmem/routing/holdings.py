"""What a router knows, held in memory: the columns of its catalogue, and what its lessons left.

Advanced by table version: a look costs two version checks while nothing changed. Every process
comes to the same state from the same tables; past states are made of the same tables as they were.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from typing import Final

import numpy as np
import pyarrow as pa
from threadpoolctl import threadpool_limits

from agentmem.errors import StoreError
from agentmem.ranking.tools.config import Routing
from agentmem.ranking.tools.observations import Observations
from agentmem.ranking.tools.score import Learnt
from agentmem.ranking.tools.usage import Usage
from agentmem.routing.known import DAY, Known
from agentmem.routing.lessons import LessonLog, Row, active
from agentmem.routing.shelf import Shelf
from agentmem.routing.sight import Moment, Sight, columns_of, fit_name, is_worth_keeping, learn
from agentmem.storage.catalogue import CatalogueState
from agentmem.storage.fits import KeptFit
from agentmem.storage.tool_store import ToolStore

__all__ = ["Holdings"]

AGEING: Final = DAY  # after so many microseconds the weights by age are taken anew


class Holdings:
    """Holds what the selections of one store need. Safe for several threads.

    Args:
        store: Where tools and lessons are.
        routing: The weights.
        now: The present, in microseconds since 1970 UTC.

    Attributes:
        log: Every lesson.
    """

    def __init__(self, store: ToolStore, *, routing: Routing, now: Callable[[], int]) -> None:
        self._store = store
        self._routing = routing
        self._now = now
        self._lock = threading.Lock()
        self.log = LessonLog(store.lessons)
        self._stored: tuple[int | None, pa.Table | None] = (None, None)
        self._kept: tuple[str, KeptFit] | None = None
        self._taught: Sequence[Row] = ()
        self._sight: Sight | None = None

    def current(self) -> Sight:
        """Return the newest state.

        Raises:
            StoreError: The store could not be read.
        """
        with self._lock:
            known = self._sight
            state = self._store.catalogue.read(None if known is None else known.catalogue_version)
            version, taught = self.log.newest()
            now = self._now()
            shelf = known.shelf if known is not None and state is None else _shelved(state)
            is_same = known is not None and shelf is known.shelf and taught is self._taught
            if known is not None and is_same and now - known.learnt_at < AGEING:
                return known
            self._sight = self._see(shelf, taught, version=version, now=now)
            self._taught = taught
            return self._sight

    def at(self, moment: Moment, *, routing: Routing) -> Sight:
        """Return a past state, as it was seen with other weights.

        A large fit that is no longer kept is made anew, of the catalogue of that moment; the
        sight's `fits_version` is 0 then.

        Raises:
            VersionGone: The catalogue of that version is no longer kept, or never was.
            StoreError: The store could not be read.
        """
        newest = self._sight
        if newest is not None and newest.catalogue_version == moment.catalogue_version:
            shelf = newest.shelf
        else:
            shelf = Shelf.of(self._store.catalogue.read_at(moment.catalogue_version))
        lessons = active(self.log.at(moment.examples_version))
        with self._lock:
            rows, mine = self._observed(), self._kept
        known = Known.of(rows, lessons, shelf=shelf, now=moment.learnt_at, config=routing)
        kept = None
        if is_worth_keeping(known):
            name = fit_name(known, shelf=shelf, config=routing)
            kept = self._store.fits.get(name, at=moment.fits_version)
            if kept is None and moment.fits_version is None and mine and mine[0] == name:
                kept = mine[1]  # of a store that may only be read
        usage = learn(known, shelf=shelf, config=routing, kept=kept)
        used = replace(moment, fits_version=0 if kept is None else kept.version)
        return Sight.of(known, usage, shelf=shelf, config=routing, moment=used)

    def check_kept(self, moment: Moment) -> None:
        """Refuse a past state whose catalogue is no longer kept, even where somebody holds it.

        Raises:
            VersionGone: It is no longer kept, or never was.
            StoreError: The store could not be read.
        """
        self._store.catalogue.check_kept(moment.catalogue_version)

    def without(self, queries: Collection[str], *, sight: Sight) -> Sight:
        """Return what would be in sight had these queries never been usage examples."""
        known, gone = sight.observations, set(queries)
        kept = known.only(np.array([query not in gone for query in known.queries], np.bool_))
        with threadpool_limits(1, user_api="blas"):
            usage = Usage.learn(
                kept,
                descriptions=sight.shelf.raw,
                documents=sight.shelf.documents,
                config=self._routing,
            )
        learnt = Learnt(usage, sight.learnt.co_use, sight.learnt.success)
        columns = columns_of(sight.shelf, kept, config=self._routing)
        return replace(sight, columns=columns, learnt=learnt, observations=kept)

    def observations_of(self, lessons: Sequence[Row], *, sight: Sight) -> Observations:
        """Return the observations that would count if these lessons were the active ones."""
        with self._lock:
            rows = self._observed()
        shelf, now = sight.shelf, self._now()
        return Known.of(rows, lessons, shelf=shelf, now=now, config=self._routing).observations

    def _see(self, shelf: Shelf, taught: Sequence[Row], *, version: int, now: int) -> Sight:
        """Learn from lessons, given the version of their table that was read."""
        rows, config = self._observed(), self._routing
        known = Known.of(rows, active(taught), shelf=shelf, now=now, config=config)
        usage = self._usage(known, shelf=shelf)
        moment = Moment(
            catalogue_version=shelf.state.version,
            examples_version=version,
            fits_version=0 if self._kept is None else self._kept[1].version,
            learnt_at=now,
        )
        return Sight.of(known, usage, shelf=shelf, config=config, moment=moment)

    def _usage(self, known: Known, *, shelf: Shelf) -> Usage | None:
        """Learn, with an earlier fit of the same lessons where there is one."""
        name = fit_name(known, shelf=shelf, config=self._routing)
        kept = self._kept[1] if self._kept is not None and self._kept[0] == name else None
        if kept is None and is_worth_keeping(known):
            kept = self._store.fits.get(name)
        usage = learn(known, shelf=shelf, config=self._routing, kept=kept)
        if usage is not None and kept is None:
            tools = [shelf.keys[place] for place in usage.fitted.ground.tolist()]
            matrix, version = usage.fitted.to_matrix(), 0
            if is_worth_keeping(known):
                version = self._store.fits.put(name, matrix, tools=tools)
            kept = KeptFit(tools, matrix, version)
        self._kept = None if kept is None else (name, kept)
        return usage

    def _observed(self) -> pa.Table:
        """Return every observation that is stored, in order of their keys."""
        version, rows = self._stored
        newest, more = self._store.lessons.observations(version)
        if rows is None:
            rows = more
        elif more.num_rows:
            rows = pa.concat_tables([rows, more]).combine_chunks().sort_by("key")
        self._stored = (newest, rows)
        return rows


def _shelved(state: CatalogueState | None) -> Shelf:
    """Make a shelf of what was read; nothing is held yet, so that something was."""
    if state is None:
        raise StoreError("the catalogue could not be read. Repair: open the router again.")
    return Shelf.of(state)
