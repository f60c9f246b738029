"""The command line: `app.main` is the script `agentmem`."""

from __future__ import annotations

__all__ = ()
