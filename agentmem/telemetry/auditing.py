"""`Audit`: writes down what is asked of a store before it is done, and what came of it.

A call whose entry cannot be written is refused before it changes anything. Whoever kills the
process in the middle leaves an entry that was asked and has no outcome.
"""

from __future__ import annotations

import logging
import os
import socket
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from datetime import datetime, timezone
from typing import Final, final

from opentelemetry import trace

from agentmem.checks import identifier
from agentmem.errors import AuditFailed
from agentmem.telemetry.audit_log import AuditTo, audit_sink
from agentmem.types import AllScopes, AuditDetail, AuditEvent, AuditSink, Scope

__all__ = ["Audit", "Entry", "acting_as"]

MOST_IDS: Final = 100  # of one entry: it stays one short line, and `count` says how many there are
NOTHING: Final[AuditDetail] = {}

logger = logging.getLogger("agentmem")

_ACTOR: Final[ContextVar[str | None]] = ContextVar("agentmem_actor", default=None)


@contextmanager
def acting_as(actor: str) -> Iterator[None]:
    """Say on whose behalf this thread or task calls agentmem, for the audit log.

    Raises:
        InvalidInput: That is no name.
    """
    token = _ACTOR.set(identifier(actor, what="actor"))
    try:
        yield
    finally:
        _ACTOR.reset(token)


@final
class Entry:
    """What is to be said of a call when it is over.

    Attributes:
        event: As it stands; None where nobody writes it down.
    """

    def __init__(self, event: AuditEvent | None) -> None:
        self.event = event

    def tell(self, *, ids: Sequence[str] = (), count: int | None = None) -> None:
        """Say which turns it named or made, and how many it changed."""
        if self.event is None:
            return
        known = tuple(ids[:MOST_IDS]) or self.event.ids
        many = self.event.count if count is None else count
        self.event = replace(self.event, ids=known, count=many)

    def note(self, **detail: str | int | bool | None) -> None:
        """Say what else there is; what is None is left out."""
        if self.event is None:
            return
        given = {name: value for name, value in detail.items() if value is not None}
        self.event = replace(self.event, detail={**self.event.detail, **given})


@final
class Audit:
    """The audit log of one open store. Safe for several threads.

    Args:
        sink: Takes entries; None writes nothing.
        store: The folder or address, as it was given.
    """

    def __init__(self, sink: AuditSink | None, *, store: str) -> None:
        self._sink = sink
        self._store = store

    @classmethod
    def to(cls, given: AuditTo, *, store: str | os.PathLike[str]) -> Audit:
        """Return the audit log of a store; see `audit_sink`.

        Raises:
            InvalidInput: That cannot take entries.
        """
        name = os.fspath(store)
        return cls(audit_sink(given, store=name), store=name)

    @contextmanager
    def entry(
        self,
        action: str,
        *,
        scope: Scope | AllScopes | None = None,
        ids: Sequence[str] = (),
        detail: AuditDetail = NOTHING,
        changes: bool = True,
    ) -> Iterator[Entry]:
        """Write down that something is asked, and afterwards what came of it.

        Args:
            action: The method.
            scope: Whose memory it touches; None is for the store as a whole.
            ids: Of the turns it names.
            detail: What else is known before.
            changes: Whether it changes anything: nothing is written of a dry run.

        Raises:
            AuditFailed: The entry could not be written; the call has changed nothing.
        """
        if self._sink is None or not changes:
            yield Entry(None)
            return
        asked = self._event(action, scope, ids=ids, detail=detail)
        self._ask(self._sink, asked)
        entry = Entry(asked)
        try:
            yield entry
        except BaseException as error:
            told = entry.event or asked
            self._close(self._sink, replace(told, stage="failed", error=type(error).__name__))
            raise
        self._close(self._sink, replace(entry.event or asked, stage="done"))

    def _event(
        self,
        action: str,
        scope: Scope | AllScopes | None,
        *,
        ids: Sequence[str],
        detail: AuditDetail,
    ) -> AuditEvent:
        given = scope if isinstance(scope, Scope) else Scope()
        told = trace.get_current_span().get_span_context()
        return AuditEvent(
            id=uuid.uuid4().hex,
            at=datetime.now(timezone.utc),
            stage="asked",
            action=action,
            store=self._store,
            process=f"{socket.gethostname()}:{os.getpid()}",
            actor=_ACTOR.get(),
            user_id=given.user_id,
            agent_id=given.agent_id,
            session_id=given.session_id,
            everyone=not isinstance(scope, Scope),
            ids=tuple(ids[:MOST_IDS]),
            trace_id=trace.format_trace_id(told.trace_id) if told.is_valid else None,
            span_id=trace.format_span_id(told.span_id) if told.is_valid else None,
            detail=dict(detail),
        )

    def _ask(self, sink: AuditSink, event: AuditEvent) -> None:
        try:
            sink(event)
        except Exception as error:
            raise AuditFailed(
                f"the audit log could not be written ({type(error).__name__}: {error}), so "
                f"{event.action!r} was not begun and nothing was changed. Repair: make room for "
                "the log or let this process write there, and call again."
            ) from error

    def _close(self, sink: AuditSink, event: AuditEvent) -> None:
        try:
            sink(replace(event, at=datetime.now(timezone.utc)))
        except Exception:  # what was done is done, and was written as asked
            logger.exception("the audit log has no outcome of %s %s", event.action, event.id)
