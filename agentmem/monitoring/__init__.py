"""Monitoring: drift of the model, the texts, the content, the questions and the answers."""

from __future__ import annotations

from agentmem.monitoring.drift import Drift, DriftSettings
from agentmem.monitoring.drifting import Drifting
from agentmem.monitoring.given import Baseline, Bounds, Check, Given
from agentmem.monitoring.hooks import Hook, Hooks, Registered
from agentmem.monitoring.reembedding import Remade, Remake
from agentmem.monitoring.schedule import Watch
from agentmem.monitoring.together import check_all
from agentmem.monitoring.watched import Watched, watched_memory, watched_router

__all__ = [
    "Baseline",
    "Bounds",
    "Check",
    "Drift",
    "DriftSettings",
    "Drifting",
    "Given",
    "Hook",
    "Hooks",
    "Registered",
    "Remade",
    "Remake",
    "Watch",
    "Watched",
    "check_all",
    "watched_memory",
    "watched_router",
]
