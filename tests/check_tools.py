"""What the tests of drift checks share: stores of many sessions, and what a check is given."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from storage_tools import NOON

from agentmem.monitoring.baseline import move_baseline
from agentmem.monitoring.given import Bounds, Given
from agentmem.monitoring.watched import Watched, watched_memory
from agentmem.protocols import Embedder
from agentmem.storage.rows import Stamps
from agentmem.storage.schema import turn_rows
from agentmem.storage.turns import Store
from agentmem.testing import HashEmbedder
from agentmem.types import DriftKind, Turn

HOUR = timedelta(hours=1)
DIMENSION = 32
TURNS = 6  # of a session
EMBEDDER = HashEmbedder(DIMENSION)


@dataclass(frozen=True)
class Session:
    """One session to store."""

    turns: Sequence[Turn]
    vectors: NDArray[np.float32]
    chunks: int = 1


def watched(folder: Path, *, embedder: Embedder = EMBEDDER) -> Watched:
    """Open a store of turns to be checked."""
    store = Store.open(folder, passport=embedder.passport)
    return watched_memory(store, embedder=embedder, tables=store.watching)


def given(one: Watched, *, kind: DriftKind, baseline: datetime, now: datetime) -> Given:
    """Return what a check is given when the baseline was set at a moment."""
    move_baseline(one.tables.meta, subject=one.subject, now=baseline)
    return again(one, kind=kind, now=now)


def again(one: Watched, *, kind: DriftKind, now: datetime) -> Given:
    """Return what a later check is given."""
    found = one.given(now=now, bounds=Bounds())
    return replace(found, rng=one.rng(kind, now=now))


def at(session: float) -> datetime:
    """Return when the session of that number begins: one an hour."""
    return NOON + session * HOUR


def session(number: int, *, texts: Sequence[str], vectors: NDArray[np.float32]) -> Session:
    """Return the session that began at that hour."""
    turns = [
        Turn(
            id=f"{number}-{place}",
            role="user" if place % 2 == 0 else "assistant",
            content=text,
            event_time=at(number) + timedelta(minutes=place),
            ingested_at=at(number) + timedelta(minutes=place),
            user_id=f"user {number % 5}",
            session_id=f"session {number}",
        )
        for place, text in enumerate(texts)
    ]
    return Session(turns, vectors)


def said(number: int, *texts: str, embedder: Embedder = EMBEDDER) -> Session:
    """Return a session of texts with the vectors that they have."""
    return session(number, texts=texts, vectors=embedder.embed(texts, kind="document"))


def about(number: int, *, topics: NDArray[np.float32], rng: np.random.Generator) -> Session:
    """Return a session about one of some topics: its turns resemble each other."""
    centre = 4 * topics[rng.integers(len(topics))] + 0.3 * rng.standard_normal(DIMENSION)
    vectors = centre + 0.5 * rng.standard_normal((TURNS, DIMENSION))
    return session(number, texts=[f"said {n}" for n in range(TURNS)], vectors=unit(vectors))


def unit(rows: NDArray[Any]) -> NDArray[np.float32]:
    """Return rows of length one."""
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


def store_sessions(
    one: Watched,
    sessions: Iterable[Session],
    *,
    written: datetime = NOON,
    passport_id: str | None = None,
) -> None:
    """Store sessions in one commit."""
    held = list(sessions)
    turns = [turn for session in held for turn in session.turns]
    pieces = [
        [turn.content] * session.chunks if session.chunks > 1 else [turn.content]
        for session in held
        for turn in session.turns
    ]
    vectors = np.concatenate([np.repeat(one.vectors, one.chunks, axis=0) for one in held])
    mark = one.passport.id if passport_id is None else passport_id
    rows = turn_rows(
        turns,
        pieces=pieces,
        lexemes=[piece for parts in pieces for piece in parts],
        vectors=vectors,
        stamps=Stamps.new(len(turns), passport_id=mark, at=written),
    )
    assert isinstance(one.store, Store)
    one.store.append(rows)
