"""The words of migration: moving a store to another embedding space while it serves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal, TypeAlias

from agentmem.types.passport import Passport

__all__ = [
    "FINISHED",
    "Gate",
    "Held",
    "MigrationPlan",
    "MigrationState",
    "MigrationStatus",
    "Poisoned",
]

MigrationState: TypeAlias = Literal[
    "building",  # the first pass over everything that is stored
    "catching_up",  # what was written meanwhile
    "checking",  # the gates
    "shadowing",  # live questions are asked of both spaces
    "flipping",  # writers wait for the last rows
    "paused",
    "done",
    "failed",  # a gate, the model or the store; the old generation serves as before
    "cancelled",
    "rolled_back",
]
FINISHED: Final[frozenset[MigrationState]] = frozenset(
    {"done", "failed", "cancelled", "rolled_back"}
)

Held: TypeAlias = Literal["turns", "tools", "tool_examples"]
"""What a generation holds: the names of its tables without their number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MigrationPlan:
    """What a migration would do, before anything is done.

    Attributes:
        store: The folder or address.
        source: The space the store is in.
        target: The space it would be in.
        differences: Fields of the passports that differ, each with (source's, target's) value.
        rows: How many turns, tools and usage examples would be embedded anew.
        rechunked: Whether long texts would be split anew.
        texts_a_second: How fast a sample of the store's texts was embedded here; None if the
            store is empty.
        seconds: Estimate of the time to embed everything at that rate; None likewise.
        bytes_now: Of the store's folder; None where it is no local folder.
        bytes_more: Estimate of what the second generation takes beside the first.
        warnings: What a person should know before they start.
    """

    store: str
    source: Passport
    target: Passport
    differences: Mapping[str, tuple[Any, Any]]
    rows: Mapping[Held, int]
    rechunked: bool
    texts_a_second: float | None
    seconds: float | None
    bytes_now: int | None
    bytes_more: int
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Gate:
    """One condition of the flip, and how it came out.

    Attributes:
        name: Such as "parity" or "agreement".
        passed: Whether it held.
        value: What was measured.
        bound: What it had to reach.
        detail: What that means, in a sentence.
    """

    name: str
    passed: bool
    value: float
    bound: float
    detail: str


@dataclass(frozen=True, slots=True)
class Poisoned:
    """A row whose text the new model could not embed. It is kept, and found by its words alone.

    Attributes:
        held: Where it is.
        id: Of the turn, of a tool `namespace/name`, or the key of an example.
        error: Why.
        user_id: Whose turn; likewise `agent_id`.
        agent_id: See `user_id`.
    """

    held: Held
    id: str
    error: str
    user_id: str | None = None
    agent_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MigrationStatus:
    """Where a migration is.

    Attributes:
        id: Of the migration.
        state: What it does.
        source: Number of the generation it reads; likewise `target`.
        target: See `source`.
        source_id: Identity of the source's space; likewise `target_id`.
        target_id: See `source_id`.
        done: Rows of the target that are as in the source.
        total: Rows of the source.
        rate: Rows a second, lately; 0 before the first.
        eta_seconds: Estimate of the time until the first pass is through; None if not known.
        started_at: When it was started (UTC); likewise `updated_at`, `finished_at`.
        updated_at: See `started_at`.
        finished_at: See `started_at`; None while it is under way.
        gates: Those that were looked at.
        poisoned: Rows that were set aside.
        owner: Who runs it: host and process; None while nobody does.
        requested: What was asked of whoever runs it, and not yet done: "pause" or "cancel".
        error: Why it failed.
        flipped_at: When readers moved over (UTC).
    """

    id: str
    state: MigrationState
    source: int
    target: int
    source_id: str
    target_id: str
    done: int
    total: int
    rate: float
    eta_seconds: float | None
    started_at: datetime
    updated_at: datetime
    finished_at: datetime | None = None
    gates: tuple[Gate, ...] = ()
    poisoned: int = 0
    owner: str | None = None
    requested: Literal["pause", "cancel"] | None = None
    error: str | None = None
    flipped_at: datetime | None = None

    @property
    def is_finished(self) -> bool:
        """Whether nothing more will happen by itself."""
        return self.state in FINISHED
