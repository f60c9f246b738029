"""`Journal`: what was found of drift, by whichever process: its events, and every check.

An event is put once, under the id of the finding: of processes that find the same at once, one
puts it. It is claimed once as well, by a process that has somebody to tell. It stands until a
later check is stable.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from typing import Any, Final

import numpy as np
import pyarrow as pa
from lancedb.table import Table

from agentmem.storage.description import passport_from
from agentmem.storage.guard import Guard
from agentmem.storage.late import LateTable
from agentmem.storage.opening import Opened
from agentmem.storage.quoting import EVERYTHING, any_of, both, literal
from agentmem.storage.rows import PRIMARY_KEY, TIMES, digest, json_text
from agentmem.telemetry import Audit
from agentmem.types import DriftCheck, DriftEvent, DriftFinding, DriftKind, DriftSubject

__all__ = ["Journal", "Standing", "event_id"]

EVENTS: Final = "drift_events"
CHECKS: Final = "drift_checks"
WRITE: Final = "write down a finding of drift"
UNRESOLVED: Final = "resolved_at IS NULL"
MOST: Final = 10_000  # events and checks that are read at once, the newest of them

EVENT_COLUMNS: Final[list[pa.Field[Any]]] = [
    pa.field("id", pa.string(), nullable=False, metadata=PRIMARY_KEY),
    pa.field("at", TIMES, nullable=False),
    pa.field("subject", pa.string(), nullable=False),
    pa.field("kind", pa.string(), nullable=False),
    pa.field("generation", pa.int32(), nullable=False),
    pa.field("fingerprint", pa.string(), nullable=False),
    pa.field("severity", pa.string(), nullable=False),
    pa.field("event", pa.string(), nullable=False),
    pa.field("claimed_at", TIMES),
    pa.field("acknowledged_at", TIMES),
    pa.field("resolved_at", TIMES),
]
CHECK_COLUMNS: Final[list[pa.Field[Any]]] = [
    pa.field("at", TIMES, nullable=False),
    pa.field("subject", pa.string(), nullable=False),
    pa.field("kind", pa.string(), nullable=False),
    pa.field("generation", pa.int32(), nullable=False),
    pa.field("status", pa.string(), nullable=False),
    pa.field("severity", pa.string(), nullable=False),
    pa.field("statistic", pa.float64()),
    pa.field("p_value", pa.float64()),
    pa.field("effect", pa.float64()),
]


@dataclass(frozen=True, slots=True)
class Standing:
    """An event as it stands in the journal.

    Attributes:
        event: What was found.
        fingerprint: Which finding it is, among those of its subject, kind and generation.
        claimed_at: When a process took it to its hooks; None while none did.
        acknowledged_at: When a person accepted it; None while nobody did.
        resolved_at: When a later check was stable; None while it stands.
    """

    event: DriftEvent
    fingerprint: str
    claimed_at: datetime | None
    acknowledged_at: datetime | None
    resolved_at: datetime | None


class Journal:
    """The drift of one store. Safe for several threads; any number of processes may write.

    Args:
        opened: The store.
        guard: What may be done with it.
    """

    def __init__(self, opened: Opened, *, guard: Guard) -> None:
        self._guard = guard
        self._events = LateTable(
            opened,
            table=EVENTS,
            holding="events of drift",
            schema=pa.schema(EVENT_COLUMNS),
            guard=guard,
        )
        self._checks = LateTable(
            opened,
            table=CHECKS,
            holding="checks of drift",
            schema=pa.schema(CHECK_COLUMNS),
            guard=guard,
        )

    @property
    def version(self) -> int:
        """Of the events: while it stays the same, so do they. 0 while there are none."""
        return self._events.version

    @property
    def audit(self) -> Audit:
        """Where it is written down what is done."""
        return self._guard.audit

    @property
    def read_only(self) -> bool:
        """Whether nothing can be written down."""
        return self._guard.read_only

    def put(self, event: DriftEvent, *, fingerprint: str) -> bool:
        """Write an event down, unless its id is there; return whether this call did.

        Raises:
            StoreError: The store is read-only, or could not be written.
        """
        self._guard.check_writable(WRITE)
        row = pa.Table.from_pylist([_row(event, fingerprint)], schema=self._events.schema)

        def insert(table: Table) -> bool:
            merge = table.merge_insert("id").when_not_matched_insert_all()
            return bool(merge.execute(row).num_inserted_rows)

        return self._events.made(WRITE).commit(insert, action=WRITE)

    def claim(self, event_id: str, *, now: datetime) -> bool:
        """Take an event to tell it; return whether no other process has done so."""
        return bool(self._stamp("claimed_at", f"id = {literal(event_id)}", now=now))

    def acknowledge(self, event_id: str, *, now: datetime) -> bool:
        """Mark an event as accepted by a person; return whether it is there and was not yet."""
        return bool(self._stamp("acknowledged_at", f"id = {literal(event_id)}", now=now))

    def resolve(self, event_ids: Iterable[str], *, now: datetime) -> int:
        """Mark events as over; return how many stood until now."""
        ids = list(event_ids)
        return self._stamp("resolved_at", any_of("id", ids), now=now) if ids else 0

    def events(
        self,
        *,
        subject: DriftSubject | None = None,
        kind: DriftKind | None = None,
        unresolved: bool = False,
    ) -> list[Standing]:
        """Return events, oldest first.

        Args:
            subject: Only of it.
            kind: Only of it.
            unresolved: Only those that stand.
        """
        handle = self._events.found()
        if handle is None:
            return []
        where = both(
            EVERYTHING if subject is None else f"subject = {literal(subject)}",
            EVERYTHING if kind is None else f"kind = {literal(kind)}",
            UNRESOLVED if unresolved else EVERYTHING,
        )
        with handle.reading() as table:
            rows = table.search().where(where).to_arrow().sort_by("at")
        return [_standing(row) for row in rows.to_pylist()]

    def episodes(self, subject: DriftSubject, kind: DriftKind, *, fingerprint: str) -> int:
        """Return how often a finding came, and went again."""
        known = self.events(subject=subject, kind=kind)
        return sum(one.fingerprint == fingerprint and one.resolved_at is not None for one in known)

    def checked(
        self,
        findings: Iterable[DriftFinding],
        *,
        subject: DriftSubject,
        generation: int,
        at: datetime,
    ) -> None:
        """Write down that a check was made.

        Raises:
            StoreError: The store is read-only, or could not be written.
        """
        common = {"at": at, "subject": subject, "generation": generation}
        names = ("kind", "status", "severity", "statistic", "p_value", "effect")
        rows = [{**common, **{name: getattr(one, name) for name in names}} for one in findings]
        if rows:
            table = pa.Table.from_pylist(rows, schema=self._checks.schema)
            self._checks.made(WRITE).commit(lambda into: into.add(table), action=WRITE)

    def history(
        self, *, subject: DriftSubject | None = None, kind: DriftKind | None = None
    ) -> list[DriftCheck]:
        """Return what earlier checks found, oldest first."""
        handle = self._checks.found()
        if handle is None:
            return []
        where = both(
            EVERYTHING if subject is None else f"subject = {literal(subject)}",
            EVERYTHING if kind is None else f"kind = {literal(kind)}",
        )
        with handle.reading() as table:
            rows = table.search().where(where).to_arrow().sort_by([("at", "ascending")])
        found = rows.slice(max(0, rows.num_rows - MOST)).to_pylist()
        return [DriftCheck(**{**row, "at": _utc(row["at"])}) for row in found]

    def _stamp(self, column: str, which: str, *, now: datetime) -> int:
        """Put a time where there is none yet; return how many rows this call changed."""
        self._guard.check_writable(WRITE)
        handle = self._events.found()
        if handle is None:
            return 0
        where = f"({which}) AND {column} IS NULL"

        def update(table: Table) -> int:
            return int(table.update(where=where, values_sql={column: literal(now)}).rows_updated)

        return handle.commit(update, action=WRITE)


def event_id(*parts: str | None) -> str:
    """Return the id of a finding: the same wherever and whenever it is found."""
    return digest(*parts)


def _row(event: DriftEvent, fingerprint: str) -> dict[str, Any]:
    told = _plain({**asdict(event), "at": event.at.isoformat()})
    names = ("id", "at", "subject", "kind", "generation", "severity")
    return {
        **{name: getattr(event, name) for name in names},
        "fingerprint": fingerprint,
        "event": json_text(told, what="an event of drift"),
        "claimed_at": None,
        "acknowledged_at": None,
        "resolved_at": None,
    }


def _plain(value: Any) -> Any:
    """Return a value as JSON can hold it: what is no number becomes None, what is no JSON text."""
    if isinstance(value, Mapping):
        return {str(name): _plain(one) for name, one in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [_plain(one) for one in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, (str, bool, int)) else str(value)


def _standing(row: Mapping[str, Any]) -> Standing:
    told = json.loads(row["event"])
    event = DriftEvent(
        **{
            **told,
            "at": _utc(row["at"]),
            "samples": tuple(told["samples"]),
            "passport": passport_from(told["passport"]),
            "given": passport_from(told["given"]),
        }
    )
    times = (row["claimed_at"], row["acknowledged_at"], row["resolved_at"])
    return Standing(event, row["fingerprint"], *(None if at is None else _utc(at) for at in times))


def _utc(moment: datetime) -> datetime:
    return moment.astimezone(timezone.utc)
