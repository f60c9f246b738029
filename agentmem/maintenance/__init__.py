"""Maintenance: a store kept compact and within its policies, and the doctor who examines it.

`Maintainer` does what is due, `Background` decides when, `Doctor` looks and repairs.
"""

from __future__ import annotations

from agentmem.maintenance.background import Background
from agentmem.maintenance.doctor import Doctor
from agentmem.maintenance.maintainer import Maintainer, Progress
from agentmem.maintenance.retention import Retention

__all__ = ["Background", "Doctor", "Maintainer", "Progress", "Retention"]
