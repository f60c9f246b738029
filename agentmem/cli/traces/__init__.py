"""The commands `agentmem traces`: `app.app` is their group."""

from __future__ import annotations

__all__ = ()
