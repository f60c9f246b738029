"""What is stored after a run, compared with what writers were told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, Final

import lancedb
import numpy as np
from crash_ledger import Told, Whole
from crash_store import WRITERS, users_of

from agentmem.ingest import pieces_of
from agentmem.protocols import Embedder
from agentmem.storage.schema import turn_key
from agentmem.storage.turns import Store
from agentmem.types import ALL, Turn

__all__ = ["Verdict", "verdict"]

SAMPLE: Final = 200  # turns whose vectors are made once more
SAME: Final = 0.9995  # least cosine of two vectors of one text, see docs/embedding.md
SHOWN: Final = 5


@dataclass(slots=True)
class Verdict:
    """What was found, each kind of defect with the turns it concerns."""

    turns: int = 0
    sampled: int = 0
    lost: list[Any] = field(default_factory=list)
    stale: list[Any] = field(default_factory=list)
    back: list[Any] = field(default_factory=list)
    altered: list[Any] = field(default_factory=list)
    duplicate: list[Any] = field(default_factory=list)
    wrong_space: list[Any] = field(default_factory=list)

    @property
    def defects(self) -> dict[str, list[Any]]:
        """The kinds that were found, with some examples."""
        kinds = ("lost", "stale", "back", "altered", "duplicate", "wrong_space")
        found = {kind: getattr(self, kind) for kind in kinds}
        return {kind: [len(some), *some[:SHOWN]] for kind, some in found.items() if some}


def verdict(
    store: Path,
    *,
    began: Path,
    told: Sequence[Told],
    embedder: Embedder,
    rng: Random,
) -> Verdict:
    """Look at everything that is stored.

    Args:
        store: The folder.
        began: The folder as it was in the beginning.
        told: What writers were told.
        embedder: Of the space it is to be in.
        rng: Chooses whose vectors are made once more.
    """
    made = Verdict()
    now = Store.open(store, passport=embedder.passport)
    rows = _rows(store, now.generation)
    made.duplicate = [key for key, n in Counter(row["chunk_key"] for row in rows).items() if n > 1]
    made.wrong_space = [
        (row["id"], row["passport"]) for row in rows if row["passport"] != embedder.passport.id
    ]
    found, before = _turns(now), _turns(Store.open(began, passport=None))
    made.turns = len(found)
    made.duplicate += _broken(rows)
    written = {user for writer in range(WRITERS) for user in users_of(writer)}
    _compare_untouched(made, found, before, written=written)
    for one in told:
        _compare_written(made, found, before, told=one.read_on())
    allowed = {turn for one in told for turn in one.allowed}
    maybe = {content for one in told for content in one.maybe}
    known = set(before) | allowed
    for turn, stored in found.items():
        if turn not in known and stored.content not in maybe:
            made.back.append((turn, stored.content[:60]))
    _compare_vectors(made, now, found, embedder=embedder, rng=rng)
    return made


def _rows(store: Path, generation: int) -> list[dict[str, Any]]:
    columns = ["chunk_key", "key", "chunk", "chunks", "rev", "content_hash", "passport", "id"]
    table = lancedb.connect(store).open_table(f"turns_g{generation}")
    rows: list[dict[str, Any]] = table.search().select(columns).to_arrow().to_pylist()
    return rows


def _turns(store: Store) -> dict[Whole, Turn]:
    found: dict[Whole, Turn] = {}
    for batch in store.scan_turns(scope=ALL, batch_turns=5_000):
        for turn in batch:
            assert (turn.user_id or "", turn.id) not in found, f"{turn.id} is stored twice"
            found[turn.user_id or "", turn.id] = turn
    return found


def _broken(rows: Sequence[Mapping[str, Any]]) -> list[Any]:
    """Return keys whose chunks are not of one write, each once, without a gap."""
    chunks: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        chunks.setdefault(row["key"], []).append(row)
    return [
        (key, sorted(one["chunk"] for one in of), sorted({one["rev"] for one in of}))
        for key, of in chunks.items()
        if sorted(one["chunk"] for one in of) != list(range(of[0]["chunks"]))
        or len({(one["rev"], one["content_hash"], one["chunks"]) for one in of}) > 1
    ]


def _compare_untouched(
    made: Verdict, found: Mapping[Whole, Turn], before: Mapping[Whole, Turn], *, written: set[str]
) -> None:
    """Compare turns of users that nobody wrote to, with everything there is of them."""
    for turn, was in before.items():
        if turn[0] not in written:
            now = found.get(turn)
            if now is None:
                made.lost.append(turn)
            elif now != was:
                made.altered.append(turn)


def _compare_written(
    made: Verdict, found: Mapping[Whole, Turn], before: Mapping[Whole, Turn], *, told: Told
) -> None:
    """Compare turns of the users of one writer with what it was told."""
    for turn, allowed in told.allowed.items():
        now = found.get(turn)
        content = None if now is None else now.content
        if content not in allowed:
            kind = made.lost if content is None else made.back if allowed == {None} else made.stale
            kind.append((turn, content, allowed))
        elif turn not in told.touched and turn in before and now != before[turn]:
            made.altered.append(turn)


def _compare_vectors(
    made: Verdict, store: Store, found: Mapping[Whole, Turn], *, embedder: Embedder, rng: Random
) -> None:
    """Embed some turns once more, long ones among them, and compare."""
    turns = list(found.values())
    longest = sorted(turns, key=lambda turn: len(turn.content))[-SAMPLE // 10 :]
    chosen = rng.sample(turns, min(SAMPLE, len(turns))) + longest
    pieces, texts = pieces_of(chosen, embedder=embedder)
    vectors = embedder.embed(texts, kind="document")
    keys = [turn_key(one.id, user_id=one.user_id, agent_id=one.agent_id) for one in chosen]
    stored, place = store.vectors_by_key(keys), 0
    for turn, key, parts in zip(chosen, keys, pieces, strict=True):
        again = vectors[place : place + len(parts)]
        place += len(parts)
        kept = stored[key]
        if kept.shape != again.shape or float(np.min(np.sum(kept * again, axis=1))) < SAME:
            made.wrong_space.append((turn.user_id, turn.id))
    made.sampled = len(chosen)
