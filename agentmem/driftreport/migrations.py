"""The course of a migration in words: what it moved, how long it took, what its gates said."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from agentmem.driftreport.wording import STATES, as_number, as_period
from agentmem.pages.wording import as_moment
from agentmem.types import Gate, MigrationState, MigrationStatus

__all__ = ["Course", "Phase", "courses_of"]


@dataclass(frozen=True, slots=True)
class Phase:
    """A stretch of a migration.

    Attributes:
        name: What was done in it.
        took: How long, in words.
        left: Where its bar begins, and how wide it is, in percent of the whole.
        width: See `left`.
        slot: Its colour.
    """

    name: str
    took: str
    left: float
    width: float
    slot: int


@dataclass(frozen=True, slots=True)
class Course:
    """One migration.

    Attributes:
        id: Of it.
        state: In words.
        badge: The style of that.
        facts: What is known of it, by name.
        phases: Its stretches, in the order of time.
        gates: Conditions of the flip that were looked at.
        error: Why it failed; None otherwise.
    """

    id: str
    state: str
    badge: str
    facts: dict[str, str]
    phases: tuple[Phase, ...]
    gates: tuple[Gate, ...]
    error: str | None


def courses_of(statuses: Iterable[MigrationStatus]) -> list[Course]:
    """Return the courses of migrations, the newest first."""
    ordered = sorted(statuses, key=lambda one: (one.started_at, one.id), reverse=True)
    return [_course(one) for one in ordered]


def _course(status: MigrationStatus) -> Course:
    return Course(
        id=status.id,
        state=STATES[status.state],
        badge=_badge(status.state),
        facts=_facts(status),
        phases=_phases(status),
        gates=status.gates,
        error=status.error,
    )


def _badge(state: MigrationState) -> str:
    if state == "failed":
        return "bad"
    if state == "done":
        return "good"
    return "warn" if state in {"cancelled", "rolled_back", "paused"} else ""


def _facts(status: MigrationStatus) -> dict[str, str]:
    facts = {
        "generations": f"{status.source} → {status.target}",
        "embedding spaces": f"{status.source_id} → {status.target_id}",
        "rows": f"{status.done:,} of {status.total:,}",
        "rate": f"{as_number(status.rate)} rows a second" if status.rate else "",
        "started": f"{as_moment(status.started_at)} UTC",
        "took": as_period(_end(status) - status.started_at) if status.is_finished else "",
        "set aside": _many(status.poisoned, "row") if status.poisoned else "",
        "run by": status.owner or "",
    }
    return {name: fact for name, fact in facts.items() if fact}


def _phases(status: MigrationStatus) -> tuple[Phase, ...]:
    """Return the stretch before the flip, and the one after it."""
    end, flip = _end(status), status.flipped_at
    until = end if flip is None else min(max(flip, status.started_at), end)
    stretches = [("build, catch up and check", status.started_at, until, 1)]
    if flip is not None:
        stretches.append(("serve from the new one", until, end, 3))
    whole = (end - status.started_at).total_seconds() or 1.0
    return tuple(
        Phase(
            name,
            as_period(last - first),
            100 * (first - status.started_at).total_seconds() / whole,
            100 * (last - first).total_seconds() / whole,
            slot,
        )
        for name, first, last, slot in stretches
    )


def _end(status: MigrationStatus) -> datetime:
    return max(status.finished_at or status.updated_at, status.started_at)


def _many(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"
