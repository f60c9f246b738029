"""Forgetting: turns leave every file of a store, and a receipt says how that was made sure."""

from __future__ import annotations

from agentmem.forgetting.forgetter import Forgetter, Order

__all__ = ["Forgetter", "Order"]
