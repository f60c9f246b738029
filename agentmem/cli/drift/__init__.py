"""The commands `agentmem drift` and `agentmem passport`: `app.app` and `passport.app`."""

from __future__ import annotations

__all__ = ()
