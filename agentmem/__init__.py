"""Conversation memory and tool routing for agents, on LanceDB.

    from agentmem import Memory, ToolRouter

Names are resolved at first use, so that importing agentmem loads no model, database or
numeric library.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agentmem.asynchronous import AsyncMemory, AsyncToolRouter
    from agentmem.embedding import CachedEmbedder, HttpEmbedder, SentenceTransformerEmbedder
    from agentmem.errors import (
        AgentmemError,
        AuditFailed,
        ConcurrentWrite,
        DuplicateTool,
        EmbedderMismatch,
        EmbeddingFailed,
        FilesMissing,
        GuardFailed,
        InvalidInput,
        MigrationFailed,
        MissingDependency,
        NotFound,
        SchemaTooNew,
        ScopeRequired,
        StoreError,
        StoreNotFound,
        VersionGone,
        WritesBlocked,
    )
    from agentmem.filters import Filter, field
    from agentmem.memory import Memory
    from agentmem.migration import Labelled, Migration
    from agentmem.ranking import Ranking
    from agentmem.reranking import CrossEncoderReranker
    from agentmem.router import ToolRouter
    from agentmem.telemetry import AuditLog, acting_as
    from agentmem.tenants import Tenants
    from agentmem.tokens import TiktokenCounter
    from agentmem.types import (
        ALL,
        Attachment,
        AuditEvent,
        Context,
        DriftEvent,
        DriftReport,
        Hit,
        MigrationPlan,
        MigrationStatus,
        Passport,
        Recall,
        Receipt,
        Replay,
        RetentionPolicy,
        Scope,
        Selection,
        Tool,
        ToolMatch,
        Turn,
    )

    __version__: str

__all__ = [
    "ALL",
    "AgentmemError",
    "AsyncMemory",
    "AsyncToolRouter",
    "Attachment",
    "AuditEvent",
    "AuditFailed",
    "AuditLog",
    "CachedEmbedder",
    "ConcurrentWrite",
    "Context",
    "CrossEncoderReranker",
    "DriftEvent",
    "DriftReport",
    "DuplicateTool",
    "EmbedderMismatch",
    "EmbeddingFailed",
    "FilesMissing",
    "Filter",
    "GuardFailed",
    "Hit",
    "HttpEmbedder",
    "InvalidInput",
    "Labelled",
    "Memory",
    "Migration",
    "MigrationFailed",
    "MigrationPlan",
    "MigrationStatus",
    "MissingDependency",
    "NotFound",
    "Passport",
    "Ranking",
    "Recall",
    "Receipt",
    "Replay",
    "RetentionPolicy",
    "SchemaTooNew",
    "Scope",
    "ScopeRequired",
    "Selection",
    "SentenceTransformerEmbedder",
    "StoreError",
    "StoreNotFound",
    "Tenants",
    "TiktokenCounter",
    "Tool",
    "ToolMatch",
    "ToolRouter",
    "Turn",
    "VersionGone",
    "WritesBlocked",
    "__version__",
    "acting_as",
    "field",
]

_HOMES = {
    "agentmem.asynchronous": ("AsyncMemory", "AsyncToolRouter"),
    "agentmem.embedding": ("CachedEmbedder", "HttpEmbedder", "SentenceTransformerEmbedder"),
    "agentmem.errors": (
        "AgentmemError",
        "AuditFailed",
        "ConcurrentWrite",
        "DuplicateTool",
        "EmbedderMismatch",
        "EmbeddingFailed",
        "FilesMissing",
        "GuardFailed",
        "InvalidInput",
        "MigrationFailed",
        "MissingDependency",
        "NotFound",
        "SchemaTooNew",
        "ScopeRequired",
        "StoreError",
        "StoreNotFound",
        "VersionGone",
        "WritesBlocked",
    ),
    "agentmem.filters": ("Filter", "field"),
    "agentmem.memory": ("Memory",),
    "agentmem.migration": ("Labelled", "Migration"),
    "agentmem.ranking": ("Ranking",),
    "agentmem.reranking": ("CrossEncoderReranker",),
    "agentmem.router": ("ToolRouter",),
    "agentmem.telemetry": ("AuditLog", "acting_as"),
    "agentmem.tenants": ("Tenants",),
    "agentmem.tokens": ("TiktokenCounter",),
    "agentmem.types": (
        "ALL",
        "Attachment",
        "AuditEvent",
        "Context",
        "DriftEvent",
        "DriftReport",
        "Hit",
        "MigrationPlan",
        "MigrationStatus",
        "Passport",
        "Recall",
        "Receipt",
        "Replay",
        "RetentionPolicy",
        "Scope",
        "Selection",
        "Tool",
        "ToolMatch",
        "Turn",
    ),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    """Resolve a public name in the module that defines it, and keep it (PEP 562)."""
    if name == "__version__":
        value: Any = _version()
    elif name in _HOME_OF:
        value = getattr(import_module(_HOME_OF[name]), name)
    else:
        raise AttributeError(f"module 'agentmem' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("agentmem")
    except PackageNotFoundError:
        return "0+uninstalled"  # a source tree on sys.path, without a distribution
