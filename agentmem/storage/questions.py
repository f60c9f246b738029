"""`Questions`: a sample of what was asked of a store: vectors and scores, never the words.

Kept only where the application asked for it, of each subject the newest `KEPT`, and deleted with
the turns of those who asked. Ids of users, agents and sessions are stored as hashes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Protocol

import numpy as np
import pyarrow as pa
import uuid_utils
from lancedb.table import Table
from numpy.typing import NDArray

from agentmem.checks import EPOCH
from agentmem.storage.arrow import integers, matrix, strings
from agentmem.storage.guard import Guard
from agentmem.storage.late import LateTable
from agentmem.storage.opening import Opened
from agentmem.storage.quoting import both, literal
from agentmem.storage.rows import PRIMARY_KEY, TIMES, digest, table_of, vector_type
from agentmem.types import AllScopes, DriftSubject, Scope

__all__ = ["KEPT", "Asked", "Listener", "Question", "Questions", "questions_schema"]

QUESTIONS: Final = "questions"
KEEP: Final = "keep a sample of questions"
FORGET: Final = "forget questions"
KEPT: Final = 2_000  # of each subject; 3 MB at 384 dimensions, and thrice what two windows need
SCOPE_FIELDS: Final = ("user_id", "agent_id", "session_id")
MICROSECOND: Final = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True, eq=False)
class Question:
    """One question that was asked and answered.

    Attributes:
        vector: Its unit vector, float32, shape (D,).
        at: When (UTC).
        scope: Of whose turns; empty where nothing is known of who asked.
        similarity: Cosine with the best hit; None where there was none, or it is not known.
        score: Score of the best hit; None where there was none.
        margin: Score of the best minus that of the second; None where there was no second.
        hits: How many hits (or tools) were returned.
        abstained: Whether nothing was found to fit.
        block: What it belongs together with where the scope names no session and no user.
    """

    vector: NDArray[np.float32]
    at: datetime
    scope: Scope
    similarity: float | None
    score: float | None
    margin: float | None
    hits: int
    abstained: bool = False
    block: str = ""


class Listener(Protocol):
    """Hears of questions after they were answered."""

    @property
    def keeps(self) -> bool:
        """Whether it keeps questions, so that all of one has to be known."""
        ...

    def asked(self, question: Question) -> None:
        """Take a question in; returns at once, and never fails."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """N questions that were asked, oldest first.

    Attributes:
        vectors: Float32 unit rows, as queries, shape (N, D).
        at: When, in microseconds since 1970 UTC, shape (N,).
        blocks: Hash of the session (or user) of each: those of one are not independent.
        similarity: Cosine with the best hit; NaN where there was none or it is not known, (N,).
        score: Score of the best hit; NaN where there was none, shape (N,).
        margin: Score of the best minus that of the second; NaN where there was no second, (N,).
        hits: How many hits (or tools) were returned, shape (N,).
        abstained: Whether nothing was found to fit, shape (N,).
    """

    vectors: NDArray[np.float32]
    at: NDArray[np.int64]
    blocks: list[str]
    similarity: NDArray[np.float64]
    score: NDArray[np.float64]
    margin: NDArray[np.float64]
    hits: NDArray[np.int64]
    abstained: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.at)


class Questions:
    """The kept questions of one generation. Safe for several threads and processes.

    Args:
        opened: The store, in that generation.
        guard: What may be done with it.
    """

    def __init__(self, opened: Opened, *, guard: Guard) -> None:
        self._guard = guard
        self._dimension = opened.passport.dimension
        self._table = LateTable(
            opened,
            table=opened.table(QUESTIONS),
            holding="questions",
            schema=questions_schema(self._dimension),
            guard=guard,
        )

    @property
    def read_only(self) -> bool:
        """Whether none can be kept."""
        return self._guard.read_only

    def keep(self, subject: DriftSubject, questions: Sequence[Question]) -> None:
        """Keep questions in one commit; once there are too many, drop the oldest in another.

        Raises:
            StoreError: The store is read-only, or could not be written.
        """
        self._guard.check_writable(KEEP)
        if not questions:
            return
        rows = self._rows(subject, questions)
        handle = self._table.made(KEEP)
        handle.commit(lambda table: table.add(rows), action=KEEP)
        of_subject = f"subject = {literal(subject)}"
        with handle.reading() as table:
            times = integers(table.search().where(of_subject).select(["at"]).to_arrow()["at"])
        if len(times) > KEPT * 1.25:  # a quarter of slack: one deletion in five hundred questions
            oldest = EPOCH + int(np.sort(times)[-KEPT]) * MICROSECOND
            old = both(of_subject, f"at < {literal(oldest)}")
            handle.commit(lambda table: table.delete(old), action=FORGET)

    def newest(self, subject: DriftSubject, *, limit: int = KEPT) -> Asked:
        """Return the newest questions of a subject.

        Raises:
            StoreError: The store could not be read.
        """
        rows = self._table.schema.empty_table()
        handle = self._table.found()
        if handle is not None:
            with handle.reading() as table:
                found = table.search().where(f"subject = {literal(subject)}").to_arrow()
            rows = found.sort_by([("at", "ascending"), ("id", "ascending")])
            rows = rows.slice(max(0, rows.num_rows - limit))
        return _asked(rows)

    def forget(self, scope: Scope | AllScopes) -> None:
        """Delete what a scope asked.

        Raises:
            StoreError: The store is read-only, or could not be written.
        """
        self._guard.check_writable(FORGET)
        handle = self._table.found()
        if handle is None:
            return

        def delete(table: Table) -> None:
            table.delete(_where(scope))

        handle.commit(delete, action=FORGET)

    def _rows(self, subject: DriftSubject, questions: Sequence[Question]) -> pa.Table:
        columns: dict[str, list[Any]] = {
            "id": [str(uuid_utils.uuid7()) for _ in questions],
            "subject": [subject] * len(questions),
            "block": [_block(one) for one in questions],
            **{
                name: [_hashed(getattr(one.scope, name)) for one in questions]
                for name in SCOPE_FIELDS
            },
            **{
                name: [getattr(one, name) for one in questions]
                for name in ("at", "similarity", "score", "margin", "hits", "abstained")
            },
        }
        vectors = np.stack([one.vector for one in questions])
        return table_of(columns, schema=questions_schema(self._dimension), vectors=vectors)


def questions_schema(dimension: int) -> pa.Schema:
    """Return the schema of a table of questions whose vectors have that many components."""
    columns: list[pa.Field[Any]] = [
        pa.field("id", pa.string(), nullable=False, metadata=PRIMARY_KEY),
        pa.field("subject", pa.string(), nullable=False),
        pa.field("at", TIMES, nullable=False),
        pa.field("block", pa.string(), nullable=False),
        *(pa.field(name, pa.string()) for name in SCOPE_FIELDS),
        pa.field("similarity", pa.float64()),
        pa.field("score", pa.float64()),
        pa.field("margin", pa.float64()),
        pa.field("hits", pa.int32(), nullable=False),
        pa.field("abstained", pa.bool_(), nullable=False),
        pa.field("vector", vector_type(dimension), nullable=False),
    ]
    return pa.schema(columns)


def _hashed(name: str | None) -> str | None:
    return None if name is None else digest(name)


def _block(question: Question) -> str:
    """Name what a question belongs together with: a session, else a user, else what it says."""
    scope = question.scope
    if scope.session_id is not None:
        return digest("session", scope.user_id, scope.agent_id, scope.session_id)
    if scope.user_id is not None:
        return digest("user", scope.user_id)
    return digest("block", scope.agent_id, question.block)


def _where(scope: Scope | AllScopes) -> str:
    """Write the condition that a question was asked of turns within a scope."""
    if isinstance(scope, AllScopes):
        return "subject = 'memory'"
    given = [(name, _hashed(getattr(scope, name))) for name in SCOPE_FIELDS]
    named = [f"{name} = {literal(value)}" for name, value in given if value is not None]
    return both(*named) if named else "false"


def _asked(rows: pa.Table) -> Asked:
    def floats(name: str) -> NDArray[np.float64]:
        return rows[name].to_numpy().astype(np.float64)

    return Asked(
        vectors=matrix(rows["vector"]),
        at=integers(rows["at"]),
        blocks=strings(rows["block"]),
        similarity=floats("similarity"),
        score=floats("score"),
        margin=floats("margin"),
        hits=integers(rows["hits"]),
        abstained=rows["abstained"].to_numpy().astype(np.bool_),
    )
