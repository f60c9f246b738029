"""What the tests of recorded traces share: a fresh process, rows, files of them, recorded work."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from memory_tools import WIDE, open_hashed, say
from numpy.typing import NDArray
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from router_tools import TOOLS, open_router
from telemetry_tools import forget_providers

from agentmem import EmbeddingFailed
from agentmem.telemetry import record
from agentmem.telemetry.span_files import SpanFiles
from agentmem.telemetry.span_rows import schema
from agentmem.testing import HashEmbedder
from agentmem.types import Kind, Recall, Selection

NOON = datetime(2024, 5, 1, 12, tzinfo=timezone.utc)
BROKEN = "break"  # the embedder fails on this question


@contextmanager
def fresh_process() -> Iterator[None]:
    """Let a block begin as a process does: nobody has installed a tracer provider yet."""
    with pytest.MonkeyPatch.context() as patch:
        forget_providers(patch)
        yield
        provider = trace.get_tracer_provider()
        if isinstance(provider, TracerProvider):
            provider.shutdown()


def row(number: int, **fields: Any) -> dict[str, Any]:
    """Return the row of a search that took a millisecond, `number` minutes after noon."""
    started = round((NOON + timedelta(minutes=number)).timestamp()) * 1_000_000_000
    return {
        "trace_id": f"{number + 1:032x}",
        "span_id": f"{number + 1:016x}",
        "name": "search_memory",
        "operation": "search_memory",
        "started_at": started,
        "ended_at": started + 1_000_000,
        "milliseconds": 1.0,
        "status": "UNSET",
        "attributes": '{"gen_ai.operation.name":"search_memory"}',
        "scope_name": "agentmem",
        **fields,
    }


def write_rows(folder: Path, *rows: dict[str, Any], at: datetime = NOON) -> Path:
    """Write one file of spans."""
    return SpanFiles(folder).write(pa.Table.from_pylist(list(rows), schema=schema()), at=at)


class Fragile(HashEmbedder):
    """Fails on one question."""

    def __init__(self) -> None:
        super().__init__(WIDE)

    def embed(self, texts: Sequence[str], *, kind: Kind) -> NDArray[np.float32]:
        """Embed texts, or fail."""
        if BROKEN in texts:
            raise EmbeddingFailed(BROKEN)
        return super().embed(texts, kind=kind)


@dataclass(frozen=True)
class Work:
    """What was recorded.

    Attributes:
        folder: Of the traces.
        store: Of the turns and tools.
        found: Of a search of Ada's.
        hidden: Of a search without content.
        selected: Of a selection.
        refused: Of a selection that abstained.
    """

    folder: Path
    store: Path
    found: Recall
    hidden: Recall
    selected: Selection
    refused: Selection


def work(place: Path) -> Work:
    """Record searches of two users, a context, an error and two selections."""
    store, folder = place / "ada.mem", place / "traces"
    with fresh_process(), record(folder):
        with open_hashed(store, embedder=Fragile(), capture_content=True) as memory:
            for number, place_name in enumerate(("Lisbon", "Turin", "Porto")):
                said = say(f"I once lived in {place_name}.", id=f"t{number}")
                memory.add(said, user_id="ada", session_id="s1")
            memory.add(say("I like jazz.", id="t0"), user_id="bob")
            found = memory.search("Who lived in Turin?", user_id="ada")
            memory.context("Who lived in Porto?", user_id="ada", max_tokens=100)
            with pytest.raises(EmbeddingFailed):
                memory.search(BROKEN, user_id="ada")
        with open_hashed(store, capture_content=False) as memory:
            memory.search("jazz", user_id="bob")
            where = {"role": "user"}
            hidden = memory.search("Where did Ada live?", user_id="ada", where=where)
        with open_router(store, capture_content=True) as router:
            router.register(TOOLS)
            selected = router.select("Book a seat on a plane.", k=2)
            refused = router.select("zzz qqq xxx")
    return Work(folder, store, found, hidden, selected, refused)
