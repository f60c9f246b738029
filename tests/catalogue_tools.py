"""What the tests of stored tools and lessons share: tools, their rows, and lessons."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import lancedb
import numpy as np
import pyarrow as pa
import uuid_utils
from storage_tools import DIMENSION, NOON, PASSPORT, stamps_of, vector_of

from agentmem.storage.arrow import strings
from agentmem.storage.catalogue import CatalogueState
from agentmem.storage.handle import count_fragments
from agentmem.storage.lesson_schema import Observation, observation_rows
from agentmem.storage.rows import digest
from agentmem.storage.tool_schema import (
    ToolRow,
    ViewKind,
    tool_from_definition,
    tool_key,
    tool_rows,
    tool_to_definition,
)
from agentmem.storage.tool_store import ToolStore
from agentmem.types import Tool


def tool(name: str = "get_weather", **changes: Any) -> Tool:
    """Return a tool with these fields changed."""
    return Tool(**{"name": name, "description": f"what {name} does", **changes})


def row_of(one: Tool, *, pieces: Sequence[tuple[ViewKind, str]] | None = None) -> ToolRow:
    """Return a tool ready to be stored; two pieces unless told otherwise."""
    pieces = pieces or [("description", one.description), ("arguments", f"of {one.name}")]
    return ToolRow(
        tool=one,
        content_hash=digest(tool_to_definition(one), *(text for _, text in pieces)),
        tokens=len(one.description),
        pieces=pieces,
        vectors=np.stack([vector_of(text) for _, text in pieces]),
        lexemes=(one.name.lower(), one.description.lower(), ""),
    )


def cut(one: Tool, count: int) -> ToolRow:
    """Return a tool whose description came in that many pieces."""
    return row_of(one, pieces=[("description", f"{one.description} {n}") for n in range(count)])


def stored(*rows: ToolRow | Tool, now: datetime = NOON) -> pa.Table:
    """Return the rows of tools."""
    given = [row_of(one) if isinstance(one, Tool) else one for one in rows]
    return tool_rows(
        given,
        registered=[now + timedelta(microseconds=place) for place in range(len(given))],
        stamps=stamps_of(len(given), at=now),
        dimension=DIMENSION,
    )


def key(name: str = "get_weather", *, namespace: str = "default") -> str:
    """Return the key of a tool."""
    return tool_key(name, namespace=namespace)


def open_tools(folder: Path | str, **options: Any) -> ToolStore:
    """Open a store of the test's own embedding space."""
    return ToolStore.open(folder, **{"passport": PASSPORT, **options})


def state_of(store: ToolStore) -> CatalogueState:
    """Return every tool of a store."""
    state = store.catalogue.read(None)
    assert state is not None
    return state


def tools_of(store: ToolStore) -> list[Tool]:
    """Return the tools of a store, in order of registration."""
    definitions = strings(state_of(store).heads["definition"])
    return [tool_from_definition(text) for text in definitions]


def texts_of(state: CatalogueState) -> dict[str, list[str]]:
    """Return the texts of each tool's pieces, by name."""
    names = strings(state.heads["name"])
    found: dict[str, list[str]] = {name: [] for name in names}
    for owner, text in zip(state.owners.tolist(), state.texts, strict=True):
        found[names[owner]].append(text)
    return found


def fragments_of(store: ToolStore, table: str) -> int:
    """Return in how many pieces a table lies on disk."""
    return count_fragments(lancedb.connect(store.name).open_table(table), kind="num_fragments")


def lesson(**changes: Any) -> dict[str, Any]:
    """Return a lesson with a new id and these fields changed."""
    fields: dict[str, Any] = {
        "id": str(uuid_utils.uuid7()),
        "kind": "feedback",
        "at": NOON,
        "namespace": "default",
        "tools": ["get_weather"],
        "observations": 1,
        "applied": True,
        "reason": "the held-out queries are no worse",
        "before": None,
        "after": 0.75,
        "by": None,
        "reverted_to": None,
        "detail": None,
    }
    return {**fields, **changes}


def observed(of: dict[str, Any], *queries: str, **changes: Any) -> pa.Table:
    """Return the rows of a lesson's observations, one a query."""
    fields: dict[str, Any] = {"tool": "get_weather", "label": 1, **changes}
    seen = [Observation(query=query, lexemes=query.lower(), **fields) for query in queries]
    vectors = np.stack([vector_of(query) for query in queries])
    return observation_rows(
        seen,
        lesson_id=of["id"],
        namespace=of["namespace"],
        at=of["at"],
        vectors=vectors,
        passport_id=PASSPORT.id,
    )


def teach(store: ToolStore, *queries: str, **changes: Any) -> dict[str, Any]:
    """Store a lesson of these queries, and return it."""
    one = lesson(observations=len(queries), **changes)
    if queries:
        store.lessons.observe(observed(one, *queries))
    store.lessons.append(one)
    return one
