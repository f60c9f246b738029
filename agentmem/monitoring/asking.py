"""`Sampler`: hears of questions, and keeps a sample of them without anybody waiting for it."""

from __future__ import annotations

import logging
import threading
from typing import Final

from agentmem.background import start
from agentmem.errors import StoreError
from agentmem.storage.questions import Question, Questions
from agentmem.types import AllScopes, DriftSubject, Scope
from agentmem.visible import visible

__all__ = ["Sampler"]

PENDING: Final = 500  # questions that wait to be written; more are passed over
BATCH: Final = 100  # are written without waiting longer: one commit a batch
FLUSH_SECONDS: Final = 5.0  # that a question waits at most
SCOPE_FIELDS: Final = ("user_id", "agent_id", "session_id")

logger = logging.getLogger("agentmem")


class Sampler:
    """Keeps questions of one subject, of one generation. Safe for several threads.

    They are written by a thread that starts with the first question and ends when none came for
    a while. What cannot be written is passed over.

    Args:
        questions: Where they are kept.
        subject: Of what they were asked.
    """

    def __init__(self, questions: Questions, *, subject: DriftSubject) -> None:
        self._questions = questions
        self._subject: DriftSubject = subject
        self._changed = threading.Condition()
        self._writing = threading.Lock()
        self._pending: list[Question] = []
        self._thread: threading.Thread | None = None
        self._closed = False
        self._failed = False

    def asked(self, question: Question) -> None:
        """Take a question in; returns at once, and never fails."""
        with self._changed:
            if self._closed or len(self._pending) >= PENDING:
                return
            self._pending.append(question)
            if self._thread is None:
                self._thread = start(self._work, name="agentmem-questions", end=self._end)
            elif len(self._pending) >= BATCH:
                self._changed.notify_all()

    def flush(self) -> None:
        """Write what waits; a failure is logged, the first time."""
        with self._writing:  # held over both steps, so that who waits for it finds all written
            with self._changed:
                batch, self._pending = self._pending, []
            if not batch:
                return
            try:
                self._questions.keep(self._subject, batch)
            except StoreError as error:
                if not self._failed:
                    logger.warning(
                        "questions could not be kept: %s (said once)", visible(str(error))
                    )
                self._failed = True

    def forget(self, scope: Scope | AllScopes) -> None:
        """Delete what a scope asked, also what still waits.

        Raises:
            StoreError: It could not be deleted.
        """
        with self._writing:
            with self._changed:
                self._pending = [one for one in self._pending if not _is_within(one.scope, scope)]
            self._questions.forget(scope)

    def close(self) -> None:
        """Write what waits, and take in no more."""
        self._end()
        self.flush()

    def _end(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(self._is_due, timeout=FLUSH_SECONDS)
                over = self._closed or not self._pending
                if over:
                    self._thread = None
            self.flush()
            if over:
                return

    def _is_due(self) -> bool:
        return self._closed or len(self._pending) >= BATCH


def _is_within(asked: Scope, scope: Scope | AllScopes) -> bool:
    """Whether every id that a scope names is the one that was asked by."""
    if isinstance(scope, AllScopes):
        return True
    named = [name for name in SCOPE_FIELDS if getattr(scope, name) is not None]
    return bool(named) and all(getattr(asked, name) == getattr(scope, name) for name in named)
