"""`StoredBaseline`: since when "today" is, and what was measured then, among a store's values."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any, Final

from agentmem.storage.meta import Meta
from agentmem.types import DriftSubject

__all__ = ["StoredBaseline", "move_baseline"]

AT: Final = "at"
SINCE: Final = "since"
VALUE: Final = "value"


class StoredBaseline:
    """The baseline of one subject, of one generation. Safe for several processes.

    Made at the first check, or by `move_baseline`.

    Args:
        meta: The store's named values.
        subject: Whose.
        generation: What is kept is of it alone.
        now: The present (UTC).
        read_only: Whether nothing can be kept.
    """

    def __init__(
        self,
        meta: Meta,
        *,
        subject: DriftSubject,
        generation: int,
        now: datetime,
        read_only: bool,
    ) -> None:
        self._meta = meta
        self._prefix = f"drift:{subject}:"
        self._generation = generation
        self._read_only = read_only
        found = meta.get(_key(subject))
        if found is None and not read_only:
            meta.put_if_absent(_key(subject), _told(now))
            found = meta.get(_key(subject))
        self._at = now if found is None else datetime.fromisoformat(found.value[AT])
        self._is_new = self._at >= now

    @property
    def at(self) -> datetime:
        """When the state was accepted that today is compared with (UTC)."""
        return self._at

    @property
    def is_new(self) -> bool:
        """Whether this very check is the first since."""
        return self._is_new

    def kept(self, name: str) -> Any:
        """Return the JSON value kept under a name since this baseline, or None."""
        found = self._meta.get(self._named(name))
        if found is None or found.value[SINCE] != self._at.isoformat():
            return None
        return found.value[VALUE]

    def keep(self, name: str, value: Any) -> Any:
        """Keep a JSON value, unless one is kept already; return the one that is kept."""
        kept = self.kept(name)
        if kept is not None or self._read_only:
            return value if kept is None else kept
        self._meta.put(self._named(name), {SINCE: self._at.isoformat(), VALUE: value})
        return value

    def _named(self, name: str) -> str:
        return f"{self._prefix}g{self._generation}:{name}"


def move_baseline(meta: Meta, *, subject: DriftSubject, now: datetime) -> None:
    """Accept today's state as what later ones are compared with."""
    meta.put(_key(subject), _told(now))


def _key(subject: DriftSubject) -> str:
    return f"drift:{subject}:baseline"


def _told(now: datetime) -> dict[str, str]:
    return {AT: now.astimezone(timezone.utc).isoformat()}
