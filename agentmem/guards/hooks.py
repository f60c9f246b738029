"""Hooks of the application that see each turn before it is stored: they redact, or refuse.

A hook may change what a message says, who it names, its metadata and the captions of what it
shared; whose it is, who said it and when stay. A hook that fails, fails the write: what could not
be looked at is not stored.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final, Protocol

from agentmem.checks import shown
from agentmem.errors import GuardFailed, InvalidInput
from agentmem.guards.admitting import Stage
from agentmem.messages.model import read_message
from agentmem.types import Turn
from agentmem.types.guards import LeftOut

__all__ = ["BeforeStore", "check_hooks", "hooked"]

CHANGEABLE: Final = ("content", "name", "metadata", "attachments")
NOTHING_STORED: Final = "Nothing of this call was stored"


class BeforeStore(Protocol):
    """What sees a turn before it is stored."""

    def __call__(self, turn: Turn, /) -> Turn | None:
        """Return the turn to store, as it came or changed; None to refuse it."""


def check_hooks(hooks: object) -> tuple[BeforeStore, ...]:
    """Return the hooks that a store was opened with, or refuse what is none.

    Raises:
        InvalidInput: It is no list of callables.
    """
    if isinstance(hooks, (str, bytes)) or not isinstance(hooks, Iterable):
        raise InvalidInput(
            f"before_store={shown(hooks)} is no list of hooks. Pass [hook], each a callable that "
            "takes a turn and returns it, or None to refuse it."
        )
    found = tuple(hooks)
    wrong = next((one for one in found if not callable(one)), None)
    if wrong is not None:
        raise InvalidInput(
            f"before_store holds {shown(wrong)}, which cannot be called. Pass functions that take "
            "a turn and return it, or None to refuse it."
        )
    return found


def hooked(hooks: Sequence[BeforeStore]) -> Stage:
    """Return the stage at which each turn passes all hooks, in their order."""

    def stage(turns: Sequence[Turn]) -> list[Turn | LeftOut]:
        return [_through(turn, hooks) for turn in turns]

    return stage


def _through(turn: Turn, hooks: Sequence[BeforeStore]) -> Turn | LeftOut:
    current = turn
    for hook in hooks:
        given = _asked(hook, current)
        if given is None:
            name = _name(hook)
            return LeftOut(turn.id, "refused", name, f"the before_store hook {name} refused it")
        current = given
    if current == turn:
        return turn
    return _storable(current, hooks)


def _asked(hook: BeforeStore, turn: Turn) -> Turn | None:
    try:
        given: object = hook(turn)
    except Exception as error:
        raise GuardFailed(
            f"the before_store hook {_name(hook)} failed with {type(error).__name__} on the "
            f"message {turn.id!r}. {NOTHING_STORED}, because what a hook could not look at is not "
            "let in. Repair: mend the hook, or open the store without it.",
            hook=_name(hook),
        ) from error
    if given is None:
        return None
    if not isinstance(given, Turn):
        raise GuardFailed(
            f"the before_store hook {_name(hook)} returned a {type(given).__name__}. "
            f"{NOTHING_STORED}. Repair: return the turn, dataclasses.replace(turn, content=...), "
            "or None to refuse it.",
            hook=_name(hook),
        )
    _check_same(turn, given, hook=hook)
    return given


def _check_same(turn: Turn, given: Turn, *, hook: BeforeStore) -> None:
    """Refuse a change of anything that says whose a turn is, who said it, and when."""
    kept = {name: getattr(turn, name) for name in CHANGEABLE}
    if given is turn or replace(given, **kept) == turn:
        shared = [(one.type, one.url) for one in turn.attachments]
        if [(one.type, one.url) for one in given.attachments] == shared:
            return
    raise GuardFailed(
        f"the before_store hook {_name(hook)} changed more of the message {turn.id!r} than it may. "
        f"{NOTHING_STORED}. Repair: change content, name, metadata and captions only; to keep the "
        "message out, return None.",
        hook=_name(hook),
    )


def _storable(turn: Turn, hooks: Sequence[BeforeStore]) -> Turn:
    """Return what hooks made of a turn, checked like any message."""
    names = ", ".join(map(_name, hooks))
    now = max(turn.event_time, turn.ingested_at)
    try:
        read = read_message(turn, where=f"message {turn.id!r}", now=now)
    except InvalidInput as error:
        raise GuardFailed(
            f"what the before_store hooks ({names}) made of the message {turn.id!r} cannot be "
            f"stored: {error} {NOTHING_STORED}. Repair: return what can be stored, or None to "
            "refuse the message.",
            hook=names,
        ) from error
    return replace(turn, metadata=read.metadata, attachments=tuple(turn.attachments))


def _name(hook: BeforeStore) -> str:
    return getattr(hook, "__qualname__", None) or type(hook).__name__
