"""What a migration would do: rows, time and disk, measured on a sample, and what changes."""

from __future__ import annotations

import time
from collections.abc import Mapping
from itertools import islice
from typing import Any, Final, cast

from agentmem.ingest import pieces_of
from agentmem.protocols import Embedder
from agentmem.storage.census import folder_bytes
from agentmem.storage.copying import holdings
from agentmem.storage.description import Generation
from agentmem.storage.generations import Whole
from agentmem.storage.turns import Store as Turns
from agentmem.types import ALL, Held, MigrationPlan, Passport

__all__ = ["plan_migration"]

SAMPLE: Final = 64  # turns that are embedded to learn the rate: a second or two
FLOAT_BYTES: Final = 4
CHUNKING: Final = ("window", "chunker", "text_format", "tokenizer")


def plan_migration(store: Whole, *, turns: Turns, to: Embedder, measured: bool) -> MigrationPlan:
    """Return what moving a store to an embedder's space would do. Writes nothing.

    Args:
        store: The store.
        turns: Its turns in the generation in force.
        to: Of the next one.
        measured: Whether to embed a sample, to estimate the time.

    Raises:
        EmbeddingFailed: The new model could not be loaded, or failed on the sample.
        StoreError: The store could not be read.
    """
    description = store.generations.read()
    now, target = description.generation, to.passport
    rows, heads = _rows(store, now), _bytes(store, now)
    rate = _rate(turns, to) if measured else None
    differences = now.passport.differences(target)
    more = target.dimension - now.passport.dimension
    vectors = sum(rows.values()) * FLOAT_BYTES
    kept = sorted(number for number in description.generations if number != now.number)
    return MigrationPlan(
        store=store.opened.uri,
        source=now.passport,
        target=target,
        differences=differences,
        rows=rows,
        rechunked=any(name in differences for name in CHUNKING),
        texts_a_second=rate,
        seconds=sum(rows.values()) / rate if rate else None,
        bytes_now=folder_bytes(store.opened.folder),
        bytes_more=max(heads + more * vectors, 0),
        warnings=_warnings(now, target, kept=kept),
    )


def _rows(store: Whole, generation: Generation) -> Mapping[Held, int]:
    """Count the turns, tools and examples of a generation."""
    heads: Mapping[Held, str | None] = {
        "turns": "chunk = 0",
        "tools": "piece = 0",
        "tool_examples": None,
    }
    return {
        held: int(_open(store, generation, held).count_rows(heads[held]))
        for held in holdings(store.opened, generation)
    }


def _bytes(store: Whole, generation: Generation) -> int:
    """Return the size of the tables of a generation, as they are now."""
    stats = [
        cast("Mapping[str, Any]", _open(store, generation, held).stats())
        for held in holdings(store.opened, generation)
    ]
    return sum(int(one["total_bytes"]) for one in stats)


def _open(store: Whole, generation: Generation, held: Held) -> Any:
    return store.opened.db.open_table(generation.table(held))


def _rate(turns: Turns, to: Embedder) -> float | None:
    """Embed some turns, and return how many a second; loading the model is not counted."""
    batches = turns.scan_turns(scope=ALL, batch_turns=SAMPLE)
    sample = next(islice(batches, 1), [])[:SAMPLE]
    if not sample:
        return None
    to.embed([sample[0].content[:100]], kind="document")
    began = time.perf_counter()
    _, texts = pieces_of(sample, embedder=to)
    to.embed(texts, kind="document")
    return len(sample) / max(time.perf_counter() - began, 1e-9)


def _warnings(now: Generation, target: Passport, *, kept: list[int]) -> tuple[str, ...]:
    told = []
    if now.passport == target:
        told.append(
            "the passports are equal: only if the model behind them changed is there anything to "
            "gain. Pass reembed=True to embed everything anew."
        )
    if kept:
        listed = ", ".join(map(str, kept))
        told.append(f"generation {listed} is kept from before, and would be dropped or used again")
    if target.model == now.passport.model and target.revision != now.passport.revision:
        told.append("it is the same model in another revision")
    return tuple(told)
