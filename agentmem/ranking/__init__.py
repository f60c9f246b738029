"""Ranking in pure numpy: columns in, scores out, no clock, no storage, no models."""

from __future__ import annotations

from agentmem.ranking.config import Ranking

__all__ = ["Ranking"]
