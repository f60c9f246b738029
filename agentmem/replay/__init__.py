"""Past retrievals run again: `searching` for memories, `selecting` for routers."""

from __future__ import annotations

__all__ = ()
