"""What spans say of recalls, selections and contexts: the attributes of each.

Everything that a replay needs is here: versions, weights, scope, ids and scores. Texts go through
`Content`, which gives None for what may not be recorded.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timezone
from typing import Any, Final

from agentmem.telemetry.content import Content
from agentmem.telemetry.spans import Attribute, as_json
from agentmem.types import Context, DriftFinding, Recall, Selection, Turn

__all__ = [
    "MAX_DOCUMENTS",
    "MAX_TERMS",
    "of_context",
    "of_filter",
    "of_finding",
    "of_query",
    "of_recall",
    "of_reranking",
    "of_selection",
    "of_turns",
]

MAX_DOCUMENTS: Final = 20  # more make dashboards slow, and nobody reads them
MAX_TERMS: Final = 5  # results whose terms are recorded: the ones that people ask about

Described = dict[str, "Attribute | None"]


def of_query(query: str, content: Content, *, names: Sequence[str]) -> Described:
    """A query under the names that the conventions have for it; marked where it was redacted."""
    allowed = content.text(query)
    return dict.fromkeys(names, allowed) | _redacted(query, allowed)


def of_filter(where: Mapping[str, Any] | None, content: Content) -> Described:
    """Whether a filter narrowed a retrieval, and which; marked where it was redacted."""
    text = None if where is None else as_json(where)
    allowed = None if text is None else content.text(text)
    told: Described = {"agentmem.filtered": where is not None, "agentmem.filter": allowed}
    return told | _redacted(text, allowed)


def of_recall(recall: Recall, content: Content) -> Described:
    """What a search was asked, at which versions, and what it found."""
    asked = recall.asked
    told: Described = {
        "gen_ai.memory.record.count": len(recall),
        "gen_ai.retrieval.top_k": asked.k,
        "agentmem.search.mode": recall.mode,
        "agentmem.search.candidates": recall.candidates,
        "agentmem.search.since": _iso(asked.since),
        "agentmem.search.until": _iso(asked.until),
        "agentmem.search.as_of": _iso(asked.as_of),
        "agentmem.search.known_at": _iso(asked.known_at),
        "agentmem.search.dates": asked.dates,
        "agentmem.search.asked_at": _iso(asked.at),
        "agentmem.search.reranker": asked.reranker,
        "agentmem.table.version": recall.table_version,
        "agentmem.passport.id": recall.passport_id,
        "agentmem.generation": recall.generation,
        "agentmem.ranking.id": recall.config_id,
        "agentmem.ranking.config": as_json(asked.ranking),
    }
    told |= of_filter(asked.where, content)
    told |= of_query(recall.query, content, names=["input.value", "gen_ai.memory.query.text"])
    told |= _scores([hit.score for hit in recall])
    if content.is_on:
        told["gen_ai.memory.records"] = _records((h.turn for h in recall[:MAX_DOCUMENTS]), content)
    told |= _documents(
        (hit.turn.id, hit.score, content.short(hit.turn.content)) for hit in recall[:MAX_DOCUMENTS]
    )
    for place, hit in enumerate(recall[:MAX_TERMS]):
        told[f"retrieval.documents.{place}.document.metadata"] = as_json({"terms": hit.terms})
    return told


def of_selection(selection: Selection, content: Content) -> Described:
    """What a selection was asked, at which versions, and what it chose."""
    asked = selection.asked
    texts = [content.text(text) for text in asked.texts]
    told: Described = {
        "gen_ai.retrieval.top_k": asked.k if isinstance(asked.k, int) else None,
        "agentmem.router.k": str(asked.k),
        "agentmem.router.max_tokens": asked.max_tokens,
        "agentmem.router.namespace": selection.namespace,
        "agentmem.router.exclude": list(asked.exclude) or None,
        "agentmem.router.called": list(selection.called) or None,
        "agentmem.router.used": list(asked.used) or None,
        "agentmem.router.told": len(asked.texts),
        "agentmem.router.texts": [t for t in texts if t is not None] if _whole(texts) else None,
        "agentmem.router.chosen": selection.names[:MAX_DOCUMENTS],
        "agentmem.router.abstained": selection.abstained,
        "agentmem.router.confidence": selection.confidence,
        "agentmem.router.threshold": selection.threshold,
        "agentmem.router.calibrated": selection.calibrated,
        "agentmem.router.rule": as_json(asked.rule),
        "agentmem.router.catalogue": selection.catalogue,
        "agentmem.router.tokens": selection.tokens,
        "agentmem.router.tokens_saved": selection.tokens_saved,
        "agentmem.router.learnt_at": _iso(asked.learnt_at),
        "agentmem.catalogue.version": selection.catalogue_version,
        "agentmem.examples.version": selection.examples_version,
        "agentmem.fits.version": asked.fits_version,
        "agentmem.passport.id": selection.passport_id,
        "agentmem.generation": selection.generation,
        "agentmem.routing.id": selection.config_id,
        "agentmem.routing.config": as_json(asked.routing),
    }
    told |= of_filter(asked.where, content)
    told |= of_query(selection.query, content, names=["input.value", "gen_ai.retrieval.query.text"])
    if selection.reason and told["input.value"] == selection.query:
        # it quotes words one by one, where a redaction hook may look for several together
        told["agentmem.router.reason"] = content.text(selection.reason)
    for said, allowed in zip(asked.texts, texts, strict=True):
        told |= _redacted(said, allowed)
    told |= _scores([match.score for match in selection.candidates])
    seen = [(_tool_id(m.tool), m.score, m.tool) for m in selection.candidates[:MAX_DOCUMENTS]]
    told |= _documents((one, score, content.short(t.description)) for one, score, t in seen)
    for place, match in enumerate(selection.candidates[:MAX_TERMS]):
        told[f"retrieval.documents.{place}.document.metadata"] = as_json(
            {"terms": match.terms, "probability": match.probability}
        )
    if content.is_on:
        told["gen_ai.retrieval.documents"] = as_json(
            [{"id": one, "score": score} for one, score, _ in seen]
        )
    return told


def of_context(context: Context, content: Content) -> Described:
    """How a context came out."""
    return {
        "agentmem.context.max_tokens": context.max_tokens,
        "agentmem.context.tokens": context.tokens,
        "agentmem.context.turns": len(context.turns),
        "agentmem.context.dropped": len(context.dropped),
        "output.value": content.text(context.text),
    }


def of_finding(finding: DriftFinding) -> Described:
    """What one check of drift found: numbers, and nothing that anybody said."""
    return {
        "agentmem.drift.kind": finding.kind,
        "agentmem.drift.status": finding.status,
        "agentmem.drift.severity": finding.severity,
        "agentmem.drift.recommendation": finding.recommendation,
        "agentmem.drift.statistic": finding.statistic,
        "agentmem.drift.p_value": finding.p_value,
        "agentmem.drift.effect": finding.effect,
        "agentmem.drift.samples": as_json(finding.samples),
    }


def of_turns(turns: Sequence[Turn], content: Content) -> Described:
    """The turns that were stored."""
    if not (content.is_on and turns):
        return {}
    return {"gen_ai.memory.records": _records(turns[:MAX_DOCUMENTS], content)}


def of_reranking(
    query: str, content: Content, *, turns: Sequence[Turn], scores: Iterable[float]
) -> Described:
    """What a reranker read, and its scores, best first."""
    told: Described = {
        "reranker.top_k": len(turns),
        "reranker.query": content.text(query),
    }
    read = zip(scores, turns, strict=True)
    ranked = sorted(read, key=lambda scored: scored[0], reverse=True)[:MAX_DOCUMENTS]
    for place, (score, turn) in enumerate(ranked):
        prefix = f"reranker.output_documents.{place}.document."
        told |= {prefix + "id": turn.id, prefix + "score": float(score)}
        told[prefix + "content"] = content.short(turn.content)
    return told


def _documents(found: Iterable[tuple[str, float, str | None]]) -> Described:
    """Documents one by one, as Phoenix shows them, and as one output, as MLflow and Langfuse do."""
    told: Described = {}
    output = []
    for place, (one, score, text) in enumerate(found):
        prefix = f"retrieval.documents.{place}.document."
        told |= {prefix + "id": one, prefix + "score": score, prefix + "content": text}
        if text is not None:
            output.append({"id": one, "page_content": text, "metadata": {"score": score}})
    return told | {"output.value": as_json(output) if output else None}


def _records(turns: Iterable[Turn], content: Content) -> str | None:
    """Turns as the conventions want memory records: JSON, with the content of each."""
    records = ({"id": turn.id, "content": content.short(turn.content)} for turn in turns)
    allowed = [record for record in records if record["content"] is not None]
    return as_json(allowed) if allowed else None


def _redacted(text: str | None, allowed: str | None) -> Described:
    """The mark of a text that the redaction hook changed."""
    return {} if allowed is None or allowed == text else {"agentmem.content.redacted": True}


def _scores(scores: Sequence[float]) -> Described:
    return {
        "agentmem.top_score": scores[0] if scores else None,
        "agentmem.margin": scores[0] - scores[1] if len(scores) > 1 else None,
    }


def _whole(texts: Sequence[str | None]) -> bool:
    """Whether there are texts, and all of them may be recorded."""
    return bool(texts) and None not in texts


def _tool_id(tool: object) -> str:
    return f"{getattr(tool, 'namespace', '')}/{getattr(tool, 'name', '')}"


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.astimezone(timezone.utc).isoformat()
