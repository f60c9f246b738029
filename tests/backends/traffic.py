"""What is sent to a backend: an add, a search, a context and a selection, asked for in one turn.

Run as a script with a folder, in an environment whose `OTEL_*` variables name the backend; prints
what each call returned, as JSON.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from opentelemetry import trace

from agentmem import Memory, ToolRouter
from agentmem.demo import conversation
from agentmem.telemetry import configure, scope_baggage
from agentmem.types import Recall, Selection

__all__ = ["QUERY", "SESSION", "TOOLS", "USER", "main"]

USER = "ada"
SESSION = "s06"
QUERY = "How many euros a month is the flat, and the deposit?"
BUDGET = 200
TOOLS = [
    {"name": "convert_currency", "description": "Convert an amount of money to a currency."},
    {"name": "get_weather", "description": "Tell the weather of a place on a day."},
    {"name": "find_flat", "description": "Find flats to rent in a city, with the rent of each."},
]


class WordOverlap:
    """Scores a text by how many of the query's words it holds."""

    model = "word-overlap"

    def score(self, query: str, texts: Sequence[str]) -> NDArray[np.float64]:
        """Score texts; see `protocols.Reranker`."""
        asked = words(query)
        return np.array([len(asked & words(text)) for text in texts], np.float64)


def words(text: str) -> set[str]:
    """Return the longer words of a text."""
    return set(re.findall(r"\w{4,}", text.casefold()))


def recalled(recall: Recall) -> dict[str, Any]:
    """Return what a backend should show of a recall."""
    return {
        "trace_id": recall.trace_id,
        "span_id": recall.span_id,
        "documents": [[hit.turn.id, hit.score, hit.turn.content] for hit in recall],
    }


def selected(selection: Selection) -> dict[str, Any]:
    """Return what a backend should show of a selection."""
    return {
        "trace_id": selection.trace_id,
        "span_id": selection.span_id,
        "documents": [
            [f"{one.tool.namespace}/{one.tool.name}", one.score, one.tool.description]
            for one in selection.candidates
        ],
    }


def traffic(folder: Path) -> dict[str, Any]:
    """Do everything once, below a span of the application, and return what came of it."""
    tracer = trace.get_tracer("an application")
    with (
        Memory.open(folder / "memory", reranker=WordOverlap()) as memory,
        ToolRouter.open(folder / "tools") as router,
        tracer.start_as_current_span("turn") as turn,
        scope_baggage(user_id=USER, session_id=SESSION),
    ):
        router.register(TOOLS)
        said = [one for one in conversation() if one["session_id"] == SESSION]
        memory.add(said, user_id=USER, session_id=SESSION)
        recall = memory.search(QUERY, user_id=USER, session_id=SESSION, k=5)
        context = memory.context(QUERY, user_id=USER, session_id=SESSION, max_tokens=BUDGET)
        selection = router.select(QUERY)
        return {
            "trace_id": trace.format_trace_id(turn.get_span_context().trace_id),
            "added": len(said),
            "search": recalled(recall),
            "context": context.text,
            "selection": selected(selection),
        }


def main(folder: str) -> None:
    """Set up what the environment asks for, do everything, send it and print what came of it."""
    telemetry = configure()
    try:
        done = traffic(Path(folder))
    finally:
        telemetry.shutdown()
    print(json.dumps(done))  # noqa: T201 - a script, read by the tests


if __name__ == "__main__":
    main(sys.argv[1])
