"""Which stored texts no longer have the vector they would get today, and how fast sources change.

Reads heads alone, and of those that are as they should be only where they come from and when
they were written.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Literal, TypeAlias

import pyarrow as pa

from agentmem.checks import EPOCH
from agentmem.storage.renewing import Renewal
from agentmem.storage.rows import SALT_BITS
from agentmem.storage.tool_schema import tool_from_definition
from agentmem.toolspec import content_hash
from agentmem.types import Held, StaleText

__all__ = ["CHURN_DAYS", "Source", "sources_of", "stale_texts"]

Reason: TypeAlias = Literal["failed", "space", "content"]
Row: TypeAlias = Mapping[str, Any]

CHURN_DAYS: Final = 30  # a month holds the weekly rhythms of whoever edits
MICROSECOND: Final = timedelta(microseconds=1)
DAY: Final = timedelta(days=1)
WHERE_FROM: Final[Mapping[Held, tuple[str, ...]]] = {
    "turns": ("agent_id",),
    "tools": ("namespace", "definition"),
    "tool_examples": ("namespace",),
}
NAMED: Final[Mapping[Held, tuple[str, ...]]] = {
    "turns": ("key", "id", "user_id", "agent_id", "passport"),
    "tools": ("key", "namespace", "name", "definition", "content_hash", "passport"),
    "tool_examples": ("key", "namespace", "passport"),
}


@dataclass(frozen=True, slots=True)
class Source:
    """Where texts come from, and how they change.

    Attributes:
        held: What they are.
        name: The agent of turns, `namespace/source` of tools, the namespace of examples.
        texts: How many there are.
        replaced: Of these, how many took another's place, or were embedded anew where they are,
            of those that were last written within `CHURN_DAYS`.
        age_days: Mean time since they were written.
    """

    held: Held
    name: str
    texts: int
    replaced: int
    age_days: float

    @property
    def churn(self) -> float:
        """Share that was replaced lately."""
        return self.replaced / self.texts


def sources_of(holdings: Iterable[Renewal], *, now: datetime) -> list[Source]:
    """Return the sources of what is stored, those that change most first."""
    found = [one for renewal in holdings for one in _sources(renewal, now=now)]
    return sorted(found, key=lambda one: (-one.churn, one.held, one.name))


def stale_texts(holdings: Iterable[Renewal], *, now: datetime) -> list[StaleText]:
    """Return the texts whose vectors are stale, those of the sources that change most first.

    What changes often is asked for often, and will be stale again first.
    """
    renewals = list(holdings)
    churn = {(one.held, one.name): one.churn for one in sources_of(renewals, now=now)}
    found = [
        _text(renewal, row, reason=reason, churn=churn)
        for renewal in renewals
        for row, reason in _stale(renewal)
    ]
    return sorted(found, key=lambda one: (-one.churn, one.held, one.source, one.id))


def _sources(renewal: Renewal, *, now: datetime) -> Iterator[Source]:
    columns = [*WHERE_FROM[renewal.held], "rev"]
    since = (now - CHURN_DAYS * DAY - EPOCH) // MICROSECOND << SALT_BITS
    totals = _grouped(renewal, renewal.heads(columns))
    lately = _grouped(renewal, renewal.replaced(columns, since=since))
    present = (now - EPOCH) / DAY
    for name, (texts, written) in totals.items():
        replaced = min(lately.get(name, (0, 0.0))[0], texts)  # written since the first was read
        yield Source(renewal.held, name, texts, replaced, max(present - written, 0.0))


def _grouped(renewal: Renewal, rows: pa.Table) -> dict[str, tuple[int, float]]:
    """Return how many heads each source has, and when they were written, in days since 1970."""
    columns = list(WHERE_FROM[renewal.held])
    grouped = rows.group_by(columns).aggregate([("rev", "count"), ("rev", "mean")])
    counts: Counter[str] = Counter()
    written: Counter[str] = Counter()
    for row in grouped.to_pylist():
        name = _source(renewal.held, row)
        counts[name] += row["rev_count"]
        written[name] += row["rev_count"] * row["rev_mean"] / (1 << SALT_BITS)
    microseconds_a_day = DAY // MICROSECOND
    return {
        name: (count, written[name] / count / microseconds_a_day) for name, count in counts.items()
    }


def _source(held: Held, row: Row) -> str:
    """Return where a text comes from."""
    if held == "turns":
        return str(row["agent_id"] or "")
    if held == "tools":
        return f"{row['namespace']}/{tool_from_definition(row['definition']).source}"
    return str(row["namespace"])


def _stale(renewal: Renewal) -> Iterator[tuple[Row, Reason]]:
    columns = list(NAMED[renewal.held])
    if renewal.held != "tools":
        for row in renewal.stale(columns).to_pylist():
            yield row, "space" if row["passport"] else "failed"
        return
    for row in renewal.heads(columns).to_pylist():  # every tool: its text may be made otherwise
        if row["passport"] != renewal.passport_id:
            yield row, "space" if row["passport"] else "failed"
        elif content_hash(tool_from_definition(row["definition"])) != row["content_hash"]:
            yield row, "content"


def _id(held: Held, row: Row) -> str:
    """Return what a person knows a text by."""
    if held == "tools":
        return f"{row['namespace']}/{row['name']}"
    return str(row["id"] if held == "turns" else row["key"])


def _text(
    renewal: Renewal, row: Row, *, reason: Reason, churn: Mapping[tuple[Held, str], float]
) -> StaleText:
    held, source = renewal.held, _source(renewal.held, row)
    return StaleText(
        held=held,
        key=row["key"],
        id=_id(held, row),
        source=source,
        reason=reason,
        churn=churn.get((held, source), 0.0),
        user_id=row.get("user_id"),
        agent_id=row.get("agent_id"),
    )
