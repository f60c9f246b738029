"""`Lessons`: what a router was taught, as a log that only grows.

A lesson's observations are written first, in a commit of their own, and then its row, which
makes it count. A process that dies in between leaves observations of a lesson that is not
there, and readers pass over them. The tables are made by the first lesson.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import pyarrow as pa
from lancedb.table import Table

from agentmem.storage.arrow import strings
from agentmem.storage.guard import Guard
from agentmem.storage.late import LateTable
from agentmem.storage.lesson_schema import (
    lesson_row,
    lessons_from_table,
    lessons_schema,
    observations_schema,
)
from agentmem.storage.opening import Opened

__all__ = ["EXAMPLES", "Lessons"]

LESSONS: Final = "tool_lessons"
EXAMPLES: Final = "tool_examples"
TEACH: Final = "store a lesson"
BORN: Final = "_row_created_at_version"  # survives compaction, as row ids do


class Lessons:
    """The lessons of a store. Safe for several threads; any number of processes may teach."""

    def __init__(self, opened: Opened, *, guard: Guard) -> None:
        observed = observations_schema(opened.passport.dimension)
        self._guard = guard
        self._log = LateTable(
            opened, table=LESSONS, holding="lessons", schema=lessons_schema(), guard=guard
        )
        self._examples = LateTable(
            opened,
            table=opened.table(EXAMPLES),
            holding="usage examples",
            schema=observed,
            guard=guard,
        )

    @property
    def version(self) -> int:
        """Version of the newest commit of lessons; 0 while there is none.

        While it stays the same there is no new lesson, nor any new observation that counts.
        """
        return self._log.version

    def observe(self, observations: pa.Table) -> None:
        """Store the observations of a lesson that `append` is about to make count.

        Args:
            observations: From `lesson_schema.observation_rows`; those that are there are passed
                over.

        Raises:
            ConcurrentWrite: Others came first at every attempt.
            StoreError: The write failed; nothing was stored.
        """
        self._guard.check_writable(TEACH)

        def insert(table: Table) -> None:
            table.merge_insert("key").when_not_matched_insert_all().execute(observations)

        self._examples.made(TEACH).commit(insert, action=TEACH)

    def append(self, lesson: Mapping[str, Any]) -> None:
        """Store a lesson whose observations are stored; once this returns, it counts.

        Args:
            lesson: As `lesson_schema.lesson_row` takes it; its id must be new.

        Raises:
            ConcurrentWrite: Others came first at every attempt; the lesson does not count.
            StoreError: The write failed; the lesson does not count.
        """
        self._guard.check_writable(TEACH)
        row = lesson_row(lesson)

        def insert(table: Table) -> None:
            table.merge_insert("id").when_not_matched_insert_all().execute(row)

        self._log.made(TEACH).commit(insert, action=TEACH)

    def lessons(self) -> list[dict[str, Any]]:
        """Return every lesson, in order of id, with the fields of `lesson_row`."""
        return self.lessons_since(None)[1]

    def lessons_since(self, version: int | None) -> tuple[int, list[dict[str, Any]]]:
        """Return the newest version, and the lessons that were added after an earlier one.

        Args:
            version: What an earlier call returned, or None for every lesson.
        """
        newest, rows = _added(self._log, since=version)
        return newest, lessons_from_table(rows)

    def lessons_at(self, version: int) -> list[dict[str, Any]]:
        """Return the lessons that were there at one version, in order of id.

        The log only grows, so this needs no past version of the table to be kept.
        """
        handle = self._log.found()
        if handle is None or version == 0:
            return []
        with handle.reading() as table:
            query = table.search().select(self._log.schema.names)
            return lessons_from_table(query.where(f"{BORN} <= {version:d}").to_arrow())

    def observations(self, since_version: int | None) -> tuple[int, pa.Table]:
        """Return the newest version of the observations, and those added after an earlier one.

        They may belong to a lesson that does not count: because its row is yet to be written,
        or because its writer died before. Keep all of them, and use those whose `lesson_id` is
        among the lessons. Read the lessons first: the observations of each are there by then.

        Args:
            since_version: What an earlier call returned, or None for every observation.

        Returns:
            The version, 0 while there is no table, and the rows in order of their keys.
        """
        newest, rows = _added(self._examples, since=since_version)
        keys = strings(rows["key"])
        return newest, rows if keys == sorted(keys) else rows.sort_by("key")

    def compact(self) -> None:
        """Merge what many small writes left behind; a no-op while others write."""
        self._log.compact()
        self._examples.compact()

    def tidy(self) -> None:
        """Compact before leaving, if that is worth it."""
        self._log.tidy()
        self._examples.tidy()


def _added(table: LateTable, *, since: int | None) -> tuple[int, pa.Table]:
    """Return the newest version of a table that only grows, and the rows born after another."""
    handle = table.found()
    if handle is None:
        return 0, table.schema.empty_table()
    if since is not None and since == handle.version:
        return since, table.schema.empty_table()
    with handle.pinned() as pinned:
        query = pinned.search().select(table.schema.names)
        if since is not None:
            query = query.where(f"{BORN} > {since:d}")
        return int(pinned.version), query.to_arrow()
