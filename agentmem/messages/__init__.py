"""Anything message-like becomes a `Turn`, or is refused with its place, field and repair.

Takes text, mappings, dataclasses, pydantic models, chat-library messages and turns. Pure: the
time and the ids are arguments. Content is never altered; what cannot be text (images, inline
files) becomes an attachment, and tool calls become metadata.
"""

from __future__ import annotations

from agentmem.messages.model import MAX_ATTACHMENTS, MAX_METADATA_BYTES, MAX_TEXT_BYTES
from agentmem.messages.shapes import MAX_MESSAGES, gathered
from agentmem.messages.turns import (
    MAX_CALL_BYTES,
    TEXT_FORMAT,
    embedding_text,
    is_undated,
    to_turns,
)

__all__ = [
    "MAX_ATTACHMENTS",
    "MAX_CALL_BYTES",
    "MAX_MESSAGES",
    "MAX_METADATA_BYTES",
    "MAX_TEXT_BYTES",
    "TEXT_FORMAT",
    "embedding_text",
    "gathered",
    "is_undated",
    "to_turns",
]
