"""What changes of a turn after it was stored: its successor, until when it is true, and found.

What was said is never altered. A correction is a turn of its own, and ends the one it corrects.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from agentmem.administration import Administrator, Wanted
from agentmem.errors import AgentmemError, InvalidInput, NotFound
from agentmem.filters import Filter
from agentmem.ingest.clock import Clock
from agentmem.ingest.writing import Writer
from agentmem.storage.endings import Ending
from agentmem.storage.rows import revision
from agentmem.storage.schema import key_of
from agentmem.storage.turns import Store
from agentmem.telemetry import Tracing
from agentmem.types import AllScopes, Scope, Turn, Update

__all__ = ["Changer", "Superseded"]


@dataclass(frozen=True, slots=True)
class Superseded:
    """What one correction did, to be repeated in another generation.

    Attributes:
        old: The turn as it was.
        new: Its successor.
        ending: What became of the old one.
    """

    old: Turn
    new: Turn
    ending: Ending


class Changer:
    """Changes turns of one store.

    Args:
        store: Where they are.
        writer: Makes the rows of successors.
        administrator: Looks turns up.
        clock: Gives the present.
        tracing: Opens spans.
    """

    def __init__(
        self,
        store: Store,
        *,
        writer: Writer,
        administrator: Administrator,
        clock: Clock,
        tracing: Tracing,
    ) -> None:
        self._store = store
        self._writer = writer
        self._administrator = administrator
        self._clock = clock
        self._tracing = tracing

    def supersede(
        self,
        turn_id: str | Superseded,
        new: object,
        *,
        scope: Scope | AllScopes,
        valid_until: datetime | None,
    ) -> Superseded:
        """Store the correction of a turn, and end that turn, in one commit.

        Args:
            turn_id: The turn; or what an earlier call returned, to do the same in another
                generation.
            new: The correction, one message.
            scope: Where the turn is.
            valid_until: From when on it is not true; when the correction was said if None.

        Raises:
            NotFound: There is no such turn.
            InvalidInput: It was corrected by another turn already, or the correction cannot be
                stored.
            EmbeddingFailed: The model gave no usable vectors.
            StoreError: The write failed; nothing was changed.
        """
        attributes = {"gen_ai.memory.store.id": self._store.name}
        with (
            self._tracing.operation("update_memory", attributes, scope=scope) as current,
            self._store.audit.entry("supersede", scope=scope) as entry,
        ):
            with current.phase("read"):
                if isinstance(turn_id, Superseded):
                    asked = turn_id
                else:
                    old = self._administrator.get(turn_id, scope=scope)
                    asked = self._asked(
                        old, self._writer.read_one(new, like=old, current=current), valid_until
                    )
                current.set({"gen_ai.memory.record.id": asked.old.id})
                entry.tell(ids=[asked.old.id, asked.new.id])
            rows = self._writer.rows_if_new(asked.new, current=current)
            if rows.num_rows or asked.old.superseded_by != asked.new.id:
                with current.phase("commit"):
                    winner = self._store.supersede(
                        key_of(asked.old), ending=asked.ending, rev=self._rev(), rows=rows
                    )
                if winner != asked.new.id:
                    self._store.take_back(rows)
                    raise _lost(asked.old, winner)
            entry.tell(count=1)
            current.set({"gen_ai.memory.record.count": 1})
        return asked

    def update(
        self,
        ids: Sequence[str] | None,
        *,
        scope: Scope | AllScopes,
        where: Filter | None,
        ending: Ending,
        dry_run: bool,
    ) -> Update:
        """Change until when turns are true and found.

        Raises:
            ScopeRequired: The scope names nothing.
            StoreError: The write failed; nothing was changed.
        """
        wanted = Wanted.of(ids, where=where)
        if wanted is None:
            return Update(0, (), dry_run=dry_run)
        count, missing = self._administrator.found(wanted, scope=scope)
        if dry_run or not count:
            return Update(count, missing, dry_run=dry_run)
        attributes = {"gen_ai.memory.store.id": self._store.name}
        with (
            self._tracing.operation("update_memory", attributes, scope=scope) as current,
            self._store.audit.entry("update", scope=scope, ids=wanted.ids or ()) as entry,
        ):
            with current.phase("commit"):
                self._store.change(scope=scope, where=wanted.filter, ending=ending, rev=self._rev())
            entry.note(**{name: str(value) for name, value in ending.items()})
            entry.tell(count=count)
            current.set({"gen_ai.memory.record.count": count})
        return Update(count, missing, dry_run=False)

    def _asked(self, old: Turn, new: Turn, valid_until: datetime | None) -> Superseded:
        if new.id == old.id:
            raise InvalidInput(
                f"the correction has the id {old.id!r} of the turn it corrects, which stays as it "
                "was said. Give it an id of its own, or leave the id out to have one made."
            )
        if old.superseded_by not in (None, new.id):
            raise _lost(old, old.superseded_by)
        ends = new.event_time if valid_until is None else valid_until
        if ends < old.event_time:
            raise InvalidInput(
                f"valid_until {ends.isoformat()} lies before {old.event_time.isoformat()}, when "
                f"the turn {old.id!r} was said. Pass a later moment, or delete the turn if it was "
                "never true."
            )
        now = self._clock.present()
        ending: Ending = {"valid_until": ends, "superseded_by": new.id, "superseded_at": now}
        return Superseded(old, new, ending)

    def _rev(self) -> int:
        return revision(self._clock.reserve(1))


def _lost(old: Turn, winner: str | None) -> AgentmemError:
    if winner is None:
        return NotFound(
            f"there is no turn {old.id!r} any more: it was deleted meanwhile. Nothing was stored. "
            "Add the correction as a message of its own."
        )
    return InvalidInput(
        f"the turn {old.id!r} was corrected by {winner!r} already. Nothing was stored. Correct "
        "that one, or look at both with memory.get."
    )
