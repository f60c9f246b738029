"""A store for each tenant, one folder each, behind the API of one store.

`with tenants.memory("acme") as memory:` gives the `Memory` of one of them, opened when it is
asked for, and closed once enough others were used since.
"""

from __future__ import annotations

from agentmem.tenants.facade import Tenant, Tenants

__all__ = ["Tenant", "Tenants"]
