"""What the doctor repairs: only what loses nothing, and each by the name of its examination."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from typing import Final

from agentmem.errors import AgentmemError
from agentmem.maintenance.locks import break_seal, dead_seal
from agentmem.maintenance.maintainer import Maintainer
from agentmem.maintenance.patient import Patient
from agentmem.storage.examining import expected_schema
from agentmem.storage.lease import Lease
from agentmem.storage.mending import drop_twins, mark_key
from agentmem.storage.turns import Store
from agentmem.telemetry import Tracing
from agentmem.types.maintenance import Examination, Repair

__all__ = ["repair"]


def repair(found: Examination, store: Store) -> Repair:
    """Repair what an examination found; what prevents it is part of what is told."""
    try:
        return Repair(found.name, _REPAIRS[found.name](store))
    except (AgentmemError, OSError, RuntimeError, ValueError) as error:
        return Repair(found.name, "", error=f"{type(error).__name__}: {error}")


def _maintain(store: Store) -> str:
    """Compact and clean up, but delete no turn: policies are for `maintain`."""
    maintainer = Maintainer(store, tracing=Tracing.silent())
    report = maintainer.run(wait=1.0, deletes=False)
    failed = [f"{one.name} of {one.target}: {one.error}" for one in report.errors]
    return report.skipped or "; ".join(failed) or f"made {len(report.steps)} steps of maintenance"


def _unlock(store: Store) -> str:
    whole, done = store.whole, []
    seal = dead_seal(whole)
    if seal is not None:
        break_seal(whole, seal)
        done.append(f"broke the seal {seal}")
    lease = Lease(whole.meta)
    if lease.take():
        lease.give_back()
        done.append("freed the lease")
    return ", ".join(done) or "nothing was left to do"


def _drop_twins(store: Store) -> str:
    patient = Patient(store, embedder=None, sample=0, now=datetime.now(timezone.utc))
    twice = list(patient.ailing.duplicates)
    dropped, kept = drop_twins(store.whole, patient.turns.name, keys=twice)
    left = f"; {kept} differ from their twin and were kept: delete one by hand" if kept else ""
    return f"removed {dropped} rows that were equal to another in every value{left}"


def _mark_keys(store: Store) -> str:
    patient = Patient(store, embedder=None, sample=0, now=datetime.now(timezone.utc))
    described = store.whole.generations.read()
    sizes = {number: one.passport.dimension for number, one in described.generations.items()}
    done = []
    for name, seen in patient.tables.items():
        expected = expected_schema(name, dimensions=sizes)
        column = None if expected is None else seen.lacks_key(expected)
        if column is not None:
            mark_key(store.whole, name, column=column)
            done.append(f"{name}.{column}")
    return f"marked {', '.join(done)}"


_REPAIRS: Final[Mapping[str, Callable[[Store], str]]] = {
    "duplicates": _drop_twins,
    "primary keys": _mark_keys,
    "fragments": _maintain,
    "orphans": _maintain,
    "indexes": _maintain,
    "locks": _unlock,
}
