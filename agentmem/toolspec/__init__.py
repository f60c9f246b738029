"""Anything tool-like becomes a `Tool`, or is refused with its place in the list and the repair.

Takes Python functions, pydantic models, and the definitions of OpenAI, Anthropic, MCP, LangChain
and plain dictionaries. Descriptions are never altered, and the definition is kept as it was given.
Also says what of a tool is embedded (`views`) and when it counts as changed (`content_hash`).
"""

from __future__ import annotations

from agentmem.toolspec.definition import MAX_NAME_CHARS
from agentmem.toolspec.hashing import content_hash
from agentmem.toolspec.reading import read_tools
from agentmem.toolspec.views import VIEWS, ToolViews, views
from agentmem.toolspec.words import words_of

__all__ = [
    "MAX_NAME_CHARS",
    "VIEWS",
    "ToolViews",
    "content_hash",
    "read_tools",
    "views",
    "words_of",
]
