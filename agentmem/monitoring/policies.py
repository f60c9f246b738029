"""What is done about drift unasked: a line in the log, writes refused, or a migration."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Final, get_args

from agentmem.checks import shown
from agentmem.errors import InvalidInput, WritesBlocked
from agentmem.monitoring.hooks import Hooks
from agentmem.storage.journal import Journal
from agentmem.types import DriftEvent, DriftPolicy
from agentmem.visible import visible

__all__ = ["Migrate", "Policy", "check_policy"]

Migrate = Callable[[DriftEvent], None]

POLICIES: Final[tuple[DriftPolicy, ...]] = get_args(DriftPolicy)

logger = logging.getLogger("agentmem")


class Policy:
    """What one memory or router does about drift. Safe for several threads.

    Args:
        name: Which policy.
        hooks: Run what it starts, off the thread that noticed.
        migrate: Moves the store to the embedder in use; None where nobody can.
    """

    def __init__(self, name: DriftPolicy, *, hooks: Hooks, migrate: Migrate | None) -> None:
        self.name = name
        self._hooks = hooks
        self._migrate = migrate
        self._lock = threading.Lock()
        self._known: tuple[int, int, DriftEvent | None] | None = None

    def react(self, event: DriftEvent) -> None:
        """Do what is to be done about a new event, once in all processes."""
        logger.warning(
            "drift of %s (%s) in %s: %s %s",
            event.kind,
            event.severity,
            *map(visible, (event.store, event.meaning, event.advice)),
        )
        if self.name == "migrate" and _is_of_the_model(event):
            if self._migrate is None:
                logger.warning("nothing was migrated: no migration can be started from here")
            else:
                migrate = self._migrate
                self._hooks.run(lambda: migrate(event), name="agentmem.migrate")

    def check_writable(self, journal: Journal, *, generation: int) -> None:
        """Refuse a write while the model has drifted, if that is the policy.

        Raises:
            WritesBlocked: It has, and nobody has accepted that.
            StoreError: The journal could not be read.
        """
        if self.name != "block_writes":
            return
        event = self._blocking(journal, generation)
        if event is not None:
            raise WritesBlocked(event.id, meaning=event.meaning)

    def _blocking(self, journal: Journal, generation: int) -> DriftEvent | None:
        """Return the event that blocks, read again whenever the journal changed."""
        version = journal.version  # before the events: what is newer than it is read again
        with self._lock:
            known = self._known
        if known is not None and known[:2] == (version, generation):
            return known[2]
        standing = [
            one.event
            for one in journal.events(kind="model", unresolved=True)
            if one.acknowledged_at is None
            and one.event.generation == generation
            and _is_of_the_model(one.event)
        ]
        event = standing[0] if standing else None
        with self._lock:
            self._known = version, generation, event
        return event


def check_policy(name: object) -> None:
    """Refuse a policy that there is none of.

    Raises:
        InvalidInput: It is none.
    """
    if name not in POLICIES:
        raise InvalidInput(f"drift_policy={shown(name)} is none of {', '.join(POLICIES)}.")


def _is_of_the_model(event: DriftEvent) -> bool:
    """Whether it says that the space is another one, which alone calls for drastic means."""
    return event.kind == "model" and event.severity == "critical"
