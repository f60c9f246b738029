"""The command line of tenants: listed, found, deleted."""

from __future__ import annotations

from pathlib import Path

import pytest
from test_cli import HOSTILE, STEERING, machine, printed, run
from test_tenants import ADA, opened

from agentmem.tenants import removing


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a root with the tenants acme and Globex Inc."""
    monkeypatch.setattr(removing, "LINGER", 0)
    with opened(tmp_path) as tenants:
        for tenant in ("acme", "Globex Inc"):
            with tenants.memory(tenant) as memory:
                memory.add(f"{tenant} was here", **ADA)
    return tmp_path


def test_tenants_are_listed_with_their_size(root: Path) -> None:
    shown = printed("tenants", "list", root)
    assert "Globex Inc" in shown
    told = machine("tenants", "list", root)
    assert [(one["id"], one["turns"], one["tools"]) for one in told] == [
        ("Globex Inc", 1, 0),
        ("acme", 1, 0),
    ]
    assert all(one["bytes"] > 0 for one in told)
    assert told[1]["path"] == str(root / "acme")


def test_every_other_command_works_on_the_store_of_one(root: Path) -> None:
    place = printed("tenants", "path", root, "Globex Inc").strip()
    (snapshot,) = machine("snapshot", "make", "first", "--store", place)
    assert snapshot["rows"]["turns_g1"] == 1


def test_a_tenant_that_is_not_there_is_refused_with_the_nearest(root: Path) -> None:
    for command in ("path", "delete"):
        result = run("tenants", command, root, "acne")
        assert result.exit_code == 1
        assert "Did you mean 'acme'?" in " ".join(result.output.split())
    assert printed("tenants", "path", root, "New", "--new").strip() == str(root / "=4eew")
    assert not (root / "=4eew").exists()
    assert run("tenants", "list", root / "none").exit_code == 1
    assert not (root / "none").exists()


def test_a_tenant_is_deleted_when_that_is_confirmed(root: Path) -> None:
    assert "1 turns, 0 tools" in printed("tenants", "delete", root, "acme", "--dry-run")
    assert run("tenants", "delete", root, "acme", stdin="n\n").exit_code == 1
    assert machine("tenants", "delete", root, "acme")["dry_run"] is True
    assert run("tenants", "delete", root, "acme", "--yes", "--dry-run").exit_code == 2
    assert (root / "acme").is_dir()
    assert "deleted." in printed("tenants", "delete", root, "acme", stdin="y\n")
    assert not (root / "acme").exists()
    assert machine("tenants", "delete", root, "Globex Inc", "--yes")["turns"] == 1
    assert machine("tenants", "list", root) == []


def test_an_id_cannot_steer_the_terminal(tmp_path: Path) -> None:
    with opened(tmp_path) as tenants, tenants.memory(HOSTILE[:40]) as memory:
        memory.add("hello", **ADA)
    shown = printed("tenants", "list", tmp_path)
    assert not STEERING.search(shown)
    refused = run("tenants", "path", tmp_path, HOSTILE[:39])
    assert not STEERING.search(refused.output)
