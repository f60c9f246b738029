"""Several processes and hard failures: nothing that was stored is lost, doubled or half there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from storage_tools import ADA, key_of, open_store, rows_of, run_python, start_python, turn

pytestmark = pytest.mark.skipif(
    not Path("/proc").exists(), reason="limits and signals as Linux has them"
)

TURNS = 30

WRITER = """
import sys
from storage_tools import key_of, open_store, rows_of, turn
store, name, count = open_store(sys.argv[1]), sys.argv[2], int(sys.argv[3])
print("ready", flush=True)
sys.stdin.readline()
for n in range(count):
    store.append(rows_of([turn(f"{name}{n}")]))
    store.insert_absent(rows_of([turn(f"both{n}")]))
    changed = turn("changed", content=f"{name} {n} times")
    store.replace(store.revisions([key_of(changed)]), rows_of([changed]))
    if n % 10 == 9:
        store.compact()
store.close()
"""


@pytest.mark.slow
def test_two_processes_lose_and_double_nothing(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    store.append(rows_of([turn("changed")]))
    writers = [start_python(WRITER, tmp_path, name, str(TURNS)) for name in ("a", "b")]
    for writer in writers:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write("go\n")
        writer.stdin.flush()
    for writer in writers:
        _, err = writer.communicate(timeout=120)
        assert writer.returncode == 0, err
    found = sorted(t.id for batch in store.scan_turns(scope=ADA, batch_turns=50) for t in batch)
    expected = [f"{name}{n}" for name in ("a", "b", "both") for n in range(TURNS)]
    assert found == sorted([*expected, "changed"])
    kept = store.turns_by_key([key_of(turn("changed"))])
    assert next(iter(kept.values())).content.endswith(f"{TURNS - 1} times")


KILLED = """
import sys, time
from storage_tools import open_store, rows_of, turn
store = open_store(sys.argv[1])
for n in range(5):
    store.append(rows_of([turn(f"t{n}")]))
print("stored", flush=True)
while True:
    store.append(rows_of([turn("more")]))
"""


def test_what_was_appended_survives_a_kill(tmp_path: Path) -> None:
    writer = start_python(KILLED, tmp_path)
    assert writer.stdout is not None
    assert writer.stdout.readline() == "stored\n"
    writer.kill()
    writer.communicate(timeout=60)
    store = open_store(tmp_path)
    found = {t.id for t in store.page(scope=ADA, limit=10_000)}
    assert found - {"more"} == {f"t{n}" for n in range(5)}
    store.append(rows_of([turn("after")]))
    assert store.count(scope=ADA) > len(found)


FULL_DISK = """
import json, resource, signal, sys
from agentmem.errors import StoreError
from storage_tools import ADA, open_store, rows_of, turn
store = open_store(sys.argv[1])
store.append(rows_of([turn("early")]))
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))
said = []
for write in (
    lambda: store.append(rows_of([turn("late", content="x" * 1_000_000)])),
    lambda: store.insert_absent(rows_of([turn("late", content="y" * 1_000_000)])),
):
    try:
        write()
    except StoreError as error:
        said.append(str(error))
found = [t.id for t in store.page(scope=ADA, limit=9)]
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
store.append(rows_of([turn("again")]))
print(json.dumps({"said": said, "found": found}))
"""


def test_a_full_disk_stops_a_write_and_harms_nothing(tmp_path: Path) -> None:
    outcome = json.loads(run_python(FULL_DISK, tmp_path))
    assert len(outcome["said"]) == 2
    for said in outcome["said"]:
        assert "full" in said
        assert "free some space" in said
    assert outcome["found"] == ["early"]
    assert {t.id for t in open_store(tmp_path).page(scope=ADA, limit=9)} == {"early", "again"}
