"""What a memory should do, in plain Python: a dictionary of turns, and the rules of each call.

Knows no embedder, no LanceDB and no SQL. Where only the store can say a moment, the model holds
`UNKNOWN` until it is told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone
from typing import Any, Final

from agentmem.errors import InvalidInput, NotFound
from agentmem.types import ALL, AllScopes, Scope, Session, Turn

__all__ = ["UNKNOWN", "Key", "Plain", "Test", "lies_in"]

Key = tuple[str | None, str | None, str]
"""User, agent and id of a turn."""
Test = Callable[[Turn], bool]

UNKNOWN: Final = datetime.max.replace(tzinfo=timezone.utc)
LIFE: Final = ("valid_until", "superseded_by", "superseded_at", "expires_at", "pinned")


def key_of(turn: Turn) -> Key:
    """Return the key of a turn."""
    return turn.user_id, turn.agent_id, turn.id


def lies_in(turn: Turn, scope: Scope | AllScopes) -> bool:
    """Return whether a turn lies in a scope."""
    if isinstance(scope, AllScopes):
        return True
    names = ("user_id", "agent_id", "session_id")
    return all(getattr(scope, one) in (None, getattr(turn, one)) for one in names)


def is_living(turn: Turn, now: datetime) -> bool:
    """Return whether a turn is not forgotten by its date."""
    return turn.pinned or turn.expires_at is None or turn.expires_at > now


def is_true(turn: Turn, at: datetime, known_at: datetime | None) -> bool:
    """Return whether a turn is true at a moment, by what was known at another."""
    if turn.valid_until is None or turn.valid_until > at:
        return True
    return known_at is not None and (turn.superseded_at or turn.ingested_at) > known_at


@dataclass
class Plain:
    """All turns of a store.

    Attributes:
        turns: By key.
    """

    turns: dict[Key, Turn] = field(default_factory=dict)

    def living(
        self,
        scope: Scope | AllScopes = ALL,
        *,
        where: Test | None = None,
        now: datetime | None = None,
    ) -> list[Turn]:
        """Return the turns that are found by listing, in the order in which they were said."""
        now = datetime.now(timezone.utc) if now is None else now
        found = [one for one in self._in(scope, where) if is_living(one, now)]
        return sorted(found, key=lambda one: (one.event_time, one.ingested_at, one.id))

    def _in(self, scope: Scope | AllScopes, where: Test | None) -> list[Turn]:
        return [
            turn
            for turn in self.turns.values()
            if lies_in(turn, scope) and (where is None or where(turn))
        ]

    def candidates(
        self,
        scope: Scope | AllScopes,
        *,
        where: Test | None,
        since: datetime | None = None,
        until: datetime | None = None,
        as_of: datetime | None = None,
        known_at: datetime | None = None,
    ) -> set[Key]:
        """Return the keys of the turns that a search ranks."""
        now = datetime.now(timezone.utc)
        return {
            key_of(turn)
            for turn in self.living(scope, where=where, now=now)
            if (since is None or turn.event_time >= since)
            and (until is None or turn.event_time < until)
            and (as_of is None or turn.event_time <= as_of)
            and (known_at is None or turn.ingested_at <= known_at)
            and is_true(turn, now if as_of is None else as_of, known_at)
        }

    def sessions(self, scope: Scope | AllScopes) -> list[Session]:
        """Return the conversations of a scope."""
        grouped: dict[tuple[str | None, str | None, str | None], list[Turn]] = {}
        for turn in self.living(scope):
            grouped.setdefault((turn.session_id, turn.user_id, turn.agent_id), []).append(turn)
        return [
            Session(session, user, agent, len(of), of[0].event_time, of[-1].event_time)
            for (session, user, agent), of in grouped.items()
        ]

    def get(self, turn_id: str, scope: Scope | AllScopes) -> Turn:
        """Return one turn."""
        found = self.living(scope, where=lambda turn: turn.id == turn_id)
        if not found:
            raise NotFound(turn_id)
        if len(found) > 1:
            raise InvalidInput(turn_id)
        return found[0]

    def add(
        self,
        messages: Sequence[Mapping[str, Any]],
        scope: Scope,
        *,
        replaces: bool = False,
        ttl: timedelta | None = None,
    ) -> list[Key]:
        """Store messages, all or none, and return their keys.

        Args:
            messages: Each with an id of its own, maybe one that stands for an id to be made.
            scope: Whose they are.
            replaces: What to do with taken ids.
            ttl: For those that do not say until when they are kept.
        """
        given = [self._turn(one, scope) for one in messages]
        said = dated([one.get("created_at") for one in messages], [one.scope for one in given])
        turns = [
            replace(turn, event_time=moment or turn.ingested_at)
            for turn, moment in zip(given, said, strict=True)
        ]
        for one in turns:
            if any(key_of(one) == key_of(other) and one != other for other in turns):
                raise InvalidInput("one id for two messages")
        now = datetime.now(timezone.utc)
        if ttl is not None:
            turns = [replace(one, expires_at=one.expires_at or UNKNOWN) for one in turns]
        self.turns |= {key_of(one): self._stored(one, replaces=replaces, now=now) for one in turns}
        return [key_of(one) for one in turns]

    def _turn(self, message: Mapping[str, Any], scope: Scope) -> Turn:
        fields = {name: value for name, value in message.items() if name != "created_at"}
        whose = {name: getattr(scope, name) for name in ("user_id", "agent_id", "session_id")}
        times = {"event_time": UNKNOWN, "ingested_at": UNKNOWN}
        return Turn(**{**times, **fields, **{name: one for name, one in whose.items() if one}})

    def _stored(self, given: Turn, *, replaces: bool, now: datetime) -> Turn:
        """Return what is stored of a turn once it was given."""
        there = self.turns.get(key_of(given))
        if there is None or not is_living(there, now):
            return given
        undated = given.event_time == given.ingested_at
        life = {name: getattr(given, name) or getattr(there, name) for name in LIFE}
        instead = replace(
            given,
            event_time=there.event_time if undated else given.event_time,
            ingested_at=there.ingested_at,
            **life,
        )
        if replace(instead, **{name: getattr(there, name) for name in LIFE}) == there:
            return there
        if not replaces or there.session_id != given.session_id:
            raise InvalidInput("taken")
        return instead

    def supersede(
        self,
        turn_id: str,
        message: Mapping[str, Any],
        scope: Scope | AllScopes,
        *,
        valid_until: datetime | None,
    ) -> Key:
        """Correct a turn, and return the key of the correction."""
        old = self.get(turn_id, scope)
        whose = Scope(old.user_id, old.agent_id, message.get("session_id") or old.session_id)
        if message["id"] == old.id or old.superseded_by not in (None, message["id"]):
            raise InvalidInput("corrected already, or by itself")
        said = message.get("created_at") or datetime.now(timezone.utc)
        if (valid_until or said) < old.event_time:
            raise InvalidInput("ended before it was said")
        (key,) = self.add([message], whose)
        if old.superseded_by is None:
            ends = valid_until or message.get("created_at") or UNKNOWN
            self.turns[key_of(old)] = replace(
                old, valid_until=ends, superseded_by=message["id"], superseded_at=UNKNOWN
            )
        return key

    def selected(
        self, ids: Sequence[str] | None, scope: Scope | AllScopes, where: Test | None
    ) -> tuple[list[Key], tuple[str, ...]]:
        """Return the keys that a call names, forgotten ones too, and the ids it names in vain."""
        found = [one for one in self._in(scope, where) if ids is None or one.id in ids]
        there = {one.id for one in found}
        missing = tuple(one for one in dict.fromkeys(ids or ()) if one not in there)
        return [key_of(one) for one in found], missing

    def change(self, keys: Iterable[Key], changes: Mapping[str, Any]) -> None:
        """Change until when turns are true and found."""
        changes = dict(changes)
        if "valid_until" in changes:
            never = changes["valid_until"] is None
            changes["superseded_at"] = None if never else UNKNOWN
            changes |= {"superseded_by": None} if never else {}
        for key in keys:
            self.turns[key] = replace(self.turns[key], **changes)

    def drop(self, keys: Iterable[Key]) -> None:
        """Delete turns."""
        for key in keys:
            del self.turns[key]

    def rename(self, key: Key, turn_id: str) -> None:
        """Give a turn the id that the store made for it."""
        turn = replace(self.turns.pop(key), id=turn_id)
        self.turns[key_of(turn)] = turn

    def learn(self, stored: Turn, *, since: datetime, ttl: timedelta | None = None) -> None:
        """Take the moments of a stored turn that only the store could say.

        Args:
            stored: The turn as it is stored.
            since: When the call began: such a moment lies between then and now.
            ttl: What the call gave.
        """
        told = self.turns[key_of(stored)]
        until = datetime.now(timezone.utc) + timedelta(milliseconds=1)
        for name in ("event_time", "ingested_at", "valid_until", "superseded_at"):
            if getattr(told, name) == UNKNOWN:
                moment = getattr(stored, name)
                assert since <= moment <= until, f"{name} of {stored} was not the present"
                told = replace(told, **{name: moment})
        if told.expires_at == UNKNOWN:
            assert ttl is not None
            assert stored.expires_at is not None
            assert since + ttl <= stored.expires_at <= until + ttl
            told = replace(told, expires_at=stored.expires_at)
        self.turns[key_of(stored)] = told


def dated(own: Sequence[datetime | None], scopes: Sequence[Scope]) -> list[datetime | None]:
    """Date messages by the dated one before them in their session, else by the one after."""
    before = [_nearest(own, scopes, range(place, -1, -1)) for place in range(len(own))]
    after = [_nearest(own, scopes, range(place, len(own))) for place in range(len(own))]
    return [one or other for one, other in zip(before, after, strict=True)]


def _nearest(
    own: Sequence[datetime | None], scopes: Sequence[Scope], places: range
) -> datetime | None:
    scope = scopes[places[0]]
    return next((own[one] for one in places if own[one] and scopes[one] == scope), None)
