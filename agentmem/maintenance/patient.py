"""`Patient`: the store that is examined, with what several examinations need, read once."""

from __future__ import annotations

import json
from datetime import datetime
from functools import cached_property
from typing import Any, Final

from agentmem.maintenance.ailing import COLUMNS, Ailing
from agentmem.protocols import Embedder
from agentmem.routing.shelf import catalogue_fingerprint
from agentmem.storage.catalogue import Catalogue
from agentmem.storage.description import Generation
from agentmem.storage.examining import TableSeen
from agentmem.storage.generations import Whole
from agentmem.storage.opening import TURNS
from agentmem.storage.turns import Store
from agentmem.storage.upkeep import dropped_tables, table_names

__all__ = ["SAMPLE", "Patient", "examples_of"]

META: Final = "meta"
CALIBRATION: Final = "calibration:"
SAMPLE: Final = 32  # texts that are embedded again: 0.3 s with a small model


class Patient:
    """A store under examination.

    Args:
        store: Of the generation in force.
        embedder: Of its space; None where there is none.
        sample: How many texts to embed again.
        now: The present (UTC).

    Attributes:
        facts: Numbers that examinations came by.
    """

    def __init__(
        self, store: Store, *, embedder: Embedder | None, sample: int, now: datetime
    ) -> None:
        self.store = store
        self.whole: Whole = store.whole
        self.embedder = embedder
        self.sample = sample
        self.now = now
        self.facts: dict[str, Any] = {}

    @cached_property
    def names(self) -> list[str]:
        """The tables of generations that are kept, and of the whole store."""
        gone = set(dropped_tables(self.whole, self.whole.generations.read()))
        return [name for name in table_names(self.whole) if name not in gone]

    @cached_property
    def tables(self) -> dict[str, TableSeen]:
        """Those tables that can be opened."""
        return {name: TableSeen(self.whole, name) for name in self.names}

    @property
    def turns(self) -> TableSeen:
        """The turns of the generation in force."""
        return self.tables[f"{TURNS}_g{self.store.generation}"]

    def calibrations(self) -> dict[str, Any]:
        """Return the calibrations of the router, by name."""
        batches = self.tables[META].batches(["key", "value"])
        rows = [row for batch in batches for row in batch.to_pylist()]
        return {
            row["key"]: json.loads(row["value"])
            for row in rows
            if row["key"].startswith(CALIBRATION)
        }

    @cached_property
    def fingerprint(self) -> str:
        """What tells the catalogue of tools from another."""
        catalogue = Catalogue(self.whole.opened.at(self._generation), guard=self.whole.guard)
        return catalogue_fingerprint(catalogue.hashes(None).values())

    @property
    def _generation(self) -> Generation:
        return self.whole.generations.read().generations[self.store.generation]

    @cached_property
    def ailing(self) -> Ailing:
        """What is wrong with the rows of the turns."""
        found = Ailing(passport_id=self.store.passport.id, now=self.now)
        for batch in self.turns.batches(COLUMNS):
            found.take(batch)
        return found


def examples_of(names: list[str], most: int = 5) -> tuple[str, ...]:
    """Return some of a list, and how many more there are."""
    more = [f"and {len(names) - most} more"] if len(names) > most else []
    return (*names[:most], *more)
