"""Deleting a tenant: all of it, nothing else, and whoever has it open is told."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from memory_tools import open_hashed, say
from storage_tools import run_python, start_python
from test_tenants import ADA, opened, told

from agentmem import Tenants
from agentmem.errors import StoreError, StoreNotFound
from agentmem.telemetry import read_audit_log
from agentmem.tenants import removing
from agentmem.testing import HashEmbedder

ADDING = """
import sys
from memory_tools import say
from test_tenants import ADA, opened
from agentmem.errors import StoreNotFound
with opened(sys.argv[1]) as tenants, tenants.memory("acme") as memory:
    try:
        for n in range(10_000):
            memory.add(say(f"number {n} of the harbour"), **ADA)
            print(n, flush=True)
    except StoreNotFound as error:
        print("told:", error, flush=True)
"""

HOLDING = """
import sys
from test_tenants import ADA, opened, told
from agentmem.errors import StoreNotFound
with opened(sys.argv[1]) as tenants:
    with tenants.memory("acme") as memory:
        memory.search("harbour", **ADA)
        print("ready", flush=True)
        sys.stdin.readline()
        for call in (lambda: memory.search("harbour", **ADA), lambda: memory.turns(**ADA),
                     lambda: memory.add("back again", **ADA), lambda: memory.count(**ADA)):
            try:
                call()
            except StoreNotFound:
                print("gone", flush=True)
    try:
        told(tenants, "acme")
    except StoreNotFound as error:
        print(error, flush=True)
"""


@pytest.fixture(autouse=True)
def _no_lingering(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    if "process" not in request.node.name:
        monkeypatch.setattr(removing, "LINGER", 0)


def fill(root: Path, *tenants: str) -> None:
    """Make stores with one turn each."""
    with opened(root) as stores:
        for tenant in tenants:
            with stores.memory(tenant) as memory:
                memory.add(say("the harbour"), **ADA)


def test_a_tenant_is_deleted_whole_and_no_other(tmp_path: Path) -> None:
    fill(tmp_path, "acme", "acme.b")
    with opened(tmp_path) as tenants:
        with tenants.memory("acme") as memory:
            memory.snapshot("before")
        would = tenants.delete("acme", dry_run=True)
        assert (would.tenant, would.turns, would.tools, would.dry_run) == ("acme", 1, 0, True)
        assert would.bytes > 0
        assert told(tenants, "acme") == ["the harbour"]
        done = tenants.delete("acme")
        assert (done.turns, done.dry_run, done.path) == (1, False, str(tmp_path / "acme"))
        assert [path.name for path in tmp_path.iterdir()] == ["acme.b"]
        assert told(tenants, "acme.b") == ["the harbour"]
        with pytest.raises(StoreNotFound, match="has no store"):
            tenants.delete("acme")
        assert told(tenants, "acme") == []  # asked for again, it begins anew


def test_a_tenant_in_use_is_not_deleted(tmp_path: Path) -> None:
    with opened(tmp_path) as tenants:
        with tenants.memory("acme") as memory:
            memory.add(say("hello"), **ADA)
            with pytest.raises(StoreError, match="in use by this process"):
                tenants.delete("acme")
            assert memory.count(**ADA) == 1
        assert tenants.delete("acme").turns == 1


def test_another_process_is_told_and_does_not_bring_it_back(tmp_path: Path) -> None:
    fill(tmp_path, "acme")
    other = start_python(HOLDING, tmp_path)
    assert other.stdout is not None
    assert other.stdout.readline() == "ready\n"
    with opened(tmp_path) as tenants:
        tenants.delete("acme")
    out, err = other.communicate("go\n", timeout=120)
    assert other.returncode == 0, err
    *gone, last = out.splitlines()
    assert gone == ["gone"] * 4
    assert "was deleted since this process opened it" in last
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_process_that_writes_meanwhile_leaves_nothing_behind(tmp_path: Path) -> None:
    for _ in range(3):
        fill(tmp_path, "acme")
        writer = start_python(ADDING, tmp_path)
        assert writer.stdout is not None
        for _ in range(10):
            writer.stdout.readline()
        with opened(tmp_path) as tenants:
            tenants.delete("acme")
        out, err = writer.communicate(timeout=120)
        assert writer.returncode == 0, err
        assert "told: " in out
        assert list(tmp_path.iterdir()) == []


def test_a_store_made_anew_by_another_process_is_opened_anew(tmp_path: Path) -> None:
    fill(tmp_path, "acme")
    with opened(tmp_path) as tenants:
        assert told(tenants, "acme") == ["the harbour"]
        run_python(
            "import sys; from test_tenants import ADA, opened\n"
            "with opened(sys.argv[1]) as tenants:\n"
            "    tenants.delete('acme')\n"
            "    with tenants.memory('acme') as memory: memory.add('new', **ADA)\n",
            tmp_path,
        )
        assert told(tenants, "acme") == ["new"]


def test_what_a_killed_process_left_half_deleted_is_not_opened_and_can_be_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(tmp_path, "acme", "b")

    def killed(_: object) -> None:
        raise KeyboardInterrupt

    with opened(tmp_path) as tenants:
        with monkeypatch.context() as patch:
            patch.setattr("agentmem.tenants.removing.shutil.rmtree", killed)
            with pytest.raises(KeyboardInterrupt):
                tenants.delete("acme")
        assert [one.id for one in tenants.list()] == ["b"]
        with pytest.raises(StoreError, match="is being deleted"):
            told(tenants, "acme")
        assert tenants.delete("acme").turns is None
        assert [path.name for path in tmp_path.iterdir()] == ["b"]


def test_while_it_is_being_deleted_nobody_makes_the_folder_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(tmp_path, "acme")
    really, refused = shutil.rmtree, []

    def meanwhile(path: Path) -> None:
        with pytest.raises(StoreError) as caught, open_hashed(tmp_path / "acme"):
            pass
        refused.append(str(caught.value))
        really(path)

    with opened(tmp_path) as tenants, monkeypatch.context() as patch:
        patch.setattr("agentmem.tenants.removing.shutil.rmtree", meanwhile)
        tenants.delete("acme")
    assert len(refused) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_store_can_be_deleted(tmp_path: Path) -> None:
    fill(tmp_path, "acme")
    for manifest in (tmp_path / "acme" / "meta.lance" / "_versions").iterdir():
        manifest.write_bytes(b"")
    with opened(tmp_path) as tenants:
        done = tenants.delete("acme")
        assert done.turns is None
        assert done.bytes > 0
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_store_is_not_deleted(tmp_path: Path) -> None:
    (tmp_path / "documents").mkdir()
    (tmp_path / "documents" / "letter.txt").write_text("dear", encoding="utf-8")
    (tmp_path / "linked").symlink_to(tmp_path / "documents")
    with opened(tmp_path) as tenants:
        assert tenants.list() == []
        for name in ("documents", "linked"):
            with pytest.raises(StoreNotFound, match="is no store of a tenant"):
                tenants.delete(name)
    assert (tmp_path / "linked" / "letter.txt").read_text("utf-8") == "dear"


def test_a_deletion_is_in_the_audit_log(tmp_path: Path) -> None:
    log = tmp_path / "audit.jsonl"
    with Tenants.open(tmp_path / "root", embedder=HashEmbedder(), audit=log) as tenants:
        with tenants.memory("acme") as memory:
            memory.add("Hello.", user_id="ada")
        tenants.delete("acme", dry_run=True)
        tenants.delete("acme")
    done = [one for one in read_audit_log(log) if one.stage == "done"]
    assert [(one.action, one.count) for one in done] == [("add", 1), ("tenants.delete", 1)]
    assert done[1].detail == {"tenant": "acme"}
