"""Opening: a store is found or made, and everything else is refused with its repair."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import lancedb
import pytest
from storage_tools import ADA, PASSPORT, open_store, rows_of, run_python, turn

from agentmem.errors import EmbedderMismatch, SchemaTooNew, StoreError, StoreNotFound
from agentmem.storage.description import DESCRIPTION
from agentmem.storage.meta import Meta
from agentmem.storage.schema import SCHEMA_VERSION
from agentmem.types import Passport


def description_of(folder: Path) -> Meta:
    return Meta(lancedb.connect(folder).open_table("meta"), uri=str(folder))


def change_description(folder: Path, **changes: object) -> None:
    meta = description_of(folder)
    found = meta.get(DESCRIPTION)
    assert found is not None
    assert meta.compare_and_swap(DESCRIPTION, {**found.value, **changes}, rev=found.rev)


@pytest.mark.parametrize("made", ["nothing", "empty folder", "folder with a hidden file"])
def test_a_new_or_empty_folder_becomes_a_store(tmp_path: Path, made: str) -> None:
    folder = tmp_path / "new" / "store"
    if made != "nothing":
        folder.mkdir(parents=True)
    if made == "folder with a hidden file":
        (folder / ".DS_Store").touch()
    store = open_store(folder)
    store.append(rows_of([turn()]))
    store.close()
    again = open_store(folder, create=False)
    assert again.count(scope=ADA) == 1
    assert again.passport == PASSPORT
    assert again.stats().schema_version == SCHEMA_VERSION


def test_the_passport_is_asked_for_only_once_the_place_is_known_to_be_usable(
    tmp_path: Path,
) -> None:
    def load_model() -> Passport:
        raise AssertionError

    with pytest.raises(StoreNotFound):
        open_store(tmp_path / "missing", passport=load_model, create=False)
    assert open_store(tmp_path / "new", passport=lambda: PASSPORT).passport == PASSPORT


def test_without_a_passport_a_store_is_trusted_but_not_made(tmp_path: Path) -> None:
    open_store(tmp_path / "store").close()
    assert open_store(tmp_path / "store", passport=None).passport == PASSPORT
    with pytest.raises(StoreNotFound, match="takes an embedder"):
        open_store(tmp_path / "new", passport=None)


@pytest.mark.parametrize("options", [{"create": False}, {"read_only": True}])
def test_a_missing_store_is_not_made_unasked(tmp_path: Path, options: dict[str, bool]) -> None:
    with pytest.raises(StoreNotFound, match="create=True"):
        open_store(tmp_path / "missing", **options)
    assert not (tmp_path / "missing").exists()
    with pytest.raises(StoreNotFound, match="create=True"):
        open_store(tmp_path, **options)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_something_else_is_named_and_left_alone(tmp_path: Path) -> None:
    for n in range(7):
        (tmp_path / f"photo{n}.jpg").touch()
    with pytest.raises(StoreNotFound, match=r"photo0\.jpg.* and 2 more.*Repair"):
        open_store(tmp_path)
    assert len(list(tmp_path.iterdir())) == 7


@pytest.mark.parametrize("names", [["docs"], ["meta"], ["meta", "docs"]])
def test_another_lancedb_database_is_no_store(tmp_path: Path, names: list[str]) -> None:
    for name in names:
        lancedb.connect(tmp_path).create_table(name, [{"a": 1}])
    with pytest.raises(StoreNotFound, match="not an agentmem store"):
        open_store(tmp_path)
    assert set(lancedb.connect(tmp_path).list_tables().tables) == set(names)


def test_a_file_is_no_store(tmp_path: Path) -> None:
    path = tmp_path / "turns.jsonl"
    path.write_text("{}")
    with pytest.raises(StoreError, match=r"is a file.*import_turns"):
        open_store(path)
    assert path.read_text() == "{}"


def test_a_newer_schema_is_refused_unchanged(tmp_path: Path) -> None:
    open_store(tmp_path).close()
    change_description(tmp_path, schema_version=SCHEMA_VERSION + 1)
    with pytest.raises(SchemaTooNew, match="pip install --upgrade") as caught:
        open_store(tmp_path)
    assert (caught.value.found, caught.value.supported) == (SCHEMA_VERSION + 1, SCHEMA_VERSION)


def test_an_older_schema_is_refused_unchanged_with_the_way_to_a_new_store(tmp_path: Path) -> None:
    open_store(tmp_path).close()
    change_description(tmp_path, schema_version=SCHEMA_VERSION - 1)
    with pytest.raises(StoreError, match="Repair: export the turns"):
        open_store(tmp_path)


def test_another_embedder_is_refused_with_both_passports(tmp_path: Path) -> None:
    open_store(tmp_path).close()
    other = replace(PASSPORT, model="large", dimension=8)
    with pytest.raises(EmbedderMismatch, match="large") as caught:
        open_store(tmp_path, passport=other)
    assert (caught.value.stored, caught.value.given) == (PASSPORT, other)


def test_fields_that_a_later_passport_adds_are_overlooked(tmp_path: Path) -> None:
    open_store(tmp_path).close()
    found = description_of(tmp_path).get(DESCRIPTION)
    assert found is not None
    told = found.value["generations"]["1"]
    change_description(tmp_path, generations={"1": {**told, "shoe_size": 42}})
    assert open_store(tmp_path).passport == PASSPORT


def test_creators_that_race_end_up_with_one_store(tmp_path: Path) -> None:
    folder = tmp_path / "store"

    def create_and_add(n: int) -> None:
        open_store(folder).append(rows_of([turn(f"t{n}")]))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(create_and_add, range(8)))
    assert open_store(folder).count(scope=ADA) == 8


def test_a_race_of_different_embedders_has_one_winner(tmp_path: Path) -> None:
    folder = tmp_path / "store"
    passports = [replace(PASSPORT, dimension=n + 2) for n in range(6)]

    def create(passport: Passport) -> Passport | None:
        try:
            return open_store(folder, passport=passport).passport
        except EmbedderMismatch:
            return None

    with ThreadPoolExecutor(6) as pool:
        winners = [passport for passport in pool.map(create, passports) if passport is not None]
    assert len(winners) == 1
    assert open_store(folder, passport=winners[0]).passport == winners[0]


def test_a_creation_that_was_cut_short_is_completed(tmp_path: Path) -> None:
    open_store(tmp_path).close()
    shutil.rmtree(tmp_path / "turns_g1.lance")
    change_description(tmp_path, ready=False)
    with pytest.raises(StoreNotFound, match="cut short"):
        open_store(tmp_path, read_only=True)
    assert open_store(tmp_path).count(scope=ADA) == 0


def test_a_lost_table_is_an_error_and_not_a_new_store(tmp_path: Path) -> None:
    open_store(tmp_path).close()
    shutil.rmtree(tmp_path / "turns_g1.lance")
    with pytest.raises(StoreError, match=r"missing.*backup"):
        open_store(tmp_path)


def test_a_damaged_description_is_an_error_that_names_the_store(tmp_path: Path) -> None:
    open_store(tmp_path).close()
    for manifest in (tmp_path / "meta.lance" / "_versions").iterdir():
        manifest.write_bytes(b"garbage")
    with pytest.raises(StoreError, match="backup") as caught:
        open_store(tmp_path)
    assert str(tmp_path) in str(caught.value)
    assert caught.value.__cause__ is not None


def test_an_address_that_cannot_be_reached_is_an_error(tmp_path: Path) -> None:
    options = {"aws_endpoint": "http://127.0.0.1:9", "allow_http": "true"}
    options |= {"aws_access_key_id": "a", "aws_secret_access_key": "b", "client_max_retries": "0"}
    with pytest.raises(StoreError, match="s3://bucket/store"):
        open_store("s3://bucket/store", storage_options=options)  # type: ignore[arg-type]


READ_ONLY = """
import ctypes, sys
# Root is not bound by permissions until it gives up its capabilities; threads inherit that.
none = (ctypes.c_uint32 * 6)()
assert ctypes.CDLL(None, use_errno=True).capset((ctypes.c_uint32 * 2)(0x20080522, 0), none) == 0
from agentmem.errors import StoreError
from storage_tools import ADA, open_store, rows_of, turn
store = open_store(sys.argv[1])
assert store.count(scope=ADA) == 1
assert [t.id for t in store.page(scope=ADA, limit=9)] == ["t1"]
for write in (
    lambda: store.append(rows_of([turn("t2")])),
    lambda: store.insert_absent(rows_of([turn("t2")])),
    lambda: store.delete(scope=ADA),
    lambda: open_store(sys.argv[2]),
):
    try:
        write()
    except StoreError as error:
        assert "permission denied" in str(error) and "Repair" in str(error), error
    else:
        raise AssertionError("it was written")
store.compact()
store.close()
print("read", end="")
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="capabilities are Linux's")
def test_a_read_only_folder_is_read_and_refuses_writes_with_the_repair(tmp_path: Path) -> None:
    folder = tmp_path / "store"
    open_store(folder).append(rows_of([turn()]))
    paths = [folder, *folder.rglob("*")]
    for path in paths:
        path.chmod(0o555 if path.is_dir() else 0o444)
    empty = tmp_path / "empty"
    empty.mkdir(mode=0o555)
    try:
        assert run_python(READ_ONLY, folder, empty) == "read"
    finally:
        for path in [*paths, empty]:
            path.chmod(0o755)
    assert open_store(folder).count(scope=ADA) == 1


def test_a_schema_version_that_is_none_is_an_error_that_says_so(tmp_path: Path) -> None:
    open_store(tmp_path).close()
    change_description(tmp_path, schema_version="one")
    with pytest.raises(StoreError, match="no version"):
        open_store(tmp_path)


def test_a_store_whose_words_were_analysed_otherwise_is_refused(tmp_path: Path) -> None:
    open_store(tmp_path).close()
    change_description(tmp_path, analysis="another-v9")
    with pytest.raises(StoreError, match="another-v9"):
        open_store(tmp_path)
