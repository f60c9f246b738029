"""The errors agentmem raises, and the builtin each one also is.

AgentmemError
├── InvalidInput (ValueError)         a message, filter, date or argument that cannot be used
├── ScopeRequired (ValueError)        a read, or a delete, that names no user, agent or session
├── NotFound (KeyError)               no turn of that id in that scope
├── DuplicateTool (ValueError)        a tool name that is taken within its namespace
├── MissingDependency (ImportError)   an optional package is not installed
├── EmbedderMismatch (ValueError)     the store was written by another embedder
├── EmbeddingFailed (RuntimeError)    the model could not be loaded, or gave unusable vectors
├── MigrationFailed (RuntimeError)    a gate did not hold; the store serves as before
├── WritesBlocked (RuntimeError)      the model drifted, and the policy is to write nothing
├── GuardFailed (RuntimeError)        a before_store hook failed, so nothing was stored
└── StoreError (OSError)              the folder or bucket could not be read or written
    ├── StoreNotFound (FileNotFoundError)   there is no store at that path
    ├── SchemaTooNew                        written by a newer agentmem
    ├── VersionGone (LookupError)           that version of a table is no longer kept
    ├── FilesMissing                        files that a version needs are not there
    └── ConcurrentWrite                     other writers kept winning; the write was not made
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agentmem.types import Passport

__all__ = [
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
]


class AgentmemError(Exception):
    """Base of every error raised on purpose by agentmem.

    It crosses from process to process with its fields, whatever made it.
    """

    def __reduce__(self) -> tuple[object, ...]:
        return _revived, (type(self), self.args, dict(self.__dict__))


def _revived(
    kind: type[AgentmemError], args: tuple[object, ...], fields: dict[str, object]
) -> AgentmemError:
    """Return an error as it was in the process that raised it."""
    error = kind.__new__(kind)
    error.args = args
    error.__dict__.update(fields)
    return error


class InvalidInput(AgentmemError, ValueError):
    """A message, filter, date or argument cannot be used as given; nothing was stored."""


class ScopeRequired(AgentmemError, ValueError):
    """A call that must be scoped named no user, agent or session."""


class NotFound(AgentmemError, KeyError):
    """No turn of that id exists in that scope."""

    def __str__(self) -> str:
        """Return the message itself: KeyError would print its repr."""
        return str(self.args[0]) if self.args else ""


class DuplicateTool(AgentmemError, ValueError):
    """Two tools of one namespace share a name."""


class MissingDependency(AgentmemError, ImportError):
    """An optional package is needed for this call.

    Attributes:
        package: The package that could not be imported.
        extra: The extra of agentmem that installs it.
    """

    def __init__(self, package: str, *, extra: str, purpose: str) -> None:
        self.package = package
        self.extra = extra
        super().__init__(
            f"{purpose} needs {package!r}, which is not installed. "
            f"Install it with:  pip install 'agentmem[{extra}]'"
        )


class EmbedderMismatch(AgentmemError, ValueError):
    """The store's vectors were made by another embedder than the one given.

    Attributes:
        stored: Passport of the vectors in the store.
        given: Passport of the embedder it was opened with.
        repair: What to do about it.
    """

    def __init__(self, *, stored: Passport, given: Passport) -> None:
        self.stored = stored
        self.given = given
        self.repair = (
            f"open it with the embedder that wrote it ({stored.provider}:{stored.model}), or "
            "move it to this one: on_mismatch='migrate', or `agentmem migrate --to`"
        )
        changes = "".join(
            f"\n  {field}: stored {was!r}, given {now!r}"
            for field, (was, now) in stored.differences(given).items()
        )
        super().__init__(
            "this store was written by another embedder, and its vectors cannot be compared "
            f"with this one's:{changes}\nRepair: {self.repair}."
        )


class EmbeddingFailed(AgentmemError, RuntimeError):
    """The embedding model could not be loaded or gave vectors that cannot be used."""


class WritesBlocked(AgentmemError, RuntimeError):
    """The model drifted, and `drift_policy="block_writes"` keeps its vectors out of the store.

    Attributes:
        event_id: Of the drift; what `drift.acknowledge` takes.
    """

    def __init__(self, event_id: str, *, meaning: str) -> None:
        self.event_id = event_id
        super().__init__(
            f'nothing was stored, because the model drifted and drift_policy is "block_writes". '
            f"{meaning} Repair: go back to the model that wrote the store and call drift.check(); "
            f"or migrate to the new one; or accept it with drift.acknowledge({event_id!r})."
        )


class MigrationFailed(AgentmemError, RuntimeError):
    """A migration ended without a flip: the generation in force serves as before.

    Attributes:
        migration_id: Which.
        gates: Names of the gates that did not hold.
    """

    def __init__(self, message: str, *, migration_id: str, gates: tuple[str, ...]) -> None:
        super().__init__(message)
        self.migration_id = migration_id
        self.gates = gates


class GuardFailed(AgentmemError, RuntimeError):
    """What looks at messages before they are stored failed, so nothing was stored.

    Attributes:
        hook: Name of the hook.
    """

    def __init__(self, message: str, *, hook: str) -> None:
        super().__init__(message)
        self.hook = hook


class AuditFailed(AgentmemError, OSError):
    """The audit log could not be written, so what was asked was not begun."""


class StoreError(AgentmemError, OSError):
    """The store could not be read or written."""


class StoreNotFound(StoreError, FileNotFoundError):
    """There is no agentmem store at that path."""


class SchemaTooNew(StoreError):
    """The store was written by a newer agentmem than this one.

    Attributes:
        found: Schema version of the store.
        supported: Newest schema version this agentmem reads.
    """

    def __init__(self, *, found: int, supported: int) -> None:
        self.found = found
        self.supported = supported
        super().__init__(
            f"the store has schema version {found}, and this agentmem reads up to {supported}. "
            "Nothing was changed. Repair:  pip install --upgrade agentmem"
        )


class VersionGone(StoreError, LookupError):
    """A version of a table is no longer kept, or never was; nothing can be read at it.

    Attributes:
        version: The version that was asked for.
    """

    def __init__(self, message: str, *, version: int) -> None:
        super().__init__(message)
        self.version = version


class FilesMissing(StoreError):
    """Files that a version of a table needs are not there: it was dropped, or they were deleted."""


class ConcurrentWrite(StoreError):
    """Other writers kept winning the race for a commit; this write was not made."""
