"""The statistics of drift: arrays in, numbers out, no clock, no storage, no models."""

from __future__ import annotations

from agentmem.statistics.corrections import WINDOW_LEVEL, adjusted, alarms, confirmed
from agentmem.statistics.mmd import TwoSample, two_sample
from agentmem.statistics.projection import Projection, project
from agentmem.statistics.sessions import ROWS_A_SESSION
from agentmem.statistics.shifts import Shift, shift
from agentmem.statistics.windows import (
    CURRENT_SESSIONS,
    MIN_SESSIONS,
    REFERENCE_SESSIONS,
    Windows,
    latest_windows,
)

__all__ = [
    "CURRENT_SESSIONS",
    "MIN_SESSIONS",
    "REFERENCE_SESSIONS",
    "ROWS_A_SESSION",
    "WINDOW_LEVEL",
    "Projection",
    "Shift",
    "TwoSample",
    "Windows",
    "adjusted",
    "alarms",
    "confirmed",
    "latest_windows",
    "project",
    "shift",
    "two_sample",
]
