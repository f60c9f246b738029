"""One entry of an audit log: who did what to a store, and when. It never holds what was said."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Literal, TypeAlias

__all__ = ["AuditDetail", "AuditEvent", "AuditSink", "AuditStage"]

AuditStage: TypeAlias = Literal["asked", "done", "failed"]
AuditDetail: TypeAlias = Mapping[str, str | int | bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEvent:
    """What was asked of a store, or what came of it.

    Attributes:
        id: Of the call; both of its entries have it.
        at: When the entry was made (UTC).
        stage: "asked" before anything is changed; then "done" or "failed". An entry that was asked
            and has no other was under way when its process ended.
        action: The method, such as "add", "delete", "forget", "maintain" or "register".
        store: The folder or address, as it was given.
        process: Where it ran: host and process id.
        actor: On whose behalf, as `acting_as` says; None where nobody said.
        user_id: Whose memory it touched; likewise `agent_id` and `session_id`.
        agent_id: See `user_id`.
        session_id: See `user_id`.
        everyone: Whether it touched everyone's memory, or the store as a whole.
        ids: Of the turns it named or made, the first 100.
        count: How many turns, tools or files it changed, where it is known.
        error: Class of the error that ended it.
        trace_id: Of the span that was current, in hexadecimal digits.
        span_id: Likewise.
        detail: What else there is to say of such a call, such as the tag of a snapshot.
    """

    id: str
    at: datetime
    stage: AuditStage
    action: str
    store: str
    process: str
    actor: str | None = None
    user_id: str | None = None
    agent_id: str | None = None
    session_id: str | None = None
    everyone: bool = False
    ids: tuple[str, ...] = ()
    count: int | None = None
    error: str | None = None
    trace_id: str | None = None
    span_id: str | None = None
    detail: AuditDetail = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values, without what it says nothing of."""
        told = {name: value for name, value in asdict(self).items() if value not in (None, (), {})}
        return {**told, "at": self.at.isoformat()}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> AuditEvent:
        """Read what `to_json` gave.

        Raises:
            KeyError: A field is missing; likewise ValueError, TypeError for one that is none.
        """
        at = datetime.fromisoformat(value["at"])
        return cls(**{**value, "at": at, "ids": tuple(value.get("ids", ()))})


AuditSink: TypeAlias = Callable[[AuditEvent], None]
