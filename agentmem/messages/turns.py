"""From messages to turns: scope, order, times and duplicates of one call.

Every message gives one turn, in order. A message without a date was said when the one before it
in its session was; where none is dated, when it was stored.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final

from agentmem.checks import check_scope, utc
from agentmem.errors import InvalidInput
from agentmem.messages.model import Message, read_message
from agentmem.messages.shapes import each_message
from agentmem.types import Attachment, Scope, Turn

__all__ = ["MAX_CALL_BYTES", "TEXT_FORMAT", "embedding_text", "is_undated", "to_turns"]

TEXT_FORMAT: Final = "speaker-caption-v1"  # part of the passport: another format, another space
MAX_CALL_BYTES: Final = 64 * 2**20  # of texts in one call; they are held several times over
TICK: Final = timedelta(microseconds=1)  # the store's resolution: keeps the order within a call


def to_turns(
    messages: object, *, scope: Scope, now: datetime, new_id: Callable[[], str]
) -> list[Turn]:
    """Turn messages into turns.

    Args:
        messages: Text, one message, or an iterable of messages.
        scope: Ids of the call; a message may name only those that the call leaves open.
        now: The present (UTC). Message number i is ingested i microseconds later, so the next
            call's `now` must lie after the last turn's `ingested_at`.
        new_id: Makes an id for a message that has none.

    Returns:
        One turn for each message, in order. A message repeated whole under its id gives the very
        same turn again, so that ids line up with messages: store each turn once.

    Raises:
        InvalidInput: A message cannot be stored as it is; names it, its field and the repair.
    """
    check_scope(scope)
    now = utc(now, what="now")
    places = each_message(messages)
    read = list(_bounded(read_message(one, where=where, now=now) for where, one in places))
    names = [where for where, _ in places]
    scopes = [_narrowed(scope, one, where=where) for one, where in zip(read, names, strict=True)]
    times = _event_times(read, scopes)
    turns: list[Turn] = []
    first: dict[tuple[str | None, str | None, str], int] = {}
    for place, (message, its, said_at) in enumerate(zip(read, scopes, times, strict=True)):
        if message.id is not None:
            earlier = first.setdefault((its.user_id, its.agent_id, message.id), place)
            if earlier != place:
                _check_repeat(read, scopes, names, at=(earlier, place))
                turns.append(turns[earlier])
                continue
        turns.append(
            _turn(
                message,
                scope=its,
                identity=message.id if message.id is not None else new_id(),
                said_at=said_at,
                stored_at=message.ingested_at or now + place * TICK,
            )
        )
    return turns


def _bounded(messages: Iterable[Message]) -> Iterator[Message]:
    """Pass messages on, as long as they are not too much for one call."""
    total = 0
    for place, message in enumerate(messages):
        total += message.size
        if total > MAX_CALL_BYTES:
            raise InvalidInput(
                f"the first {place + 1:,} messages have {total:,} bytes already, and one call "
                f"stores at most {MAX_CALL_BYTES:,}. Nothing was stored. Pass them to "
                "memory.import_turns, which works in bounded memory, or add them in parts."
            )
        yield message


def _narrowed(scope: Scope, message: Message, *, where: str) -> Scope:
    """Return the call's scope with the message's ids where the call has none."""
    return Scope(
        *(
            _agreed(field, getattr(scope, field), getattr(message, field), where=where)
            for field in ("user_id", "agent_id", "session_id")
        )
    )


def _agreed(field: str, called: str | None, own: str | None, *, where: str) -> str | None:
    if called is not None and own is not None and called != own:
        raise InvalidInput(
            f"{where}: {field} {own!r} contradicts the call's {field}={called!r}. Remove one of "
            "the two; nothing is stored under a scope that is in doubt."
        )
    return called if called is not None else own


def _event_times(messages: Sequence[Message], scopes: Sequence[Scope]) -> list[datetime | None]:
    """Return when each was said, inherited within its session; None where nothing is dated.

    Messages before the first dated one of their session take its date: history is not dated
    today, and keeps its order.
    """
    times = [message.created_at for message in messages]
    for order in (range(len(times)), range(len(times) - 1, -1, -1)):
        known: dict[Scope, datetime] = {}
        for place in order:
            moment = times[place] = times[place] or known.get(scopes[place])
            if moment is not None:
                known[scopes[place]] = moment
    return times


def _check_repeat(
    messages: Sequence[Message], scopes: Sequence[Scope], names: list[str], *, at: tuple[int, int]
) -> None:
    """Refuse an id that stands for two different messages."""
    one, other = at
    if messages[one] != messages[other] or scopes[one] != scopes[other]:
        raise InvalidInput(
            f"{names[one]} and {names[other]} differ and share the id {messages[one].id!r}. "
            "Give each its own id, or leave the ids out to have them made."
        )


def _turn(
    message: Message, *, scope: Scope, identity: str, said_at: datetime | None, stored_at: datetime
) -> Turn:
    return Turn(
        id=identity,
        role=message.role,
        content=message.content,
        event_time=said_at or stored_at,
        ingested_at=stored_at,
        name=message.name,
        user_id=scope.user_id,
        agent_id=scope.agent_id,
        session_id=scope.session_id,
        metadata=message.metadata,
        attachments=tuple(
            Attachment(one.type, one.url, one.caption) for one in message.attachments
        ),
        importance=message.importance,
        valid_until=message.valid_until,
        superseded_by=message.superseded_by,
        superseded_at=message.superseded_at,
        expires_at=message.expires_at,
        pinned=message.pinned,
    )


def is_undated(turn: Turn) -> bool:
    """Return whether the message had no date, so that it counts as said when it was stored.

    Such a turn repeated later differs in nothing but the two times: compare it without them.
    """
    return turn.event_time == turn.ingested_at


def embedding_text(turn: Turn) -> tuple[str, str]:
    """Return the text that is embedded for a turn, in the format `speaker-caption-v1`.

    Returns:
        The prefix `speaker: `, which every piece of a long turn repeats, and the body: the content
        followed by ` [shares caption; caption]` where something with a caption was shared.
    """
    captions = "; ".join(one.caption for one in turn.attachments if one.caption)
    said = [turn.content] if turn.content.strip() else []
    shared = [f"[shares {captions}]"] if captions else []
    return f"{turn.speaker}: ", " ".join(said + shared)
