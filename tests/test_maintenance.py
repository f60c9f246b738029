"""Maintenance: what it deletes, compacts and cleans up, what it leaves, and under which lease."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from memory_tools import WIDE, at, ids, open_hashed, say
from storage_tools import start_python

from agentmem import ALL, ConcurrentWrite, InvalidInput, Memory, StoreError
from agentmem.maintenance import Background, Maintainer
from agentmem.maintenance.background import is_due
from agentmem.maintenance.maintainer import NEVER, Last, last_of
from agentmem.migration.steps import Steps, add_generation
from agentmem.storage.checksums import read_sums, record_sums
from agentmem.storage.lease import Lease
from agentmem.telemetry import Tracing
from agentmem.testing import HashEmbedder
from agentmem.types.maintenance import MaintenanceReport, MaintenanceStep, RetentionPolicy

PAST = datetime(2024, 1, 1, tzinfo=timezone.utc)
OLD = 3 * 24 * 3600.0
WRITER = """
import sys
from memory_tools import open_hashed, say
memory = open_hashed(sys.argv[1])
print("ready", flush=True)
for n in range(int(sys.argv[3])):
    memory.add(say(f"turn {n} of {sys.argv[2]}", id=f"{sys.argv[2]}-{n}"), user_id="ada")
memory.close()
"""


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Memory]:
    with open_hashed(tmp_path / "store") as opened:
        yield opened


def step(report: MaintenanceReport, name: str, target: str | None = None) -> MaintenanceStep:
    found = [one for one in report.steps if one.name == name and target in (None, one.target)]
    assert len(found) == 1, report.steps
    return found[0]


def folder_of(memory: Memory) -> Path:
    return Path(memory._home.name)


def aged(path: Path, *, seconds: float = OLD) -> Path:
    before = time.time() - seconds
    os.utime(path, (before, before))
    return path


def test_turns_whose_date_has_come_are_deleted_and_pinned_ones_stay(memory: Memory) -> None:
    memory.add([say("gone", id="a"), say("stays", id="b"), say("kept", id="c")], user_id="ada")
    memory.update(["a", "b"], user_id="ada", expires_at=PAST)
    memory.update("b", user_id="ada", pinned=True)
    foreseen = memory.maintain(dry_run=True)
    assert "would delete 1 turns" in step(foreseen, "expire").done
    assert step(foreseen, "expire").left == "1 pinned"
    report = memory.maintain()
    assert "deleted 1 turns of 1 sessions, such as 'a'" in step(report, "expire").done
    assert ids(memory.turns(user_id="ada")) == ["b", "c"]
    memory.update("a", user_id="ada", expires_at=None)
    assert ids(memory.turns(user_id="ada")) == ["b", "c"], "it was hidden, and not deleted"


def test_expired_turns_go_from_every_generation(memory: Memory) -> None:
    memory.add([say("gone", id="a"), say("stays", id="b")], user_id="ada")
    migration = memory.migrate(HashEmbedder(WIDE * 2), progress=False)
    assert migration.status().state == "done"
    memory.update("a", user_id="ada", expires_at=PAST)
    memory.maintain()
    migration.rollback()
    assert ids(memory.turns(user_id="ada")) == ["b"]


def test_a_dry_run_changes_nothing(memory: Memory) -> None:
    memory.add([say("one", id="a")], user_id="ada")
    memory.update("a", user_id="ada", expires_at=PAST)
    folder = folder_of(memory)
    part = aged(Path(shutil.copy(next(folder.glob("turns*/data/*")), folder / "left.part")))
    before = {path: path.stat().st_mtime for path in folder.rglob("*") if path.is_file()}
    report = memory.maintain(dry_run=True)
    assert report.dry_run
    assert {path: path.stat().st_mtime for path in folder.rglob("*") if path.is_file()} == before
    assert part.exists()
    assert "left.part" in step(report, "clean", "files").done


def test_many_small_files_become_few_and_nothing_is_lost(tmp_path: Path) -> None:
    folder = tmp_path / "store"
    for n in range(30):
        with open_hashed(folder) as memory:
            memory.add(say(f"turn {n}", id=f"t{n}"), user_id="ada")
    with open_hashed(folder) as memory:
        report = memory.maintain()
        compacted = step(report, "compact", "turns_g1")
        assert compacted.error is None
        assert "fragments 30 → 1" in compacted.done
        assert compacted.left is not None
        assert "keep_versions" in compacted.left
        assert sorted(ids(memory.turns(user_id="ada", limit=100))) == sorted(
            f"t{n}" for n in range(30)
        )
        assert memory.search("turn 7", user_id="ada", k=1)[0].turn.id == "t7"


def test_every_table_is_tended(memory: Memory) -> None:
    memory.add(say("one"), user_id="ada")
    report = memory.maintain()
    tended = {one.target for one in report.steps if one.name == "compact"}
    assert tended == {path.stem for path in folder_of(memory).glob("*.lance")}
    assert {"meta", "turns_g1", "canaries_g1"} <= tended


def test_versions_older_than_kept_are_dropped(
    memory: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    for n in range(5):
        memory.add(say(f"turn {n}"), user_id="ada")
    memory._home.parts.store.whole.meta.put("retention", {"keep_versions_seconds": 0.0})
    monkeypatch.setattr("agentmem.storage.handle.MARGIN", timedelta(0))
    time.sleep(0.1)
    report = memory.maintain()
    done = step(report, "compact", "turns_g1").done
    assert int(done.split("versions ")[1].split(" → ")[0]) > int(done.rsplit(" → ", 1)[1])
    assert memory.count(user_id="ada") == 5


def test_files_that_no_version_refers_to_go_when_they_are_old(memory: Memory) -> None:
    memory.add(say("one", id="a"), user_id="ada")
    data = folder_of(memory) / "turns_g1.lance" / "data"
    real = aged(next(data.iterdir()))
    old = aged(Path(shutil.copy(real, data / f"{'0' * 50}.lance")))
    aged(old)
    young = Path(shutil.copyfile(real, data / f"{'1' * 50}.lance"))
    report = memory.maintain()
    assert not old.exists()
    assert young.exists()
    assert real.exists()
    cleaned = step(report, "clean", "files")
    assert cleaned.left is not None
    assert "too young" in cleaned.left
    assert cleaned.bytes_before is not None
    assert cleaned.bytes_after == young.stat().st_size
    assert ids(memory.turns(user_id="ada")) == ["a"]


def test_parts_and_checkpoints_go_when_they_are_old(memory: Memory) -> None:
    memory.add(say("one"), user_id="ada")
    folder = folder_of(memory)
    (folder / ".imports").mkdir()
    (folder / ".snapshots" / ".tag.part").mkdir(parents=True)
    old = [
        aged(_touched(folder / ".imports" / "old.json"), seconds=40 * 24 * 3600.0),
        aged(_touched(folder / "copy.part")),
        aged(folder / ".snapshots" / ".tag.part"),
    ]
    young = _touched(folder / ".imports" / "young.json")
    memory.maintain()
    assert [path.exists() for path in old] == [False, False, False]
    assert young.exists()


def _touched(path: Path) -> Path:
    path.write_text("{}", "utf-8")
    return path


def test_tables_that_a_kill_left_while_a_generation_was_made_go_when_they_are_old(
    memory: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory.add(say("one", id="a"), user_id="ada")

    def killed(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("agentmem.migration.steps.KeptCanaries", killed)
        with pytest.raises(KeyboardInterrupt):
            add_generation(memory._home.parts.store.whole, HashEmbedder(WIDE * 2))
    left = folder_of(memory) / "turns_g2.lance"
    assert left.exists()
    memory.maintain()
    assert left.exists(), "it may be made right now"
    for path in [left, *left.rglob("*")]:
        aged(path)
    report = memory.maintain()
    assert not left.exists()
    assert "table of no generation" in step(report, "clean", "dropped tables").done
    memory.migrate(HashEmbedder(WIDE * 2), progress=False)
    assert ids(memory.search("one", user_id="ada")) == ["a"]


def test_the_tables_of_a_generation_that_is_kept_stay(memory: Memory) -> None:
    memory.add(say("one", id="a"), user_id="ada")
    migration = memory.migrate(HashEmbedder(WIDE * 2), progress=False)
    for path in folder_of(memory).rglob("*"):
        aged(path)
    memory.maintain()
    migration.rollback()
    assert ids(memory.search("one", user_id="ada")) == ["a"]


def test_a_seal_of_a_process_that_is_gone_is_broken(memory: Memory) -> None:
    memory.add(say("one"), user_id="ada")
    whole = memory._home.parts.store.whole
    add_generation(whole, HashEmbedder(WIDE * 2))
    assert Steps(whole, name="over", source=1, target=2).seal()
    report = memory.maintain()
    assert "broke the seal over:" in step(report, "locks").done
    assert whole.generations.read().seal is None


def test_a_step_that_fails_is_told_and_the_others_are_made(
    memory: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory.add(say("gone", id="a"), user_id="ada")
    memory.update("a", user_id="ada", expires_at=PAST)
    memory._home.parts.store.whole.meta.put("retention:policies", [{"name": "no policy"}])
    report = memory.maintain()
    assert [one.name for one in report.errors] == ["expire"]
    assert report.errors[0].error is not None
    assert "memory.retention.set" in report.errors[0].error
    assert step(report, "compact", "turns_g1").error is None


def test_a_table_whose_writers_always_come_first_is_left_for_the_next_time(
    memory: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory.add(say("one"), user_id="ada")

    def preempted(*_: Any, **__: Any) -> None:
        raise ConcurrentWrite("others came first")

    with monkeypatch.context() as patched:
        patched.setattr("agentmem.maintenance.tasks.tend", preempted)
        report = memory.maintain()
    left = step(report, "compact", "turns_g1").left
    assert left is not None
    assert "writers committed first" in left
    assert report.errors == ()


def test_while_another_one_is_at_it_nothing_is_done(memory: Memory) -> None:
    memory.add(say("gone", id="a"), user_id="ada")
    memory.update("a", user_id="ada", expires_at=PAST)
    with Lease(memory._home.parts.store.whole.meta):
        report = memory.maintain()
    assert report.skipped is not None
    assert str(os.getpid()) in report.skipped
    assert report.steps == ()
    assert memory.maintain().skipped is None


def test_a_lease_that_is_lost_on_the_way_ends_the_work(memory: Memory) -> None:
    memory.add(say("one"), user_id="ada")
    whole = memory._home.parts.store.whole

    def steal(done: MaintenanceStep) -> None:
        if done.name == "expire":
            found = whole.meta.get("lease:maintenance")
            assert found is not None
            whole.meta.put("lease:maintenance", {**found.value, "beat": 1_000})

    report = memory.maintain(progress=steal)
    assert [one.name for one in report.steps][-1] == "lease"
    assert report.errors
    assert last_of(memory._home.parts.store) == NEVER


def test_a_bound_or_read_only_handle_is_refused(memory: Memory) -> None:
    memory.add(say("one"), user_id="ada")
    bound = memory.scoped(user_id="ada")
    for call in (bound.maintain, bound.doctor, lambda: bound.retention):
        with pytest.raises(InvalidInput, match="whole store"):
            call()
    with open_hashed(folder_of(memory), read_only=True) as reader:
        assert reader.maintain(dry_run=True).dry_run
        with pytest.raises(StoreError, match="read_only"):
            reader.maintain()
    with pytest.raises(InvalidInput, match="share"):
        Maintainer(memory._home.parts.store, tracing=Tracing.silent(), share=0)


def test_checksums_of_new_files_are_taken_and_those_of_old_ones_forgotten(memory: Memory) -> None:
    memory.add(say("one"), user_id="ada")
    memory.maintain()
    first = read_sums(folder_of(memory))
    assert any("/data/" in name for name in first)
    memory.add(say("two"), user_id="ada")
    report = memory.maintain()
    assert "took the checksums of" in step(report, "checksums").done
    second = read_sums(folder_of(memory))
    assert set(second) - set(first)
    assert all((folder_of(memory) / name).exists() for name in second)
    gone = next(name for name in second if "/data/" in name and "turns" in name)
    shutil.rmtree(folder_of(memory) / gone.split("/", maxsplit=1)[0])
    record_sums(folder_of(memory))
    assert gone not in read_sums(folder_of(memory))


@pytest.mark.slow
def test_beside_writers_of_other_processes_nothing_is_lost(tmp_path: Path) -> None:
    folder = tmp_path / "store"
    with open_hashed(folder) as memory:
        memory.add(say("first", id="first"), user_id="ada")
        writers = [start_python(WRITER, folder, name, "60") for name in ("u", "v")]
        try:
            reports = []
            while any(one.poll() is None for one in writers):
                reports.append(memory.maintain())
            assert [one.returncode for one in writers] == [0, 0]
        finally:
            for one in writers:
                one.kill()
                one.communicate(timeout=30)
        assert reports
        assert [one.error for report in reports for one in report.errors] == []
        assert memory.count(scope=ALL) == 121


def test_it_is_due_after_commits_or_after_a_while() -> None:
    now = at(0)
    lately = Last(now - timedelta(minutes=5), 100)
    assert not is_due(lately, version=101, now=now)
    assert is_due(lately, version=300, now=now)
    assert is_due(lately, version=1, now=now) is False
    assert is_due(Last(now - timedelta(hours=2), 100), version=100, now=now)
    assert is_due(NEVER, version=1, now=now)


def test_in_the_background_it_is_done_when_due_and_ends_with_the_store(memory: Memory) -> None:
    memory.add(say("gone", id="a"), user_id="ada")
    memory.update("a", user_id="ada", expires_at=PAST)
    store = memory._home.parts.store
    background = Background(store, tracing=Tracing.silent(), look=0.05)
    until = time.monotonic() + 30
    while last_of(store) == NEVER and time.monotonic() < until:
        time.sleep(0.02)
    assert last_of(store) != NEVER
    memory.update("a", user_id="ada", expires_at=None)
    assert memory.count(user_id="ada") == 0
    memory.close()
    until = time.monotonic() + 30
    while background.is_running and time.monotonic() < until:
        time.sleep(0.02)
    assert not background.is_running


def test_policies_delete_what_they_preview(memory: Memory) -> None:
    memory.add(
        [
            say("old", id="a", created_at=at(0)),
            {"role": "tool", "content": "old", "id": "b", "created_at": at(1)},
            say("new", id="c"),
        ],
        user_id="ada",
    )
    month = timedelta(days=30)
    memory.retention.set([RetentionPolicy(name="tools", older_than=month, role="tool")])
    expiry, tools = memory.retention.preview()
    assert (expiry.policy, expiry.turns) == ("expires_at", 0)
    assert (tools.turns, tools.sessions, tools.ids, tools.pinned) == (1, 1, ("b",), 0)
    assert memory.count(user_id="ada") == 3
    memory.maintain()
    assert ids(memory.turns(user_id="ada")) == ["a", "c"]
    assert [one.turns for one in memory.retention.preview()] == [0, 0]


def test_a_session_is_as_old_as_its_last_turn(memory: Memory) -> None:
    for session, days in (("over", (0, 1)), ("alive", (0, 900))):
        for n, day in enumerate(days):
            memory.add(
                say(f"{session} {n}", id=f"{session}{n}", created_at=at(day)),
                user_id="ada",
                session_id=session,
            )
    memory.add(say("pinned", id="pin", created_at=at(0)), user_id="ada", session_id="over")
    memory.update("pin", user_id="ada", pinned=True)
    since = datetime.now(timezone.utc) - at(10)
    policy = RetentionPolicy(name="sessions", older_than=since, sessions=True)
    found = memory.retention.preview([policy])[1]
    assert (found.turns, found.sessions, found.pinned) == (2, 1, 1)
    memory.retention.set([policy])
    memory.maintain()
    assert sorted(ids(memory.turns(user_id="ada"))) == ["alive0", "alive1", "pin"]


def test_a_policy_reaches_its_scope_and_filter_only(memory: Memory) -> None:
    for user in ("ada", "bob"):
        for n, kind in enumerate(("chat", "log")):
            memory.add(
                say(f"{user} {kind}", id=f"{user}{n}", created_at=at(n), metadata={"kind": kind}),
                user_id=user,
            )
    where = {"metadata.kind": "log"}
    day = timedelta(days=1)
    memory.retention.set([RetentionPolicy(name="x", older_than=day, user_id="ada", where=where)])
    assert memory.retention.preview()[1].ids == ("ada1",)
    memory.maintain()
    assert sorted(ids(memory.turns(scope=ALL))) == ["ada0", "bob0", "bob1"]


def test_policies_are_kept_for_every_process(memory: Memory) -> None:
    policies = [
        RetentionPolicy(name="a", older_than=timedelta(days=90), role="tool"),
        RetentionPolicy(name="b", older_than=timedelta(days=1), sessions=True, agent_id="x"),
    ]
    memory.retention.set(policies)
    with open_hashed(folder_of(memory)) as again:
        assert again.retention.policies() == policies
        again.retention.set([])
    assert memory.retention.policies() == []


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"name": ""}, "name"),
        ({"name": "a\x1bb"}, "name"),
        ({"older_than": timedelta(0)}, "older_than"),
        ({"older_than": 90}, "older_than"),
        ({"role": "nobody"}, "role"),
        ({"sessions": "yes"}, "sessions"),
        ({"where": {"no field": 1}}, "no field"),
        ({"user_id": ""}, "user_id"),
    ],
)
def test_what_is_no_policy_is_refused(memory: Memory, fields: dict[str, Any], said: str) -> None:
    given: dict[str, Any] = {"name": "a", "older_than": timedelta(days=1), **fields}
    with pytest.raises(InvalidInput, match=said):
        memory.retention.set([RetentionPolicy(**given)])
    assert memory.retention.policies() == []


def test_policies_of_one_name_or_none_at_all_are_refused(memory: Memory) -> None:
    one = RetentionPolicy(name="a", older_than=timedelta(days=1))
    for given in ([one, one], "a", [3]):
        with pytest.raises(InvalidInput):
            memory.retention.set(given)  # type: ignore[arg-type]
