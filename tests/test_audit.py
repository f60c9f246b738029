"""The audit log: what is asked is written down first, and then what came of it."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from memory_tools import at, open_hashed, say
from typer.testing import CliRunner

from agentmem import (
    ALL,
    AuditEvent,
    AuditFailed,
    AuditLog,
    InvalidInput,
    Memory,
    RetentionPolicy,
    ToolRouter,
    acting_as,
)
from agentmem.cli.app import app
from agentmem.telemetry import Audit, read_audit_log
from agentmem.telemetry.audit_log import pseudonym
from agentmem.testing import HashEmbedder
from agentmem.types import Scope

KEY = b"a key of more than sixteen bytes"
SAID = "my PIN is 4711"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "audit.jsonl"


@pytest.fixture
def memory(tmp_path: Path, log: Path) -> Memory:
    return open_hashed(tmp_path / "store", audit=log)


def told(log: Path, stage: str = "done") -> list[AuditEvent]:
    return [one for one in read_audit_log(log) if one.stage == stage]


def last(log: Path) -> AuditEvent:
    return list(read_audit_log(log))[-1]


def test_a_write_is_asked_and_then_done(memory: Memory, log: Path) -> None:
    ids = memory.add([say(SAID), say("Bye.")], user_id="ada", agent_id="bot", session_id="s")
    asked, done = read_audit_log(log)
    assert (asked.stage, asked.action, asked.count, asked.ids) == ("asked", "add", None, ())
    assert (done.stage, done.count, list(done.ids)) == ("done", 2, ids)
    assert asked.id == done.id
    assert (done.user_id, done.agent_id, done.session_id) == ("ada", "bot", "s")
    assert not done.everyone
    assert done.process.endswith(f":{os.getpid()}")
    assert SAID not in log.read_text("utf-8")


def test_every_change_of_a_memory_is_written_down(
    memory: Memory, log: Path, tmp_path: Path
) -> None:
    memory.add(say("Lisbon", id="a"), user_id="ada")
    memory.supersede("a", say("Porto", id="b"), user_id="ada")
    memory.update(["b"], user_id="ada", pinned=True)
    memory.snapshot("one")
    memory.export(tmp_path / "out.jsonl", scope=ALL, progress=False)
    memory.delete("b", user_id="ada")
    memory.restore("one", safety=False)
    memory.drop_snapshot("one")
    memory.backup(tmp_path / "backup", progress=False)
    memory.retention.set([RetentionPolicy(name="old", older_than=timedelta(days=9))])
    memory.maintain()
    memory.doctor(fix=True, sample=1)
    memory.drift.rebase()
    memory.drift.reembed(progress=False)
    memory.migrate(HashEmbedder(32), progress=False)
    memory.forget(["a"], user_id="ada", reason="asked", progress=False)
    events = told(log)
    assert [one.action for one in events] == [
        *("add", "supersede", "update", "snapshot", "export", "delete", "restore"),
        *("drop_snapshot", "backup", "retention.set", "maintain", "doctor"),
        *("drift.rebase", "drift.reembed", "migrate", "forget"),
    ]
    by_action = {one.action: one for one in events}
    assert by_action["supersede"].ids == ("a", "b")
    assert by_action["delete"].count == 1
    assert by_action["restore"].detail == {"tag": "one"}
    assert by_action["forget"].detail["result"] == "erased"
    assert by_action["migrate"].detail["state"] == "done"


def test_every_change_of_a_router_is_written_down(tmp_path: Path, log: Path) -> None:
    tool = {"name": "send_email", "description": "Send an email to somebody."}
    other = {"name": "get_weather", "description": "Tell the weather of a city."}
    embedder = HashEmbedder()
    with ToolRouter.open(tmp_path / "store", embedder=embedder, audit=log) as router:
        router.register([tool])
        router.sync([tool, other])
        router.add_examples({"send_email": ["mail Bob"]}, guard=False, by="ops")
        router.feedback("what is it like outside", used="get_weather", guard=False)
        router.revert(None)
        router.remove("send_email")
        router.remove("get_weather", dry_run=True)
    events = told(log)
    assert [one.action for one in events] == [
        *("register", "sync", "add_examples", "feedback", "revert", "remove"),
    ]
    assert events[1].detail["added"] == 1
    assert events[2].detail["by"] == "ops"


def test_dry_runs_and_reads_are_not_written_down(memory: Memory, log: Path) -> None:
    memory.add(say("Lisbon", id="a"), user_id="ada")
    before = log.read_text("utf-8")
    memory.search("Lisbon", user_id="ada")
    memory.get("a", user_id="ada")
    memory.delete("a", user_id="ada", dry_run=True)
    memory.forget(["a"], user_id="ada", reason="asked", dry_run=True)
    memory.maintain(dry_run=True)
    memory.update(["a"], user_id="ada", pinned=True, dry_run=True)
    assert log.read_text("utf-8") == before


def test_what_fails_says_so_by_its_class_alone(memory: Memory, log: Path) -> None:
    memory.add(say("Lisbon", id="a"), user_id="ada")
    with pytest.raises(InvalidInput):
        memory.add(say(SAID, id="a"), user_id="ada")
    failed = last(log)
    assert (failed.stage, failed.error) == ("failed", "InvalidInput")
    assert SAID not in log.read_text("utf-8")


def test_an_expiry_is_written_down_as_a_deletion(memory: Memory, log: Path) -> None:
    memory.add(say("Soon gone.", expires_at=at(0)), user_id="ada")
    memory.maintain()
    assert [one.action for one in told(log)] == ["add", "delete", "maintain"]


def test_whoever_acts_is_named(memory: Memory, log: Path) -> None:
    with acting_as("support@example.com"):
        memory.add("Hello.", user_id="ada")
    memory.add("Bye.", user_id="ada")
    assert [one.actor for one in told(log)] == ["support@example.com", None]
    with pytest.raises(InvalidInput, match="actor"), acting_as(""):
        pass


def test_a_key_hides_ids_and_finds_them_again(tmp_path: Path, log: Path) -> None:
    with open_hashed(tmp_path / "store", audit=AuditLog(log, key=KEY)) as memory:
        memory.add(say("Lisbon", id="turn-1"), user_id="ada", session_id="monday")
    text = log.read_text("utf-8")
    assert not [one for one in ("ada", "turn-1", "monday") if one in text]
    assert last(log).user_id == pseudonym("ada", key=KEY)
    assert last(log).ids == (pseudonym("turn-1", key=KEY),)
    with pytest.raises(InvalidInput, match="16 bytes"):
        AuditLog(log, key=b"short")


def test_the_environment_names_the_log(
    tmp_path: Path, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AGENTMEM_AUDIT_LOG", str(log))
    key = tmp_path / "key"
    key.write_bytes(KEY + b"\n")
    monkeypatch.setenv("AGENTMEM_AUDIT_KEY_FILE", str(key))
    with open_hashed(tmp_path / "store") as memory:
        memory.add("Hello.", user_id="ada")
    assert last(log).user_id == pseudonym("ada", key=KEY)
    monkeypatch.setenv("AGENTMEM_AUDIT_KEY_FILE", str(tmp_path / "none"))
    with pytest.raises(InvalidInput, match="cannot be read"):
        open_hashed(tmp_path / "store")


def test_a_function_takes_entries_too(tmp_path: Path) -> None:
    seen: list[AuditEvent] = []
    with open_hashed(tmp_path / "store", audit=seen.append) as memory:
        memory.add("Hello.", user_id="ada")
    assert [one.stage for one in seen] == ["asked", "done"]


def test_nothing_is_begun_that_cannot_be_written_down(tmp_path: Path) -> None:
    def full(event: AuditEvent) -> None:
        raise OSError(28, "No space left on device")

    with open_hashed(tmp_path / "store", audit=full) as memory:
        with pytest.raises(AuditFailed, match="nothing was changed"):
            memory.add("Hello.", user_id="ada")
        with pytest.raises(AuditFailed):
            memory.delete(user_id="ada")
        assert memory.count(user_id="ada") == 0
        assert memory.search("Hello", user_id="ada").hits == ()


def test_what_was_done_stands_where_its_outcome_cannot_be_written(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def fails_later(event: AuditEvent) -> None:
        if event.stage != "asked":
            raise OSError(28, "No space left on device")

    with open_hashed(tmp_path / "store", audit=fails_later) as memory:
        memory.add("Hello.", user_id="ada")
        assert memory.count(user_id="ada") == 1
    assert "has no outcome of add" in caplog.text


@pytest.mark.parametrize("place", ["store/audit.jsonl", "store/deep/audit.jsonl"])
def test_a_log_within_the_store_is_refused(tmp_path: Path, place: str) -> None:
    (tmp_path / place).parent.mkdir(parents=True)
    with pytest.raises(InvalidInput, match="lies in the store"):
        open_hashed(tmp_path / "store", audit=tmp_path / place)


@pytest.mark.parametrize("wrong", [7, object()])
def test_what_takes_no_entries_is_refused(tmp_path: Path, wrong: Any) -> None:
    with pytest.raises(InvalidInput, match="audit"):
        open_hashed(tmp_path / "store", audit=wrong)
    assert not (tmp_path / "store").exists()


def test_a_log_that_cannot_be_opened_leaves_no_store(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="cannot be opened"):
        open_hashed(tmp_path / "store", audit=tmp_path / "no" / "folder" / "log")
    assert not (tmp_path / "store").exists()


def test_a_rotated_log_goes_on_in_a_new_file(memory: Memory, log: Path) -> None:
    memory.add("One.", user_id="ada")
    log.rename(log.with_suffix(".1"))
    memory.add("Two.", user_id="ada")
    assert len(told(log)) == len(told(log.with_suffix(".1"))) == 1
    assert log.stat().st_mode & 0o777 == 0o600


def test_a_line_that_was_cut_off_spoils_no_other(memory: Memory, log: Path) -> None:
    memory.add("One.", user_id="ada")
    with log.open("ab") as file:
        file.write(b'{"id": "half')
    memory.add("Two.", user_id="ada")
    assert [one.count for one in told(log)] == [1, 1]


WRITE = """
import sys
from memory_tools import open_hashed
with open_hashed(sys.argv[1], audit=sys.argv[2]) as memory:
    for n in range(25):
        memory.add(f"Turn {n} of {sys.argv[3]}.", user_id=sys.argv[3])
"""


def test_processes_share_one_log(memory: Memory, log: Path, tmp_path: Path) -> None:
    running = [
        subprocess.Popen(
            [sys.executable, "-c", WRITE, str(tmp_path / "store"), str(log), user],
            cwd=Path(__file__).parent,
        )
        for user in ("ada", "bob")
    ]
    assert [one.wait(120) for one in running] == [0, 0]
    lines = log.read_text("utf-8").splitlines()
    assert len(lines) == 100
    assert all(json.loads(line)["action"] == "add" for line in lines)
    assert len({one.process for one in told(log)}) == 2


DIE = """
import os, signal, sys
from memory_tools import open_hashed
from agentmem.storage.turns import Store
memory = open_hashed(sys.argv[1], audit=sys.argv[2])
Store.delete = lambda *args, **named: os.kill(os.getpid(), signal.SIGKILL)
memory.delete(user_id="ada")
"""


def test_a_killed_process_leaves_what_it_was_asked(
    memory: Memory, log: Path, tmp_path: Path
) -> None:
    memory.add("Hello.", user_id="ada")
    arguments = [sys.executable, "-c", DIE, str(tmp_path / "store"), str(log)]
    died = subprocess.run(arguments, cwd=Path(__file__).parent, check=False)
    assert died.returncode == -signal.SIGKILL
    assert (last(log).stage, last(log).action, last(log).user_id) == ("asked", "delete", "ada")
    shown = CliRunner().invoke(app, ["audit", str(log), "--unfinished"])
    assert shown.output.count("\n") == 1
    assert "delete  user=ada" in shown.output
    assert "no outcome" in shown.output


def test_a_full_disk_refuses_the_call(tmp_path: Path, log: Path) -> None:
    audit = Audit.to(log, store="elsewhere")
    with audit.entry("add", scope=Scope("ada")):
        pass
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    heard = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (log.stat().st_size + 10, hard))
    try:
        with pytest.raises(AuditFailed, match="bytes of an entry"), audit.entry("add"):
            pytest.fail("it was begun")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, heard)
    with audit.entry("delete"):
        pass
    assert [one.action for one in read_audit_log(log)] == ["add", "add", "delete", "delete"]


def test_the_command_line_finds_what_somebody_did(
    tmp_path: Path, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = tmp_path / "key"
    key.write_bytes(KEY)
    with open_hashed(tmp_path / "store", audit=AuditLog(log, key=KEY)) as memory:
        memory.add(say("Lisbon", id="a"), user_id="ada")
        memory.add(say("Oslo", id="b"), user_id="bob")
        with acting_as("ops"):
            memory.delete("b", user_id="bob")

    def shown(*options: str) -> list[dict[str, Any]]:
        result = CliRunner().invoke(app, ["audit", str(log), "--json", *options])
        assert result.exit_code == 0, result.output
        found: list[dict[str, Any]] = json.loads(result.output)
        return found

    assert [one["action"] for one in shown()] == ["add", "add", "delete"]
    assert shown("--user", "bob") == []
    of_bob = shown("--user", "bob", "--key-file", str(key))
    assert [one["action"] for one in of_bob] == ["add", "delete"]
    assert len(shown("--turn", "b", "--key-file", str(key))) == 2
    assert len(shown("--actor", "ops")) == len(shown("--action", "delete")) == 1
    assert shown("--until", "2020-01-01T00:00:00Z") == shown("--unfinished") == []
    wrong = CliRunner().invoke(app, ["audit", str(tmp_path / "none")])
    assert wrong.exit_code == 1
    assert "there is no audit log" in wrong.output


def test_the_command_line_is_written_down_as_well(
    tmp_path: Path, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_hashed(tmp_path / "store").close()
    monkeypatch.setenv("AGENTMEM_AUDIT_LOG", str(log))
    store = ["--store", str(tmp_path / "store")]
    assert CliRunner().invoke(app, ["snapshot", "make", "one", *store]).exit_code == 0
    assert CliRunner().invoke(app, ["maintain", *store]).exit_code == 0
    assert [one.action for one in told(log)] == ["snapshot", "maintain"]
