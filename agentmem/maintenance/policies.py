"""Retention policies: how long which turns are kept, decided once for a store and all processes.

Kept as one of its named values. A policy reaches what `reached` says at a moment, nothing else:
the preview and the deletion ask the same.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, Final, get_args

from agentmem.checks import check_scope, shown
from agentmem.errors import InvalidInput, StoreError
from agentmem.filters import And, Comparison, Filter, field, parse_filter, to_json
from agentmem.storage.meta import Meta
from agentmem.storage.reads import Reads
from agentmem.types import ALL, Role, Session
from agentmem.types.maintenance import PolicyPreview, RetentionPolicy

__all__ = ["EXPIRED", "checked", "expired", "preview", "reached", "read_policies", "write_policies"]

KEY: Final = "retention:policies"
SHORTEST: Final = timedelta(minutes=1)  # less is a mistake in the unit
MOST_POLICIES: Final = 100
LONGEST_NAME: Final = 100
SESSIONS_AT_ONCE: Final = 500  # of one condition, well below what a filter may hold
EXAMPLES: Final = 5
EXPIRED: Final = "expires_at"


def expired(now: datetime) -> Filter:
    """Return what is true of turns whose own date has come."""
    return (field("expires_at") <= now) & _loose()


def write_policies(meta: Meta, policies: object) -> None:
    """Put policies in the place of those in force.

    Raises:
        InvalidInput: One of them cannot be used, or two share a name.
        StoreError: The store is read-only, or could not be written.
    """
    if not isinstance(policies, Sequence) or isinstance(policies, str):
        raise InvalidInput(f"{shown(policies)} are no policies. Pass a list of RetentionPolicy.")
    listed = [checked(one) for one in policies]
    if len({one.name for one in listed}) < len(listed) or len(listed) > MOST_POLICIES:
        raise InvalidInput(
            f"{len(listed)} policies: names must differ, and {MOST_POLICIES} are the most. "
            "Nothing was changed."
        )
    meta.put(KEY, [_to_json(one) for one in listed])


def read_policies(meta: Meta) -> list[RetentionPolicy]:
    """Return the policies in force.

    Raises:
        StoreError: The store could not be read, or something else changed them.
    """
    found = meta.get(KEY)
    try:
        return [_from_json(one) for one in (found.value if found else [])]
    except (KeyError, TypeError, ValueError, InvalidInput) as error:
        raise StoreError(
            f"the store's retention policies cannot be read ({error}): they were changed by "
            "something else. Nothing was deleted. Repair: memory.retention.set([...])."
        ) from error


def checked(policy: object) -> RetentionPolicy:
    """Return a policy with its filter read, or refuse what is none.

    Raises:
        InvalidInput: It cannot be used.
    """
    if not isinstance(policy, RetentionPolicy):
        raise InvalidInput(f"{shown(policy)} is no RetentionPolicy. Pass RetentionPolicy(...).")
    name: object = policy.name  # a caller's types are wishes
    age: object = policy.older_than
    flag: object = policy.sessions
    if not isinstance(name, str) or not 0 < len(name) <= LONGEST_NAME or not name.isprintable():
        raise InvalidInput(f"name={shown(name)}: pass a printable name of a policy.")
    if not isinstance(age, timedelta) or age < SHORTEST:
        raise InvalidInput(
            f"older_than={age!r}: pass a timedelta of {SHORTEST} or more, such as "
            "timedelta(days=90)."
        )
    if policy.role is not None and policy.role not in get_args(Role):
        raise InvalidInput(f"role={shown(policy.role)}: pass one of {', '.join(get_args(Role))}.")
    if not isinstance(flag, bool):
        raise InvalidInput(f"sessions={flag!r}: pass True or False.")
    check_scope(policy.scope)
    return policy if policy.where is None else replace(policy, where=parse_filter(policy.where))


def reached(policy: RetentionPolicy, store: Reads, *, now: datetime) -> Iterator[Filter]:
    """Give the conditions that are true of what a policy deletes at a moment, one or several.

    Pinned turns are in none of them.
    """
    for condition in _aged(policy, store, now=now):
        yield _all_of([condition, _loose()])


def preview(policy: RetentionPolicy | None, store: Reads, *, now: datetime) -> PolicyPreview:
    """Return what a policy would delete now; None for turns whose own date has come."""
    if policy is None:
        return _previewed(EXPIRED, store, [field("expires_at") <= now])
    return _previewed(policy.name, store, _aged(policy, store, now=now))


def _previewed(name: str, store: Reads, aged: Iterable[Filter]) -> PolicyPreview:
    turns = pinned = sessions = 0
    ids: list[str] = []
    for condition in aged:
        mine = _all_of([condition, _loose()])
        found = store.sessions(scope=ALL, where=mine)
        turns, sessions = turns + sum(one.turns for one in found), sessions + len(found)
        pinned += store.count(scope=ALL, where=_all_of([condition, ~_loose()]))
        if len(ids) < EXAMPLES:
            page = store.page(scope=ALL, where=mine, limit=EXAMPLES - len(ids))
            ids += [turn.id for turn in page]
    return PolicyPreview(name, turns, sessions, tuple(ids), pinned)


def _aged(policy: RetentionPolicy, store: Reads, *, now: datetime) -> Iterator[Filter]:
    """Give what is true of the turns that are old enough, pinned or not."""
    fixed = _fixed(policy)
    cutoff = now - policy.older_than
    if not policy.sessions:
        yield _all_of([field("event_time") < cutoff, *fixed])
        return
    every = store.sessions(scope=ALL, where=_all_of(_whose(policy)) if _whose(policy) else None)
    yield from (
        _all_of([some, field("event_time") < cutoff, *fixed])
        for some in _of_sessions([one for one in every if one.last < cutoff])
    )


def _of_sessions(sessions: Iterable[Session]) -> Iterator[Filter]:
    by_owner: dict[tuple[str | None, str | None], list[str | None]] = defaultdict(list)
    for one in sessions:
        by_owner[one.user_id, one.agent_id].append(one.session_id)
    for (user, agent), listed in by_owner.items():
        owner = [field("user_id") == user, field("agent_id") == agent]
        remaining = iter(listed)
        while some := list(islice(remaining, SESSIONS_AT_ONCE)):
            yield _all_of([*owner, field("session_id").in_(some)])


def _fixed(policy: RetentionPolicy) -> list[Filter]:
    role: list[Filter] = [] if policy.role is None else [field("role") == policy.role]
    where: list[Filter] = [] if policy.where is None else [parse_filter(policy.where)]
    return [*_whose(policy), *role, *where]


def _whose(policy: RetentionPolicy) -> list[Filter]:
    names = ("user_id", "agent_id", "session_id")
    given = {name: getattr(policy, name) for name in names}
    return [field(name) == value for name, value in given.items() if value is not None]


def _loose() -> Comparison:
    return field("pinned") == False  # noqa: E712 - builds a filter


def _all_of(parts: Sequence[Filter]) -> Filter:
    return parts[0] if len(parts) == 1 else And(tuple(parts))


def _to_json(policy: RetentionPolicy) -> dict[str, Any]:
    names = ("name", "role", "sessions", "user_id", "agent_id", "session_id")
    where = None if policy.where is None else to_json(parse_filter(policy.where))
    told = {name: getattr(policy, name) for name in names}
    return {**told, "where": where, "older_than_seconds": policy.older_than.total_seconds()}


def _from_json(stored: Mapping[str, Any]) -> RetentionPolicy:
    told = dict(stored)
    age = timedelta(seconds=float(told.pop("older_than_seconds")))
    return checked(RetentionPolicy(older_than=age, **told))
