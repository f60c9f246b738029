"""What a router knows, held in memory: the columns of its catalogue, and what its lessons left.

Advanced by table version: a look costs two version checks while nothing changed. Every process
comes to the same state from the same tables.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from agentmem.errors import StoreError
from agentmem.ranking.lexical import InvertedIndex
from agentmem.ranking.tools.columns import Columns
from agentmem.ranking.tools.config import Routing
from agentmem.ranking.tools.score import Learnt
from agentmem.ranking.tools.success import success_term
from agentmem.ranking.tools.usage import FIT_FORMAT, Fitted, Observations, Usage
from agentmem.routing.known import DAY, Known
from agentmem.routing.lessons import LessonLog, Row, active
from agentmem.routing.shelf import Shelf
from agentmem.storage.catalogue import CatalogueState
from agentmem.storage.tool_schema import tool_key
from agentmem.storage.tool_store import ToolStore
from agentmem.types import Tool

__all__ = ["Holdings", "Sight"]

WORTH_KEEPING: Final = 500  # observations; fewer are fitted anew in tenths of a second
NOWHERE: Final = -1  # the place of a tool that is gone
AGEING: Final = DAY  # after so many microseconds the weights by age are taken anew

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Sight:
    """What one selection sees: a catalogue of N tools and what was learnt of it.

    Attributes:
        shelf: The catalogue.
        columns: What the tools say about themselves, and the words of their usage.
        learnt: What lessons left.
        observations: Of the active lessons, oldest first.
        succeeded: Reported successes of each tool, by age, shape (N,); likewise `failed`.
        failed: See `succeeded`.
        examples_version: Of the table of lessons.
        fits_version: Of the table of fits, once this was learnt.
        learnt_at: The present that observations were weighed by age at, in microseconds since
            1970 UTC.
    """

    shelf: Shelf
    columns: Columns
    learnt: Learnt
    observations: Observations
    succeeded: Floats
    failed: Floats
    examples_version: int
    fits_version: int
    learnt_at: int

    @property
    def size(self) -> int:
        """How many tools there are."""
        return len(self.shelf)

    @property
    def keys(self) -> list[str]:
        """Keys of the tools, in order of registration."""
        return self.shelf.keys

    @property
    def names(self) -> list[str]:
        """Names of the tools."""
        return self.shelf.names

    @property
    def namespaces(self) -> list[str]:
        """Namespaces of the tools."""
        return self.shelf.namespaces

    @property
    def tokens(self) -> NDArray[np.int64]:
        """Tokens of each tool's OpenAI definition, -1 where they were not counted, shape (N,)."""
        return self.shelf.tokens

    @property
    def fingerprint(self) -> str:
        """Changes whenever any definition does."""
        return self.shelf.fingerprint

    @property
    def catalogue_version(self) -> int:
        """Version of the table of tools."""
        return self.shelf.state.version

    @property
    def usage(self) -> Usage | None:
        """What usage examples left; None without any."""
        return self.learnt.usage

    def tool(self, place: int) -> Tool:
        """Return one tool."""
        return self.shelf.tool(place)

    def index(self, name: str, *, namespace: str) -> int | None:
        """Return the place of a tool, or None where there is none of that name."""
        return self.shelf.place.get(tool_key(name, namespace=namespace))


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
        self._kept: tuple[str, list[str], Floats] | None = None
        self._taught: Sequence[Row] = ()
        self._learnt_at = 0
        self._sight: Sight | None = None

    def current(self) -> Sight:
        """Return the newest state.

        Raises:
            StoreError: The store could not be read.
        """
        with self._lock:
            known = self._sight
            state = self._store.catalogue.read(None if known is None else known.catalogue_version)
            taught = self.log.current()
            recent = self._now() - self._learnt_at < AGEING
            if known is not None and state is None and taught is self._taught and recent:
                return known
            shelf = known.shelf if known is not None and state is None else _shelved(state)
            self._sight = self._see(shelf, taught)
            self._taught = taught
            return self._sight

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
        columns = _columns(sight.shelf, kept, config=self._routing)
        return replace(sight, columns=columns, learnt=learnt, observations=kept)

    def observations_of(self, lessons: Sequence[Row], *, sight: Sight) -> Observations:
        """Return the observations that would count if these lessons were the active ones."""
        with self._lock:
            rows = self._observed()
        return self._known(rows, lessons, shelf=sight.shelf).observations

    def _known(self, rows: pa.Table, lessons: Sequence[Row], *, shelf: Shelf) -> Known:
        return Known.of(rows, lessons, shelf=shelf, now=self._now(), config=self._routing)

    def _see(self, shelf: Shelf, taught: Sequence[Row]) -> Sight:
        self._learnt_at = self._now()
        known = self._known(self._observed(), active(taught), shelf=shelf)
        usage = self._usage(known, shelf=shelf)
        strength = self._routing.success_strength
        success = success_term(known.succeeded, known.failed, strength=strength)
        return Sight(
            shelf=shelf,
            columns=_columns(shelf, known.observations, config=self._routing),
            learnt=Learnt(usage, known.co_use, success),
            observations=known.observations,
            succeeded=known.succeeded,
            failed=known.failed,
            examples_version=self.log.version,
            fits_version=self._store.fits.version,
            learnt_at=self._learnt_at,
        )

    def _usage(self, known: Known, *, shelf: Shelf) -> Usage | None:
        """Learn, with an earlier fit of the same lessons where there is one."""
        name = _fit_name(known, shelf=shelf, config=self._routing)
        kept = self._kept if self._kept is not None and self._kept[0] == name else None
        if kept is None and known.due >= WORTH_KEEPING:
            stored = self._store.fits.get(name)
            kept = None if stored is None else (name, *stored)
        fitted = None
        if kept is not None:
            places = np.array([shelf.place.get(key, NOWHERE) for key in kept[1]], np.int64)
            fitted = Fitted.from_matrix(kept[2], places=places)
        with threadpool_limits(1, user_api="blas"):  # two threads that wait for a core take longer
            usage = Usage.learn(
                known.observations,
                descriptions=shelf.raw,
                documents=shelf.documents,
                config=self._routing,
                due=known.due,
                fitted=fitted,
            )
        if usage is not None and kept is None:
            tools = [shelf.keys[place] for place in usage.fitted.ground.tolist()]
            kept = (name, tools, usage.fitted.to_matrix())
            if known.due >= WORTH_KEEPING:
                self._store.fits.put(name, kept[2], tools=tools)
        self._kept = kept
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


def _fit_name(known: Known, *, shelf: Shelf, config: Routing) -> str:
    """Name a fit by what it is of: lessons and weights, and of few lessons the tools as well.

    A large one outlives changes of the catalogue until the next is due: a tool that came later has
    not moved, and one that went is passed over. Nor is it made anew as its observations age.
    """
    parts = [*known.fitted, config.id, str(FIT_FORMAT)]
    if known.due < WORTH_KEEPING:
        parts += [*shelf.keys, shelf.fingerprint]
    return hashlib.blake2b("\n".join(parts).encode(), digest_size=16).hexdigest()


def _shelved(state: CatalogueState | None) -> Shelf:
    """Make a shelf of what was read; nothing is held yet, so that something was."""
    if state is None:
        raise StoreError("the catalogue could not be read. Repair: open the router again.")
    return Shelf.of(state)


def _columns(shelf: Shelf, observations: Observations, *, config: Routing) -> Columns:
    """Index each tool's own words, followed by those of the queries it was right for."""
    documents = list(shelf.words)
    for owner, terms, label in zip(
        observations.owners.tolist(), observations.terms, observations.labels.tolist(), strict=True
    ):
        if label > 0:
            documents[owner] = f"{documents[owner]} {terms}"
    index = InvertedIndex()
    index.extend(documents)
    views = shelf.views
    return Columns.of(
        views["name"],
        description=views["description"],
        arguments=views["arguments"],
        index=index,
        config=config,
    )
