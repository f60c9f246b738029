"""The words of maintenance: what was done to a store, how long turns stay, and what ails it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal, TypeAlias

from agentmem.types.memory import Role, Scope

__all__ = [
    "Diagnosis",
    "Examination",
    "MaintenancePolicy",
    "MaintenanceReport",
    "MaintenanceStep",
    "PolicyPreview",
    "Repair",
    "RetentionPolicy",
    "Verdict",
]

MaintenancePolicy: TypeAlias = Literal["auto", "off"]
"""Whether an open memory looks after its store by itself, in a thread in the background."""

Verdict: TypeAlias = Literal["ok", "warning", "error"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionPolicy:
    """How long some turns of a store are kept. Pinned turns are exempt.

    Attributes:
        name: Unique within a store.
        older_than: How long after they were said; with `sessions`, after the last turn was said.
        role: Only turns of that role.
        where: Only turns that match a filter, or its JSON form.
        sessions: Count the age of a whole session from its last turn. Turns without a session
            count as one of their user and agent.
        user_id: Only of that user; likewise `agent_id`, `session_id`.
        agent_id: See `user_id`.
        session_id: See `user_id`.
    """

    name: str
    older_than: timedelta
    role: Role | None = None
    where: Any = None
    sessions: bool = False
    user_id: str | None = None
    agent_id: str | None = None
    session_id: str | None = None

    @property
    def scope(self) -> Scope:
        """Whose turns; empty for everyone's."""
        return Scope(self.user_id, self.agent_id, self.session_id)


@dataclass(frozen=True, slots=True)
class PolicyPreview:
    """What a policy would delete now.

    Attributes:
        policy: Its name; "expires_at" for turns whose own date has come.
        turns: How many turns.
        sessions: Of how many sessions.
        ids: Some of them, the oldest first.
        pinned: How many more it would delete, were they not pinned.
    """

    policy: str
    turns: int
    sessions: int
    ids: tuple[str, ...]
    pinned: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MaintenanceStep:
    """One step of maintenance.

    Attributes:
        name: Such as "compact" or "retention".
        target: The table, policy or kind of file it was about.
        done: What was done, or would be, in words.
        bytes_before: Of what it was about; None where that cannot be said.
        bytes_after: Likewise, afterwards.
        left: What was left as it is, and why.
        error: What prevented it; None where nothing did.
        seconds: How long it took.
    """

    name: str
    target: str
    done: str
    bytes_before: int | None = None
    bytes_after: int | None = None
    left: str | None = None
    error: str | None = None
    seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class MaintenanceReport:
    """What one maintenance of a store did, or would do.

    Attributes:
        started_at: When it began (UTC).
        seconds: How long it took.
        dry_run: Whether nothing was changed.
        steps: In the order in which they were made.
        skipped: Why nothing was done at all, such as that another process is at it; else None.
        bytes_before: Of the store's folder; None where it is no local folder.
        bytes_after: Likewise, afterwards.
    """

    started_at: datetime
    seconds: float
    dry_run: bool
    steps: tuple[MaintenanceStep, ...] = ()
    skipped: str | None = None
    bytes_before: int | None = None
    bytes_after: int | None = None

    @property
    def errors(self) -> tuple[MaintenanceStep, ...]:
        """The steps that failed; the others were made nevertheless."""
        return tuple(step for step in self.steps if step.error is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Examination:
    """One thing that the doctor looked at.

    Attributes:
        name: Such as "duplicates".
        verdict: How it is.
        found: In words, with numbers.
        count: How many rows, files or values are not as they should be.
        examples: Some of them.
        repair: What to do about it; None where nothing has to be done.
        fixable: Whether `--fix` does it, without losing anything.
    """

    name: str
    verdict: Verdict
    found: str
    count: int = 0
    examples: tuple[str, ...] = ()
    repair: str | None = None
    fixable: bool = False


@dataclass(frozen=True, slots=True)
class Repair:
    """A repair that was made, or failed.

    Attributes:
        name: Of the examination that asked for it.
        done: In words.
        error: What prevented it; None where nothing did.
    """

    name: str
    done: str
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """How a store is.

    Attributes:
        store: The folder or address.
        examined_at: When (UTC).
        examinations: In the order in which they were made.
        repairs: What was repaired; what was found is as it was before.
        facts: Numbers worth knowing, such as the versions of libraries.
    """

    store: str
    examined_at: datetime
    examinations: tuple[Examination, ...]
    facts: Mapping[str, Any]
    repairs: tuple[Repair, ...] = ()

    @property
    def verdict(self) -> Verdict:
        """The worst one."""
        verdicts = {one.verdict for one in self.examinations}
        return "error" if "error" in verdicts else "warning" if "warning" in verdicts else "ok"

    @property
    def problems(self) -> tuple[Examination, ...]:
        """What is not as it should be."""
        return tuple(one for one in self.examinations if one.verdict != "ok")
