"""The examinations of what a store says: schema, rows, locks, calibrations."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from agentmem.maintenance.ailing import Cases
from agentmem.maintenance.locks import dead_seal
from agentmem.maintenance.patient import Patient, examples_of
from agentmem.maintenance.policies import preview, read_policies
from agentmem.migration.records import Records
from agentmem.storage.examining import expected_schema
from agentmem.storage.lease import look
from agentmem.types.maintenance import Examination, Verdict

__all__ = ["calibration", "locks", "retention", "rows", "schema"]

EXPORT: Final = "Export the turns, and import them into a new store; or restore a backup."
REMAKE: Final = "Embed them again: `agentmem drift reembed`, or memory.migrate(to, reembed=True)."


def schema(patient: Patient) -> Iterator[Examination]:
    """Compare every table with how it is made, and look for lost primary keys."""
    described = patient.whole.generations.read()
    sizes = {number: one.passport.dimension for number, one in described.generations.items()}
    faults, keyless = [], []
    for name, seen in patient.tables.items():
        expected = expected_schema(name, dimensions=sizes)
        if expected is not None:
            faults += seen.schema_faults(expected)
            column = seen.lacks_key(expected)
            keyless += [f"{name}.{column}"] if column else []
    patient.facts.update(schema_version=described.schema_version, tables=len(patient.tables))
    yield Examination(
        name="schema",
        verdict="error" if faults else "ok",
        found=f"{len(faults)} columns of {len(patient.tables)} tables are not as they are made",
        count=len(faults),
        examples=examples_of(faults),
        repair=EXPORT if faults else None,
    )
    yield Examination(
        name="primary keys",
        verdict="error" if keyless else "ok",
        found=f"{len(keyless)} columns are not marked as primary keys, so writers may race",
        count=len(keyless),
        examples=examples_of(keyless),
        repair="Mark them." if keyless else None,
        fixable=bool(keyless),
    )


def rows(patient: Patient) -> Iterator[Examination]:
    """Look at every turn that can be read."""
    found = patient.ailing
    patient.facts.update(rows=found.rows, table_version=patient.turns.version)
    twice = [f"{key}: {count} rows" for key, count in found.duplicates.items()]
    yield Examination(
        name="duplicates",
        verdict="error" if twice else "ok",
        found=f"{len(twice)} chunks are there several times",
        count=len(twice),
        examples=examples_of(twice),
        repair="Remove the rows that are equal to another in every value." if twice else None,
        fixable=bool(twice),
    )
    yield _of_cases("keys", found.keys, "rows have a key that is not the hash of their id", EXPORT)
    yield _of_cases("chunks", found.incomplete, "turns lack a chunk or have too many", EXPORT)
    yield _of_cases("contents", found.hashes, "turns do not say what they said", EXPORT)
    yield _of_cases("not finite", found.unreadable, "vectors are not finite", REMAKE)
    yield _of_cases("lengths", found.lengths, "vectors are not of unit length", REMAKE)
    yield _of_cases("passports", found.strangers, "rows are of another space", REMAKE)
    yield _of_cases(
        "not embedded", found.blank, "rows could not be embedded by a migration", REMAKE, mild=True
    )
    yield _of_cases(
        "clocks",
        found.ahead,
        "turns were stored later than now",
        "Set the clocks of the machines that write: a date ahead hides turns from `known_at`.",
        mild=True,
    )
    yield _of_cases(
        "corrections",
        found.lost_successors,
        "turns were corrected by one that is not there",
        "None is needed if it was deleted; memory.update(id, valid_until=None) makes one true "
        "again.",
        mild=True,
    )


def _of_cases(
    name: str, cases: Cases, what: str, repair: str, *, mild: bool = False
) -> Examination:
    bad: Verdict = "warning" if mild else "error"
    return Examination(
        name=name,
        verdict=bad if cases.count else "ok",
        found=f"{cases.count} {what}",
        count=cases.count,
        examples=examples_of(cases.examples),
        repair=repair if cases.count else None,
    )


def locks(patient: Patient) -> Iterator[Examination]:
    """Look for migrations, seals and leases whose process is gone."""
    record = Records(patient.whole.meta).current()
    dead = record is not None and not record.status.is_finished
    dead = dead and record is not None and record.owner is not None and record.owner.is_gone
    yield Examination(
        name="migration",
        verdict="warning" if dead else "ok",
        found=f"migration {record.status.id} stopped with its process" if dead and record else "-",
        count=int(dead),
        repair="Go on with it: the same `agentmem migrate`; or `agentmem migrate cancel`."
        if dead
        else None,
    )
    seal = dead_seal(patient.whole)
    lease = look(patient.whole.meta)
    gone = lease is not None and lease.owner is not None and lease.owner.is_gone
    told = ([f"seal {seal}"] if seal else []) + (
        [f"lease of {lease.owner.name}"] if gone and lease and lease.owner else []
    )
    yield Examination(
        name="locks",
        verdict="warning" if told else "ok",
        found=f"{len(told)} locks of processes that are gone",
        count=len(told),
        examples=tuple(told),
        repair="Break them; whoever comes next does so as well." if told else None,
        fixable=bool(told),
    )


def retention(patient: Patient) -> Iterator[Examination]:
    """Look at what policies would delete, and has not been."""
    policies = [None, *read_policies(patient.whole.meta)]
    seen = [preview(one, patient.store, now=patient.now) for one in policies]
    due = [f"{one.policy}: {one.turns} turns" for one in seen if one.turns]
    yield Examination(
        name="retention",
        verdict="warning" if due else "ok",
        found=f"{len(due)} policies have turns to delete",
        count=len(due),
        examples=examples_of(due),
        repair="Run `agentmem maintain`, which deletes them." if due else None,
    )


def calibration(patient: Patient) -> Iterator[Examination]:
    """Look for calibrations of the router that no longer hold."""
    stale = []
    for name, value in patient.calibrations().items():
        fitted: dict[str, Any] = dict(value.get("fitted_with", {}))
        if fitted.get("the embedder") != patient.store.passport.id:
            stale.append(f"{name}: of another embedder")
        elif fitted.get("the catalogue") != patient.fingerprint:
            stale.append(f"{name}: of {value.get('at')}, and the catalogue changed since")
    yield Examination(
        name="calibration",
        verdict="warning" if stale else "ok",
        found=f"{len(stale)} calibrations are older than the catalogue or the embedder",
        count=len(stale),
        examples=examples_of(stale),
        repair="Call router.calibrate() with real queries again." if stale else None,
    )
