"""Backups: incremental, consistent, verified byte by byte, and restored as the store was."""

from __future__ import annotations

import json
import os
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import lancedb
import pyarrow as pa
import pytest
from memory_tools import contents, open_hashed, say
from router_tools import TOOLS, names, open_router
from storage_tools import start_python
from typer.testing import CliRunner

from agentmem import ALL, Memory, backup
from agentmem.backup import making
from agentmem.backup.records import MARKER, Manifest
from agentmem.cli.app import app
from agentmem.errors import InvalidInput, NotFound, StoreError, StoreNotFound
from agentmem.storage.places import Folder

ADA: dict[str, Any] = {"user_id": "ada"}
SUFFIXES = ("", ".tar.zst", ".tar.gz")


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Memory]:
    with open_hashed(tmp_path / "store") as one:
        long = "a long story of the sea " * 300
        one.add([say(long, id="l", metadata={"n": [1, None]}), say("the mole", id="m")], **ADA)
        yield one


@pytest.fixture
def dest(tmp_path: Path) -> str:
    return str(tmp_path / "backups")


def made(memory: Memory, dest: str, **options: Any) -> Any:
    """Make a backup without a bar."""
    return memory.backup(dest, progress=False, **options)


def verified(dest: str) -> Any:
    """Verify without a bar."""
    return backup.verify(dest, progress=False)


def restored(dest: str, store: Path, **options: Any) -> Any:
    """Restore without a bar."""
    return backup.restore(dest, str(store), progress=False, **options)


def texts(store: Path) -> list[str]:
    """Return what is said in a store, in alphabetical order."""
    with open_hashed(store, create=False) as memory:
        return sorted(contents(memory.turns(scope=ALL, limit=10_000)))


def tables_of(store: Path) -> dict[str, Any]:
    """Return every row of every table of a store, in no order, with its row id."""
    db = lancedb.connect(store)
    found = {}
    for name in db.list_tables(limit=100).tables:
        table = db.open_table(name)
        columns = [*table.schema.names, "_rowid"]
        rows = table.search().select(columns).to_arrow().to_pylist()
        found[name] = (table.version, sorted(map(repr, rows)), table.schema)
    return found


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_table_comes_back_byte_for_byte(
    tmp_path: Path, memory: Memory, dest: str, suffix: str
) -> None:
    store = tmp_path / "store"
    with open_router(store) as router:
        router.sync(TOOLS)
        router.add_examples({"send_mail": ["write to my aunt"]})
        memory.delete("m", **ADA)
        report = made(memory, dest + suffix)
        before, tools = tables_of(store), names(router)
        assert {"turns_g1", "tools_g1", "tool_lessons", "tool_examples_g1", "meta"} <= set(before)
        assert {"canaries_g1"} <= set(before)
        assert report.versions == {name: version for name, (version, _, _) in before.items()}
        assert report.rows == {name: len(rows) for name, (_, rows, _) in before.items()}
    done = restored(dest + suffix, tmp_path / "new")
    assert tables_of(tmp_path / "new") == before
    assert (done.id, done.rows, done.bytes) == (report.id, report.rows, report.bytes)
    with open_hashed(tmp_path / "new") as again, open_router(tmp_path / "new") as router:
        assert names(router) == tools
        assert router.select("write to my aunt", k=1)[0].tool.name == "send_mail"
        again.add("after", **ADA)
        again._parts.store.compact()
        assert again.count(**ADA) == 2
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".")]


def test_a_further_backup_copies_only_what_is_new(memory: Memory, dest: str) -> None:
    first = made(memory, dest)
    assert first.files_copied == first.files
    assert made(memory, dest).files_copied == 0
    memory.add("the pier", **ADA)
    would = made(memory, dest, dry_run=True)
    again = made(memory, dest)
    assert (again.files_copied, again.bytes_copied) == (would.files_copied, would.bytes_copied)
    assert again.files_copied == 2  # a file of rows and a manifest
    assert again.bytes_copied < first.bytes / 5
    full = made(memory, dest, incremental=False)
    assert full.files_copied == 0
    assert len(verified(dest).backups) == 4


def test_a_dry_run_writes_nothing(memory: Memory, dest: str) -> None:
    report = made(memory, dest, dry_run=True)
    assert report.files_copied == report.files > 0
    assert not Path(dest).exists()


def test_earlier_backups_stay_restorable(tmp_path: Path, memory: Memory, dest: str) -> None:
    first = made(memory, dest)
    memory.add("the pier", **ADA)
    memory._parts.store.compact()
    second = made(memory, dest)
    restored(dest, tmp_path / "old", backup=first.id)
    restored(dest, tmp_path / "new")
    assert len(texts(tmp_path / "old")) == 2
    assert len(texts(tmp_path / "new")) == 3
    assert verified(dest).backups == (first.id, second.id)
    with pytest.raises(NotFound, match=first.id):
        restored(dest, tmp_path / "none", backup="yesterday")


def test_only_so_many_are_kept_with_what_they_need(
    tmp_path: Path, memory: Memory, dest: str
) -> None:
    ids = []
    for n in range(4):
        memory.add(f"word {n}", **ADA)
        memory._parts.store.compact()
        ids.append(made(memory, dest).id)
    before = len(list(Path(dest, "files").rglob("*")))
    last = made(memory, dest, keep=2)
    assert last.dropped == tuple(ids[:3])
    check = verified(dest)
    assert check.is_sound
    assert check.backups == (ids[3], last.id)
    assert len(list(Path(dest, "files").rglob("*"))) < before
    restored(dest, tmp_path / "new", backup=ids[3])
    assert len(texts(tmp_path / "new")) == 6


def test_two_stores_may_share_a_place(tmp_path: Path, memory: Memory, dest: str) -> None:
    first = made(memory, dest)
    with open_hashed(tmp_path / "other") as other:
        other.add("of another store", **ADA)
        second = made(other, dest)
    restored(dest, tmp_path / "one", backup=first.id)
    restored(dest, tmp_path / "two", backup=second.id)
    assert texts(tmp_path / "one") == sorted(contents(memory.turns(**ADA)))
    assert texts(tmp_path / "two") == ["of another store"]


def flip(path: Path) -> None:
    """Turn one bit in the middle of a file."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def cut(path: Path) -> None:
    """Take the second half of a file away."""
    os.truncate(path, path.stat().st_size // 2)


@pytest.mark.parametrize("harm", [flip, cut, Path.unlink])
def test_every_damaged_file_is_named_and_nothing_is_restored(
    tmp_path: Path, memory: Memory, dest: str, harm: Callable[[Path], None]
) -> None:
    report = made(memory, dest)
    manifest = Manifest.read(Path(dest, "backups", f"{report.id}.json").read_bytes(), name="")
    files = sorted(p for p in Path(dest, "files").rglob("*") if p.is_file())
    assert len(files) == report.files
    for path in files:
        whole = path.read_bytes()
        harm(path)
        check = verified(dest)
        (named,) = check.missing if harm is Path.unlink else check.damaged
        (inside,) = [name for name, one in manifest.files.items() if one.sha256 == path.name]
        assert path.name in named
        assert inside in named
        assert not check.is_sound
        with pytest.raises(StoreError, match="nothing was written") as refused:
            restored(dest, tmp_path / "new")
        assert inside in str(refused.value)
        assert not (tmp_path / "new").exists()
        path.write_bytes(whole)
    assert verified(dest).is_sound


def test_a_further_backup_heals_what_is_missing_or_cut(memory: Memory, dest: str) -> None:
    made(memory, dest)
    first, second = sorted(p for p in Path(dest, "files").rglob("*") if p.is_file())[:2]
    first.unlink()
    cut(second)
    assert made(memory, dest).files_copied == 2
    assert verified(dest).is_sound


@pytest.mark.parametrize("harm", [flip, cut])
def test_a_damaged_manifest_is_named_and_the_other_backups_stay(
    tmp_path: Path, memory: Memory, dest: str, harm: Callable[[Path], None]
) -> None:
    first, second = made(memory, dest), made(memory, dest)
    harm(Path(dest, "backups", f"{second.id}.json"))
    check = verified(dest)
    assert check.damaged == (f"backups/{second.id}.json",)
    assert check.backups == (first.id,)
    restored(dest, tmp_path / "new", backup=first.id)
    assert len(texts(tmp_path / "new")) == 2
    made(memory, dest, keep=1)
    assert not verified(dest).missing


@pytest.mark.parametrize("suffix", SUFFIXES[1:])
def test_a_damaged_archive_is_noticed(
    tmp_path: Path, memory: Memory, dest: str, suffix: str
) -> None:
    path = Path(dest + suffix)
    made(memory, str(path))
    whole, harmless = path.read_bytes(), 0
    for at in range(100, len(whole), len(whole) // 7):
        flipped = bytearray(whole)
        flipped[at] ^= 4
        path.write_bytes(flipped)
        if suffix == ".tar.zst" and verified(str(path)).is_sound:
            harmless += 1  # no checksum of its own: between files, whose hashes tell they are whole
            restored(str(path), tmp_path / f"whole{at}")
            assert texts(tmp_path / f"whole{at}") == texts(Path(memory._home.name))
            continue
        assert not verified(str(path)).is_sound, at
        with pytest.raises(StoreError, match="cannot be restored"):
            restored(str(path), tmp_path / "new")
    assert harmless <= 3
    for size in (0, 1, 100, len(whole) // 2, len(whole) - 20):
        path.write_bytes(whole[:size])
        assert not verified(str(path)).is_sound, size
    assert not (tmp_path / "new").exists()


def test_a_hostile_manifest_leads_nowhere(tmp_path: Path, memory: Memory, dest: str) -> None:
    report = made(memory, dest)
    path = Path(dest, "backups", f"{report.id}.json")
    manifest = Manifest.read(path.read_bytes(), name="")
    (name, content), *_ = manifest.files.items()
    for bad in ("../x", "/etc/x", "a.lance/../../x", "turns_g1.lance", "a.lance/data/..", "C:\\x"):
        told = {one: getattr(manifest, one) for one in manifest.__slots__}
        told["files"] = {**manifest.files, bad: content}
        path.write_bytes(Manifest(**told).written())
        assert verified(dest).damaged == (f"backups/{report.id}.json",), bad
        with pytest.raises(StoreError):
            restored(dest, tmp_path / "new")
    assert name
    path.write_text(json.dumps({"format": 99, "sha256": "", "backup": {}}))
    assert not verified(dest).is_sound


def test_a_hostile_archive_leads_nowhere(tmp_path: Path, memory: Memory, dest: str) -> None:
    path = Path(dest + ".tar.gz")
    made(memory, str(path))
    with tarfile.open(path) as tar:
        members = [(one, tar.extractfile(one)) for one in tar.getmembers()]
        read = [(one, b"" if data is None else data.read()) for one, data in members]
    path.unlink()
    with tarfile.open(path, "w:gz") as tar:
        for name, kind in (("../../out", tarfile.REGTYPE), ("files/aa/link", tarfile.SYMTYPE)):
            hostile = tarfile.TarInfo(name)
            hostile.type, hostile.linkname = kind, "/etc/passwd"
            tar.addfile(hostile)
        for one, data in read:
            tar.addfile(one, pa.BufferReader(data))
    restored(str(path), tmp_path / "inner" / "new")
    assert len(texts(tmp_path / "inner" / "new")) == 2
    assert not (tmp_path / "out").exists()


def test_a_restore_never_harms_what_is_there(tmp_path: Path, memory: Memory, dest: str) -> None:
    made(memory, dest)
    memory.add("the pier", **ADA)
    store, folder = tmp_path / "store", tmp_path / "folder"
    folder.mkdir()
    (folder / "letter.txt").write_text("dear aunt")
    for place in (store, folder):
        with pytest.raises(InvalidInput, match="is not empty"):
            restored(dest, place)
    with pytest.raises(InvalidInput, match="no agentmem store"):
        restored(dest, folder, overwrite=True)
    with pytest.raises(InvalidInput, match="is a file"):
        restored(dest, folder / "letter.txt")
    assert (folder / "letter.txt").read_text() == "dear aunt"
    assert memory.count(**ADA) == 3
    memory.close()
    assert restored(dest, store, overwrite=True, dry_run=True).dry_run
    assert len(texts(store)) == 3
    restored(dest, store, overwrite=True)
    assert len(texts(store)) == 2
    (tmp_path / "empty").mkdir()
    restored(dest, tmp_path / "empty")
    assert len(texts(tmp_path / "empty")) == 2


def test_a_place_that_cannot_hold_backups_is_refused(
    tmp_path: Path, memory: Memory, dest: str
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "letter.txt").write_text("dear aunt")
    for place, match in (
        (folder, "something else than backups"),
        (folder / "letter.txt", "is a file"),
        (tmp_path / "store", "lies in the store itself"),
        (tmp_path / "store" / "backups", "lies in the store itself"),
        ("", "names no place"),
        ("nowhere://bucket/x", "no place for files"),
    ):
        with pytest.raises(InvalidInput, match=match):
            made(memory, str(place))
    for keep in (0, -1, True, 1.5, "2"):
        with pytest.raises(InvalidInput, match="how many backups"):
            made(memory, dest, keep=keep)
    with pytest.raises(InvalidInput, match="holds one backup"):
        made(memory, dest + ".tar.gz", keep=2)
    made(memory, dest + ".tar.gz")
    with pytest.raises(InvalidInput, match="there is a file"):
        made(memory, dest + ".tar.gz")
    for nothing in (tmp_path / "none", folder, tmp_path / "none.tar.zst"):
        with pytest.raises(StoreNotFound, match="no backups"):
            verified(str(nothing))
        with pytest.raises(StoreNotFound, match="no backups"):
            restored(str(nothing), tmp_path / "new")
    assert sorted(p.name for p in folder.iterdir()) == ["letter.txt"]


def test_a_store_that_cannot_be_written_to_is_backed_up(
    tmp_path: Path, memory: Memory, dest: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = sorted((tmp_path / "store").rglob("*"))
    with open_hashed(tmp_path / "store", read_only=True) as reader:
        made(reader, dest)
    assert sorted((tmp_path / "store").rglob("*")) == before

    def refused(self: Folder, path: str, *, to: str) -> None:
        raise PermissionError(13, f"{path} {to}")

    monkeypatch.setattr(Folder, "share", refused)
    assert made(memory, dest).files_copied == 0
    restored(dest, tmp_path / "new")
    assert len(texts(tmp_path / "new")) == 2


def test_files_that_are_pruned_while_they_are_read_make_it_begin_again(
    tmp_path: Path, memory: Memory, dest: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = making._content
    failed: list[str] = []

    def vanishing(place: Any, path: str) -> Any:
        if "turns" in path and len(failed) < 2:
            failed.append(path)
            memory.add("meanwhile", **ADA)
            raise making._vanished("store", path)
        return content(place, path)

    monkeypatch.setattr(making, "_content", vanishing)
    with open_hashed(tmp_path / "store", read_only=True) as reader:
        assert made(reader, dest).rows["turns_g1"] >= 4
    restored(dest, tmp_path / "new")
    assert texts(tmp_path / "new").count("meanwhile") == 2
    failed[:] = []
    monkeypatch.setattr(making, "ATTEMPTS", 1)
    with (
        open_hashed(tmp_path / "store", read_only=True) as reader,
        pytest.raises(StoreError, match="kept vanishing"),
    ):
        made(reader, str(tmp_path / "other"))


WRITER = """
import sys
from memory_tools import open_hashed, say
memory = open_hashed(sys.argv[1])
print("ready", flush=True)
for n in range(10_000):
    memory.add([say(f"{sys.argv[2]} {n} first"), say(f"{sys.argv[2]} {n} second")], user_id="ada")
    if n % 20 == 19:
        memory._parts.store.compact()
"""


@pytest.mark.slow
def test_backups_are_whole_while_three_processes_write(tmp_path: Path, dest: str) -> None:
    store = tmp_path / "store"
    with open_hashed(store) as memory:
        memory.add("begun", **ADA)
        writers = [start_python(WRITER, store, name) for name in "abc"]
        try:
            for one in writers:
                assert one.stdout is not None
                assert one.stdout.readline() == "ready\n"
            reports, until = [], time.monotonic() + 4
            while time.monotonic() < until:
                least = memory.count(**ADA)
                reports.append((least, made(memory, dest)))
        finally:
            for one in writers:
                one.kill()
                one.communicate(timeout=60)
    assert len(reports) > 2
    assert verified(dest).is_sound
    for n, (least, report) in enumerate(reports[:: max(1, len(reports) // 4)]):
        new = tmp_path / f"new{n}"
        restored(dest, new, backup=report.id)
        said = texts(new)
        assert len(said) == report.rows["turns_g1"] >= least
        pairs = [text.rsplit(" ", 1)[0] for text in said if text != "begun"]
        assert all(pairs.count(one) == 2 for one in set(pairs))


KILLED = """
import os, signal, sys
from agentmem.backup import making, restoring, restore
from agentmem.storage.places import Folder
from memory_tools import open_hashed
what, after, store, dest, new = sys.argv[1:]
calls, write = 0, Folder.write

def dying(self, path, data):
    global calls
    calls += 1
    if calls > int(after):
        with open(os.path.join(self.uri, ".half.part") if os.path.isdir(self.uri) else os.devnull,
                  "wb") as half:
            half.write(b"half")
        os.kill(os.getpid(), signal.SIGKILL)
    return write(self, path, data)

Folder.write = dying
if what == "backup":
    open_hashed(store).backup(dest, progress=False)
elif what == "restore":
    restore(dest, new, progress=False, overwrite=True)
"""


@pytest.mark.slow(keep=2)
@pytest.mark.parametrize("after", ["0", "1", "3", "5"])
@pytest.mark.parametrize("what", ["backup", "restore"])
def test_a_backup_or_restore_that_was_killed_is_none(
    tmp_path: Path, memory: Memory, dest: str, what: str, after: str
) -> None:
    new = tmp_path / "new"
    if what == "restore":
        made(memory, dest)
        restored(dest, new)
        memory.add("the pier", **ADA)
        made(memory, dest)
    process = start_python(KILLED, what, after, tmp_path / "store", dest, new)
    _, err = process.communicate(timeout=60)
    assert process.returncode == -9, err
    if what == "restore":
        assert len(texts(new)) == 2  # as before
        restored(dest, new, overwrite=True)
        assert len(texts(new)) == 3
        return
    if after != "0":
        check = verified(dest)
        assert check.backups == ()
        assert check.missing == ("every backup",)
    assert made(memory, dest).id
    assert verified(dest).is_sound
    restored(dest, new)
    assert len(texts(new)) == 2


def run(*arguments: str | Path, code: int = 0) -> str:
    """Return what a command printed on standard output; it must end with that code."""
    result = CliRunner().invoke(app, [str(one) for one in arguments])
    assert result.exit_code == code, (result.output, result.exception)
    return result.stdout


def test_the_command_line_backs_up_verifies_and_restores(
    tmp_path: Path, memory: Memory, dest: str
) -> None:
    store = tmp_path / "store"
    would = json.loads(run("backup", dest, "--store", store, "--dry-run", "--json"))
    assert would["dry_run"]
    assert not Path(dest).exists()
    done = json.loads(run("backup", "make", dest, "--store", store, "--json"))
    assert done["files"] == would["files"] == done["files_copied"]
    shown = run("backup", "--keep", "1", "--full", dest, "--store", store)
    assert done["id"] in shown
    assert "files copied" in shown
    check = json.loads(run("backup", "verify", dest, "--json"))
    assert check["is_sound"]
    assert "sound" in run("backup", "verify", dest)
    again = json.loads(run("backup", "restore", dest, "--store", tmp_path / "new", "--json"))
    assert again["id"] in check["backups"]
    assert texts(tmp_path / "new") == texts(store)
    run("backup", "restore", dest, "--store", tmp_path / "new", code=1)
    run("backup", "restore", dest, "--store", tmp_path / "new", "--overwrite", "--dry-run")
    path = next(p for p in Path(dest, "files").rglob("*") if p.is_file())
    flip(path)
    damaged = run("backup", "verify", dest, code=1)
    assert "1 backup" in damaged
    assert path.name in run("backup", "verify", dest, "--json", code=1)
    assert "Usage" in run("backup", "--help")


def test_the_command_line_keeps_and_puts_back_snapshots(tmp_path: Path, memory: Memory) -> None:
    store = ("--store", tmp_path / "store")
    assert json.loads(run("snapshot", "make", "first", "--note", "n", "--json", *store))
    memory.add("the pier", **ADA)
    assert "first" in run("snapshot", "list", *store)
    (told,) = json.loads(run("snapshot", "list", "--json", *store))
    assert (told["tag"], told["note"]) == ("first", "n")
    would = json.loads(run("snapshot", "restore", "first", "--json", *store))
    assert would["dry_run"]
    assert would["holdings"][0]["removed"] == 1
    run("snapshot", "restore", "first", *store, code=1)  # nobody says yes
    assert memory.count(**ADA) == 3
    assert "1 removed" in run("snapshot", "restore", "first", "--yes", *store)
    assert memory.count(**ADA) == 2
    run("snapshot", "drop", "first", "--dry-run", *store)
    run("snapshot", "drop", "first", "--yes", *store)
    assert [one.tag for one in memory.snapshots()] != ["first"]
    assert len(memory.snapshots()) == 1
    run("snapshot", "drop", "first", "--yes", *store, code=1)
    run("snapshot", "make", "../x", *store, code=1)


def test_the_marker_says_what_the_place_is(memory: Memory, dest: str) -> None:
    made(memory, dest)
    assert "backups" in json.loads(Path(dest, MARKER).read_text())["holds"]
    assert not list(Path(dest).rglob("*.part"))
