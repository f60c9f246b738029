"""Attributes of a span back to the record of a retrieval; recalls and selections likewise.

The inverse of `describing`. A span may come from anywhere (this process, a file, a dashboard's
export), so everything is checked, and what is missing is named.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timezone
from typing import Any, Final, TypeVar, cast, get_args

from agentmem.checks import shown
from agentmem.errors import InvalidInput
from agentmem.telemetry.spans import library_version
from agentmem.types import (
    ALL,
    AllScopes,
    Dates,
    Mode,
    Origin,
    Recall,
    Scope,
    Scored,
    SearchRecord,
    Selection,
    SelectionRecord,
)

__all__ = ["record_of", "record_of_recall", "record_of_selection"]

T = TypeVar("T")

SEARCH: Final = "search_memory"
SELECTION: Final = "retrieval"
FLAGS: Final[Mapping[str, bool]] = {"true": True, "false": False}
ADVICE: Final = (
    "Repair: pass the attributes of a search_memory or retrieval span as agentmem recorded them."
)


def record_of(attributes: Mapping[str, Any], *, origin: Origin) -> SearchRecord | SelectionRecord:
    """Return the retrieval that a span describes.

    Args:
        attributes: Of the span.
        origin: Where it comes from; its store is taken from the attributes if it is empty.

    Raises:
        InvalidInput: It is no span of a retrieval, nothing or several things came of it, or some
            of it is missing or broken.
    """
    told = _Told(attributes)
    _refuse_unanswered(attributes)
    operation = attributes.get("gen_ai.operation.name")
    if operation == SEARCH:
        return _search(told, origin)
    if operation == SELECTION:
        return _selection(told, origin)
    raise InvalidInput(
        f"a span of gen_ai.operation.name={shown(operation)} is no search and no selection, so "
        f"there is nothing to replay. {ADVICE}"
    )


def _refuse_unanswered(attributes: Mapping[str, Any]) -> None:
    """Refuse spans that are as agentmem records them, and yet tell of no one answer."""
    error, queries = attributes.get("error.type"), attributes.get("agentmem.router.queries", 1)
    if error is not None:
        raise InvalidInput(
            f"it failed with {shown(error)}, so nothing came of it that could be run again."
        )
    if queries != 1:
        raise InvalidInput(
            f"this span is of a batch of {shown(queries)} selections, and tells of none of them "
            "alone. Replay what select_batch returned, or select one by one."
        )


def record_of_recall(recall: Recall) -> SearchRecord:
    """Return the record of a search that this process made."""
    asked = recall.asked
    return SearchRecord(
        query=recall.query,
        scope=recall.scope,
        k=asked.k,
        mode=recall.mode,
        since=asked.since,
        until=asked.until,
        as_of=asked.as_of,
        known_at=asked.known_at,
        dates=asked.dates,
        filtered=asked.where is not None,
        where=asked.where,
        ranking=asked.ranking,
        config_id=recall.config_id,
        reranker=asked.reranker,
        asked_at=asked.at,
        passport_id=recall.passport_id,
        table_version=recall.table_version,
        candidates=recall.candidates,
        found=len(recall),
        hits=tuple(Scored(hit.turn.id, hit.score, dict(hit.terms)) for hit in recall),
        origin=Origin(
            store=asked.store,
            agentmem=library_version(),
            trace_id=recall.trace_id,
            span_id=recall.span_id,
            milliseconds=recall.milliseconds,
        ),
        generation=recall.generation,
    )


def record_of_selection(selection: Selection) -> SelectionRecord:
    """Return the record of a selection that this process made."""
    asked = selection.asked
    return SelectionRecord(
        query=selection.query,
        k=asked.k,
        max_tokens=asked.max_tokens,
        namespace=selection.namespace,
        filtered=asked.where is not None,
        where=asked.where,
        exclude=asked.exclude,
        called=selection.called,
        used=asked.used,
        told=len(asked.texts),
        texts=asked.texts,
        routing=asked.routing,
        config_id=selection.config_id,
        rule=asked.rule,
        calibrated=selection.calibrated,
        learnt_at=asked.learnt_at,
        passport_id=selection.passport_id,
        catalogue_version=selection.catalogue_version,
        examples_version=selection.examples_version,
        fits_version=asked.fits_version,
        catalogue=selection.catalogue,
        chosen=tuple(selection.names),
        abstained=selection.abstained,
        confidence=selection.confidence,
        candidates=tuple(
            Scored(f"{match.tool.namespace}/{match.name}", match.score, dict(match.terms))
            for match in selection.candidates
        ),
        origin=Origin(
            store=asked.store,
            agentmem=library_version(),
            trace_id=selection.trace_id,
            span_id=selection.span_id,
            milliseconds=selection.milliseconds,
        ),
        generation=selection.generation,
    )


class _Told:
    """Attributes, each read with a check; what is missing or broken is an error that names it."""

    def __init__(self, attributes: Mapping[str, Any]) -> None:
        self._attributes = attributes
        self.is_redacted = self.get("agentmem.content.redacted", _flag) or False

    def need(self, name: str, kind: Callable[[Any], T]) -> T:
        value = self._attributes.get(name)
        if value is None:
            raise InvalidInput(f"the span has no attribute {name!r}. {ADVICE}")
        return self._read(name, value, kind)

    def get(self, name: str, kind: Callable[[Any], T]) -> T | None:
        value = self._attributes.get(name)
        return None if value is None else self._read(name, value, kind)

    def content(self, name: str, kind: Callable[[Any], T]) -> T | None:
        """Return what somebody said, or None where it was not recorded, or was redacted."""
        return None if self.is_redacted else self.get(name, kind)

    def documents(self) -> tuple[Scored, ...]:
        found: list[Scored] = []
        while f"retrieval.documents.{len(found)}.document.id" in self._attributes:
            prefix = f"retrieval.documents.{len(found)}.document."
            found.append(
                Scored(
                    self.need(prefix + "id", str),
                    self.need(prefix + "score", float),
                    self.get(prefix + "metadata", _terms) or {},
                )
            )
        return tuple(found)

    @staticmethod
    def _read(name: str, value: Any, kind: Callable[[Any], T]) -> T:
        try:
            return kind(value)
        except (TypeError, ValueError, AttributeError) as error:
            raise InvalidInput(
                f"the span's attribute {name!r} cannot be read: {shown(value)}. {ADVICE}"
            ) from error


def _search(told: _Told, origin: Origin) -> SearchRecord:
    return SearchRecord(
        query=told.content("gen_ai.memory.query.text", str),
        scope=_scope(told),
        k=told.need("gen_ai.retrieval.top_k", int),
        mode=told.need("agentmem.search.mode", _mode),
        since=told.get("agentmem.search.since", _moment),
        until=told.get("agentmem.search.until", _moment),
        as_of=told.get("agentmem.search.as_of", _moment),
        known_at=told.get("agentmem.search.known_at", _moment),
        dates=told.get("agentmem.search.dates", _dates) or "hint",
        filtered=told.need("agentmem.filtered", _flag),
        where=told.content("agentmem.filter", json.loads),
        ranking=told.need("agentmem.ranking.config", json.loads),
        config_id=told.need("agentmem.ranking.id", str),
        reranker=told.get("agentmem.search.reranker", str),
        asked_at=told.need("agentmem.search.asked_at", _moment),
        passport_id=told.need("agentmem.passport.id", str),
        table_version=told.need("agentmem.table.version", int),
        candidates=told.need("agentmem.search.candidates", int),
        found=told.need("gen_ai.memory.record.count", int),
        hits=told.documents(),
        origin=_origin(origin, store=told.need("gen_ai.memory.store.id", str)),
        generation=told.need("agentmem.generation", int),
    )


def _selection(told: _Told, origin: Origin) -> SelectionRecord:
    return SelectionRecord(
        query=told.content("gen_ai.retrieval.query.text", str),
        k=told.need("agentmem.router.k", _depth),
        max_tokens=told.get("agentmem.router.max_tokens", int),
        namespace=told.get("agentmem.router.namespace", str),
        filtered=told.need("agentmem.filtered", _flag),
        where=told.content("agentmem.filter", json.loads),
        exclude=told.get("agentmem.router.exclude", _texts) or (),
        called=told.get("agentmem.router.called", _texts) or (),
        used=told.get("agentmem.router.used", _texts) or (),
        told=told.need("agentmem.router.told", int),
        texts=told.content("agentmem.router.texts", _texts),
        routing=told.need("agentmem.routing.config", json.loads),
        config_id=told.need("agentmem.routing.id", str),
        rule=told.need("agentmem.router.rule", json.loads),
        calibrated=told.need("agentmem.router.calibrated", _flag),
        learnt_at=told.need("agentmem.router.learnt_at", _moment),
        passport_id=told.need("agentmem.passport.id", str),
        catalogue_version=told.need("agentmem.catalogue.version", int),
        examples_version=told.need("agentmem.examples.version", int),
        fits_version=told.need("agentmem.fits.version", int),
        catalogue=told.need("agentmem.router.catalogue", int),
        chosen=told.get("agentmem.router.chosen", _texts) or (),
        abstained=told.need("agentmem.router.abstained", _flag),
        confidence=told.need("agentmem.router.confidence", float),
        candidates=told.documents(),
        origin=_origin(origin, store=told.need("gen_ai.data_source.id", str)),
        generation=told.need("agentmem.generation", int),
    )


def _scope(told: _Told) -> Scope | AllScopes:
    if told.get("agentmem.scope.all", _flag):
        return ALL
    return Scope(
        told.get("agentmem.scope.user_id", str),
        told.get("agentmem.scope.agent_id", str),
        told.get("agentmem.scope.session_id", str),
    )


def _origin(origin: Origin, *, store: str) -> Origin:
    return origin if origin.store else replace(origin, store=store)


def _terms(value: Any) -> dict[str, float]:
    terms = json.loads(value).get("terms", {})
    return {str(name): float(term) for name, term in terms.items()}


def _mode(value: Any) -> Mode:
    if value not in get_args(Mode):
        raise InvalidInput(shown(value))
    return cast("Mode", value)


def _dates(value: Any) -> Dates:
    if value not in get_args(Dates):
        raise InvalidInput(shown(value))
    return cast("Dates", value)


def _flag(value: Any) -> bool:
    """Return a flag, also from a backend that made a text of it; `bool` takes "false" for true."""
    flag = FLAGS.get(value.lower()) if isinstance(value, str) else value
    if not isinstance(flag, bool):
        raise InvalidInput(shown(value))
    return flag


def _depth(value: Any) -> Any:
    return "auto" if value == "auto" else int(value)


def _moment(value: Any) -> datetime:
    moment = datetime.fromisoformat(value)
    return moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)


def _texts(value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        raise InvalidInput(shown(value))
    return tuple(str(one) for one in value)
