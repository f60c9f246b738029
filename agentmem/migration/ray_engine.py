"""`RayEngine`: embeds the rows of a migration on Ray, here or on a cluster, and commits none.

One process reads and commits, so that the protocol is the same as without; the workers hold a
model each. What is written meanwhile is little, and is embedded here.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict
from typing import Any, Final

import pyarrow as pa

from agentmem.embedding.cache import CachedEmbedder
from agentmem.errors import EmbeddingFailed
from agentmem.migration.cluster import encode_with_ray
from agentmem.migration.engines import (
    COMMIT_SECONDS,
    FIRST_WAIT,
    FULL,
    LocalEngine,
    joined,
    patiently,
)
from agentmem.migration.making import Made, RowMaker
from agentmem.protocols import Embedder
from agentmem.storage.copying import Copy
from agentmem.types import Held, Poisoned

__all__ = ["RayEngine"]

WORTH_RAY: Final = 1_000  # keys: fewer are embedded sooner than workers have loaded their model
KEYS_A_BATCH: Final = 256  # on their way to one worker
TOLD: Final = b"agentmem"  # the metadata of a table that says what it is of


class RayEngine:
    """Embeds on workers.

    Args:
        embedder: Of the next generation; it has to be picklable, and its model to be had where
            the workers run.
        workers: How many.
        address: Of a cluster, as Ray takes it; None starts the workers on this machine.
    """

    def __init__(self, embedder: Embedder, *, workers: int, address: str | None = None) -> None:
        self._local = LocalEngine(embedder)
        self._embedder = getattr(embedder, "inner", embedder)
        self._workers = workers
        self._address = address

    def made(
        self, copy: Copy, keys: Sequence[str], *, size: int, alive: Callable[[], None]
    ) -> Iterator[Made]:
        """See `engines.Engine`.

        Raises:
            MissingDependency: Ray is not installed.
            EmbeddingFailed: The embedder cannot be sent to workers, or fails there.
        """
        if len(keys) < WORTH_RAY:
            yield from self._local.made(copy, keys, size=size, alive=alive)
            return
        parts: list[Made] = []
        began = time.monotonic()
        made = encode_with_ray(
            _batches(copy, keys),
            _Maker(_picklable(self._embedder), wait=FIRST_WAIT),
            workers=self._workers,
            address=self._address,
            alive=alive,
        )
        with closing(made):  # ends the workers, also when the caller goes away
            for table in made:
                parts.append(_made(table))
                waited = time.monotonic() - began > COMMIT_SECONDS
                if waited or sum(part.keys for part in parts) >= size:
                    yield joined(parts)
                    parts, began = [], time.monotonic()
            if parts:
                yield joined(parts)


class _Maker:
    """Makes the rows of one batch in a worker, whose model it loads at the first."""

    def __init__(self, embedder: Embedder, *, wait: float) -> None:
        self._embedder = embedder
        self._wait = wait
        self._maker: RowMaker | None = None

    def __call__(self, heads: pa.Table) -> pa.Table:
        """Return rows, told what they are of, and what could not be embedded."""
        if self._maker is None:
            self._maker = RowMaker(CachedEmbedder(self._embedder, max_bytes=0), texts=FULL)
        maker, told = self._maker, _told(heads)
        held: Held = told["held"]
        made = patiently(lambda: maker.rows(held, heads), wait=self._wait)
        return _telling(
            made.rows, keys=told["keys"], poisoned=[asdict(one) for one in made.poisoned]
        )


def _batches(copy: Copy, keys: Sequence[str]) -> Iterator[pa.Table]:
    for start in range(0, len(keys), KEYS_A_BATCH):
        some = keys[start : start + KEYS_A_BATCH]
        yield _telling(copy.read(some), held=copy.held, keys=len(some))


def _made(rows: pa.Table) -> Made:
    told = _told(rows)
    poisoned = tuple(Poisoned(**one) for one in told["poisoned"])
    return Made(rows.replace_schema_metadata(None), poisoned, keys=told["keys"])


def _telling(rows: pa.Table, **told: Any) -> pa.Table:
    return rows.replace_schema_metadata({TOLD: json.dumps(told).encode()})


def _told(rows: pa.Table) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((rows.schema.metadata or {})[TOLD])
    return found


def _picklable(embedder: Embedder) -> Embedder:
    """Return an embedder, or refuse one that cannot be sent to another process."""
    import pickle

    try:
        pickle.dumps(embedder)
    except Exception as error:
        raise EmbeddingFailed(
            f"{type(embedder).__name__} cannot be sent to another process "
            f"({type(error).__name__}: {error}), which workers need. Nothing was changed. Repair: "
            "give it __getstate__ and __setstate__ that leave the model out, or use "
            "engine='local'."
        ) from error
    return embedder
