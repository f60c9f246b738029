"""When a tool counts as changed: a hash of all that is embedded of it or served."""

from __future__ import annotations

import hashlib
import json
from typing import Final

from agentmem.toolspec.views import VIEWS
from agentmem.types import Tool

__all__ = ["content_hash"]

DIGEST_BYTES: Final = 16  # 128 bits: two of a billion tools collide with a chance of 1e-21


def content_hash(tool: Tool) -> str:
    """Return 32 hexadecimal digits that change when anything of a tool changes.

    The order of keys in an object makes no difference, as in JSON; nor does that of tags.
    """
    parts = (
        VIEWS,
        tool.namespace,
        tool.name,
        tool.description,
        tool.source,
        sorted(tool.tags),
        dict(tool.parameters),
        dict(tool.original),
    )
    text = json.dumps(parts, sort_keys=True, ensure_ascii=False)
    return hashlib.blake2b(text.encode(), digest_size=DIGEST_BYTES).hexdigest()
