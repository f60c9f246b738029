"""Snapshots and backups of stores on S3, and backups on S3 of stores in folders."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from memory_tools import contents, open_hashed, say
from object_store import BUCKET, Server, running

from agentmem import ALL, Memory, backup
from agentmem.errors import InvalidInput, StoreError
from agentmem.types.backup import Restored

ADA: dict[str, Any] = {"user_id": "ada"}


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(tmp_path_factory.mktemp("s3")) as one:
        yield one


def opened(uri: str, server: Server, **options: Any) -> Memory:
    """Open a store on the server."""
    return open_hashed(uri, storage_options=server.options, **options)  # type: ignore[arg-type]


def texts(memory: Memory) -> list[str]:
    """Return what is said, in alphabetical order."""
    return sorted(contents(memory.turns(scope=ALL)))


def test_a_store_in_a_bucket_has_snapshots_and_a_past(server: Server) -> None:
    with opened(f"s3://{BUCKET}/past", server) as memory:
        memory.add([say("the harbour", id="h"), say("the mole", id="m")], **ADA)
        version = memory.stats().table_version
        made = memory.snapshot("first", note="n")
        memory.delete("h", **ADA)
        memory.add("the pier", **ADA)
        assert memory.snapshots() == [made]
        for when in (version, "first", made.made_at):
            assert texts(memory.at(when)) == ["the harbour", "the mole"]
        with pytest.raises(StoreError, match="the past does not change"):
            memory.at("first").add("new", **ADA)
        done = memory.restore("first")
        assert done.holdings == (Restored("turns", added=1, removed=1),)
        assert texts(memory) == ["the harbour", "the mole"]
        memory.drop_snapshot("first")
        assert [one.tag for one in memory.snapshots()] == [done.safety]
        assert "snapshots/first" not in server.objects("past/")


def test_a_store_in_a_bucket_is_backed_up_and_restored(server: Server, tmp_path: Path) -> None:
    uri, dest, options = f"s3://{BUCKET}/live", f"s3://{BUCKET}/backups", server.options
    with opened(uri, server) as memory:
        memory.add([say("the harbour", id="h"), say("the mole", id="m")], **ADA)
        first = memory.backup(dest, progress=False)
        memory.add("the pier", **ADA)
        second = memory.backup(dest, progress=False)
        memory.backup(str(tmp_path / "local"), progress=False)
    assert (first.files_copied, second.files_copied) == (first.files, 2)
    check = backup.verify(dest, storage_options=options, progress=False)
    assert check.is_sound
    assert check.backups == (first.id, second.id)
    new = f"s3://{BUCKET}/restored"
    backup.restore(dest, new, backup=first.id, storage_options=options, progress=False)
    backup.restore(dest, str(tmp_path / "new"), storage_options=options, progress=False)
    with opened(new, server) as one, open_hashed(tmp_path / "new") as other:
        assert texts(one) == ["the harbour", "the mole"]
        assert texts(other) == ["the harbour", "the mole", "the pier"]
        one.add("after", **ADA)
    for overwrite in (False, True):
        with pytest.raises(InvalidInput, match="is not empty"):
            backup.restore(dest, new, overwrite=overwrite, storage_options=options, progress=False)
    name = next(part for part in server.objects("backups/files/").split("<Key>")[1:])
    server.asked("PUT", f"/{BUCKET}/{name.partition('<')[0]}", "harmed")
    check = backup.verify(dest, storage_options=options, progress=False)
    assert len(check.damaged) == 1
    with pytest.raises(StoreError, match="nothing was written"):
        backup.restore(dest, str(tmp_path / "none"), storage_options=options, progress=False)


def test_a_bucket_that_does_not_answer_is_told(server: Server, tmp_path: Path) -> None:
    with open_hashed(tmp_path / "store") as memory:
        memory.add("the harbour", **ADA)
    nobody = {**server.options, "aws_endpoint": "http://127.0.0.1:9"}
    with pytest.raises(StoreError, match="Repair"):
        backup.verify(f"s3://{BUCKET}/none", storage_options=nobody, progress=False)
