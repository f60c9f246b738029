"""Content parts and tool calls, as chat APIs write them: read into text, attachments and calls.

Texts are joined by newlines, unchanged. Media become attachments by their address. Inline bytes
(`data:` URLs, base64) are no memory: their SHA-256 is kept, so that the file can be recognised.
An unknown kind of part is refused, because dropping it would lose what was said.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

from agentmem.checks import nearest, shown
from agentmem.errors import InvalidInput
from agentmem.messages.shapes import as_mapping

__all__ = ["Said", "address", "read_content", "rendered", "tool_call"]

TEXT_KEYS: Final = {
    "text": "text",
    "input_text": "text",
    "output_text": "text",
    "refusal": "refusal",
}
MEDIA: Final = {
    **dict.fromkeys(("image", "image_url", "input_image"), "image"),
    **dict.fromkeys(("audio", "audio_url", "input_audio"), "audio"),
    **dict.fromkeys(("video", "video_url", "input_video"), "video"),
    **dict.fromkeys(("file", "input_file", "document"), "file"),
}
CALLS: Final = frozenset({"tool_use", "tool_call", "function_call"})
RESULT: Final = "tool_result"
KINDS: Final = (*TEXT_KEYS, *MEDIA, *sorted(CALLS), RESULT)


@dataclass(slots=True)
class Said:
    """What a message's content holds, gathered part by part."""

    texts: list[str] = field(default_factory=list)
    attachments: list[dict[str, Any]] = field(default_factory=list)
    calls: list[dict[str, Any]] = field(default_factory=list)

    @property
    def text(self) -> str:
        """The texts in order, a newline between two."""
        return "\n".join(self.texts)


def read_content(content: object, *, where: str) -> Said:
    """Read a message's content: text, None, one part or a list of parts.

    Raises:
        InvalidInput: It is none of these, or a part is of an unknown kind.
    """
    said = Said()
    if isinstance(content, str):
        said.texts.append(content)
    elif isinstance(content, (list, tuple)):
        for place, part in enumerate(content):
            _read_part(part, into=said, where=f"{where}[{place}]")
    elif isinstance(content, Mapping):
        _read_part(content, into=said, where=where)
    elif content is not None:
        raise InvalidInput(
            f"{where} is a {type(content).__name__}, and content is text or a list of content "
            "parts. Pass str(...) of it."
        )
    return said


def _read_part(part: object, *, into: Said, where: str) -> None:
    fields = {"type": "text", "text": part} if isinstance(part, str) else as_mapping(part)
    kind = (fields or {}).get("type")
    if fields is None or not isinstance(kind, str):
        raise InvalidInput(
            f'{where} {shown(part)} is no content part. Parts look like {{"type": "text", '
            '"text": "..."}.'
        )
    if kind in TEXT_KEYS:
        into.texts.append(_text(fields.get(TEXT_KEYS[kind]), where=where))
    elif kind in MEDIA:
        into.attachments.append(_attachment(fields, kind=kind))
    elif kind in CALLS:
        into.calls.append(tool_call(fields, where=where))
    elif kind == RESULT:
        into.texts.append(read_content(fields.get("content"), where=where).text)
    else:
        raise InvalidInput(
            f"{where} is a content part of the unknown kind {kind!r}, and leaving it out would "
            f"lose something.{nearest(kind, KINDS)} Known kinds are {', '.join(KINDS)}. Remove "
            "the part, or pass what it says as a text part."
        )


def _text(value: object, *, where: str) -> str:
    if isinstance(value, Mapping):
        value = value.get("value")  # OpenAI's assistants wrap the text once more
    if not isinstance(value, str):
        raise InvalidInput(f"{where} has no text but {shown(value)}. Give its text as a string.")
    return value


def _attachment(part: Mapping[str, Any], *, kind: str) -> dict[str, Any]:
    """Return the attachment for a media part, wherever the API at hand puts its address."""
    holders = [part, *(value for value in part.values() if isinstance(value, Mapping))]
    caption = _first(holders, ("caption", "title", "filename"))
    return {"type": MEDIA[kind], "url": _media_url(holders, kind), "caption": caption}


def _media_url(holders: list[Mapping[str, Any]], kind: str) -> str | None:
    inline = _first(holders, ("data", "file_data", "base64"))
    if inline is not None:
        return address(inline if inline.startswith("data:") else f"data:;base64,{inline}")
    url = _first(holders, ("url", kind, "image_url", "file_url", "file_id", "file_uri"))
    return None if url is None else address(url)


def _first(holders: Iterable[Mapping[str, Any]], keys: Iterable[str]) -> str | None:
    values = (holder.get(key) for key in keys for holder in holders)
    return next((value for value in values if isinstance(value, str) and value), None)


def address(url: str) -> str:
    """Return a URL as it is, or `sha256:<hex>` of the bytes that a `data:` URL holds."""
    if url[:5].lower() != "data:":
        return url
    head, _, body = url.partition(",")
    payload = body.encode("utf-8", "replace")
    if head.lower().endswith(";base64"):
        with suppress(binascii.Error):  # not base64 after all: its text identifies it as well
            payload = base64.b64decode(payload, validate=True)
    return f"sha256:{hashlib.sha256(payload).hexdigest()}"


def tool_call(call: object, *, where: str) -> dict[str, Any]:
    """Return a tool call as `{"name", "arguments", "id"?}`, whichever API wrote it.

    Raises:
        InvalidInput: It names no tool.
    """
    outer = as_mapping(call) or {}
    inner = as_mapping(outer.get("function")) or outer
    name = inner.get("name")
    if not isinstance(name, str) or not name:
        raise InvalidInput(f"{where} {shown(call)} is a tool call without a name. Add its name.")
    given = (inner.get(key) for key in ("arguments", "args", "input"))
    arguments: object = next((value for value in given if value is not None), {})
    identity = outer.get("id") or outer.get("call_id")
    return {"name": name, "arguments": _decoded(arguments)} | ({"id": identity} if identity else {})


def _decoded(arguments: object) -> object:
    if not isinstance(arguments, str):
        return arguments
    try:
        return json.loads(arguments)
    except (ValueError, RecursionError):
        return arguments  # models write broken JSON; what they wrote is kept


def rendered(calls: Iterable[Mapping[str, Any]]) -> str:
    """Return calls as text, one `[calls name(arguments)]` a line."""
    return "\n".join(
        f"[calls {call['name']}({json.dumps(call['arguments'], ensure_ascii=False, default=str)})]"
        for call in calls
    )
