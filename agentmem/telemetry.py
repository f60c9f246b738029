"""Spans for every operation, in the names that tracing dashboards know.

Imports `opentelemetry-api` alone: without an SDK a span costs microseconds and goes nowhere.
Names follow OpenTelemetry's GenAI conventions and, beside them, OpenInference's, because
dashboards read one or the other. No content is ever recorded here: ids, scores and counts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final, Literal, TypeAlias

from opentelemetry import trace
from opentelemetry.trace import Span, SpanKind, Status, StatusCode

from agentmem.types import AllScopes, Recall, Scope, Selection

__all__ = ["Operation", "record_recall", "record_selection", "scope_attributes", "span"]

Operation: TypeAlias = Literal[
    "search_memory",
    "create_memory",
    "update_memory",
    "delete_memory",
    "agentmem.router.register",
    "agentmem.router.sync",
    "agentmem.router.remove",
    "agentmem.router.select",
    "agentmem.router.feedback",
    "agentmem.router.calibrate",
]
Attribute: TypeAlias = str | bool | int | float | Sequence[str]

MAX_DOCUMENTS: Final = 20  # more make dashboards slow, and nobody reads them
KINDS: Final[Mapping[str, str]] = {  # of OpenInference; the rest are CHAIN
    "search_memory": "RETRIEVER",
    "agentmem.router.select": "RETRIEVER",
}


@contextmanager
def span(operation: Operation, attributes: Mapping[str, Attribute | None]) -> Iterator[Span]:
    """Open the span of one operation as the current one.

    An error is recorded by its type alone: its message may quote what a user said.

    Args:
        operation: Name of the span and `gen_ai.operation.name`.
        attributes: Further attributes; those that are None are left out.
    """
    tracer = trace.get_tracer("agentmem")
    with tracer.start_as_current_span(
        operation, kind=SpanKind.INTERNAL, record_exception=False, set_status_on_exception=False
    ) as current:
        if current.is_recording():
            current.set_attribute("gen_ai.operation.name", operation)
            current.set_attribute("openinference.span.kind", KINDS.get(operation, "CHAIN"))
            current.set_attributes({k: v for k, v in attributes.items() if v is not None})
        try:
            yield current
        except BaseException as error:
            current.set_attribute("error.type", type(error).__name__)
            current.set_status(Status(StatusCode.ERROR))
            raise


def scope_attributes(scope: Scope | AllScopes) -> dict[str, Attribute | None]:
    """Whose memory an operation touches."""
    if isinstance(scope, AllScopes):
        return {"agentmem.scope.all": True}
    return {
        "user.id": scope.user_id,
        "agentmem.scope.agent_id": scope.agent_id,
        "session.id": scope.session_id,
    }


def record_recall(current: Span, recall: Recall) -> None:
    """Put on a span what was found, and at which versions: ids and scores, no content."""
    if not current.is_recording():
        return
    current.set_attributes(
        {
            "gen_ai.memory.record.count": len(recall),
            "agentmem.search.mode": recall.mode,
            "agentmem.search.candidates": recall.candidates,
            "agentmem.table.version": recall.table_version,
            "agentmem.passport.id": recall.passport_id,
            "agentmem.ranking.id": recall.config_id,
        }
    )
    for place, hit in enumerate(recall.hits[:MAX_DOCUMENTS]):
        prefix = f"retrieval.documents.{place}.document."
        current.set_attribute(prefix + "id", hit.turn.id)
        current.set_attribute(prefix + "score", hit.score)


def record_selection(current: Span, selection: Selection) -> None:
    """Put on a span what was chosen, and at which versions: names, scores and counts only."""
    if not current.is_recording():
        return
    current.set_attributes(
        {
            "agentmem.router.chosen": selection.names[:MAX_DOCUMENTS],
            "agentmem.router.abstained": selection.abstained,
            "agentmem.router.confidence": selection.confidence,
            "agentmem.router.threshold": selection.threshold,
            "agentmem.router.calibrated": selection.calibrated,
            "agentmem.router.catalogue": selection.catalogue,
            "agentmem.router.tokens": selection.tokens,
            "agentmem.router.tokens_saved": selection.tokens_saved,
            "agentmem.catalogue.version": selection.catalogue_version,
            "agentmem.examples.version": selection.examples_version,
            "agentmem.passport.id": selection.passport_id,
            "agentmem.routing.id": selection.config_id,
        }
    )
    for place, match in enumerate(selection.candidates[:MAX_DOCUMENTS]):
        prefix = f"retrieval.documents.{place}.document."
        current.set_attribute(prefix + "id", f"{match.tool.namespace}/{match.name}")
        current.set_attribute(prefix + "score", match.score)
