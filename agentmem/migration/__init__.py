"""Moving a store to another embedding space while it serves, and back."""

from __future__ import annotations

from agentmem.migration.agreement import Labelled
from agentmem.migration.gates import Bounds
from agentmem.migration.handle import Migration
from agentmem.migration.migrations import Migrations
from agentmem.migration.mismatch import Mismatch, move_on, needs_moving
from agentmem.migration.moving import Moving
from agentmem.migration.shadowing import Shadow, overlap

__all__ = [
    "Bounds",
    "Labelled",
    "Migration",
    "Migrations",
    "Mismatch",
    "Moving",
    "Shadow",
    "move_on",
    "needs_moving",
    "overlap",
]
