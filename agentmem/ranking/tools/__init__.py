"""The mathematics of choosing tools: arrays in, arrays out."""

from __future__ import annotations

from agentmem.ranking.tools.config import Routing

__all__ = ["Routing"]
