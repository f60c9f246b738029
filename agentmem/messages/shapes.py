"""The shapes a message can come in: each is read into a plain dictionary of message fields.

Knows which attributes to look for and nothing of whether their values are right.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from enum import Enum
from itertools import islice
from typing import Any, Final

from agentmem.checks import nearest, shown
from agentmem.errors import InvalidInput
from agentmem.types import Turn

__all__ = ["FIELDS", "MAX_MESSAGES", "as_mapping", "each_message", "fields_of", "gathered"]

MAX_MESSAGES: Final = 10_000  # of one add: they are embedded together, and stored or refused whole

FIELDS: Final = (
    "id",
    "role",
    "content",
    "name",
    "created_at",
    "ingested_at",
    "metadata",
    "attachments",
    "importance",
    "valid_until",
    "superseded_by",
    "superseded_at",
    "expires_at",
    "pinned",
    "user_id",
    "agent_id",
    "session_id",
)
CALL_FIELDS: Final = ("tool_calls", "function_call", "tool_call_id", "refusal")
ENVELOPE: Final = frozenset({"type", "status"})  # of chat APIs; says nothing about the message
OTHER_NAMES: Final = {  # what other libraries call our fields, so that a date is never lost
    **dict.fromkeys(("timestamp", "time", "date", "datetime", "ts", "event_time"), "created_at"),
    **dict.fromkeys(("text", "message", "body", "value"), "content"),
    **dict.fromkeys(("speaker", "author", "sender"), "name"),
    **dict.fromkeys(("run_id", "thread_id", "conversation_id", "chat_id"), "session_id"),
    "from": "role",
    "uuid": "id",
    "meta": "metadata",
}


def each_message(messages: object) -> list[tuple[str, object]]:
    """Return every message with the name that errors call it by.

    Raises:
        InvalidInput: This is neither a message nor an iterable of them.
    """
    if _is_message(messages):
        return [("the message", messages)]
    if isinstance(messages, Iterable) and not isinstance(messages, (bytes, bytearray)):
        return [(f"messages[{place}]", one) for place, one in enumerate(_listed(messages))]
    raise _not_a_message("messages", messages)


def gathered(messages: object) -> object:
    """Return one message as it is, and several as a list that can be counted and read twice."""
    if _is_message(messages) or not isinstance(messages, Iterable):
        return messages
    return messages if isinstance(messages, (bytes, bytearray)) else _listed(messages)


def _listed(messages: Iterable[object]) -> list[object]:
    """Return the messages as a list; what never ends, or is too much at once, is not read whole.

    Raises:
        InvalidInput: There are more than `MAX_MESSAGES`.
    """
    found = list(islice(messages, MAX_MESSAGES + 1))
    if len(found) > MAX_MESSAGES:
        raise InvalidInput(
            f"these are more than {MAX_MESSAGES:,} messages, the most that one call stores, and "
            "nothing was stored. Pass them to memory.import_turns, which takes any number in "
            "bounded memory, or add them in parts."
        )
    return found


def _is_message(value: object) -> bool:
    return isinstance(value, (str, Mapping)) or hasattr(value, "content")


def _not_a_message(where: str, value: object) -> InvalidInput:
    return InvalidInput(
        f"{where} {shown(value)} is a {type(value).__name__}, which is no message. Pass text, a "
        'dictionary such as {"role": "user", "content": "..."}, or an object with those fields.'
    )


def fields_of(message: object, *, where: str) -> dict[str, Any]:
    """Return a message's fields; those that are missing or None are left out.

    Args:
        message: One message of any accepted shape.
        where: What errors call it.

    Raises:
        InvalidInput: It is no message, or has a field that would be lost.
    """
    if isinstance(message, str):
        return {"role": "user", "content": message}
    if isinstance(message, Turn):
        return _present(message, FIELDS) | {"created_at": message.event_time}
    if isinstance(message, Mapping):
        found = _known(message, where=where)
        kind = message.get("type")
    elif _is_message(message):
        found = _present(message, (*FIELDS, *CALL_FIELDS))
        _check_declared(message, found, where=where)
        kind = getattr(message, "type", None)
    else:
        raise _not_a_message(where, message)
    if "role" not in found and kind is not None:
        found["role"] = kind  # LangChain names the role `type`
    if isinstance(found.get("role"), Enum):
        found["role"] = found["role"].value
    return found


def _check_declared(message: object, found: Mapping[str, Any], *, where: str) -> None:
    """Refuse a field of a dataclass or model that says under another name what ours is missing.

    Their other fields are passed over: chat libraries' messages carry much that is theirs.
    """
    declared = dataclasses.fields(message) if dataclasses.is_dataclass(message) else ()
    names = {one.name for one in declared} | set(getattr(type(message), "model_fields", ()))
    for name in sorted(names & OTHER_NAMES.keys()):
        if OTHER_NAMES[name] not in found and not _is_nothing(getattr(message, name, None)):
            raise _unknown(name, where=where)


def _present(message: object, names: Iterable[str]) -> dict[str, Any]:
    values = {name: getattr(message, name, None) for name in names}
    return {name: value for name, value in values.items() if value is not None}


def _known(message: Mapping[Any, Any], *, where: str) -> dict[str, Any]:
    """Return the fields of a mapping, refusing unknown ones that hold something."""
    found = {}
    for key, value in message.items():
        if key in FIELDS or key in CALL_FIELDS:
            if value is not None:
                found[key] = value
        elif key not in ENVELOPE and not _is_nothing(value):
            raise _unknown(str(key), where=where)
    return found


def _is_nothing(value: object) -> bool:
    return value is None or (isinstance(value, (str, list, tuple, dict)) and not value)


def _unknown(key: str, *, where: str) -> InvalidInput:
    if key.lower() in OTHER_NAMES:
        hint = f" Did you mean {OTHER_NAMES[key.lower()]!r}?"
    else:
        hint = nearest(key, FIELDS)
    return InvalidInput(
        f"{where} has the field {key!r}, which is unknown and would be lost.{hint} "
        f'Put other facts into "metadata". Fields are {", ".join(FIELDS)}.'
    )


def as_mapping(value: object) -> Mapping[str, Any] | None:
    """Return the fields of a mapping, pydantic model, dataclass or plain object."""
    if isinstance(value, Mapping):
        return value
    if hasattr(value, "model_dump"):
        dumped: Mapping[str, Any] = value.model_dump()
        return dumped
    if dataclasses.is_dataclass(value):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    return vars(value) if hasattr(value, "__dict__") else None
