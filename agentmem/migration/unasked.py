"""What monitoring has done by migration: the whole store moved, or a few rows made anew."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import pyarrow as pa

from agentmem.migration.handle import Migration
from agentmem.migration.making import Made, RowMaker
from agentmem.migration.migrations import Migrations, Wanted
from agentmem.protocols import Embedder
from agentmem.types import DriftEvent, Held

__all__ = ["migrating", "remaking"]

TEXTS: Final = 256  # of one call of the embedder


def migrating(migrations: Migrations) -> Callable[[DriftEvent], None]:
    """Return what moves a store to the embedder in use, also behind an equal passport."""

    def migrate(event: DriftEvent) -> None:
        del event  # whatever it says: the embedder in use is where to go
        wanted = Wanted(reembed=True)
        started = migrations.start(migrations.embedders.primary, wanted)
        Migration(started, of=migrations).begin(wanted)

    return migrate


def remaking(embedder: Embedder) -> Callable[[Held, pa.Table], Made]:
    """Return what makes rows anew with an embedder."""
    return RowMaker(embedder, texts=TEXTS).rows
