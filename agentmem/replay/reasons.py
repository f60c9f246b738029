"""Why a past retrieval cannot be run again, came out otherwise, or moved: causes and sentences."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping
from datetime import datetime
from typing import Final

from agentmem.ranking import Ranking
from agentmem.ranking.tools import Routing
from agentmem.replay.comparing import NAMED, Explain, Move, counted
from agentmem.replay.given import UNKNOWN
from agentmem.telemetry.spans import library_version
from agentmem.types import Cause, SearchRecord, SelectionRecord, Turn

__all__ = [
    "changed_weights",
    "moved_present",
    "of_difference",
    "of_obstacle",
    "of_verdict",
    "without_the_past",
]

MOST_VERSIONS: Final = 2**63 - 1  # LanceDB's numbers


def of_obstacle(
    record: SearchRecord | SelectionRecord,
    *,
    versions: Iterable[int],
    generation: int,
    passport_id: str,
    weights: Callable[[], Ranking | Routing],
) -> str | None:
    """Say why a retrieval cannot be run again as it was; None if nothing is known to stand against.

    Args:
        record: The retrieval.
        versions: Of the tables that it read.
        generation: Of the store, in which it would be run again.
        passport_id: Of the embedder of today.
        weights: Reads the weights, and whatever else may be none of this agentmem's.
    """
    for version in versions:
        if not 0 <= version <= MOST_VERSIONS:
            return f"a table has no version {version}. Repair: check the record."
    noun = "search" if isinstance(record, SearchRecord) else "selection"
    if record.generation != generation:
        return (
            f"the {noun} was made in generation {record.generation} of the store, which is no "
            "longer kept, or whose embedder this process does not have, and versions of "
            f"generation {generation} are others. Repair: if it is kept, open the store with "
            "the embedder of then among standby=[...]."
        )
    if record.passport_id != passport_id:
        return (
            f"the {noun} was made in the embedding space {record.passport_id}, and this store's is "
            f"{passport_id}: their vectors cannot be compared. Repair: open the store of then with "
            "the embedder of then."
        )
    written_by = _written_by(record.origin.agentmem)
    try:
        found = weights().id
    except (KeyError, TypeError, ValueError) as error:
        return f"its weights are none of this agentmem's ({error}). {written_by}"
    if found != record.config_id:
        return (
            f"its weights have the hash {found} here, and {record.config_id} in the record: "
            f"some are missing, or were altered. {written_by}"
        )
    return None


def of_verdict(record: SearchRecord, *, same: bool, differing: int, store: str) -> str:
    """Say how a replay came out.

    Args:
        record: The search.
        same: Whether it came out the same.
        differing: How many results differ.
        store: The folder or address that it was replayed in.
    """
    shown, version = len(record.hits), f"version {record.table_version}"
    part = "" if shown == record.found else f" (of {record.found:,}, as many as were recorded)"
    if same:
        return f"{version} gives the same {counted(shown, 'result')}{part} in the same order"
    other = counted(differing, "other result")
    if record.origin.store == store:
        return f"{version} gives {other}{part}"
    return (
        f"{version} gives {other}{part}; the record is of the store {record.origin.store!r}, and "
        f"this one is {store!r}"
    )


def of_difference(
    record: SearchRecord, *, reranker: str | None, there: Container[str], names: Mapping[str, str]
) -> Explain:
    """Return what explains why a replayed result is not as recorded.

    Args:
        record: The search.
        reranker: Name of the reranker of the replay.
        there: Ids of the recorded results that the version still holds.
        names: The id of each result.
    """
    version, own = record.origin.agentmem, library_version()

    def explain(move: Move) -> tuple[Cause, str]:
        if move.before is not None and names[move.key] not in there:
            return "removed", f"version {record.table_version} does not hold this turn any more"
        if record.reranker != reranker:
            was, now = record.reranker or "none", reranker or "none"
            return "reranker", f"it was reranked by {was}, and now by {now}"
        if version not in (own, UNKNOWN):
            return "agentmem", f"it was recorded by agentmem {version}, and this is {own}"
        return "unknown", (
            "version, weights and model are those of the record, so what differs was not recorded: "
            "the question that was given, the store, or the machine's arithmetic in a near tie"
        )

    return explain


def without_the_past(
    record: SearchRecord, *, today: Mapping[str, Turn], passport_id: str
) -> Explain:
    """Return what explains changes where the past answer is known from its record alone.

    Args:
        record: The search.
        today: Those of the results, then or now, that are stored today, by id.
        passport_id: Of the embedder of today.
    """

    def explain(move: Move) -> tuple[Cause, str]:
        turn = today.get(move.key)
        if turn is None:
            return "removed", "this turn was deleted"
        if turn.ingested_at > record.asked_at:
            return "added", f"this turn was stored after the search, on {_when(turn.ingested_at)}"
        if record.passport_id != passport_id:
            return "model", f"the embedding space was {record.passport_id}, and is {passport_id}"
        return "unknown", "the past cannot be read any more, so causes cannot be told apart"

    return explain


def changed_weights(before: Ranking | Routing, after: Ranking | Routing) -> str:
    """Say which weights differ."""
    old, new = before.weights, after.weights
    changed = [f"{name} {old[name]:g} -> {new[name]:g}" for name in old if old[name] != new[name]]
    more = f" and {len(changed) - NAMED} more" if len(changed) > NAMED else ""
    return f"today's weights are others ({', '.join(changed[:NAMED])}{more})"


def moved_present(before: datetime, after: datetime) -> str:
    """Say that recency is measured from another moment."""
    return f"recency is measured from {_when(after)} instead of {_when(before)}"


def _when(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M}"


def _written_by(version: str) -> str:
    known = "" if version == UNKNOWN else f", {version}"
    return f"Repair: replay it with the agentmem that recorded it{known}."
