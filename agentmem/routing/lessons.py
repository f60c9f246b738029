"""The log of lessons, read: which of them have effect, and since when nothing was checked.

A lesson is a row of `storage.lessons`, as a mapping. A revert makes what a router knows exactly
what it was right after an earlier lesson, within one namespace or everywhere. Nothing is ever
taken out of the log, so a revert can be reverted.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, TypeAlias

from agentmem.checks import identifier
from agentmem.errors import InvalidInput, VersionGone
from agentmem.storage.lessons import Lessons
from agentmem.types import Lesson

__all__ = [
    "EVERYWHERE",
    "LessonLog",
    "Row",
    "active",
    "as_lesson",
    "checked_namespace",
    "concerns",
    "counted",
    "ids",
    "unchecked",
]

Row: TypeAlias = Mapping[str, Any]

EVERYWHERE: Final = "*"  # the namespace of a lesson that concerns several of them


def active(lessons: Sequence[Row]) -> list[Row]:
    """Return the lessons that have effect: applied, and not undone by a revert.

    The state after a revert to a lesson is the state right after that lesson was given, whatever
    was reverted in between. A revert to a lesson that is not before it changes nothing.

    Args:
        lessons: In order of id.
    """
    targets = {one["reverted_to"] for one in lessons if one["kind"] == "revert"}
    then: dict[str | None, dict[str, Row]] = {None: {}}
    now: dict[str, Row] = {}
    for one in lessons:
        if one["applied"]:
            if one["kind"] == "revert":
                now = _reverted(now, then.get(one["reverted_to"], now), within=one["namespace"])
            now[one["id"]] = one
        if one["id"] in targets:
            then[one["id"]] = dict(now)
    return [now[name] for name in sorted(now)]


def _reverted(now: Mapping[str, Row], then: Mapping[str, Row], *, within: str) -> dict[str, Row]:
    """Return what is active after a revert: as then within a namespace, as now elsewhere."""
    if within == EVERYWHERE:
        return dict(then)
    kept = {name: one for name, one in now.items() if one["namespace"] != within}
    return kept | {name: one for name, one in then.items() if one["namespace"] == within}


def checked_namespace(namespace: object) -> str:
    """Return the name of one namespace, or refuse what is none or means all of them."""
    name = identifier(namespace, what="namespace")
    if name == EVERYWHERE:
        raise InvalidInput(
            f"namespace={EVERYWHERE!r} stands for all of them in the history, so none may be "
            "called that. Use another name; to read from everywhere, leave namespace out."
        )
    return name


def concerns(lesson: Row, namespace: str | None) -> bool:
    """Whether a lesson may change what is chosen in a namespace; None is any of them."""
    return namespace is None or lesson["namespace"] in (namespace, EVERYWHERE)


def unchecked(lessons: Sequence[Row], *, namespace: str) -> tuple[str | None, list[Row]]:
    """Return what was learnt about a namespace since it was last known to be good.

    Good is what passed the guard, what was given without it on purpose, and what was reverted.

    Args:
        lessons: The whole log, in order of id.
        namespace: Whose.

    Returns:
        The id of the last lesson known to be good, None if there is none, and the active
        lessons of this namespace after it.
    """
    since: list[Row] = []
    for one in reversed(active(lessons)):
        if concerns(one, namespace) and _is_good(one):
            return one["id"], since[::-1]
        if one["namespace"] == namespace:
            since.append(one)
    return None, since[::-1]


def _is_good(lesson: Row) -> bool:
    return lesson["kind"] == "revert" or bool((lesson["detail"] or {}).get("accepted"))


def as_lesson(row: Row, *, is_active: bool) -> Lesson:
    """Return a row of the log as a value."""
    fields = {name: value for name, value in row.items() if name not in ("detail", "tools")}
    return Lesson(**fields, tools=tuple(row["tools"]), active=is_active)


def ids(lessons: Iterable[Row]) -> set[str]:
    """Return the ids of lessons."""
    return {one["id"] for one in lessons}


def counted(number: int, what: str) -> str:
    """Return a number of things in words, such as `2 lessons`."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


class LessonLog:
    """Every lesson of a store, kept in memory and read on as others teach. Safe for threads."""

    def __init__(self, stored: Lessons) -> None:
        self._stored = stored
        self._lock = threading.Lock()
        self._version: int | None = None
        self._known: Sequence[Row] = ()

    def current(self) -> Sequence[Row]:
        """Return every lesson as of now, in order of id; the same object while there is no more."""
        return self.newest()[1]

    def newest(self) -> tuple[int, Sequence[Row]]:
        """Return the version of the table, 0 while there is none, and the lessons there are."""
        with self._lock:
            self._version, new = self._stored.lessons_since(self._version)
            if new:
                self._known = sorted([*self._known, *new], key=lambda one: str(one["id"]))
            return self._version, self._known

    def at(self, version: int) -> Sequence[Row]:
        """Return the lessons that were there at a version of the table, in order of id.

        Raises:
            VersionGone: There is none of that number yet: it is of another store.
        """
        newest, _ = self.newest()
        if version > newest:
            raise VersionGone(
                f"the store's lessons never had a version {version}; the newest is {newest}. "
                "Repair: check that this is the right store.",
                version=version,
            )
        return self._stored.lessons_at(version)
