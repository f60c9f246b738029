"""The learning path: examples and feedback, guarded, become lessons that the next selection knows.

Everything is checked and embedded before anything is written. A lesson that would make
selections worse is kept in the log with its observations, and has no effect.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import Final, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from agentmem.checks import identifier, shown
from agentmem.embedding.queries import embed_queries
from agentmem.embedding.tracing import embedding_phase
from agentmem.errors import InvalidInput
from agentmem.protocols import Embedder
from agentmem.routing.batches import in_slices
from agentmem.routing.guarding import UNGUARDED, Guard, Verdict
from agentmem.routing.holdings import Holdings
from agentmem.routing.lessons import Row, as_lesson
from agentmem.routing.observing import (
    Place,
    Taught,
    read_examples,
    read_feedback,
    taught_examples,
)
from agentmem.routing.recording import Record, Recorder, lesson_span
from agentmem.routing.roster import Roster
from agentmem.routing.sight import Sight
from agentmem.storage.lesson_schema import RIGHT, Observation
from agentmem.storage.tool_store import ToolStore
from agentmem.telemetry import Current, Tracing
from agentmem.types import Lesson, Selection, Tool

__all__ = ["Teacher"]

Kind: TypeAlias = Literal["examples", "feedback"]
Judge: TypeAlias = Callable[..., Verdict]
"""`Guard.on_examples` or `Guard.on_feedback`."""

NOTHING_NEW: Final = "nothing to learn: each of these examples is known already"
GUARD: Final = "guard"  # who gave the lessons that undo others


class Teacher:
    """Teaches the router of one store. Safe for several threads.

    Args:
        store: The store.
        holdings: What is known of its tools.
        recorder: Adds to its lessons.
        guard: Judges what is to be learnt.
        roster: Reads its tools, to say which name was meant.
        embedder: Of the space the store is written in.
        tracing: Opens spans.
    """

    def __init__(
        self,
        store: ToolStore,
        *,
        holdings: Holdings,
        recorder: Recorder,
        guard: Guard,
        roster: Roster,
        embedder: Embedder,
        tracing: Tracing,
    ) -> None:
        self._store = store
        self._tracing = tracing
        self._holdings = holdings
        self._recorder = recorder
        self._guard = guard
        self._roster = roster
        self._embedder = embedder

    def add_examples(
        self, examples: object, *, namespace: str, guard: bool, by: str | None
    ) -> Lesson:
        """Teach queries that tools are right for.

        Raises:
            InvalidInput: The examples cannot be read; nothing was stored.
            NotFound: A tool is not in the namespace; nothing was stored.
            EmbeddingFailed: The model gave no usable vectors; nothing was stored.
            StoreError: The write failed; the lesson does not count.
        """
        with self._span("add_examples") as (current, record):
            given = read_examples(examples, namespace=namespace)
            _check_by(by)
            sight = self._holdings.current()
            self._find(list(given), namespace, sight=sight)
            taught = taught_examples(
                _unknown(given, sight=sight, namespace=namespace), namespace=namespace
            )
            if not taught.observations:
                return record(self._nothing_new(taught, by=by))
            judge = self._guard.on_examples if guard else None
            return record(
                self._learn("examples", taught, judge=judge, sight=sight, by=by, current=current)
            )

    def feedback(
        self,
        given: Selection | str,
        *,
        used: object,
        succeeded: object,
        namespace: str | None,
        guard: bool,
        by: str | None,
    ) -> Lesson:
        """Teach which tools a query needed, and how their calls ended.

        Raises:
            InvalidInput: An argument cannot be used, or the selection is another store's.
            NotFound: A tool that was used is not in the catalogue.
            EmbeddingFailed: The model gave no usable vectors; nothing was stored.
            StoreError: The write failed; the lesson does not count.
        """
        with self._span("feedback") as (current, record):
            read = read_feedback(given, used=used, succeeded=succeeded, namespace=namespace)
            _check_by(by)
            sight = self._holdings.current()
            if read.selection is not None:
                self._check_origin(read.selection, sight=sight)
            known = partial(_knows, sight=sight)
            taught = read.taught(partial(self._find, sight=sight), known=known)
            judge = self._guard.on_feedback if guard else None
            return record(
                self._learn("feedback", taught, judge=judge, sight=sight, by=by, current=current)
            )

    def _span(self, action: str) -> AbstractContextManager[tuple[Current, Record]]:
        return lesson_span(self._tracing, audit=self._store.audit, action=action)

    def _learn(
        self,
        kind: Kind,
        taught: Taught,
        *,
        judge: Judge | None,
        sight: Sight,
        by: str | None,
        current: Current,
    ) -> Lesson:
        """Judge and store what was taught, and undo what it is to blame for."""
        log = self._holdings.log.current()
        vectors = self._vectors(taught.observations, current)
        verdict = UNGUARDED
        if judge is not None:
            with current.phase("guard"):
                verdict = judge(taught, vectors=vectors, sight=sight, log=log)
        row = self._recorder.row(
            log=log,
            kind=kind,
            namespace=taught.namespace,
            tools=taught.tools,
            observations=len(taught.observations),
            applied=not verdict.worse,
            reason=verdict.reason,
            before=verdict.before,
            after=verdict.after,
            by=by,
            detail={**taught.detail, "looked": verdict.looked, "accepted": verdict.accepted},
        )
        with current.phase("commit"):
            self._recorder.write(row, observations=taught.observations, vectors=vectors)
        if verdict.undone:
            self._undo(verdict, cause=row)
        return as_lesson(row, is_active=row["applied"])

    def _undo(self, verdict: Verdict, *, cause: Row) -> None:
        """Make a namespace what it was when the guard last found it good."""
        undoing = self._recorder.row(
            log=[cause],
            kind="revert",
            namespace=cause["namespace"],
            tools=sorted({name for one in verdict.undone for name in one["tools"]}),
            applied=True,
            reason=f"what was learnt since made selections worse: see lesson {cause['id']}",
            before=verdict.after,
            after=verdict.before,
            by=GUARD,
            reverted_to=verdict.back_to,
        )
        self._recorder.write(undoing)

    def _nothing_new(self, taught: Taught, *, by: str | None) -> Lesson:
        row = self._recorder.row(
            log=(), kind="examples", namespace=taught.namespace, reason=NOTHING_NEW, by=by
        )
        return as_lesson({**row, "id": ""}, is_active=False)  # of what is not stored

    def _vectors(
        self, observations: Sequence[Observation], current: Current
    ) -> NDArray[np.float32]:
        """Embed the queries, each once, shape (len(observations), D)."""
        queries = list(dict.fromkeys(one.query for one in observations))
        if not queries:
            return np.zeros((0, self._store.passport.dimension), np.float32)
        with embedding_phase(current, embedder=self._embedder, texts=queries):
            rows = in_slices(queries, partial(embed_queries, self._embedder), unit="queries")
        place = {query: row for row, query in enumerate(queries)}
        vectors: NDArray[np.float32] = rows[[place[one.query] for one in observations]]
        return vectors

    def _find(self, names: Sequence[str], namespace: str | None, *, sight: Sight) -> list[Place]:
        """Return where tools are, within a namespace or wherever the name is unique."""
        places = [(of, name) for name in names for of in _spaces(name, namespace, sight=sight)]
        missing = [name for name in names if name not in {one for _, one in places}]
        if missing:
            raise self._roster.missing(missing, namespace=namespace)
        if len(places) > len(names):
            several = ", ".join(shown(place) for place, _ in places)
            raise InvalidInput(
                f"the name {shown(places[0][1])} is used in several namespaces: {several}. Pass "
                "namespace= with the one that is meant."
            )
        return places

    def _check_origin(self, selection: Selection, *, sight: Sight) -> None:
        """Refuse a selection that another store's router made."""
        strange = later = False
        if selection.generation == self._store.generation:  # versions of others do not compare
            strange = selection.passport_id != self._store.passport.id
            later = selection.catalogue_version > sight.catalogue_version
        seen = [match.tool for match in selection.candidates]
        unknown = seen and not any(_knows(tool, sight=sight) for tool in seen)
        if strange or unknown or later:
            why = "with another embedder" if strange else "among tools that are not in this one"
            raise InvalidInput(
                f"the selection was made {why}, so its feedback does not belong in the store "
                f"{self._store.name}. Give it to the router that made it, or pass the query "
                "instead."
            )


def _spaces(name: str, namespace: str | None, *, sight: Sight) -> list[str]:
    """Return the namespaces that have a tool of a name: this one, or any."""
    if namespace is not None:
        return [] if sight.index(name, namespace=namespace) is None else [namespace]
    return [of for one, of in zip(sight.names, sight.namespaces, strict=True) if one == name]


def _knows(tool: Tool, *, sight: Sight) -> bool:
    return sight.index(tool.name, namespace=tool.namespace) is not None


def _unknown(
    given: Mapping[str, Sequence[str]], *, sight: Sight, namespace: str
) -> dict[str, list[str]]:
    """Return the examples that are not known yet."""
    seen = sight.observations
    right = np.flatnonzero(seen.labels == RIGHT).tolist()
    known = {(int(seen.owners[place]), seen.queries[place]) for place in right}
    return {
        name: [query for query in queries if (tool, query) not in known]
        for name, queries in given.items()
        for tool in [sight.index(name, namespace=namespace)]
    }


def _check_by(by: str | None) -> None:
    if by is not None:
        identifier(by, what="by")
