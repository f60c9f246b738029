"""What the stores of all tenants are opened with, and how it is handed to memory and router."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from functools import partial
from typing import Any, Final, Literal

from typing_extensions import TypedDict

from agentmem.checks import nearest, shown
from agentmem.embedding import CachedEmbedder
from agentmem.errors import InvalidInput
from agentmem.guards import BeforeStore
from agentmem.memory import Memory
from agentmem.protocols import Embedder, Reranker, TokenCounter
from agentmem.ranking import Ranking
from agentmem.ranking.tools import Routing
from agentmem.router import ToolRouter
from agentmem.telemetry import AuditTo, Redact
from agentmem.tenants.held import Openers
from agentmem.tokens import TiktokenCounter
from agentmem.types.maintenance import MaintenancePolicy

__all__ = ["Settings", "cached", "openers"]


class Settings(TypedDict, total=False):
    """What `Memory.open` and `ToolRouter.open` take and holds for all tenants alike.

    Moving a store to another model is for its own `Memory`, so that "migrate" is left out here.
    """

    standby: Sequence[Embedder]
    on_mismatch: Literal["raise", "serve_old"]
    token_counter: TokenCounter | None
    keep_versions: timedelta | None
    drift_policy: Literal["warn", "block_writes"]
    keep_questions: bool
    audit: AuditTo
    capture_content: bool | None
    redact: Redact | None
    ranking: Ranking | None
    reranker: Reranker | None
    before_store: Sequence[BeforeStore]
    recall_guard: bool
    maintain: MaintenancePolicy
    routing: Routing | None


OF_MEMORY: Final = ("ranking", "reranker", "before_store", "recall_guard", "maintain")
OF_ROUTER: Final = ("routing",)
UNATTENDED: Final = ("on_mismatch", "drift_policy")  # may be "migrate" where one store is opened


def openers(
    settings: Settings, *, every: Mapping[str, Any], resident_bytes: int, read_only: bool
) -> Openers:
    """Return how stores are opened.

    Args:
        settings: Of all tenants.
        every: What memory and router are given besides.
        resident_bytes: Of each store.
        read_only: Refuse every write.

    Raises:
        InvalidInput: There is no such setting, or it holds for one store only.
    """
    given: dict[str, Any] = {**settings}
    _check(given)
    given["standby"] = [cached(one) for one in given.get("standby", ())]
    given["token_counter"] = given.get("token_counter") or TiktokenCounter()
    common = {name: given[name] for name in given if name not in (*OF_MEMORY, *OF_ROUTER)}
    shared = {**common, **every, "read_only": read_only}
    memory = {name: given[name] for name in OF_MEMORY if name in given}
    router = {name: given[name] for name in OF_ROUTER if name in given}
    return Openers(
        memory=partial(Memory.open, **shared, **memory, resident_bytes=resident_bytes),
        router=partial(ToolRouter.open, **shared, **router),
    )


def cached(embedder: Embedder) -> CachedEmbedder:
    """Return an embedder behind one cache, which all stores share."""
    return embedder if isinstance(embedder, CachedEmbedder) else CachedEmbedder(embedder)


def _check(given: Mapping[str, Any]) -> None:
    known = Settings.__annotations__
    for name in given:
        if name not in known:
            raise InvalidInput(
                f"tenants have no setting {name!r}.{nearest(name, known)} There are "
                f"{', '.join(sorted(known))}."
            )
    for name in UNATTENDED:
        if given.get(name) == "migrate":
            raise InvalidInput(
                f"{name}={shown(given[name])} would move the stores of all tenants. Repair: move "
                "one at a time: open it with Memory.open(tenants.path(id)) and call migrate."
            )
