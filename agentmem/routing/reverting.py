"""The log as a person sees it: what was taught, what has effect, and back to an earlier state."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from agentmem.checks import identifier, shown
from agentmem.errors import InvalidInput, NotFound
from agentmem.routing.lessons import (
    EVERYWHERE,
    LessonLog,
    Row,
    active,
    as_lesson,
    concerns,
    counted,
    ids,
)
from agentmem.routing.recording import Recorder, lesson_span
from agentmem.telemetry import Audit, Tracing
from agentmem.types import Lesson

__all__ = ["History"]

LAST: Final = 3  # ids named in place of one that does not exist


class History:
    """Lists and reverts the lessons of one store. Safe for several threads.

    Args:
        log: Its lessons.
        recorder: Adds to them.
        tracing: Opens spans.
        audit: Where it is written down what is done.
    """

    def __init__(
        self, log: LessonLog, *, recorder: Recorder, tracing: Tracing, audit: Audit
    ) -> None:
        self._tracing = tracing
        self._audit = audit
        self._log = log
        self._recorder = recorder

    def listed(self, *, namespace: str | None, limit: int | None) -> list[Lesson]:
        """Return lessons, the newest last.

        Args:
            namespace: Only those that concern it; all if None.
            limit: The newest of them, at most so many; all if None.

        Raises:
            InvalidInput: An argument cannot be used.
            StoreError: The store could not be read.
        """
        if limit is not None and (type(limit) is not int or limit < 1):
            raise InvalidInput(f"limit={shown(limit)}: pass a whole number from 1, or None.")
        log = self._log.current()
        effective = ids(active(log))
        listed = [one for one in log if concerns(one, namespace)]
        first = 0 if limit is None else -limit
        return [as_lesson(one, is_active=one["id"] in effective) for one in listed[first:]]

    def revert(self, to: str | None, *, namespace: str | None, dry_run: bool) -> Lesson:
        """Make what is known what it was right after a lesson, or before all of them.

        Raises:
            InvalidInput: An argument cannot be used.
            NotFound: There is no such lesson; nothing was changed.
            StoreError: The write failed; nothing was changed.
        """
        with lesson_span(
            self._tracing, audit=self._audit, action="revert", changes=not dry_run
        ) as (_, record):
            log = self._log.current()
            if to is not None and identifier(to, what="a lesson's id") not in ids(log):
                raise _no_lesson(to, log=log)
            within = EVERYWHERE if namespace is None else namespace
            fields = {"kind": "revert", "namespace": within, "applied": True, "reverted_to": to}
            row = self._recorder.row(log=log, **fields, reason="")
            gone, back = _moved(log, row)
            told = _told(gone, back, to=to, dry_run=dry_run)
            tools = sorted({name for one in (*gone, *back) for name in one["tools"]})
            row = {**row, "reason": told, "tools": tools}
            if dry_run or not (gone or back):
                return record(as_lesson({**row, "id": "", "applied": False}, is_active=False))
            return record(as_lesson(self._recorder.write(row), is_active=True))


def _moved(log: Sequence[Row], revert: Row) -> tuple[list[Row], list[Row]]:
    """Return the lessons that a revert takes the effect of, and those it gives it back."""
    now, then = active(log), active([*log, revert])
    before, after = ids(now), ids(then) - {revert["id"]}
    gone = [one for one in now if one["id"] not in after and one["kind"] != "revert"]
    back = [one for one in then if one["id"] in after - before and one["kind"] != "revert"]
    return gone, back


def _told(gone: Sequence[Row], back: Sequence[Row], *, to: str | None, dry_run: bool) -> str:
    place = "having learnt nothing" if to is None else f"what was known after lesson {to}"
    if not (gone or back):
        return f"nothing to undo: that is {place}"
    parts = [f"no effect any more of {_counted(gone)}"] if gone else []
    parts += [f"effect again of {_counted(back)}"] if back else []
    verb = "would go back" if dry_run else "back"
    return f"{verb} to {place}: {', and '.join(parts)}"


def _counted(lessons: Sequence[Row]) -> str:
    observations = sum(one["observations"] for one in lessons)
    return f"{counted(len(lessons), 'lesson')} with {counted(observations, 'observation')}"


def _no_lesson(to: str, *, log: Sequence[Row]) -> NotFound:
    last = ", ".join(one["id"] for one in log[-LAST:])
    known = f"The last ones are {last}; history() lists all." if last else "There is none yet."
    return NotFound(f"there is no lesson {shown(to)}, and nothing was changed. {known}")
