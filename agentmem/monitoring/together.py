"""Several stores checked together, so that one in twenty does not cry wolf by chance."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from agentmem.checks import shown
from agentmem.errors import InvalidInput
from agentmem.monitoring.drift import Drift
from agentmem.monitoring.hooks import Kinds
from agentmem.monitoring.monitor import corrected
from agentmem.types import DriftReport

__all__ = ["Checked", "check_all"]


class Checked(Protocol):
    """A `Memory` or a `ToolRouter`."""

    @property
    def drift(self) -> Drift:
        """Its drift."""
        ...


def check_all(stores: Iterable[Checked], *, kinds: Kinds = None) -> list[DriftReport]:
    """Look for drift of several memories and routers, and tell hooks of what is new.

    Their p-values are adjusted for there being many (Benjamini & Hochberg, 1995) before anything
    counts as drift.

    Args:
        stores: Open memories and routers.
        kinds: As in `drift.check`.

    Raises:
        InvalidInput: One of them is neither, or there is no such kind.
        StoreError: One could not be read, or its findings not be written down.
    """
    given = list(stores)
    for one in given:
        if not isinstance(getattr(one, "drift", None), Drift):
            raise InvalidInput(f"{shown(one)} is neither a Memory nor a ToolRouter. Pass those.")
    looked = corrected([one.drift.look(kinds) for one in given])
    return [one.drift.conclude(found) for one, found in zip(given, looked, strict=True)]
