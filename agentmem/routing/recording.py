"""Lessons written: a row of the log with its observations, behind every lesson that was seen."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, TypeAlias
from uuid import UUID

import numpy as np
import uuid_utils
from numpy.typing import NDArray

from agentmem.routing.lessons import Row
from agentmem.storage.lesson_schema import Observation, observation_rows
from agentmem.storage.lessons import Lessons
from agentmem.telemetry import Audit, Current, Tracing
from agentmem.types import Lesson

__all__ = ["Record", "Recorder", "lesson_span"]


class Recorder:
    """Adds to the log of one store. Safe for several threads.

    Args:
        stored: The log, as it is stored.
        passport_id: Of the space that its observations lie in.
        reserve: Gives a moment such that it and so many microseconds after it are the caller's.
        embed: Embeds queries into that space, shape (N, D).
        writing: Gives the recorder of the generation in force, and once more whenever the store
            moved meanwhile: see `storage.generations.Spaces.writing`.
    """

    def __init__(
        self,
        stored: Lessons,
        *,
        passport_id: str,
        reserve: Callable[[int], datetime],
        embed: Callable[[Sequence[str]], NDArray[np.float32]],
        writing: Callable[[], Iterator[Recorder]],
    ) -> None:
        self._stored = stored
        self._passport_id = passport_id
        self._reserve = reserve
        self._embed = embed
        self._writing = writing

    def row(self, *, log: Sequence[Row], **fields: Any) -> Row:
        """Return the row of a lesson, which is not written yet.

        Args:
            log: The lessons it comes after, in order of id.
            fields: Those of `lesson_schema.lesson_row`, without id and time.
        """
        last = log[-1]["id"] if log else None
        return {"id": _after(last), "at": self._reserve(1), **_ABSENT, **fields}

    def write(
        self,
        row: Row,
        *,
        observations: Sequence[Observation] = (),
        vectors: NDArray[np.float32] | None = None,
    ) -> Row:
        """Store a lesson; once this returns, it counts.

        Args:
            row: Of `row`.
            observations: What it brings.
            vectors: Of their queries, shape (len(observations), D).

        Raises:
            ConcurrentWrite: Others came first at every attempt; the lesson does not count.
            StoreError: The write failed; the lesson does not count.
        """
        if vectors is not None and observations:
            for recorder in self._writing():
                recorder.observe(row, observations, vectors=vectors if recorder is self else None)
        self._stored.append(row)
        return row

    def observe(
        self, row: Row, observations: Sequence[Observation], *, vectors: NDArray[np.float32] | None
    ) -> None:
        """Store what a lesson brings; nothing of it counts before the lesson is stored.

        Args:
            row: Of the lesson.
            observations: What it brings.
            vectors: Of their queries, shape (len(observations), D); None embeds them.

        Raises:
            EmbeddingFailed: The model gave no usable vectors.
            ConcurrentWrite: Others came first at every attempt.
            StoreError: The write failed.
        """
        if vectors is None:
            vectors = self._embed([one.query for one in observations])
        rows = observation_rows(
            observations,
            lesson_id=row["id"],
            namespace=row["namespace"],
            at=row["at"],
            vectors=vectors,
            passport_id=self._passport_id,
        )
        self._stored.observe(rows)


_ABSENT: Mapping[str, Any] = {
    "observations": 0,
    "tools": [],
    "applied": False,
    "before": None,
    "after": None,
    "by": None,
    "reverted_to": None,
    "detail": None,
}


Record: TypeAlias = Callable[[Lesson], Lesson]


@contextmanager
def lesson_span(
    tracing: Tracing, *, audit: Audit, action: str, changes: bool = True
) -> Iterator[tuple[Current, Record]]:
    """Open the span of a change of what is known; what it gives with it puts the counts on it.

    Args:
        tracing: Opens it.
        audit: Where the change is written down.
        action: The method.
        changes: Whether it is to change anything.
    """
    attributes = {"gen_ai.data_source.id": tracing.store}
    with (
        tracing.operation("agentmem.router.feedback", attributes) as current,
        audit.entry(action, changes=changes) as entry,
    ):

        def record(lesson: Lesson) -> Lesson:
            current.set(
                {
                    "agentmem.router.namespace": lesson.namespace,
                    "agentmem.lesson.id": lesson.id or None,  # of what was stored
                    "agentmem.lesson.kind": lesson.kind,
                    "agentmem.lesson.applied": lesson.applied,
                    "agentmem.lesson.observations": lesson.observations,
                }
            )
            entry.note(lesson=lesson.id or None, by=lesson.by, applied=lesson.applied)
            entry.tell(count=lesson.observations)
            return lesson

        yield current, record


def _after(last: str | None) -> str:
    """Return a new id that sorts after one, also where another machine's clock is ahead."""
    new = str(uuid_utils.uuid7())
    return new if last is None or new > last else str(UUID(int=UUID(last).int + 1))
