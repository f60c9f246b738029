"""One message, validated: a private pydantic model, its errors retold as `InvalidInput`.

Takes the fields that `shapes` found and gives values that can be stored as they are. Knows
nothing of the other messages of the call.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from itertools import islice
from typing import Annotated, Any, Final, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo
from pydantic.functional_validators import AfterValidator, BeforeValidator

from agentmem.checks import clean_text, identifier, json_value, nearest, shown, utc
from agentmem.errors import InvalidInput
from agentmem.messages.parts import Said, address, read_content, rendered, tool_call
from agentmem.messages.shapes import as_mapping, fields_of
from agentmem.types import Role

__all__ = ["MAX_ATTACHMENTS", "MAX_METADATA_BYTES", "MAX_TEXT_BYTES", "Message", "read_message"]

MAX_TEXT_BYTES: Final = 4 * 2**20  # a long book; more is a file, and would be thousands of chunks
MAX_METADATA_BYTES: Final = 256 * 2**10  # room for a tool call's arguments; it is read per row
MAX_URL_CHARS: Final = 8_192  # what browsers and servers take; longer ones are inline data
MAX_ATTACHMENTS: Final = 100  # what chat APIs take at most; more is an album, kept elsewhere
CLOCK_SKEW: Final = timedelta(days=1)  # wrong clocks and zones pass; dates talked about do not
ALIASES: Final = {"human": "user", "ai": "assistant", "model": "assistant", "bot": "assistant"} | {
    "function": "tool"
}
REPAIRS: Final = {
    "extra_forbidden": "Attachments have type, url and caption; put other facts into metadata.",
    "missing": "Add it.",
    "model_type": "Write it like {'type': 'image', 'url': '...', 'caption': '...'}.",
    "greater_than_equal": "Scale it to lie between 0 and 1.",
    "less_than_equal": "Scale it to lie between 0 and 1.",
}


def _role(value: object) -> object:
    roles = get_args(Role)
    if value is None:
        raise InvalidInput(
            f"role is missing, so nobody is known to have said this. Roles are {', '.join(roles)}."
        )
    word = value.strip().lower() if isinstance(value, str) else ""
    role = ALIASES.get(word, word)
    if role in roles:
        return role
    raise InvalidInput(
        f"role {shown(value)} is unknown. Roles are {', '.join(roles)}; also accepted are "
        f"{', '.join(ALIASES)}.{nearest(word, (*roles, *ALIASES))}"
    )


def _content(value: str) -> str:
    size = len(clean_text(value, what="content").encode())
    if size > MAX_TEXT_BYTES:
        raise InvalidInput(
            f"content has {size:,} bytes, and one turn holds at most {MAX_TEXT_BYTES:,}. "
            "Split it into several messages."
        )
    return value


def _identifier(value: object, info: ValidationInfo) -> object:
    return None if value is None else identifier(value, what=str(info.field_name))


def _name(value: object, info: ValidationInfo) -> object:
    return None if value == "" else _identifier(value, info)  # many exports write absent names so


def _moment(value: object, info: ValidationInfo) -> object:
    if value is None:
        return None
    moment = utc(value, what=str(info.field_name))
    if info.context is not None and moment > info.context["now"] + CLOCK_SKEW:
        raise InvalidInput(
            f"{info.field_name} {moment.isoformat()} lies more than a day in the future, and it "
            "is the time a message was said. Put dates that the text talks about into metadata."
        )
    return moment


def _metadata(value: object) -> object:
    if not isinstance(value, Mapping):
        raise InvalidInput(
            f'metadata {shown(value)} is no mapping. Pass a dictionary such as {{"topic": "x"}}.'
        )
    checked = json_value(value, what="metadata")
    size = len(json.dumps(checked, ensure_ascii=False).encode())
    if size > MAX_METADATA_BYTES:
        raise InvalidInput(
            f"metadata has {size:,} bytes as JSON, and at most {MAX_METADATA_BYTES:,} are "
            "allowed. Store the large part elsewhere and keep its address."
        )
    return checked


def _url(value: str) -> str:
    reference = clean_text(address(value), what="url")
    if len(reference) > MAX_URL_CHARS:
        raise InvalidInput(
            f"url has {len(reference):,} characters, and at most {MAX_URL_CHARS:,} are allowed. "
            "Shorten it, or put it into metadata."
        )
    return reference


def _caption(value: str) -> str | None:
    return _content(value) if value.strip() else None


def _attachments(value: object) -> object:
    if isinstance(value, (str, Mapping)) or not isinstance(value, Iterable):
        raise InvalidInput(
            f"attachments {shown(value)} is no list. Pass a list of dictionaries such as "
            '{"type": "image", "url": "...", "caption": "..."}.'
        )
    shared = tuple(islice(value, MAX_ATTACHMENTS + 1))
    if len(shared) > MAX_ATTACHMENTS:
        raise InvalidInput(
            f"attachments are more than {MAX_ATTACHMENTS}, the most that one message holds. Spread "
            "them over several messages, or keep the list elsewhere and its address here."
        )
    return tuple(as_mapping(one) or one for one in shared)


class AttachmentModel(BaseModel):
    """Something shared with a message."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    type: Annotated[str, BeforeValidator(_identifier)]
    url: Annotated[str, AfterValidator(_url)] | None = None
    caption: Annotated[str, AfterValidator(_caption)] | None = None


def _any_moment(value: object, info: ValidationInfo) -> object:
    return None if value is None else utc(value, what=str(info.field_name))


_Id = Annotated[str | None, BeforeValidator(_identifier)]
_Moment = Annotated[datetime | None, BeforeValidator(_moment)]
_Ending = Annotated[datetime | None, BeforeValidator(_any_moment)]  # may lie ahead


class Message(BaseModel):
    """A message whose every field can be stored as it is; None where it was not given."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    role: Annotated[Role, BeforeValidator(_role)]
    content: Annotated[str, AfterValidator(_content)]
    id: _Id = None
    name: Annotated[str | None, BeforeValidator(_name)] = None
    user_id: _Id = None
    agent_id: _Id = None
    session_id: _Id = None
    created_at: _Moment = None
    ingested_at: _Moment = None
    importance: Annotated[float, Field(ge=0, le=1)] | None = None
    valid_until: _Ending = None
    superseded_by: _Id = None
    superseded_at: _Moment = None
    expires_at: _Ending = None
    pinned: bool = False
    metadata: Annotated[dict[str, Any], BeforeValidator(_metadata)] = Field(default_factory=dict)
    attachments: Annotated[tuple[AttachmentModel, ...], BeforeValidator(_attachments)] = ()

    @property
    def captions(self) -> tuple[str, ...]:
        """The captions of what was shared."""
        return tuple(one.caption for one in self.attachments if one.caption)

    @property
    def size(self) -> int:
        """Bytes of its texts: content, captions, addresses and metadata."""
        addresses = (one.url for one in self.attachments if one.url)
        texts = (self.content, *self.captions, *addresses)
        written = json.dumps(self.metadata, ensure_ascii=False) if self.metadata else ""
        return sum(len(text.encode()) for text in (*texts, written))


def read_message(message: object, *, where: str, now: datetime) -> Message:
    """Read and validate one message.

    Args:
        message: A message of any accepted shape.
        where: What errors call it.
        now: The present (UTC), which no message can be later than.

    Raises:
        InvalidInput: It cannot be stored as it is; names the message, the field and the repair.
    """
    fields = fields_of(message, where=where)
    said = _said(fields, where=where)
    fields = {"role": None, **fields, "content": said.text}
    if said.calls:
        fields["content"] = said.text if said.text.strip() else rendered(said.calls)
        fields["metadata"] = _beside(fields, "tool_calls", said.calls)
    if (answered := fields.pop("tool_call_id", None)) is not None:
        fields["metadata"] = _beside(fields, "tool_call_id", answered)
    if said.attachments:
        fields["attachments"] = (*said.attachments, *fields.get("attachments", ()))
    try:
        read = Message.model_validate(fields, context={"now": now})
    except ValidationError as error:
        raise InvalidInput(f"{where}: {_retold(error)}") from error
    if not read.content.strip() and not read.captions:
        raise InvalidInput(
            f"{where}: content is empty, so there is nothing to remember. Leave the message out, "
            'or describe what was shared: "attachments": [{"type": "image", "caption": "..."}].'
        )
    return read


def _said(fields: dict[str, Any], *, where: str) -> Said:
    """Take content, refusal and tool calls out of the fields, and read them."""
    said = read_content(fields.pop("content", None), where=f"{where}: content")
    if (refusal := fields.pop("refusal", None)) is not None:
        said.texts.append(read_content(refusal, where=f"{where}: refusal").text)
    calls = fields.pop("tool_calls", None) or ()
    if not isinstance(calls, (list, tuple)):
        raise InvalidInput(
            f"{where}: tool_calls {shown(calls)} is no list. Pass a list of tool calls, such as "
            '{"id": "...", "function": {"name": "...", "arguments": "..."}}.'
        )
    if (call := fields.pop("function_call", None)) is not None:
        calls = (*calls, call)
    said.calls.extend(tool_call(call, where=f"{where}: tool call") for call in calls)
    return said


def _beside(fields: Mapping[str, Any], key: str, value: object) -> object:
    """Return the metadata with one more key, unless the caller set that key."""
    metadata = fields.get("metadata", {})
    return {key: value, **metadata} if isinstance(metadata, Mapping) else metadata


def _retold(error: ValidationError) -> str:
    """Return the first error in our own words: what is wrong, why, how to repair it."""
    first = error.errors(include_url=False)[0]
    path = "".join(
        f"[{step}]" if isinstance(step, int) else f".{step}" for step in first["loc"]
    ).lstrip(".")
    if first["type"] == "value_error":
        told = str(first["ctx"]["error"])
        return told if len(first["loc"]) == 1 else f"{path}: {told}"
    repair = REPAIRS.get(first["type"], f"Pass {first['msg'].removeprefix('Input should be ')}.")
    return f"{path} {shown(first['input'])} cannot be used: {first['msg']}. {repair}"
