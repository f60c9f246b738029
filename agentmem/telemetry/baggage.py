"""The scope of a request in OpenTelemetry's baggage, so that every span below knows whose it is.

Baggage names, it does not permit: it only labels spans, and no read or write is widened or
narrowed by it. It travels to other services with their requests, as baggage does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from opentelemetry import baggage, context

__all__ = ["scope_baggage", "scope_from_baggage"]

NAMES: Final[Mapping[str, str]] = {
    "user_id": "user.id",
    "agent_id": "agentmem.scope.agent_id",
    "session_id": "session.id",
}


@contextmanager
def scope_baggage(
    *, user_id: str | None = None, agent_id: str | None = None, session_id: str | None = None
) -> Iterator[None]:
    """Name a user, agent or session for every span of agentmem in a block.

    Such as the selections of a router, which know of no user themselves. A call that names its
    own scope keeps it.

    Args:
        user_id: Put on spans as `user.id`.
        agent_id: Put on spans as `agentmem.scope.agent_id`.
        session_id: Put on spans as `session.id`.
    """
    carried = context.get_current()
    given = {"user_id": user_id, "agent_id": agent_id, "session_id": session_id}
    for field, value in given.items():
        if value is not None:
            carried = baggage.set_baggage(NAMES[field], value, context=carried)
    token = context.attach(carried)
    try:
        yield
    finally:
        context.detach(token)


def scope_from_baggage() -> dict[str, str | None]:
    """Return the attributes that the baggage of the current context names."""
    carried = {name: baggage.get_baggage(name) for name in NAMES.values()}
    return {name: None if value is None else str(value) for name, value in carried.items()}
