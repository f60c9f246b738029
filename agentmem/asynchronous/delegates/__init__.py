"""The methods of the facades, each awaited in a thread. Written by `make generate`."""

from __future__ import annotations

__all__ = ()
