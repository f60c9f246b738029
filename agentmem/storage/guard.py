"""`Guard`: refuses the use of a store that is closed, read-only, or was opened before a fork.

Everything that one opening of a store gave shares one guard, so that all of it ends at once, and
all that is done through it is in one audit log.
"""

from __future__ import annotations

import os

from agentmem.errors import StoreError
from agentmem.telemetry import Audit

__all__ = ["Guard"]


class Guard:
    """What may be done with a store that this process opened.

    Args:
        uri: The folder or address of the store, as it was given.
        read_only: Whether every write is refused.
        audit: Where it is written down what is done; where the environment says if None.
    """

    def __init__(self, uri: str, *, read_only: bool, audit: Audit | None = None) -> None:
        self.audit = Audit.to(None, store=uri) if audit is None else audit
        self.uri = uri
        self.read_only = read_only
        self._pid = os.getpid()
        self._closed = False

    @property
    def is_usable(self) -> bool:
        """Whether it is open, in the process that opened it."""
        return not self._closed and os.getpid() == self._pid

    def check(self) -> None:
        """Refuse any use of a store that is closed, or was opened before a fork.

        Raises:
            StoreError: It is one of these.
        """
        if self._closed:
            raise StoreError(f"the store {self.uri} is closed. Repair: open it again.")
        if os.getpid() != self._pid:
            raise StoreError(
                f"the store {self.uri} was opened before this process was forked, and its threads "
                "did not survive that. Repair: open it in the child process, or start processes "
                "with the 'spawn' method."
            )

    def check_writable(self, action: str) -> None:
        """Refuse a write as well where the store is read-only.

        Args:
            action: What was to be done, to follow "could not".

        Raises:
            StoreError: It may not be done.
        """
        self.check()
        if self.read_only:
            raise StoreError(
                f"could not {action} in {self.uri}: it was opened with read_only=True. Repair: "
                "open it without."
            )

    def close(self) -> None:
        """Refuse every further use. In a forked child the parent's store stays as it is."""
        self._closed = self._closed or self.is_usable
