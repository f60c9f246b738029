"""Ids that come again: whether the turn is the same, what becomes of it, and what is refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, TypeAlias

from agentmem.errors import InvalidInput
from agentmem.messages import is_undated
from agentmem.storage.schema import LIFE
from agentmem.types import Turn

__all__ = ["OnConflict", "check_changed", "instead", "same"]

OnConflict: TypeAlias = Literal["error", "replace"]


def check_changed(
    changed: Sequence[str],
    *,
    known: Mapping[str, Turn],
    stored: Mapping[str, Turn],
    on_conflict: OnConflict,
    rest: str,
) -> None:
    """Refuse turns whose id is taken, in another session or where nothing is to be replaced."""
    for key in changed:
        if stored[key].session_id != known[key].session_id:
            raise _elsewhere(known[key], rest=rest)
    if changed and on_conflict == "error":
        raise _taken(known[changed[0]], len(changed), rest=rest)


def same(given: Turn, stored: Turn) -> bool:
    """Whether a turn that comes again says what is stored.

    The session is part of it; the time of ingestion is not, nor the time of an undated message,
    which is the time of ingestion, nor how long it is to be found, which others may have changed.
    """
    return replace(instead(given, stored), **_life(stored)) == stored


def instead(given: Turn, stored: Turn) -> Turn:
    """The turn that takes a stored one's place, and with it its time of ingestion.

    An undated message was said when it was stored, so it takes that time from it as well; and
    where it says nothing of how long it is to be found, that of the stored one stays.
    """
    said_at = stored.event_time if is_undated(given) else given.event_time
    life = _life(stored) | {name: one for name, one in _life(given).items() if one}
    return replace(given, event_time=said_at, ingested_at=stored.ingested_at, **life)


def _life(turn: Turn) -> dict[str, Any]:
    return {name: getattr(turn, name) for name in LIFE}


def _taken(turn: Turn, count: int, *, rest: str) -> InvalidInput:
    more = f" (and {count - 1} more)" if count > 1 else ""
    return InvalidInput(
        f"the id {turn.id!r} is taken by another message{more}, and {rest}. Give the new message "
        "its own id, or pass on_conflict='replace' to put it in the old one's place."
    )


def _elsewhere(turn: Turn, *, rest: str) -> InvalidInput:
    return InvalidInput(
        f"the id {turn.id!r} is taken by a message of another session, and {rest}. Ids are unique "
        "within a user and agent: give the new message its own. A message is moved to another "
        "session by deleting it there first."
    )
