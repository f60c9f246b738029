"""The examinations of where a store lies: its folder, its disk, its files."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Final

from agentmem.maintenance.patient import Patient, examples_of
from agentmem.storage.census import folder_bytes
from agentmem.storage.checksums import read_sums, wrong_files
from agentmem.storage.description import Description
from agentmem.storage.handle import SMALL_FRAGMENTS
from agentmem.storage.upkeep import dropped_tables, forsaken, left_files, look_at
from agentmem.types.maintenance import Examination, Verdict

__all__ = ["access", "disk_space", "files", "fragments", "library", "orphans"]

LANCEDB: Final = "0.40."  # what storage/ was written for: minor releases change behaviour
LEAST_FREE: Final = 100 * 2**20  # bytes: below it the next batch of an import may fail
MOST_VERSIONS: Final = 2_000  # a listing takes a quarter of a second from there on
RESTORE: Final = "Restore the folder from a backup or a snapshot: `agentmem backup restore`."
MAINTAIN: Final = "Run `agentmem maintain`, or memory.maintain()."


def access(patient: Patient) -> Iterator[Examination]:
    """Look at who may read and write the folder."""
    folder = patient.whole.opened.folder
    if folder is None:
        yield Examination(name="access", verdict="ok", found="a bucket: its own rules decide")
        return
    places = [folder, *(path for path in folder.rglob("*") if path.is_dir())]
    closed = [str(path) for path in places if not os.access(path, os.R_OK | os.W_OK | os.X_OK)]
    yield Examination(
        name="access",
        verdict="warning" if closed else "ok",
        found=f"{len(closed)} of {len(places)} folders cannot be written to by this user",
        count=len(closed),
        examples=examples_of(closed),
        repair="Give this user read and write access to the whole folder." if closed else None,
    )
    open_to_all = [str(path) for path in places if path.stat().st_mode & stat.S_IWOTH]
    yield Examination(
        name="privacy",
        verdict="warning" if open_to_all else "ok",
        found=f"{len(open_to_all)} folders may be written to by every user of this machine",
        count=len(open_to_all),
        examples=examples_of(open_to_all),
        repair=f"chmod -R o-w {folder}" if open_to_all else None,
    )


def disk_space(patient: Patient) -> Iterator[Examination]:
    """Look at how much space is left: compaction writes a table anew before it drops the old."""
    folder = patient.whole.opened.folder
    if folder is None:
        return
    free, used = shutil.disk_usage(folder).free, folder_bytes(folder) or 0
    patient.facts.update(bytes=used, bytes_free=free)
    verdict: Verdict = "error" if free < LEAST_FREE else "warning" if free < used else "ok"
    yield Examination(
        name="disk space",
        verdict=verdict,
        found=f"{free:,} bytes are free beside the store's {used:,}",
        repair=None if verdict == "ok" else "Free some space; compaction needs as much again.",
    )


def library(_: Patient) -> Iterator[Examination]:
    """Look at whether LanceDB is the one that the storage was written for."""
    found = version("lancedb")
    fits = found.startswith(LANCEDB)
    yield Examination(
        name="library",
        verdict="ok" if fits else "warning",
        found=f"lancedb {found}",
        repair=None if fits else "pip install 'lancedb>=0.40,<0.41'",
    )


def files(patient: Patient) -> Iterator[Examination]:
    """Read every fragment of every table, and compare checksums where they were taken."""
    broken = [(name, one) for name, seen in patient.tables.items() for one in seen.damaged]
    rows = sum(one.rows for _, one in broken)
    told = []
    for name, one in broken:
        where = ", ".join(path.name for path in one.files) or "a file that could not be found out"
        held = f"; it held {', '.join(map(repr, one.known))}" if one.known else ""
        told.append(f"{name}: {where} ({one.rows} rows): {one.error}{held}")
    yield Examination(
        name="files",
        verdict="error" if broken else "ok",
        found=f"{len(broken)} files of {len(patient.names)} tables cannot be read: {rows} rows",
        count=len(broken),
        examples=examples_of(told),
        repair=f"{RESTORE} The other files can be read." if broken else None,
    )
    folder = patient.whole.opened.folder
    if folder is not None:
        yield _checksums(folder)


def _checksums(folder: Path) -> Examination:
    known = read_sums(folder)
    wrong = [path.relative_to(folder).as_posix() for path in wrong_files(folder)]
    unsaid = "" if known else "; none were taken so far, which the first maintenance does"
    return Examination(
        name="checksums",
        verdict="error" if wrong else "ok",
        found=f"{len(wrong)} of {len(known)} files are not what was written{unsaid}",
        count=len(wrong),
        examples=examples_of(wrong),
        repair=f"{RESTORE} The disk may be failing: check it." if wrong else None,
    )


def fragments(patient: Patient) -> Iterator[Examination]:
    """Look at small files and past versions."""
    crowded, versions = [], 0
    for name in patient.names:
        _, count, kept = look_at(patient.whole, name)
        rows = patient.tables[name].rows
        versions += kept
        if (count >= SMALL_FRAGMENTS and rows < count * 1_000) or kept >= MOST_VERSIONS:
            crowded.append(f"{name}: {count} files of {rows} rows, {kept} versions")
    patient.facts["versions"] = versions
    yield Examination(
        name="fragments",
        verdict="warning" if crowded else "ok",
        found=f"{len(crowded)} tables are in many small files or have many versions",
        count=len(crowded),
        examples=examples_of(crowded),
        repair=MAINTAIN if crowded else None,
        fixable=bool(crowded),
    )


def orphans(patient: Patient) -> Iterator[Examination]:
    """Look for tables of no generation, and files of no version."""
    described: Description = patient.whole.generations.read()
    tables = list(forsaken(patient.whole, dropped_tables(patient.whole, described)))
    found = [*tables, *left_files(patient.whole)]
    old = [one for one in found if one.is_safe]
    size = sum(one.bytes for one in found)
    yield Examination(
        name="orphans",
        verdict="warning" if old else "ok",
        found=f"{len(found)} files and folders that nothing refers to, {size:,} bytes; "
        f"{len(old)} of them are old enough to be removed",
        count=len(old),
        examples=examples_of([f"{one.path.name}: {one.why}" for one in old]),
        repair=MAINTAIN if old else None,
        fixable=bool(old),
    )
