"""`Doctor`: examines a store, says what ails it and how to repair it, and repairs some of it.

Read-only unless asked to repair, and no repair deletes content. Each examination stands alone:
what cannot be examined is itself a finding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timezone
from importlib.metadata import version
from typing import Final

from agentmem.errors import AgentmemError
from agentmem.maintenance import examining, places, vectors
from agentmem.maintenance.patient import SAMPLE, Patient
from agentmem.maintenance.repairs import repair
from agentmem.protocols import Embedder
from agentmem.storage.turns import Store
from agentmem.types.maintenance import Diagnosis, Examination

__all__ = ["Doctor"]

Examine = Callable[[Patient], Iterator[Examination]]

EXAMINED: Final[Sequence[tuple[str, Examine]]] = (
    ("access", places.access),
    ("disk space", places.disk_space),
    ("library", places.library),
    ("schema", examining.schema),
    ("files", places.files),
    ("rows", examining.rows),
    ("vectors", vectors.sampled),
    ("canaries", vectors.canaries),
    ("indexes", vectors.indexes),
    ("fragments", places.fragments),
    ("orphans", places.orphans),
    ("locks", examining.locks),
    ("retention", examining.retention),
    ("calibration", examining.calibration),
)


class Doctor:
    """Examines one store.

    Args:
        store: Of the generation in force.
        embedder: Of its space, to embed a sample again; None where there is none to be had.
        sample: How many texts of it.
    """

    def __init__(
        self, store: Store, *, embedder: Embedder | None, sample: int | None = None
    ) -> None:
        self._store = store
        self._embedder = embedder
        self._sample = SAMPLE if sample is None else sample

    def examine(self) -> Diagnosis:
        """Look at everything, and change nothing.

        Raises:
            StoreError: The store is closed.
        """
        self._store.whole.guard.check()
        now = datetime.now(timezone.utc)
        patient = Patient(self._store, embedder=self._embedder, sample=self._sample, now=now)
        found = [one for name, look in EXAMINED for one in _examined(name, look, patient)]
        return Diagnosis(
            store=self._store.name,
            examined_at=now,
            examinations=tuple(found),
            facts={**patient.facts, "agentmem": version("agentmem"), "lancedb": version("lancedb")},
        )

    def repaired(self, diagnosis: Diagnosis) -> Diagnosis:
        """Repair what a diagnosis says can be; return it with what was done.

        Raises:
            StoreError: The store is closed or read-only.
        """
        self._store.whole.guard.check_writable("repair the store")
        wanted = [one for one in diagnosis.problems if one.fixable]
        names = ", ".join(one.name for one in wanted)
        with self._store.audit.entry("doctor", detail={"repairs": names}):
            return replace(diagnosis, repairs=tuple(repair(one, self._store) for one in wanted))

    def examined_and_repaired(self) -> Diagnosis:
        """Look at everything, and repair what can be."""
        return self.repaired(self.examine())


def _examined(name: str, look: Examine, patient: Patient) -> list[Examination]:
    try:
        return list(look(patient))
    except (AgentmemError, OSError, RuntimeError, ValueError) as error:
        told = f"could not be examined: {type(error).__name__}: {error}"
        repair_it = "See what the examination of files says; restore the folder from a backup."
        return [Examination(name=name, verdict="error", found=told, count=1, repair=repair_it)]
