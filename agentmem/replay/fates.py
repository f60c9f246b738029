"""What became of turns between two versions: the same, new, replaced, or deleted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from agentmem.replay.asking import Run
from agentmem.replay.comparing import Fate
from agentmem.types import Replayed, State, Turn

__all__ = ["fates_of", "past_results", "present_results", "state_of"]


def state_of(then: Turn, now: Turn | None) -> State:
    """Say whether a turn of then is today what it was.

    Whoever deletes a turn and stores another under its id has deleted it: a replaced turn keeps
    its time of ingestion. So does one that is imported, which only the versions in between tell.
    """
    if now is None:
        return "gone"
    if now == then or replace(now, ingested_at=then.ingested_at) == then:
        return "unchanged"
    return "changed" if now.ingested_at == then.ingested_at else "gone"


def fates_of(
    keys: Iterable[str], *, then: Mapping[str, Turn], now: Mapping[str, Turn]
) -> dict[str, Fate]:
    """Say what became of turns.

    Args:
        keys: Theirs.
        then: Those that there were, by key.
        now: Those that there are.
    """
    return {key: _fate(then.get(key), now.get(key)) for key in keys}


def past_results(run: Run, *, now: Mapping[str, Turn]) -> tuple[Replayed, ...]:
    """Return what a replay found, without the turns that are gone today: erasure wins.

    Args:
        run: The replay.
        now: The turns that there are today, by key.
    """
    results = []
    for key, hit in zip(run.turns, run.recall, strict=True):
        state = state_of(hit.turn, now.get(key))
        item = None if state == "gone" else hit.turn
        results.append(Replayed(hit.turn.id, hit.score, hit.terms, state, item))
    return tuple(results)


def present_results(run: Run, *, then: Mapping[str, Turn]) -> tuple[Replayed, ...]:
    """Return what is found today; a turn is changed if it said something else then.

    Args:
        run: Today's.
        then: The turns that there were then, by key.
    """
    return tuple(
        Replayed(
            hit.turn.id,
            hit.score,
            hit.terms,
            "changed"
            if key in then and state_of(then[key], hit.turn) != "unchanged"
            else "unchanged",
            hit.turn,
        )
        for key, hit in zip(run.turns, run.recall, strict=True)
    )


def _fate(then: Turn | None, now: Turn | None) -> Fate:
    if now is None:
        return "removed"
    if then is None:
        return "added"
    return "same" if state_of(then, now) == "unchanged" else "changed"
