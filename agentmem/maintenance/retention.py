"""`Retention`: the policies of one store, set, listed and previewed. Maintenance applies them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timezone

from agentmem.maintenance.policies import checked, preview, read_policies, write_policies
from agentmem.storage.turns import Store
from agentmem.types.maintenance import PolicyPreview, RetentionPolicy

__all__ = ["Retention"]


class Retention:
    """How long the turns of a store are kept, by policies that hold for every process.

    Args:
        store: Gives the store of the generation in force.
    """

    def __init__(self, store: Callable[[], Store]) -> None:
        self._store = store

    def set(self, policies: Sequence[RetentionPolicy]) -> None:
        """Put policies in force, in the place of all others. Nothing is deleted before `maintain`.

        Raises:
            InvalidInput: One of them cannot be used, or two share a name.
            StoreError: The store is read-only, or could not be written.
        """
        store = self._store()
        with store.audit.entry("retention.set"):
            write_policies(store.whole.meta, policies)

    def policies(self) -> list[RetentionPolicy]:
        """Return the policies in force.

        Raises:
            StoreError: The store could not be read, or something else changed them.
        """
        return read_policies(self._store().whole.meta)

    def preview(self, policies: Sequence[RetentionPolicy] | None = None) -> list[PolicyPreview]:
        """Return what policies would delete now; the first one tells of `expires_at`.

        Args:
            policies: Others than those in force, to try them.

        Raises:
            InvalidInput: One of them cannot be used.
            StoreError: The store could not be read.
        """
        store, now = self._store(), datetime.now(timezone.utc)
        wanted = read_policies(store.whole.meta) if policies is None else map(checked, policies)
        return [preview(one, store, now=now) for one in (None, *wanted)]
