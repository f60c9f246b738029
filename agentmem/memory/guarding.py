"""The guards of a memory, as it was opened with them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

from agentmem.errors import InvalidInput
from agentmem.guards import (
    Admit,
    BeforeStore,
    HandedOut,
    RecallGuard,
    admission,
    check_hooks,
    hooked,
)

__all__ = ["Guards", "guarding"]


@dataclass(frozen=True, slots=True)
class Guards:
    """What looks at messages on their way in, and is told what goes out."""

    admit: Admit
    handed_out: HandedOut | None


def guarding(
    path: str | os.PathLike[str], *, before_store: Sequence[BeforeStore], recall_guard: bool
) -> Guards:
    """Return the guards of the store in a place.

    Raises:
        InvalidInput: What was given is no hook, or no switch.
    """
    hooks = check_hooks(before_store)
    if not isinstance(recall_guard, bool):
        raise InvalidInput(f"recall_guard={recall_guard!r}: pass True or False.")
    stages = [hooked(hooks)] if hooks else []
    if not recall_guard:
        return Guards(admission(*stages), None)
    place = os.fspath(path)
    recall = RecallGuard(place.rstrip("/") if "://" in place else os.path.realpath(place))
    return Guards(admission(recall.stage, *stages), recall.handed_out)
