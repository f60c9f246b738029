"""`AsyncMemory` and `AsyncToolRouter`: the facades for asyncio, and nothing of their own."""

from __future__ import annotations

from agentmem.asynchronous.bridging import AsyncBeforeStore
from agentmem.asynchronous.memory import AsyncMemory
from agentmem.asynchronous.router import AsyncToolRouter

__all__ = ["AsyncBeforeStore", "AsyncMemory", "AsyncToolRouter"]
