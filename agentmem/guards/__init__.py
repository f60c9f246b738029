"""What is let into a memory: hooks that redact or refuse, and the guard against recall loops.

Everything here sees turns before their ids are looked up and before anything is embedded, and
either gives the turn to store or says why it is left out.
"""

from __future__ import annotations

from agentmem.guards.admitting import Admit, Stage, admission
from agentmem.guards.hooks import BeforeStore, check_hooks, hooked
from agentmem.guards.recall import HandedOut, RecallGuard
from agentmem.guards.redacting import Redactor

__all__ = ["Admit", "BeforeStore", "HandedOut", "RecallGuard", "Redactor", "Stage"]
__all__ += ["admission", "check_hooks", "hooked"]
