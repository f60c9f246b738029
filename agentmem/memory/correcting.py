"""How a memory corrects itself: what is no longer true ends, and what was said stays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from enum import Enum
from typing import Final

from agentmem.checks import shown
from agentmem.errors import InvalidInput
from agentmem.memory.home import Home
from agentmem.memory.records import Moment, Where, as_filter, as_moment
from agentmem.scopes import Bound
from agentmem.types import AllScopes, Scope, Update

__all__ = ["Correcting"]


class _Unchanged(Enum):
    """The type of `UNCHANGED`, which is told apart from None: that takes a value away."""

    UNCHANGED = "unchanged"

    def __repr__(self) -> str:
        return "UNCHANGED"


UNCHANGED: Final = _Unchanged.UNCHANGED


class Correcting:
    """The part of `Memory` that changes until when turns are true, and found."""

    _home: Home
    _bound: Bound

    def supersede(
        self,
        turn_id: str,
        new: object,
        *,
        user_id: str | None = None,
        agent_id: str | None = None,
        session_id: str | None = None,
        scope: Scope | AllScopes | None = None,
        valid_until: Moment | None = None,
    ) -> str:
        """Correct a turn by another one, in one commit.

        The old turn stays as it was said, and is no longer found, except by a search `as_of` a
        moment when it was true. The new one lies in the same user and agent, and in the same
        session unless it names another.

        Args:
            turn_id: The turn that is no longer true.
            new: The correction, one message of any shape that `add` takes.
            user_id: Whose turn; likewise `agent_id`, `session_id`. At least one is needed.
            agent_id: See `user_id`.
            session_id: See `user_id`.
            scope: `ALL` to correct anybody's.
            valid_until: From when on it is not true; when the correction was said if None.

        Returns:
            The id of the correction. The same correction again, under its own id, changes nothing.

        Raises:
            NotFound: There is no such turn in that scope.
            InvalidInput: It was corrected by another turn already, or the correction cannot be
                stored.
            ScopeRequired: No scope was named.
            EmbeddingFailed: The model gave no usable vectors.
            StoreError: The write failed; nothing was changed.
        """
        reading = self._bound.reading(Scope(user_id, agent_id, session_id), scope)
        ends = as_moment(valid_until, "valid_until")
        return self._home.supersede(turn_id, new, scope=reading, valid_until=ends).id

    def update(
        self,
        ids: str | Sequence[str] | None = None,
        *,
        user_id: str | None = None,
        agent_id: str | None = None,
        session_id: str | None = None,
        scope: Scope | AllScopes | None = None,
        where: Where | None = None,
        valid_until: Moment | _Unchanged | None = UNCHANGED,
        expires_at: Moment | _Unchanged | None = UNCHANGED,
        pinned: bool | _Unchanged = UNCHANGED,
        dry_run: bool = False,
    ) -> Update:
        """Change until when turns are true and until when they are found; never what was said.

        Args:
            ids: The turns, within the scope; None means every turn of the scope.
            user_id: Whose turns; likewise `agent_id`, `session_id`. At least one is needed.
            agent_id: See `user_id`.
            session_id: See `user_id`.
            scope: `ALL` to change everyone's.
            where: Only turns that match a filter.
            valid_until: From when on they are no longer true; None makes them true again, also
                those that another turn corrected.
            expires_at: From when on they are forgotten; None never.
            pinned: Whether they stay whatever `expires_at` and retention policies say.
            dry_run: Say what would be changed, and change nothing.

        Returns:
            How many turns were (or would be) changed, and which ids were not there.

        Raises:
            InvalidInput: Nothing was to be changed, or a value cannot be used.
            ScopeRequired: No scope was named.
            StoreError: The write failed; nothing was changed.
        """
        reading = self._bound.reading(Scope(user_id, agent_id, session_id), scope)
        ending = _ending(valid_until=valid_until, expires_at=expires_at, pinned=pinned)
        wanted = [ids] if isinstance(ids, str) else ids
        return self._home.update(
            wanted, scope=reading, where=as_filter(where), ending=ending, dry_run=dry_run
        )


def _ending(
    *,
    valid_until: Moment | _Unchanged | None,
    expires_at: Moment | _Unchanged | None,
    pinned: bool | _Unchanged,
) -> Mapping[str, str | datetime | bool | None]:
    ending: dict[str, str | datetime | bool | None] = {}
    if not isinstance(valid_until, _Unchanged):
        ends = as_moment(valid_until, "valid_until")
        ending["valid_until"] = ends
        ending["superseded_at"] = None if ends is None else datetime.now(timezone.utc)
        if ends is None:
            ending["superseded_by"] = None
    if not isinstance(expires_at, _Unchanged):
        ending["expires_at"] = as_moment(expires_at, "expires_at")
    if not isinstance(pinned, _Unchanged):
        if not isinstance(pinned, bool):
            raise InvalidInput(f"pinned={shown(pinned)}: pass True or False.")
        ending["pinned"] = pinned
    if not ending:
        raise InvalidInput(
            "nothing was to be changed. Pass valid_until, expires_at or pinned; to change what a "
            "turn says, correct it by another one: memory.supersede(id, message)."
        )
    return ending
