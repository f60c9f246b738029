"""The soak: writers, readers and a maintainer at once, for minutes; `make soak` runs it.

Memory stays flat, the disk bounded, searches as fast as at the start, and nothing fails. How long
it takes is AGENTMEM_SOAK_MINUTES, 20 by default.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import lancedb
import numpy as np
import pytest
from soak_workers import USERS, open_soaked

from agentmem import ALL
from agentmem.maintenance import Maintainer
from agentmem.storage.census import folder_bytes
from agentmem.telemetry import Tracing

MINUTES: Final = float(os.environ.get("AGENTMEM_SOAK_MINUTES", "20"))
READERS: Final = 2
WINDOW: Final = 90.0  # seconds that past versions are kept: under load a write may take twenty
WARM_UP: Final = 0.3  # of the time: until every user has as many turns as are kept
MOST_DISK: Final = 2.0  # times the payload
MOST_SLOWER: Final = 1.3
MOST_GROWTH: Final = 1.15  # of memory after the warm-up, beside some bytes of slack
SLACK: Final = 24 * 2**20
TO_END: Final = 120.0  # seconds for a process to end by itself
WORKERS: Final = Path(__file__).with_name("soak_workers.py")


@contextmanager
def running(folder: Path) -> Iterator[dict[str, subprocess.Popen[bytes]]]:
    """Start every process, and see that each has ended."""
    roles = [("writer", n) for n in range(USERS)] + [("reader", n) for n in range(READERS)]
    started: dict[str, subprocess.Popen[bytes]] = {}
    try:
        for role, number in [*roles, ("maintainer", 0)]:
            command = [sys.executable, str(WORKERS), role, str(folder), str(number)]
            log = (folder / f"{role}{number}.log").open("wb")
            with log:
                process = subprocess.Popen(command, stdout=log, stderr=log)
            started[f"{role}{number}"] = process
        yield started
        (folder / "stop").touch()
        for process in started.values():
            process.wait(TO_END)
    finally:
        for process in started.values():
            process.kill()
            process.wait(TO_END)


def noted(folder: Path, name: str) -> list[dict[str, Any]]:
    """Return the lines of a worker."""
    lines = (folder / f"{name}.jsonl").read_text("utf-8").splitlines()
    return [json.loads(line) for line in lines]


def fifth(lines: list[dict[str, Any]], which: int) -> list[dict[str, Any]]:
    """Return the lines of one fifth of what followed the warm-up."""
    first, last = lines[0]["at"], lines[-1]["at"]
    begin = first + (last - first) * WARM_UP
    size = (last - begin) / 5
    edges = begin + which * size, begin + (which + 1) * size
    return [one for one in lines if edges[0] <= one["at"] <= edges[1]]


def p95(lines: list[dict[str, Any]], what: str) -> float:
    found = [one for line in lines for one in line.get(what, [])]
    return float(np.percentile(found, 95)) if found else math.nan


def memory_of(lines: list[dict[str, Any]]) -> float:
    return float(np.median([one["rss"] for one in lines])) if lines else math.nan


def payload_of(store: Path, into: Path) -> int:
    """Return the bytes of the same rows in tables that were each written once."""
    source, target = lancedb.connect(store), lancedb.connect(into)
    for name in source.list_tables(limit=1_000).tables:
        target.create_table(name, source.open_table(name).to_arrow())
    return folder_bytes(into) or 0


def test_a_store_in_use_for_long_stays_small_fast_and_whole(tmp_path: Path) -> None:
    with open_soaked(tmp_path) as memory:
        memory.add("the first turn", user_id="nobody")
        store = memory._home.parts.store
        store.whole.meta.put("retention", {"keep_versions_seconds": WINDOW})
    with running(tmp_path) as processes:
        until = time.monotonic() + MINUTES * 60
        while time.monotonic() < until:
            time.sleep(1)
            ended = {name for name, one in processes.items() if one.poll() is not None}
            assert not ended, [(tmp_path / f"{name}.log").read_text("utf-8") for name in ended]
    names = list(processes)
    assert {name: one.returncode for name, one in processes.items()} == dict.fromkeys(names, 0)
    lines = {name: noted(tmp_path, name) for name in names}
    for name in names:
        print(_summary(name, lines[name]))  # noqa: T201 - shown with -s
    errors = {name: [e for one in lines[name] for e in one["errors"]] for name in names}
    disk, payload = at_rest(tmp_path)
    print(f"disk {disk:,} bytes at rest, payload {payload:,}: × {disk / payload:.2f}")  # noqa: T201
    assert errors == {name: [] for name in names}
    assert disk <= MOST_DISK * payload
    for name in names:
        early, late = (memory_of(fifth(lines[name], which)) for which in (0, 4))
        assert late <= MOST_GROWTH * early + SLACK, f"{name}: {early:,.0f} → {late:,.0f} bytes"
    readers = [line for n in range(READERS) for line in lines[f"reader{n}"]]
    readers.sort(key=lambda one: float(one["at"]))
    first, last = (fifth(readers, which) for which in (0, 4))
    slower = (p95(last, "search") / p95(last, "bare")) / (p95(first, "search") / p95(first, "bare"))
    assert slower <= MOST_SLOWER, f"the p95 of searches grew × {slower:.2f}"


def at_rest(folder: Path) -> tuple[int, int]:
    """Return the bytes of the store after maintenance, once its past is over, and of its rows."""
    with pytest.MonkeyPatch.context() as patched, open_soaked(folder) as memory:
        patched.setattr("agentmem.storage.handle.MARGIN", timedelta(0))
        store = memory._home.parts.store
        store.whole.meta.put("retention", {"keep_versions_seconds": 0.0})  # nobody reads any more
        maintainer = Maintainer(store, tracing=Tracing.silent(), safe_age=timedelta(0))
        for _ in range(2):  # the second drops what the first compacted
            assert maintainer.run().errors == ()
        assert memory.count(scope=ALL) > 0
        assert memory.doctor(sample=8).problems == ()
    store_folder = folder / "store"
    return folder_bytes(store_folder) or 0, payload_of(store_folder, folder / "payload")


def _summary(name: str, lines: list[dict[str, Any]]) -> str:
    done = sum(one["done"] for one in lines)
    rss = [f"{memory_of(fifth(lines, n)) / 2**20:.0f}" for n in range(5)]
    told = f"{name}: {done} done, MiB by fifths {' '.join(rss)}"
    if "search" in lines[-1] or "search" in lines[0]:
        told += "; p95 of a search, ms " + " ".join(
            f"{p95(fifth(lines, n), 'search') * 1e3:.1f}" for n in range(5)
        )
        told += "; bare " + " ".join(f"{p95(fifth(lines, n), 'bare') * 1e3:.1f}" for n in range(5))
    return told
