"""The facade of the second pillar: a router of tools."""

from __future__ import annotations

from agentmem.router.facade import ToolRouter

__all__ = ["ToolRouter"]
