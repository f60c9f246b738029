"""`agentmem migrate`: a store moved to another embedding space, watched and taken back."""

from __future__ import annotations

__all__ = ()
