"""The facade of the first pillar: a conversation memory."""

from __future__ import annotations

from agentmem.memory.facade import Memory

__all__ = ["Memory"]
