"""The JSON forms that `--json` prints: stable, ASCII, one value on standard output."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any

import typer

from agentmem.types import AllScopes, Context, Evidence, Hit, Recall, Session, StoreStats, Turn

__all__ = [
    "context_form",
    "hit_form",
    "plain",
    "print_json",
    "recall_form",
    "session_form",
    "stats_form",
    "turn_form",
]


def print_json(value: object, *, err: bool = False) -> None:
    """Print one JSON value.

    In ASCII: what a turn holds can then neither steer a terminal nor fail to be encoded.
    """
    typer.echo(json.dumps(value, indent=2), err=err)


def turn_form(turn: Turn) -> dict[str, Any]:
    """Return a turn as JSON values: the record that an export writes."""
    from agentmem.transfer import turn_record  # brings pydantic, for which no `--help` should wait

    return turn_record(turn)


def recall_form(recall: Recall) -> dict[str, Any]:
    """Return a recall as JSON values."""
    return {
        "query": recall.query,
        "mode": recall.mode,
        "scope": "all" if isinstance(recall.scope, AllScopes) else asdict(recall.scope),
        "candidates": recall.candidates,
        "table_version": recall.table_version,
        "generation": recall.generation,
        "passport_id": recall.passport_id,
        "config_id": recall.config_id,
        "milliseconds": dict(recall.milliseconds),
        "trace_id": recall.trace_id,
        "span_id": recall.span_id,
        "hits": [hit_form(hit, rank) for rank, hit in enumerate(recall, 1)],
    }


def hit_form(hit: Hit, rank: int) -> dict[str, Any]:
    """Return a hit as JSON values; `evidence` is there when it was asked for."""
    form = {
        "rank": rank,
        "score": hit.score,
        "terms": dict(hit.terms),
        "turn": turn_form(hit.turn),
    }
    return form if hit.evidence is None else {**form, "evidence": _evidence_form(hit.evidence)}


def _evidence_form(evidence: Evidence) -> dict[str, Any]:
    return {
        "similarity": evidence.similarity,
        "bm25": evidence.bm25,
        "words": dict(evidence.words),
        "chunk": evidence.chunk,
    }


def context_form(context: Context) -> dict[str, Any]:
    """Return a context as JSON values."""
    return {
        "text": context.text,
        "messages": [dict(message) for message in context.messages],
        "tokens": context.tokens,
        "max_tokens": context.max_tokens,
        "hits": [hit_form(hit, rank) for rank, hit in enumerate(context.hits, 1)],
        "turns": [turn_form(turn) for turn in context.turns],
        "dropped": [
            {"reason": one.reason, "tokens": one.tokens, "turn": turn_form(one.turn)}
            for one in context.dropped
        ],
    }


def session_form(session: Session) -> dict[str, Any]:
    """Return a session as JSON values."""
    return plain(asdict(session))


def stats_form(stats: StoreStats) -> dict[str, Any]:
    """Return what is known of a store as JSON values."""
    return plain({**asdict(stats), "passport_id": stats.passport.id})


def plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return values with their moments as ISO text."""
    return {
        key: value.isoformat() if isinstance(value, datetime) else value
        for key, value in values.items()
    }
