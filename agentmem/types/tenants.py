"""The words of tenants: how large the store of one is, and what went when it was deleted."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["TenantDeletion", "TenantFigures"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantFigures:
    """How large the store of a tenant is.

    Attributes:
        turns: How many turns it has; None where it cannot be read.
        tools: How many tools, likewise.
        bytes: Size of all its files.
    """

    turns: int | None
    tools: int | None
    bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantDeletion:
    """What was deleted of a tenant, or would be.

    Attributes:
        tenant: Its id.
        path: The folder or address of its store.
        turns: How many turns it had; None where the store could not be read.
        tools: How many tools, likewise.
        bytes: Size of all its files.
        dry_run: Whether nothing was deleted.
    """

    tenant: str
    path: str
    turns: int | None
    tools: int | None
    bytes: int
    dry_run: bool
