"""Seals and leases of processes that are gone: what stands in the way of others for nothing."""

from __future__ import annotations

from dataclasses import replace

from agentmem.migration.records import Records
from agentmem.storage.description import Description
from agentmem.storage.generations import Whole

__all__ = ["break_seal", "dead_seal"]


def dead_seal(whole: Whole) -> str | None:
    """Return the seal that writers wait for, if whoever put it on is gone.

    Writers break one themselves after a while; until then each of them waits.

    Raises:
        StoreError: The store could not be read.
    """
    seal = whole.generations.read().seal
    if seal is None:
        return None
    record = Records(whole.meta).current()
    if record is None or not seal.startswith(record.status.id):
        return seal  # of a migration that is over
    return seal if record.owner is None or record.owner.is_gone else None


def break_seal(whole: Whole, seal: str) -> None:
    """Let writers go on, unless another seal is on by now.

    Raises:
        StoreError: The store is read-only, or could not be written.
    """

    def opened(now: Description) -> Description | None:
        return replace(now, seal=None) if now.seal == seal else None

    whole.generations.change(opened)
