"""What spans say of recalls, selections and contexts: the attributes of each.

Everything that a replay needs is here: versions, weights, scope, ids and scores. Texts go through
`Content`, which gives None for what may not be recorded.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timezone
from typing import Final

from agentmem.telemetry.content import Content
from agentmem.telemetry.spans import Attribute, as_json
from agentmem.types import Context, Recall, Selection, Turn

__all__ = [
    "MAX_DOCUMENTS",
    "MAX_TERMS",
    "of_context",
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
    told: Described = dict.fromkeys(names, allowed)
    if allowed is not None and allowed != query:
        told["agentmem.content.redacted"] = True
    return told


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
        "agentmem.search.asked_at": _iso(asked.at),
        "agentmem.search.reranker": asked.reranker,
        "agentmem.filtered": asked.where is not None,
        "agentmem.filter": None if asked.where is None else content.text(as_json(asked.where)),
        "agentmem.table.version": recall.table_version,
        "agentmem.passport.id": recall.passport_id,
        "agentmem.ranking.id": recall.config_id,
        "agentmem.ranking.config": as_json(asked.ranking),
    }
    told |= of_query(recall.query, content, names=["input.value", "gen_ai.memory.query.text"])
    told |= _scores([hit.score for hit in recall])
    if content.is_on:
        told["gen_ai.memory.records"] = _records((h.turn for h in recall[:MAX_DOCUMENTS]), content)
    for place, hit in enumerate(recall[:MAX_DOCUMENTS]):
        prefix = f"retrieval.documents.{place}.document."
        told[prefix + "id"] = hit.turn.id
        told[prefix + "score"] = hit.score
        told[prefix + "content"] = content.short(hit.turn.content)
        if place < MAX_TERMS:
            told[prefix + "metadata"] = as_json({"terms": hit.terms})
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
        "agentmem.filtered": asked.where is not None,
        "agentmem.filter": None if asked.where is None else content.text(as_json(asked.where)),
        "agentmem.router.chosen": selection.names[:MAX_DOCUMENTS],
        "agentmem.router.abstained": selection.abstained,
        "agentmem.router.reason": content.text(selection.reason) if selection.reason else None,
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
        "agentmem.routing.id": selection.config_id,
        "agentmem.routing.config": as_json(asked.routing),
    }
    told |= of_query(selection.query, content, names=["input.value", "gen_ai.retrieval.query.text"])
    if any(text != said for text, said in zip(texts, asked.texts, strict=True) if text is not None):
        told["agentmem.content.redacted"] = True
    told |= _scores([match.score for match in selection.candidates])
    documents = []
    for place, match in enumerate(selection.candidates[:MAX_DOCUMENTS]):
        prefix, name = f"retrieval.documents.{place}.document.", _tool_id(match.tool)
        documents.append({"id": name, "score": match.score})
        told[prefix + "id"] = name
        told[prefix + "score"] = match.score
        told[prefix + "content"] = content.short(match.tool.description)
        if place < MAX_TERMS:
            told[prefix + "metadata"] = as_json(
                {"terms": match.terms, "probability": match.probability}
            )
    told["gen_ai.retrieval.documents"] = as_json(documents) if content.is_on else None
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


def of_turns(turns: Sequence[Turn], content: Content) -> Described:
    """The turns that were stored."""
    if not (content.is_on and turns):
        return {}
    return {"gen_ai.memory.records": _records(turns[:MAX_DOCUMENTS], content)}


def of_reranking(
    query: str, content: Content, *, model: str, ids: Sequence[str], scores: Iterable[float]
) -> Described:
    """What a reranker read, and its scores, best first."""
    told: Described = {
        "reranker.model_name": model,
        "reranker.top_k": len(ids),
        "reranker.query": content.text(query),
    }
    ranked = sorted(zip(scores, ids, strict=True), reverse=True)[:MAX_DOCUMENTS]
    for place, (score, one) in enumerate(ranked):
        prefix = f"reranker.output_documents.{place}.document."
        told |= {prefix + "id": one, prefix + "score": float(score)}
    return told


def _records(turns: Iterable[Turn], content: Content) -> str:
    """Turns as the conventions want memory records: JSON, with the content of each."""
    records = ({"id": turn.id, "content": content.short(turn.content)} for turn in turns)
    return as_json([record for record in records if record["content"] is not None])


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
